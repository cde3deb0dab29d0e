//! How an application binds sessions: the paths of two routes and the bound cookie.

use std::time::Duration;

use crate::{
    config::ConfigError,
    cookie::{self, CookieAttributes, CookieLifetime},
};

/// Binds sessions to the browser's device, where the browser can: two routes and a short-lived
/// cookie, for [`Settings::with_device_binding`](crate::Settings::with_device_binding).
///
/// Needs HTTPS. Browsers that do not know it ignore it.
#[derive(Clone, Debug)]
pub struct DeviceBinding {
    pub(super) registration: Box<str>,
    pub(super) refresh: Box<str>,
    pub(super) cookie: CookieAttributes,
    pub(super) life: Duration,
}

impl DeviceBinding {
    /// How long the bound cookie lives by default: ten minutes.
    pub const DEFAULT_COOKIE_LIFE: Duration = Duration::from_secs(600);
    /// The shortest life of the bound cookie: three minutes. Chromium refreshes a cookie that has
    /// less than about two minutes to live at each request, and signs only six times in nine
    /// minutes. After that it sends requests without the cookie.
    pub const MIN_COOKIE_LIFE: Duration = Duration::from_secs(180);
    /// The longest: a day. So long a stolen pair of cookies is worth something.
    pub const MAX_COOKIE_LIFE: Duration = Duration::from_secs(86_400);

    /// With the paths of the two routes, such as `/device/registration` and `/device/refresh`, and
    /// the cookie `__Host-device`. The adapter has handlers for both.
    pub fn new(registration: &str, refresh: &str) -> Self {
        Self {
            registration: registration.into(),
            refresh: refresh.into(),
            cookie: CookieAttributes {
                name: "__Host-device".into(),
                ..CookieAttributes::default()
            },
            life: Self::DEFAULT_COOKIE_LIFE,
        }
    }

    /// The name and the attributes of the bound cookie. Defaults to `__Host-device`, with `Secure`,
    /// `HttpOnly`, `SameSite=Lax` and the path `/`.
    #[must_use]
    pub fn with_cookie(mut self, cookie: CookieAttributes) -> Self {
        self.cookie = cookie;
        self
    }

    /// How long the bound cookie lives, which is about how often a browser proves its device: three
    /// minutes to a day. Defaults to ten minutes. The server accepts it for a minute longer, because
    /// of requests under way and clocks that differ.
    #[must_use]
    pub fn with_cookie_life(mut self, life: Duration) -> Self {
        self.life = life;
        self
    }

    /// The path of the route that binds a session.
    pub fn registration_path(&self) -> &str {
        &self.registration
    }

    /// The path of the route where a browser proves its device again.
    pub fn refresh_path(&self) -> &str {
        &self.refresh
    }

    /// The bound cookie.
    pub fn cookie(&self) -> &CookieAttributes {
        &self.cookie
    }

    /// Checks it, beside the cookie of the session.
    pub(crate) fn check(&self, session: &CookieAttributes) -> Result<(), ConfigError> {
        for path in [&self.registration, &self.refresh] {
            let plain = |it: u8| it.is_ascii_alphanumeric() || b"/-._~".contains(&it);
            let is_resolved = path.split('/').all(|it| it != "." && it != "..");
            if !path.starts_with('/')
                || path.starts_with("//")
                || !path.bytes().all(plain)
                || !is_resolved
            {
                let reason = format!(
                    "must be a path such as /device/refresh, without a query and without dots as names: {path:?}"
                );
                return Err(ConfigError::new("a path of the device binding", reason));
            }
        }
        if self.registration == self.refresh {
            return Err(ConfigError::new(
                "the paths of the device binding",
                "must be two: a browser sends to one when it registers, to the other later",
            ));
        }
        let refuse = |reason| Err(ConfigError::new("the bound cookie", reason));
        let cookie = &self.cookie;
        cookie.check()?;
        if cookie
            .name
            .get(..12)
            .is_some_and(|it| it.eq_ignore_ascii_case("__Host-Http-"))
        {
            return refuse(
                "must not have a name that begins with __Host-Http-: Chromium refuses to bind such a cookie (measured \
                 in 156); use __Host-",
            );
        }
        if cookie.partitioned {
            return refuse(
                "must not be Partitioned: Chromium refuses to bind such a cookie (measured in 156)",
            );
        }
        if !cookie.secure || !cookie.http_only {
            return refuse("must be Secure and HttpOnly: browsers bind over HTTPS only");
        }
        if cookie.name == session.name {
            return refuse("must have another name than the session's cookie");
        }
        self.check_reach(session)?;
        if !(Self::MIN_COOKIE_LIFE..=Self::MAX_COOKIE_LIFE).contains(&self.life) {
            return refuse(
                "must live 3 minutes to a day: browsers refresh it two minutes ahead, and sign six times in nine \
                 minutes at most",
            );
        }
        Ok(())
    }

    /// Both cookies have to come with the same requests, and the session's with those of the two
    /// routes. Otherwise the browser proves its device, and the session is refused all the same.
    fn check_reach(&self, session: &CookieAttributes) -> Result<(), ConfigError> {
        let refuse = |reason| Err(ConfigError::new("the bound cookie", reason));
        let cookie = &self.cookie;
        if session.partitioned {
            return refuse(
                "does not come with a session cookie that is Partitioned: browsers bind no such cookie",
            );
        }
        if !cookie.comes_with_path(&session.path) {
            return refuse(
                "must have the Path of the session's cookie, or a shorter one: it has to come with the same requests",
            );
        }
        if cookie.domain != session.domain {
            return refuse(
                "must have the Domain of the session's cookie: it has to come with the same requests",
            );
        }
        if cookie.strictness() > session.strictness() {
            return refuse(
                "must not have a stricter SameSite than the session's cookie: it has to come with the same requests",
            );
        }
        for path in [&self.registration, &self.refresh] {
            if !session.comes_with_path(path) {
                let reason = format!(
                    "must be below the Path of the session's cookie, which has to come with the request: {path:?}"
                );
                return Err(ConfigError::new("a path of the device binding", reason));
            }
        }
        Ok(())
    }

