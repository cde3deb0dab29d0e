use rustix::io::Errno;

/// A number from the operating system's generator.
pub(crate) fn number() -> Result<u64, Errno> {
    getrandom::u64().map_err(|error| {
        error
            .raw_os_error()
            .map_or(Errno::IO, Errno::from_raw_os_error)
    })
}
