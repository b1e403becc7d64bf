//! The certificate and the key of TLS: two files, read when the server starts and again at SIGHUP.
//!
//! Invariant: an identity exists only for a certificate with the key that belongs to it. A certificate out of its time
//! is no error: the server warns, and clients decide.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use rustls::sign::SigningKey;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::pem::{self, Problem};
use crate::net::tls::{TlsConfigs, pin, provider};

/// The files of TLS, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, and behind it the certificates of its issuers: `--tls-cert`.
    pub certificate: PathBuf,
    /// The private key of the first certificate: `--tls-key`.
    pub key: PathBuf,
}

/// A file that is of no use, and its fault.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file of `--tls-cert`.
    #[error("cannot use the certificate {}: {problem}", path.display())]
    Certificate {
        /// Its path.
        path: PathBuf,
        /// Its fault.
        problem: Problem,
    },
    /// The file of `--tls-key`.
    #[error("cannot use the key {}: {problem}", path.display())]
    Key {
        /// Its path.
        path: PathBuf,
        /// Its fault.
        problem: Problem,
    },
}

/// A certificate with its key, ready for handshakes.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    files: TlsFiles,
    configs: TlsConfigs,
    /// The pin of the public key, as clients give it to `--pin`.
    pin: String,
    /// The end of the certificate's time; `None` if its dates cannot be read.
    until: Option<Timestamp>,
    /// Faults that do not keep it from serving.
    warnings: Vec<String>,
}

impl Identity {
    /// Reads both files, and checks them against each other and the certificate against the time.
    ///
    /// # Errors
    /// Names the file that is of no use, and its fault.
    pub(super) fn read(files: &TlsFiles, now: SystemTime) -> Result<Identity, CertificateError> {
        let of_certificate = |problem| CertificateError::Certificate { path: files.certificate.clone(), problem };
        let of_key = |problem| CertificateError::Key { path: files.key.clone(), problem };
        let chain = pem::read_certificates(&files.certificate).map_err(of_certificate)?;
        let (key, is_readable_by_all) = pem::read_key(&files.key).map_err(of_key)?;
        let unusable = |_| of_key(Problem::UnusableKey);
        let signing_key = provider().key_provider.load_private_key(key.clone_key()).map_err(unusable)?;
        let leaf = ParsedCertificate::try_from(&chain[0]).map_err(|_| of_certificate(Problem::BadCertificate))?;
        match place_of(&*signing_key, &chain) {
            Some(0) => {}
            Some(index) => return Err(of_certificate(Problem::NotFirst(index + 1))),
            None => return Err(of_key(Problem::OfAnother(files.certificate.clone()))),
        }
        let (until, untimely) = check_time(&chain[0], now);
        let mut warnings = Vec::new();
        warnings.extend(untimely.map(|text| format!("the certificate {} {text}", files.certificate.display())));
        if is_readable_by_all {
            let path = files.key.display();
            warnings.push(format!("each user of this machine can read the key {path}: chmod 600 {path}"));
        }
        let pin = pin(leaf.subject_public_key_info().as_ref());
        let configs = TlsConfigs::new(chain, key).map_err(unusable)?;
        Ok(Identity { files: files.clone(), configs, pin, until, warnings })
    }

    /// Returns the pin of the public key.
    pub(super) fn pin(&self) -> &str {
        &self.pin
    }

    /// Returns the settings of both ports.
    pub(super) fn configs(&self) -> TlsConfigs {
        self.configs.clone()
    }

    /// Returns the faults that do not keep it from serving.
    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// The certificate as the log names it.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = self.until.map_or_else(String::new, |until| format!(", valid until {until}"));
        write!(f, "TLS with the certificate {}{until}, pin {}", self.files.certificate.display(), self.pin)
    }
}

