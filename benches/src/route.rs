//! The routes that visitors request.

/// What a visitor asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Route {
    /// Makes the session; not measured.
    Fill,
    /// Reads one key.
    Read,
    /// Changes one key, depending on what it holds.
    Change,
}

impl Route {
    pub(crate) const MEASURED: [Self; 2] = [Self::Read, Self::Change];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fill => "fill",
            Self::Read => "read",
            Self::Change => "change",
        }
    }

    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Fill | Self::Change => "POST",
            Self::Read => "GET",
        }
    }
}
