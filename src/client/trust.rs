//! The servers that a client trusts over TLS, and the reason why it does not trust one.
//!
//! Without a pin, a certificate must lead to an authority, be valid now, and name the host of the command line. With a
//! pin, only its key counts. In both cases the server proves in the handshake that it has the private key.
//!
//! A server that is not trusted ends the run, in whatever state: the next connection could lead to the same stranger.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::BASE64_NOPAD;
use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::limits::{AUTHORITIES_BYTES_MAX, NAMES_SHOWN_MAX};
use crate::net::tls::{self, authorities};

/// Prefix of a pin.
const PIN_PREFIX: &str = "SHA256:";

/// Servers that are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Servers whose certificates lead to an authority of the system.
    #[default]
    System,
    /// `--ca`: servers whose certificates lead to an authority in this file (PEM).
    Authorities(PathBuf),
    /// `--pin`: the server with this key.
    Pin(Pin),
}

impl Trust {
    /// Returns what the flags `--ca` and `--pin` ask for, of which clap lets at most one through.
    pub fn of_flags(ca: Option<PathBuf>, pin: Option<Pin>) -> Trust {
        match (ca, pin) {
            (_, Some(pin)) => Trust::Pin(pin),
            (Some(file), None) => Trust::Authorities(file),
            (None, None) => Trust::System,
        }
    }
}

/// SHA-256 of the public key of a server (SubjectPublicKeyInfo), as `SHA256:` and 43 characters of base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin(String);

/// Error of parsing a [`Pin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pin is {PIN_PREFIX} and 43 characters of base64, as the server prints it at its start")]
pub struct PinError;

/// Error of loading the authorities.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages name the fields")]
pub enum TrustError {
    /// A certificate cannot name the host.
    #[error("no certificate can name the host {host}: write it in ASCII (xn--…), or give its IP address")]
    Name { host: String },
    /// The system has no authorities.
    #[error(
        "no certificates of authorities are installed here ({why}): install ca-certificates, or give --ca or --pin"
    )]
    NoneInstalled { why: String },
    /// The file of `--ca` cannot be read.
    #[error("cannot read --ca {}: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    /// The file of `--ca` holds something else.
    #[error("--ca {}: {problem}", file.display())]
    Malformed { file: PathBuf, problem: String },
}

/// The reason why a server is not trusted. Its `Display` continues a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untrusted {
    problem: String,
    /// Set if the server may be the wanted one all the same: its pin.
    pin: Option<String>,
}

/// Checks the server of each handshake.
#[derive(Debug)]
pub(super) struct Verifier {
    check: Check,
    algorithms: WebPkiSupportedAlgorithms,
    /// The pin of the server of the last handshake.
    seen: Mutex<String>,
}

