//! Whether another site made a browser send a request: a pure function of the request's headers.

use std::sync::Arc;

use crate::{
    config::ConfigError,
    measure,
    security_events::{Rate, SECURITY_EVENTS},
};

/// Refuses requests that another site made a visitor's browser send, without tokens in forms.
///
/// **The threat.** A page that the visitor opens elsewhere submits a form, sends a `fetch`, or
/// opens a web socket to this application. The browser adds the session's cookie if its `SameSite`
/// allows it: `Lax` does not stop a page on another host of the same domain, and `None` stops
/// nobody. The request then acts as the user (CWE-352).
///
/// **The rule.** The browser says where a request comes from, in headers that no page can set:
///
/// 1. `GET`, `HEAD` and `OPTIONS` pass. So these must change nothing. A WebSocket handshake is a
///    `GET`, but browsers let every page open one, so it is judged like a `POST`.
/// 2. `Sec-Fetch-Site` of `same-origin` (a page of this application) or `none` (the user: an
///    address that was typed, a bookmark) passes. Any other value is refused, `same-site` too: that
///    is another host or port of the same domain.
/// 3. Without that header, `Origin` must name the host that the request was sent to. `null`, which
///    sandboxed frames, `data:` pages and redirects through another origin send, names none.
/// 4. Without both headers the request passes: no browser of today sends it. Programs and webhooks
///    have no cookie of a visitor to abuse.
///
/// Browsers send `Sec-Fetch-Site` since 2023, to `https:` and to `localhost`. Without TLS only
/// `Origin` is left. It is compared without its scheme, because a server behind a proxy does not
/// know its own; so a page that an attacker served as `http:` of the same host passes as long as
/// the browser sends no `Sec-Fetch-Site`. `Strict-Transport-Security` prevents such pages.
///
/// **What it does not prevent.** Changes on `GET`. Requests by scripts in this application's own
/// pages (XSS). Reading: that is what the browser's same-origin policy is for.
///
/// Clones share the number of refusals that are logged in a second. So make one for the application.
///
/// Go's `net/http.CrossOriginProtection` has the same rule, without WebSocket handshakes.
#[derive(Clone, Debug, Default)]
pub struct CrossSiteRule {
    origins: Vec<Box<str>>,
    paths: Vec<Box<str>>,
    refused: Arc<Rate>,
}

/// What a request says about its origin. The headers are those that were received: `None` if the
/// header is absent.
#[derive(Clone, Copy, Debug)]
pub struct RequestSource<'r> {
    /// The method, in capitals.
    pub method: &'r str,
    /// The path as it was sent, without the query.
    pub path: &'r str,
    /// The host that the request was sent to, with its port: the `Host` header, or the authority of
    /// HTTP/2. Not what a proxy says in a header of its own.
    pub host: Option<&'r [u8]>,
    /// The `Upgrade` header.
    pub upgrade: Option<&'r [u8]>,
    /// The `Sec-Fetch-Site` header.
    pub sec_fetch_site: Option<&'r [u8]>,
    /// The `Origin` header.
    pub origin: Option<&'r [u8]>,
}

impl CrossSiteRule {
    /// The rule without exceptions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets every request of `origin` pass, such as `https://pay.example.org`.
    ///
    /// **Risk:** pages of this origin, and whoever can put a script into one of them, can do all
    /// that the visitor can do here.
    ///
    /// # Errors
    ///
    /// If `origin` is not what a browser sends: a scheme, `://`, a host in lower case, and a port
    /// unless it is the scheme's own; no path.
    pub fn let_origin_act_as_visitor(mut self, origin: &str) -> Result<Self, ConfigError> {
        if !is_origin(origin) {
            return Err(ConfigError::new(
                "an origin that may act as the visitor",
                format!(
                    "must be written as browsers send it, such as https://pay.example.org or http://127.0.0.1:8080: {origin:?}"
                ),
            ));
        }
        self.origins.push(origin.into());
        Ok(self)
    }

    /// Lets requests to `path` pass, wherever they come from: such as `/hooks/stripe`, `/hooks/`
    /// with all that is below it, or `/hooks/{name}` with one segment of any text.
    ///
    /// **Risk:** every page on the Web can make a visitor's browser send requests to this path,
    /// with the visitor's cookie. Its handler must not rely on the session.
    ///
    /// A webhook that a program calls needs no exception. The request's path is compared as it was
    /// sent: one with an empty segment, with `.` or `..` as a segment, or with a `%` is no
    /// exception to the rule, because a proxy or a router may take it for another path.
    ///
    /// # Errors
    ///
    /// If `path` does not begin with `/`, or if no request's path can equal it; if it is `/` or
    /// begins with `/{`, which would open other routes, too; if it has another pattern, such as `*`
    /// or Actix's `{tail:.*}`.
    pub fn leave_path_open_to_other_sites(mut self, path: &str) -> Result<Self, ConfigError> {
        let mut segments = path.split('/').skip(1);
        let names_text = segments
            .next()
            .is_some_and(|it| !it.is_empty() && is_text(it));
        let is_known = segments.all(|it| is_text(it) || is_text(name_of_any(it)));
        if !path.starts_with('/') || !is_plain(path) || !names_text || !is_known {
            return Err(ConfigError::new(
                "a path that is open to other sites",
                format!(
                    "must be a path such as /hooks/stripe, /hooks/ or /hooks/{{name}}, without % and empty segments, and \
                     not all paths; another pattern has no meaning here: {path:?}"
                ),
            ));
        }
        self.paths.push(path.into());
        Ok(self)
    }

