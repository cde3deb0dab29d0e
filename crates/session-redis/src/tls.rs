use rustls::crypto::ring;

/// Gives rustls the cryptography it is built without, unless the application has chosen its own.
///
/// The driver takes the process's default and has no other way to be told.
pub(crate) fn ensure_provider() {
    // Refused where there is one already, the application's or that of an earlier call.
    let _ = ring::default_provider().install_default();
}