#[derive(Debug)]
enum Check {
    /// The second part are the certificates of `--ca`.
    Chain(Arc<WebPkiServerVerifier>, Vec<CertificateDer<'static>>),
    Pin(Pin),
}

impl Pin {
    /// Parses a pin.
    ///
    /// # Errors
    /// The text has another form.
    pub fn parse(text: &str) -> Result<Pin, PinError> {
        let hash = text.strip_prefix(PIN_PREFIX).and_then(|hash| BASE64_NOPAD.decode(hash.as_bytes()).ok());
        // Only the canonical form can be compared as text: it is the only one that decodes.
        if hash.is_some_and(|hash| hash.len() == 32) { Ok(Pin(text.to_owned())) } else { Err(PinError) }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)?;
        match &self.pin {
            Some(pin) => write!(f, "; if the server prints the pin {pin} at its start, give it with --pin"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Untrusted {}

impl Verifier {
    /// Loads the authorities, unless there is a pin.
    ///
    /// # Errors
    /// There are none.
    pub(super) fn load(trust: &Trust) -> Result<Verifier, TrustError> {
        let check = match trust {
            Trust::System => authorities::installed()
                .and_then(|installed| chain(&installed, Vec::new()))
                .map_err(|why| TrustError::NoneInstalled { why })?,
            Trust::Authorities(file) => {
                let authorities = read_authorities(file)?;
                let malformed = |problem| TrustError::Malformed { file: file.clone(), problem };
                chain(&authorities, authorities.clone()).map_err(malformed)?
            }
            Trust::Pin(pin) => Check::Pin(pin.clone()),
        };
        let algorithms = tls::provider().signature_verification_algorithms;
        Ok(Verifier { check, algorithms, seen: Mutex::default() })
    }

    /// Returns why the server of the last handshake is not trusted, which failed with `error`; `None` if it failed for
    /// another reason.
    pub(super) fn distrust(&self, error: &Error) -> Option<Untrusted> {
        let error = match error {
            Error::InvalidCertificate(error) => error,
            Error::NoCertificatesPresented => {
                return Some(Untrusted { problem: "it has no certificate".to_owned(), pin: None });
            }
            _ => return None,
        };
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let problem = match &self.check {
            Check::Pin(pin) if *error == CertificateError::ApplicationVerificationFailure => {
                format!("its key has the pin {seen}, not the {pin} of --pin")
            }
            _ => problem(error),
        };
        // A certificate for another name or another time is not helped by a pin: its owner has to renew it.
        let is_unknown = matches!(error, CertificateError::UnknownIssuer) || is_of_authority(error);
        Some(Untrusted { problem, pin: is_unknown.then_some(seen) })
    }
}

/// Checks chains up to these `authorities`. `own` are accepted as certificates of the server itself, too.
fn chain(authorities: &[CertificateDer<'static>], own: Vec<CertificateDer<'static>>) -> Result<Check, String> {
    let mut roots = RootCertStore::empty();
    let (_, unusable) = roots.add_parsable_certificates(authorities.iter().cloned());
    if !own.is_empty() && unusable > 0 {
        return Err("a certificate in it is malformed".to_owned());
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), tls::provider()).build();
    Ok(Check::Chain(verifier.map_err(|error| error.to_string())?, own))
}

fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let unreadable = |source| TrustError::Unreadable { file: path.to_owned(), source };
    let malformed = |problem| TrustError::Malformed { file: path.to_owned(), problem };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(AUTHORITIES_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > AUTHORITIES_BYTES_MAX {
        return Err(malformed(format!("it is longer than {AUTHORITIES_BYTES_MAX} bytes")));
    }
    let authorities: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    match authorities {
        Ok(authorities) if authorities.is_empty() => Err(malformed("it holds no certificate (PEM)".to_owned())),
        Ok(authorities) => Ok(authorities),
        Err(_) => Err(malformed("a certificate in it is malformed".to_owned())),
    }
}

/// Whether a server uses the certificate of an authority (`CA:TRUE`) itself, as `openssl req -x509` makes it.
fn is_of_authority(error: &CertificateError) -> bool {
    // The type of this error belongs to webpki, which this crate does not name.
    matches!(error, CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity")
}

/// Tells the problem with a certificate. Text of the certificate is escaped: a stranger has written it.
fn problem(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "its certificate was issued by no authority that this client trusts (unknown issuer)".to_owned()
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("its certificate expired on {}", date(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("its certificate is valid from {} on: check the clock", date(*not_before))
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let name = expected.to_str();
            if presented.is_empty() {
                return format!("its certificate names no host (wanted: {name})");
            }
            let shown: Vec<String> = presented.iter().take(NAMES_SHOWN_MAX).map(|name| shown_name(name)).collect();
            let more = if presented.len() > shown.len() { " and others" } else { "" };
            format!("its certificate is for {}{more}, not for {name} (name mismatch)", shown.join(", "))
        }
        _ if is_of_authority(error) => "its certificate is self-signed, or that of an authority (CA:TRUE)".to_owned(),
        CertificateError::BadSignature => "a signature is wrong".to_owned(),
        CertificateError::BadEncoding => "its certificate is malformed".to_owned(),
        _ => format!("its certificate is not accepted ({})", format!("{error:?}").escape_debug()),
    }
}

/// Returns `NAME` of `DnsName("NAME")`, the form of names in errors.
fn shown_name(name: &str) -> String {
    let quoted = name.split('"').nth(1).unwrap_or(name);
    quoted.trim_start_matches("IpAddress(").trim_end_matches(')').escape_debug().to_string()
}

fn date(time: UnixTime) -> String {
    let time = i64::try_from(time.as_secs()).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "a day out of range".to_owned(), |time| time.strftime("%Y-%m-%d at %H:%M UTC").to_string())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let seen = tls::pin(&parsed.subject_public_key_info());
        seen.clone_into(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        match &self.check {
            Check::Pin(pin) if pin.0 == seen => Ok(ServerCertVerified::assertion()),
            Check::Pin(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
            Check::Chain(verifier, own) => {
                match verifier.verify_server_cert(certificate, intermediates, name, ocsp_response, now) {
                    // The time was checked before that. `--ca` names this very certificate.
                    Err(Error::InvalidCertificate(error)) if is_of_authority(&error) && own.contains(certificate) => {
                        verify_server_name(&parsed, name)?;
                        Ok(ServerCertVerified::assertion())
                    }
                    // An authority has the same name, but another key: a self-signed certificate was made anew.
                    Err(Error::InvalidCertificate(CertificateError::BadSignature)) => {
                        Err(CertificateError::UnknownIssuer.into())
                    }
                    result => result,
                }
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
pub(super) mod tests;
