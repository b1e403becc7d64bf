//! Certificates of every kind, and what is told about each.

use std::env;
use std::fs;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ED25519, PublicKeyData as _};
use rustls::pki_types::PrivateKeyDer;

use super::*;

/// A certificate with its key.
pub(in crate::client) struct Made {
    pub(in crate::client) certificate: rcgen::Certificate,
    pub(in crate::client) key: KeyPair,
}

impl Made {
    pub(in crate::client) fn pin(&self) -> Pin {
        Pin::parse(&tls::pin(&self.key.subject_public_key_info())).unwrap()
    }

    pub(in crate::client) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).unwrap()
}

fn params(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

/// A self-signed certificate for `name`.
pub(in crate::client) fn self_signed(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Made {
    let (mut params, key) = (params(name), key());
    change(&mut params);
    Made { certificate: params.self_signed(&key).unwrap(), key }
}

/// An authority's certificate, and one for `name` that it issued.
fn issued(name: &str, change: impl FnOnce(&mut CertificateParams)) -> (rcgen::Certificate, Made) {
    let (mut authority, authority_key) = (params("authority"), key());
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let (mut params, key) = (params(name), key());
    change(&mut params);
    (root, Made { certificate: params.signed_by(&key, &issuer).unwrap(), key })
}

/// The trust in a file with this text.
fn trust_in_file<T>(text: &str, look: impl FnOnce(&Path) -> T) -> T {
    static FILES: AtomicU32 = AtomicU32::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("pollchat-trust-{}-{number}", process::id()));
    fs::write(&path, text).unwrap();
    let result = look(&path);
    fs::remove_file(path).unwrap();
    result
}

fn of_authorities(certificates: &[&rcgen::Certificate]) -> Verifier {
    let text: String = certificates.iter().map(|certificate| certificate.pem()).collect();
    trust_in_file(&text, |path| Verifier::load(&Trust::Authorities(path.to_owned())).unwrap())
}

/// Checks a server that has this certificate and is called `host`. Returns what is told about it.
fn check(verifier: &Verifier, made: &Made, host: &str) -> Result<(), String> {
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let checked = verifier.verify_server_cert(made.certificate.der(), &[], &name, &[], UnixTime::now());
    checked.map(|_| ()).map_err(|error| verifier.distrust(&error).expect("it is about the certificate").to_string())
}

#[test]
fn a_certificate_that_an_authority_issued_for_the_host_is_trusted() {
    for host in ["chat.lan", "127.0.0.1", "::1"] {
        let (root, made) = issued(host, |_| {});
        assert_eq!(
            check(&of_authorities(&[&self_signed("other.lan", |_| {}).certificate, &root]), &made, host),
            Ok(())
        );
    }
    let (root, made) = issued("*.chat.lan", |_| {});
    assert_eq!(check(&of_authorities(&[&root]), &made, "one.chat.lan"), Ok(()));
}

#[test]
fn a_self_signed_certificate_is_its_own_authority() {
    for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let made = self_signed("chat.lan", |params| params.is_ca = is_ca);
        let verifier = of_authorities(&[&made.certificate]);
        assert_eq!(check(&verifier, &made, "chat.lan"), Ok(()));
        let why = check(&verifier, &made, "other.lan").unwrap_err();
        assert_eq!(why, "its certificate is for chat.lan, not for other.lan (name mismatch)");
        let stranger = self_signed("chat.lan", |params| params.is_ca = is_ca);
        assert!(check(&verifier, &stranger, "chat.lan").is_err());
        let expired = self_signed("chat.lan", |params| {
            params.is_ca = is_ca;
            params.not_after = rcgen::date_time_ymd(2020, 1, 2);
        });
        let why = check(&of_authorities(&[&expired.certificate]), &expired, "chat.lan").unwrap_err();
        assert_eq!(why, "its certificate expired on 2020-01-02 at 00:00 UTC");
    }
}

