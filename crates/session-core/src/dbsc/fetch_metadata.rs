//! Where a request comes from, as its browser says (W3C Fetch Metadata Request Headers). Pages cannot
//! set these headers.

/// The parts of it that decide what a browser can do about its device.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FetchMetadata {
    from: From,
    /// Whether the answer is what a tab shows.
    is_page: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum From {
    /// The browser does not say, or the user typed the address.
    #[default]
    Unknown,
    SameOrigin,
    /// Another site, or another host or port of this one.
    Elsewhere,
}

impl FetchMetadata {
    /// `header` has the value of a request header.
    pub(crate) fn of<'h>(header: impl Fn(&'static str) -> Option<&'h [u8]>) -> Self {
        let from = match header("sec-fetch-site") {
            Some(b"same-origin") => From::SameOrigin,
            Some(b"same-site" | b"cross-site") => From::Elsewhere,
            _ => From::Unknown,
        };
        let is_page = header("sec-fetch-mode") == Some(b"navigate")
            && header("sec-fetch-dest") == Some(b"document");
        Self { from, is_page }
    }

    /// Whether a page of this application leads to the page.
    pub(crate) fn is_page_from_here(self) -> bool {
        self.is_page && self.from == From::SameOrigin
    }

    /// Whether a page of another origin leads to the page. Chromium does not refresh before.
    #[cfg(feature = "adapter")]
    pub(crate) fn is_page_from_elsewhere(self) -> bool {
        self.is_page && self.from == From::Elsewhere
    }
}
