//! The authorities whose certificates this system trusts.

use rustls::pki_types::CertificateDer;

/// Returns the certificates of the authorities of this system, or of the file that `SSL_CERT_FILE` names.
///
/// # Errors
/// The reason, if there are none.
pub(crate) fn installed() -> Result<Vec<CertificateDer<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        return Err(found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string));
    }
    // A certificate that cannot be read leaves the others usable.
    Ok(found.certs)
}