#[test]
fn what_is_wrong_with_a_certificate_is_told() {
    let (root, made) = issued("chat.lan", |_| {});
    let verifier = of_authorities(&[&root]);
    let told = |host: &str| check(&verifier, &made, host).unwrap_err();
    assert_eq!(told("other.lan"), "its certificate is for chat.lan, not for other.lan (name mismatch)");
    assert_eq!(told("10.0.0.1"), "its certificate is for chat.lan, not for 10.0.0.1 (name mismatch)");
    let stranger = self_signed("chat.lan", |_| {});
    let advice = format!("; if the server prints the pin {} at its start, give it with --pin", stranger.pin());
    let told = |made: &Made| check(&verifier, made, "chat.lan").unwrap_err();
    assert_eq!(
        told(&stranger),
        format!("its certificate was issued by no authority that this client trusts (unknown issuer){advice}")
    );
    let authority = self_signed("chat.lan", |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert!(told(&authority).starts_with("its certificate is self-signed, or that of an authority (CA:TRUE); if "));
    let early = self_signed("chat.lan", |params| params.not_before = rcgen::date_time_ymd(3000, 1, 2));
    assert_eq!(told(&early), "its certificate is valid from 3000-01-02 at 00:00 UTC on: check the clock");
}

#[test]
fn names_of_a_stranger_are_few_and_no_bytes_for_a_terminal() {
    let names = (0..5).map(|number| format!("host-{number}.lan")).collect::<Vec<_>>();
    let presented = |names: &[String]| CertificateError::NotValidForNameContext {
        expected: ServerName::try_from("chat.lan").unwrap(),
        presented: names.iter().map(|name| format!("DnsName({name:?})")).collect(),
    };
    assert_eq!(
        problem(&presented(&names)),
        "its certificate is for host-0.lan, host-1.lan, host-2.lan and others, not for chat.lan (name mismatch)"
    );
    assert_eq!(problem(&presented(&[])), "its certificate names no host (wanted: chat.lan)");
    let hostile = problem(&presented(&["\u{1b}[2J\n\u{202e}".to_owned()]));
    assert!(!hostile.contains(char::is_control) && !hostile.contains('\u{202e}'), "{hostile:?}");
    let addresses = CertificateError::NotValidForNameContext {
        expected: ServerName::try_from("chat.lan").unwrap(),
        presented: vec!["IpAddress(10.0.0.1)".to_owned()],
    };
    assert_eq!(problem(&addresses), "its certificate is for 10.0.0.1, not for chat.lan (name mismatch)");
}

#[test]
fn a_pin_counts_alone() {
    let made = self_signed("other.lan", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 2));
    let verifier = Verifier::load(&Trust::Pin(made.pin())).unwrap();
    assert_eq!(check(&verifier, &made, "chat.lan"), Ok(()));
    let stranger = self_signed("chat.lan", |_| {});
    let (seen, pin) = (stranger.pin(), made.pin());
    let why = check(&verifier, &stranger, "chat.lan").unwrap_err();
    assert_eq!(why, format!("its key has the pin {seen}, not the {pin} of --pin"));
}

#[test]
fn a_pin_has_one_form() {
    let pin = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";
    assert_eq!(Pin::parse(pin).unwrap().to_string(), pin);
    for text in [
        "",
        "SHA256:",
        &pin["SHA256:".len()..],
        &pin[..pin.len() - 1],
        &format!("{pin}="),
        &format!("{pin}A"),
        // The last character has two bits that no hash uses.
        &format!("{}V", &pin[..pin.len() - 1]),
        &pin.replace("SHA256", "sha256"),
        &pin.replace("SHA256", "MD5"),
        &pin.replace('+', "-"),
        &format!(" {pin}"),
    ] {
        assert_eq!(Pin::parse(text), Err(PinError), "{text}");
    }
}

#[test]
fn a_file_without_certificates_is_told_with_the_problem() {
    let load = |text: &str| {
        trust_in_file(text, |path| {
            let error = Verifier::load(&Trust::Authorities(path.to_owned())).unwrap_err().to_string();
            error.replace(&path.display().to_string(), "FILE")
        })
    };
    let key = key().serialize_pem();
    for text in ["", "hello\n", key.as_str()] {
        assert_eq!(load(text), "--ca FILE: it holds no certificate (PEM)");
    }
    let certificate = self_signed("chat.lan", |_| {}).certificate.pem();
    let cut = &certificate[..certificate.len() / 2];
    let nonsense = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    for text in [cut, nonsense, &format!("{certificate}{nonsense}")] {
        assert_eq!(load(text), "--ca FILE: a certificate in it is malformed", "{text}");
    }
    let missing = Verifier::load(&Trust::Authorities("/nonexistent/ca.pem".into())).unwrap_err().to_string();
    assert_eq!(missing, "cannot read --ca /nonexistent/ca.pem: No such file or directory (os error 2)");
    let endless = Verifier::load(&Trust::Authorities("/dev/zero".into())).unwrap_err().to_string();
    assert_eq!(endless, "--ca /dev/zero: it is longer than 8388608 bytes");
}
