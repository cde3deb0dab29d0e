//! Gives rustls the cryptography that TLS connections need.

use rustls::crypto::ring;

/// Makes *ring* the process's default provider, unless the application has installed another one.
///
/// The driver uses the process's default provider, and offers no way to pass one.
pub(crate) fn install_default_provider() {
    // It fails if there is a default already, from the application or from an earlier call.
    let _ = ring::default_provider().install_default();
}
