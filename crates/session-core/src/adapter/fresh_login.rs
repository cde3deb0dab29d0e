//! Who is asked for the password again, and the way to the form and back.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use crate::{Error, Session};

/// The parameter of the form's address that says where to come back to.
const NEXT: &str = "next";

/// Demands a login, or a reauthentication, of at most some age.
#[derive(Clone, Debug)]
pub struct FreshLoginRule {
    within: Duration,
    form: Option<Arc<str>>,
}

/// What a request gets instead of the page.
#[derive(Debug)]
pub enum Refusal {
    /// The response of this error.
    Error(Error),
    /// A redirect, 303, to this location.
    Redirect(String),
    /// A 403 with this text.
    #[cfg(feature = "dbsc")]
    Explanation(&'static str),
    /// A 200 with this page, which opens the address again. It is no 403, because applications
    /// replace those by pages of their own.
    #[cfg(feature = "dbsc")]
    OpenAgain(&'static str),
}

#[cfg(feature = "dbsc")]
impl Refusal {
    /// Whether the application may answer with a page of its own.
    pub fn is_explained(&self) -> bool {
        matches!(self, Self::Explanation(_))
    }
}

impl FreshLoginRule {
    /// A login of at most this age.
    pub fn within(time: Duration) -> Self {
        Self {
            within: time,
            form: None,
        }
    }

    /// GET and HEAD are redirected to `form`, with the request's own path and query as the
    /// parameter `next`.
    #[must_use]
    pub fn or_redirect_to(mut self, form: &str) -> Self {
        self.form = Some(form.into());
        self
    }

    /// Whether a request with this `session`, `method` and `path_and_query` may pass.
    ///
    /// # Errors
    ///
    /// With what the request gets instead.
    pub fn admit(
        &self,
        session: &Session,
        method: &str,
        path_and_query: Option<&str>,
    ) -> Result<(), Refusal> {
        let Err(error) = session.require_login_within(self.within) else {
            return Ok(());
        };
        let reads = matches!(method, "GET" | "HEAD");
        Err(match self.form.as_deref() {
            Some(form) if reads && matches!(error, Error::LoginNeeded) => {
                let own = escaped(path_and_query.unwrap_or("/"));
                let mark = if form.contains('?') { '&' } else { '?' };
                Refusal::Redirect(format!("{form}{mark}{NEXT}={own}"))
            }
            _ => Refusal::Error(error),
        })
    }
}

/// Where the form that a [`FreshLoginRule`] redirected to shall lead back to: the parameter `next`
/// of this `query`, if it is a path of this application. Otherwise `/`.
pub fn return_path(query: Option<&str>) -> String {
    let mut parameters = query.unwrap_or_default().split('&');
    let next = parameters.find_map(|it| it.strip_prefix(NEXT)?.strip_prefix('='));
    next.and_then(unescaped)
        .filter(|path| is_local(path))
        .unwrap_or_else(|| "/".to_owned())
}

/// Whether every browser takes `path` for one of this host. Browsers take a backslash for a slash,
/// and skip tabs and line breaks.
fn is_local(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

fn escaped(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            escaped.push(byte.into());
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// The text that [`escaped`] made this of. `None` if it made none of it.
fn unescaped(escaped: &str) -> Option<String> {
    let mut parts = escaped.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}