    /// The header value that sets the bound cookie.
    pub(super) fn set_cookie(&self, value: &str) -> String {
        let life = CookieLifetime::seconds(self.life.as_secs());
        cookie::set_cookie(&self.cookie, value, life)
    }

    /// The header value that removes it.
    pub(super) fn removal(&self) -> String {
        cookie::removal(&self.cookie)
    }

    /// The attributes of the cookie, as a browser compares them with those of the cookie that it
    /// has. If they differ, it refreshes at every request.
    pub(super) fn attributes(&self) -> String {
        let cookie = cookie::set_cookie(&self.cookie, "", CookieLifetime::BROWSER_SESSION);
        let attributes = cookie.split_once("; ").map(|(_, attributes)| attributes);
        attributes.unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::SameSite;

    fn check(change: impl FnOnce(&mut DeviceBinding)) -> Result<(), String> {
        let mut binding = DeviceBinding::new("/device/registration", "/device/refresh");
        change(&mut binding);
        let checked = binding.check(&CookieAttributes::default());
        checked.map_err(|error| error.to_string())
    }

    #[test]
    fn what_no_browser_binds_is_refused_with_the_reason() {
        assert_eq!(check(|_| {}), Ok(()));
        for name in ["__Secure-device", "__Http-device", "device"] {
            assert_eq!(check(|it| it.cookie.name = name.into()), Ok(()), "{name}");
        }
        let refused = |change: fn(&mut DeviceBinding)| check(change).unwrap_err();
        assert!(refused(|it| it.cookie.name = "__Host-Http-d".into()).contains("__Host-Http-"));
        assert!(refused(|it| it.cookie.name = "__host-http-d".into()).contains("__Host-Http-"));
        assert!(refused(|it| it.cookie.partitioned = true).contains("Partitioned"));
        assert!(refused(|it| it.cookie.http_only = false).contains("HttpOnly"));
        assert!(refused(|it| it.cookie.name = "__Host-session".into()).contains("another name"));
        assert!(refused(|it| it.life = Duration::from_secs(179)).contains("3 minutes"));
        assert!(refused(|it| it.life = Duration::from_secs(86_401)).contains("a day"));
        for path in ["", "device", "//x", "/a?b", "/a\"b", "/a b", "/%61"] {
            assert!(
                check(|it| it.refresh = path.into()).is_err(),
                "{path:?} is no path"
            );
        }
        assert!(refused(|it| it.refresh = it.registration.clone()).contains("two"));
    }

    #[test]
    fn cookies_that_do_not_come_with_the_same_requests_are_refused() {
        let check = |session: fn(&mut CookieAttributes), bound: fn(&mut CookieAttributes)| {
            let mut cookie = CookieAttributes {
                name: "session".into(),
                ..CookieAttributes::default()
            };
            session(&mut cookie);
            let mut binding = DeviceBinding::new("/app/bind", "/app/refresh");
            binding.cookie.name = "device".into();
            bound(&mut binding.cookie);
            let checked = binding.check(&cookie);
            checked.map_err(|error| error.to_string())
        };
        let keep = |_: &mut CookieAttributes| {};
        let in_app = |it: &mut CookieAttributes| it.path = "/app".into();
        let none = |it: &mut CookieAttributes| it.same_site = Some(SameSite::None);
        let lax = |it: &mut CookieAttributes| it.same_site = None;
        let strict = |it: &mut CookieAttributes| it.same_site = Some(SameSite::Strict);
        let of_site = |it: &mut CookieAttributes| it.domain = Some("example.org".into());
        assert_eq!(check(in_app, keep), Ok(()));
        assert_eq!(check(in_app, in_app), Ok(()));
        assert_eq!(check(strict, lax), Ok(()));
        assert_eq!(check(lax, keep), Ok(()));
        assert_eq!(check(none, none), Ok(()));
        assert_eq!(check(of_site, of_site), Ok(()));
        assert!(check(keep, in_app).unwrap_err().contains("Path"));
        assert!(
            check(|it| it.path = "/ap".into(), keep)
                .unwrap_err()
                .contains("below")
        );
        assert!(check(none, keep).unwrap_err().contains("SameSite"));
        assert!(check(none, lax).unwrap_err().contains("SameSite"));
        assert!(check(lax, strict).unwrap_err().contains("SameSite"));
        assert!(check(of_site, keep).unwrap_err().contains("Domain"));
        assert!(check(keep, of_site).unwrap_err().contains("Domain"));
        assert!(
            check(|it| it.partitioned = true, keep)
                .unwrap_err()
                .contains("Partitioned")
        );
    }

    #[test]
    fn the_attributes_are_those_of_the_cookie() {
        let binding = DeviceBinding::new("/r", "/f");
        assert_eq!(
            binding.attributes(),
            "Secure; HttpOnly; Path=/; SameSite=Lax"
        );
        assert_eq!(
            binding.set_cookie("v"),
            "__Host-device=v; Max-Age=600; Secure; HttpOnly; Path=/; SameSite=Lax"
        );
    }
}