    /// Whether requests like this one are judged at all. An adapter asks this first, so that a
    /// plain `GET` costs nothing more.
    #[inline]
    pub fn judges(method: &str, upgrade: Option<&[u8]>) -> bool {
        !matches!(method, "GET" | "HEAD" | "OPTIONS") || upgrade.is_some_and(names_websocket)
    }

    /// Whether the request may pass.
    #[must_use]
    pub fn allows(&self, request: &RequestSource<'_>) -> bool {
        if !Self::judges(request.method, request.upgrade) {
            return true;
        }
        let from_here = match (present(request.sec_fetch_site), present(request.origin)) {
            (Some(site), _) => matches!(site, b"same-origin" | b"none"),
            (None, Some(origin)) => names_host(origin, request.host),
            (None, None) => true,
        };
        from_here || self.is_excepted(request)
    }

    /// As [`allows`](Self::allows), and reports a refusal as a security event
    /// ([`SECURITY_EVENTS`]). `route` names the route, if it is known.
    #[must_use]
    pub fn admits(&self, request: &RequestSource<'_>, route: impl Fn() -> Option<String>) -> bool {
        let allowed = self.allows(request);
        if !allowed {
            measure::security_event("cross_site_refused");
        }
        if !allowed && let Some(suppressed) = self.refused.admit() {
            tracing::warn!(
                target: SECURITY_EVENTS,
                event = "cross_site_refused",
                origin = shown(request.origin),
                host = shown(request.host),
                sec_fetch_site = shown(request.sec_fetch_site),
                route = route(),
                suppressed,
                "a request from another site was refused"
            );
        }
        allowed
    }

    fn is_excepted(&self, request: &RequestSource<'_>) -> bool {
        let origin = present(request.origin);
        self.origins.iter().any(|it| Some(it.as_bytes()) == origin)
            || (is_plain(request.path) && self.paths.iter().any(|it| covers(it, request.path)))
    }
}

/// A header as it may be in the log, whoever sent it: at most 100 characters, and nothing that can
/// begin a line of its own.
fn shown(header: Option<&[u8]>) -> Option<String> {
    let text = String::from_utf8_lossy(header?);
    Some(text.escape_debug().take(100).collect())
}

/// The value of a header, if it has one.
fn present(header: Option<&[u8]>) -> Option<&[u8]> {
    header.filter(|value| !value.is_empty())
}

fn names_websocket(upgrade: &[u8]) -> bool {
    upgrade
        .split(|byte| *byte == b',')
        .any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// Whether an `Origin` is this `host`, whatever its scheme.
fn names_host(origin: &[u8], host: Option<&[u8]>) -> bool {
    let end = origin.windows(3).position(|it| it == b"://");
    let named = end.map(|end| &origin[end + 3..]);
    matches!((named, host), (Some(named), Some(host)) if !host.is_empty() && named.eq_ignore_ascii_case(host))
}

/// Whether a segment of a pattern stands for itself.
fn is_text(segment: &str) -> bool {
    !segment.contains(['{', '}', '*', '?', '#'])
}

/// The name in `{name}`, which stands for any segment, or else `segment` itself.
fn name_of_any(segment: &str) -> &str {
    let name = segment
        .strip_prefix('{')
        .and_then(|it| it.strip_suffix('}'));
    name.filter(|it| !it.contains(':')).unwrap_or(segment)
}

/// Whether every reader takes `path` for the same path.
fn is_plain(path: &str) -> bool {
    let mut segments = path.split('/').skip(1).peekable();
    let mut plain = !path.contains(['%', '\\']);
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        plain &= !matches!(segment, "." | "..") && (last || !segment.is_empty());
    }
    plain
}

fn covers(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    let mut expected = pattern.split('/').peekable();
    while let Some(expected_segment) = expected.next() {
        if expected_segment.is_empty() && expected.peek().is_none() {
            // The pattern ends with a slash.
            return segments.next().is_some();
        }
        let any = expected_segment.starts_with('{') && expected_segment.ends_with('}');
        match segments.next() {
            Some(segment) if segment == expected_segment || (any && !segment.is_empty()) => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

/// Whether a browser can send `text` as an `Origin`.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let port_at = authority
        .rfind(':')
        .filter(|at| !authority[*at..].contains(']'));
    let (host, port) = match port_at {
        Some(at) => (&authority[..at], Some(&authority[at + 1..])),
        None => (authority, None),
    };
    let names_port = |port: &str| {
        port.parse::<u16>()
            .is_ok_and(|number| number.to_string() == port)
            && !matches!((scheme, port), ("http", "80") | ("https", "443"))
    };
    let host_byte =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_[]:".contains(&byte);
    scheme.starts_with(|it: char| it.is_ascii_lowercase())
        && scheme
            .bytes()
            .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || b"+-.".contains(&it))
        && !host.is_empty()
        && host.bytes().all(host_byte)
        && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')))
        && port.is_none_or(names_port)
}

#[cfg(test)]
mod tests;
