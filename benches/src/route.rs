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
    /// Does not look at the session.
    Plain,
}

impl Route {
    pub(crate) const MEASURED: [Self; 2] = [Self::Read, Self::Change];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fill => "fill",
            Self::Read => "read",
            Self::Change => "change",
            Self::Plain => "plain",
        }
    }

    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Fill | Self::Change => "POST",
            Self::Read | Self::Plain => "GET",
        }
    }
}
