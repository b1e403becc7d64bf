//! Files in PEM: certificates, and a private key. Owns what may be wrong with such a file by itself.

use std::path::{Path, PathBuf};

use memchr::memmem;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::small_file::{self, FileProblem, SmallFile};

/// Largest file that is read, in bytes. A chain has some 10 KiB. Each client that begins a handshake may make the server
/// hold it, and a wrong path may lead to anything.
pub const FILE_BYTES_MAX: usize = 64 * 1024;

/// A fault of a file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It is not read.
    #[error(transparent)]
    File(#[from] FileProblem),
    /// It has bytes of another form.
    #[error("it is not text in PEM; to convert DER, use `openssl {command} -inform der -in {} -out NEW.pem`", path.display())]
    NotPem {
        /// The command of openssl for such a file.
        command: &'static str,
        /// The path of the file.
        path: PathBuf,
    },
    /// A part of it does not end, or has other characters than base64.
    #[error("it is damaged: a part of it is cut, or is not base64")]
    Damaged,
    /// It has other parts than certificates.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// It has other parts than private keys.
    #[error("there is no private key in it")]
    NoKey,
    /// It has what the other flag needs.
    #[error("there is {0} in it: are --tls-cert and --tls-key swapped?")]
    Swapped(&'static str),
    /// A passphrase protects the key.
    #[error("the key in it is encrypted; to decrypt it, use `openssl pkey -in {} -out NEW.pem`", .0.display())]
    Encrypted(PathBuf),
    /// The first certificate cannot be parsed.
    #[error("its first certificate is damaged, or older than X.509 version 3")]
    BadCertificate,
    /// The key cannot be parsed, or is of an algorithm or a size that TLS does not take.
    #[error(
        "the key in it is damaged, or of an unsupported kind: use ECDSA P-256 or P-384, Ed25519, or RSA 2048 to 4096"
    )]
    UnusableKey,
    /// The key is that of another certificate.
    #[error("it does not belong to the certificate {}", .0.display())]
    OfAnother(PathBuf),
    /// The certificate of the key is not the first.
    #[error("the certificate of the key is number {0} in it: put it first, and its issuers behind it")]
    NotFirst(usize),
}

/// Returns the certificates in a file, at least one.
pub(super) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let text = read(path, "x509")?.bytes;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) if PrivateKeyDer::from_pem_slice(&text).is_ok() || is_encrypted(&text) => {
            Err(Problem::Swapped("no certificate, but a private key,"))
        }
        Ok(_) => Err(Problem::NoCertificate),
        Err(_) => Err(Problem::Damaged),
    }
}

/// Returns the private key in a file, and whether all users of this machine can read the file.
pub(super) fn read_key(path: &Path) -> Result<(PrivateKeyDer<'static>, bool), Problem> {
    let SmallFile { bytes: text, is_readable_by_all } = read(path, "pkey")?;
    // Before the parser: it takes the old form of encryption for damage.
    if is_encrypted(&text) {
        return Err(Problem::Encrypted(path.to_owned()));
    }
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok((key, is_readable_by_all)),
        Err(PemError::NoItemsFound) if CertificateDer::from_pem_slice(&text).is_ok() => {
            Err(Problem::Swapped("no private key, but a certificate,"))
        }
        Err(PemError::NoItemsFound) => Err(Problem::NoKey),
        Err(_) => Err(Problem::Damaged),
    }
}

/// Whether a passphrase protects a key in the text: in PKCS #8, or in the older form of OpenSSL.
fn is_encrypted(text: &[u8]) -> bool {
    ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"]
        .iter()
        .any(|mark| memmem::find(text, mark.as_bytes()).is_some())
}

/// Reads a file that has a part in PEM. `command` is the command of openssl that converts other forms.
fn read(path: &Path, command: &'static str) -> Result<SmallFile, Problem> {
    let file = small_file::read(path, FILE_BYTES_MAX)?;
    if memmem::find(&file.bytes, b"-----BEGIN ").is_none() {
        return Err(Problem::NotPem { command, path: path.to_owned() });
    }
    Ok(file)
}