/// Returns the index of the certificate in `chain` that `key` belongs to.
fn place_of(key: &dyn SigningKey, chain: &[CertificateDer<'_>]) -> Option<usize> {
    let public_key = key.public_key()?;
    let is_of_key = |certificate: &ParsedCertificate<'_>| certificate.subject_public_key_info() == public_key;
    chain.iter().position(|certificate| ParsedCertificate::try_from(certificate).as_ref().is_ok_and(is_of_key))
}

/// Returns the end of a certificate's time, and the fault if `now` is outside of it.
fn check_time(certificate: &CertificateDer<'_>, now: SystemTime) -> (Option<Timestamp>, Option<String>) {
    let Ok(certificate) = Certificate::from_der(certificate) else { return (None, None) };
    let validity = certificate.tbs_certificate().validity();
    let (from, until) = (validity.not_before.to_system_time(), validity.not_after.to_system_time());
    let shown = |time: SystemTime| Timestamp::try_from(time).map_or_else(|_| "?".to_owned(), |time| time.to_string());
    let fault = if now > until {
        Some(format!("expired at {}: clients that check it refuse it", shown(until)))
    } else if now < from {
        Some(format!("is not valid before {}: clients that check it refuse it until then", shown(from)))
    } else {
        None
    };
    (Timestamp::try_from(until).ok(), fault)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::time::{Duration, UNIX_EPOCH};

    use rcgen::{CertificateParams, CertifiedKey as Generated, KeyPair, date_time_ymd, generate_simple_self_signed};

    use super::*;

    /// A folder with `cert.pem` and `key.pem`, removed on drop.
    struct Folder(PathBuf);

    impl Folder {
        fn new(certificate: &str, key: &str) -> Folder {
            let folder = Folder(std::env::temp_dir().join(format!("pollchat-{:x}", crate::net::random::number())));
            fs::create_dir(&folder.0).unwrap();
            folder.write("cert.pem", certificate);
            folder.write("key.pem", key);
            folder
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn write(&self, name: &str, text: impl AsRef<[u8]>) {
            fs::write(self.path(name), text).unwrap();
            fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        }

        fn files(&self) -> TlsFiles {
            TlsFiles { certificate: self.path("cert.pem"), key: self.path("key.pem") }
        }

        fn read(&self) -> Result<Identity, String> {
            let place = format!("{}/", self.0.display());
            Identity::read(&self.files(), now()).map_err(|error| error.to_string().replace(&place, ""))
        }

        #[track_caller]
        fn error(&self) -> String {
            self.read().expect_err("a file is of no use")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn now() -> SystemTime {
        // 2026-11-30
        UNIX_EPOCH + Duration::from_secs(1_796_000_000)
    }

    /// A certificate and its key, in PEM.
    fn pair() -> (String, String) {
        let Generated { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    fn pair_of_years(from: i32, until: i32) -> (String, String) {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn a_certificate_and_its_key_are_of_use() {
        let (certificate, key) = pair();
        let (issuer, _) = pair();
        for (certificate, key) in [
            (certificate.clone(), key.clone()),
            (certificate.clone() + &issuer, key.clone()),
            // As editors of other systems write it, with text around it, and both in one file.
            (certificate.replace('\n', "\r\n"), key.replace('\n', "\r\n")),
            (format!("CN=localhost\n{certificate}\n"), format!("a key:\n{key}")),
            (key.clone() + &certificate, key.clone() + &certificate),
        ] {
            let identity = Folder::new(&certificate, &key).read().unwrap();
            assert_eq!(identity.warnings, [""; 0]);
            assert_eq!((identity.pin().len(), &identity.pin()[..7]), (50, "SHA256:"));
            let TlsConfigs { lines, web } = identity.configs();
            assert_eq!(
                (&lines.alpn_protocols[..], &web.alpn_protocols[..]),
                (&[b"pollchat".to_vec()][..], &[b"http/1.1".to_vec()][..])
            );
            assert_eq!((lines.send_tls13_tickets, lines.max_early_data_size, web.send_tls13_tickets), (0, 0, 0));
        }
    }

    #[test]
    fn the_pin_is_that_of_the_key_and_outlives_the_certificate() {
        let key = KeyPair::generate().unwrap();
        let pin_of = |name: &str| {
            let certificate = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
            Folder::new(&certificate.pem(), &key.serialize_pem()).read().unwrap().pin
        };
        assert_eq!(pin_of("a"), pin_of("b"));
        assert_eq!(pin_of("a"), pin(&rcgen::PublicKeyData::subject_public_key_info(&key)));
    }

    #[test]
    fn each_bad_certificate_is_named_with_its_fault() {
        let ((certificate, key), (other, _)) = (pair(), pair());
        let body = certificate.lines().nth(2).unwrap();
        for (text, fault) in [
            (String::new(), "it is empty"),
            (
                "what is this".to_owned(),
                "it is not text in PEM; to convert DER, use `openssl x509 -inform der -in cert.pem",
            ),
            (key.clone(), "there is no certificate, but a private key, in it: are --tls-cert and --tls-key swapped?"),
            (certificate.replace("CERTIFICATE", "CERTIFICATE REQUEST"), "there is no certificate in it"),
            (certificate.replace(body, "!"), "it is damaged: a part of it is cut, or is not base64"),
            (certificate[..certificate.len() / 2].to_owned(), "it is damaged: a part"),
            (certificate.replace(&format!("{body}\n"), ""), "its first certificate is damaged, or older than X.509"),
            (other.clone() + &certificate, "the certificate of the key is number 2 in it: put it first"),
            ("x".repeat(64 * 1024 + 1), "it is larger than 64 KiB"),
        ] {
            let error = Folder::new(&text, &key).error();
            assert!(error.starts_with(&format!("cannot use the certificate cert.pem: {fault}")), "{fault}: {error}");
        }
    }

    #[test]
    fn each_bad_key_is_named_with_its_fault() {
        let ((certificate, key), (_, other)) = (pair(), pair());
        let body = key.lines().nth(1).unwrap();
        let encrypted = "the key in it is encrypted; to decrypt it, use `openssl pkey -in key.pem -out NEW.pem`";
        for (text, fault) in [
            (String::new(), "it is empty"),
            (
                "0\u{1}\u{2}".to_owned(),
                "it is not text in PEM; to convert DER, use `openssl pkey -inform der -in key.pem",
            ),
            (certificate.clone(), "there is no private key, but a certificate, in it: are --tls-cert and"),
            (key.replace("PRIVATE", "PUBLIC"), "there is no private key in it"),
            (key.replace("PRIVATE", "ENCRYPTED PRIVATE"), encrypted),
            (key.replace(body, &format!("Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{body}")), encrypted),
            (key.replace(body, "!"), "it is damaged: a part of it is cut, or is not base64"),
            (key.replace(&body[..8], "AAAAAAAA"), "the key in it is damaged, or of an unsupported kind: use ECDSA"),
            (other, "it does not belong to the certificate cert.pem"),
        ] {
            let error = Folder::new(&certificate, &text).error();
            assert!(error.starts_with(&format!("cannot use the key key.pem: {fault}")), "{fault}: {error}");
        }
    }

    #[test]
    fn what_is_no_file_is_never_waited_for() {
        let (certificate, key) = pair();
        let folder = Folder::new(&certificate, &key);
        let replace = |by: &dyn Fn(&Path)| {
            fs::remove_file(folder.path("key.pem")).unwrap();
            by(&folder.path("key.pem"));
            folder.error()
        };
        let missing = replace(&|_| ());
        assert!(missing.starts_with("cannot use the key key.pem: No such file or directory"), "{missing}");
        folder.write("key.pem", &key);
        let pipe = replace(&|path| {
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        });
        assert_eq!(pipe, "cannot use the key key.pem: it is not a regular file");
        let endless = replace(&|path| std::os::unix::fs::symlink("/dev/zero", path).unwrap());
        assert_eq!(endless, "cannot use the key key.pem: it is not a regular file");
        let directory = replace(&|path| fs::create_dir(path).unwrap());
        assert_eq!(directory, "cannot use the key key.pem: it is not a regular file");
    }

    #[test]
    fn a_certificate_out_of_its_time_and_a_key_that_all_can_read_are_warnings() {
        let warnings = |(certificate, key): (String, String)| Folder::new(&certificate, &key).read().unwrap().warnings;
        assert_eq!(warnings(pair_of_years(2026, 2027)), [""; 0]);
        let [warning] = &warnings(pair_of_years(2025, 2026))[..] else { panic!("one warning") };
        assert!(warning.ends_with("expired at 2026-01-01T00:00:00Z: clients that check it refuse it"), "{warning}");
        let [warning] = &warnings(pair_of_years(2027, 2028))[..] else { panic!("one warning") };
        assert!(warning.contains("is not valid before 2027-01-01T00:00:00Z: "), "{warning}");

        let (certificate, key) = pair();
        let folder = Folder::new(&certificate, &key);
        fs::set_permissions(folder.path("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
        let [warning] = &folder.read().unwrap().warnings[..] else { panic!("one warning") };
        assert!(warning.starts_with("each user of this machine can read the key "), "{warning}");
    }
}
