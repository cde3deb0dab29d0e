use rustls::crypto::{CryptoProvider, ring};

/// Gives rustls the cryptography it is built without, unless the application has chosen its own.
///
/// The driver takes the process's default and has no other way to be told.
pub(crate) fn ensure_provider() {
    if CryptoProvider::get_default().is_none() {
        // Another thread may have been faster, which serves as well.
        drop(ring::default_provider().install_default());
    }
}
