//! The authentication assurance levels of NIST SP 800-63B-4, as limits of the settings.

use std::{fmt, str::FromStr, time::Duration};

use super::{ConfigError, Settings};

/// An authentication assurance level of NIST SP 800-63B-4, for what it asks of *sessions*.
///
/// It sets the lifetimes, and a cookie with `Secure`, `HttpOnly` and the prefix `__Host-`. What the level asks
/// of authenticators, such as a second factor, is the application's to do. A session has the level
/// of its login at most: if you log in by a password alone, that is `Aal1`, whatever is set here.
///
/// | level | absolute timeout | idle timeout | section |
/// |---|---|---|---|
/// | `Aal1` | 30 days | none of its own: 30 days | 2.1.3 |
/// | `Aal2` | 24 hours | 1 hour | 2.2.3 |
/// | `Aal3` | 12 hours | 15 minutes | 2.3.3 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assurance {
    /// Some assurance, such as by a password.
    Aal1,
    /// High confidence: two factors.
    Aal2,
    /// Very high confidence: two factors, one of them a key that cannot be exported.
    Aal3,
}

impl Assurance {
    /// The longest absolute timeout that the level allows.
    pub fn absolute_timeout(self) -> Duration {
        match self {
            Self::Aal1 => Duration::from_secs(30 * 24 * 3600),
            Self::Aal2 => Duration::from_secs(24 * 3600),
            Self::Aal3 => Duration::from_secs(12 * 3600),
        }
    }

    /// The longest idle timeout that the level allows.
    pub fn idle_timeout(self) -> Duration {
        match self {
            Self::Aal1 => self.absolute_timeout(),
            Self::Aal2 => Duration::from_secs(3600),
            Self::Aal3 => Duration::from_secs(15 * 60),
        }
    }
}

impl fmt::Display for Assurance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aal1 => "AAL1",
            Self::Aal2 => "AAL2",
            Self::Aal3 => "AAL3",
        })
    }
}

impl FromStr for Assurance {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.to_ascii_lowercase().as_str() {
            "aal1" => Ok(Self::Aal1),
            "aal2" => Ok(Self::Aal2),
            "aal3" => Ok(Self::Aal3),
            _ => Err(()),
        }
    }
}

impl Settings {
    /// Sets what `level` asks of sessions: both timeouts, and a cookie with `Secure`, `HttpOnly` and
    /// the prefix `__Host-`. Defaults to no level.
    ///
    /// Timeouts that were set before are kept. If a timeout is longer than the level allows, or the
    /// cookie is set to anything less afterwards, the settings are refused. A session's own idle
    /// timeout ([`Session::set_lifetime`](crate::Session::set_lifetime)) counts only up to the
    /// level's, also in sessions that are stored already.
    #[must_use]
    pub fn with_assurance(mut self, level: Assurance) -> Self {
        self.assurance = Some(level);
        self.longest_idle = level.idle_timeout();
        if !self.idle_is_set {
            self.idle_timeout = level.idle_timeout();
        }
        if !self.absolute_is_set {
            self.absolute_timeout = Some(level.absolute_timeout());
        }
        self.cookie.secure = true;
        self.cookie.http_only = true;
        if !has_prefix(&self.cookie.name) {
            self.cookie.name.insert_str(0, "__Host-");
        }
        self
    }

    /// The assurance level that the settings keep to.
    pub fn assurance(&self) -> Option<Assurance> {
        self.assurance
    }

    /// Checks that nothing is less than the level asks for.
    pub(super) fn check_assurance(&self) -> Result<(), ConfigError> {
        let Some(level) = self.assurance else {
            return Ok(());
        };
        let at_most = |name: &str, longest: Duration| {
            let reason = format!("must be at most {} (seconds) at {level}", longest.as_secs());
            Err(ConfigError::new(name, reason))
        };
        if self.idle_timeout > level.idle_timeout() {
            return at_most("PERMANENT_SESSION_LIFETIME", level.idle_timeout());
        }
        if self
            .absolute_timeout
            .is_none_or(|it| it > level.absolute_timeout())
        {
            return at_most("SESSION_ABSOLUTE_LIFETIME", level.absolute_timeout());
        }
        Ok(())
    }

    /// Checks that the cookie is not less than the level asks for. This comes before the check that
    /// a browser would accept the cookie, so that its error leads to none of the other.
    pub(super) fn check_assurance_cookie(&self) -> Result<(), ConfigError> {
        let Some(level) = self.assurance else {
            return Ok(());
        };
        let refuse = |name: &str, reason: String| Err(ConfigError::new(name, reason));
        let remedy = "over plain HTTP leave SESSION_ASSURANCE unset";
        if !self.cookie.secure {
            let reason = format!("must be true at {level}; {remedy}");
            return refuse("SESSION_COOKIE_SECURE", reason);
        }
        if !has_prefix(&self.cookie.name) {
            let reason = format!("must begin with __Host- at {level}; {remedy}");
            return refuse("SESSION_COOKIE_NAME", reason);
        }
        if !self.cookie.http_only {
            return refuse(
                "SESSION_COOKIE_HTTPONLY",
                format!("must be true at {level}"),
            );
        }
        Ok(())
    }
}

fn has_prefix(name: &str) -> bool {
    name.get(..7)
        .is_some_and(|it| it.eq_ignore_ascii_case("__Host-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CookieAttributes, config::Env};

    const SECRET: (&str, &str) = ("SECRET_KEY", "3cNnVbkzKk1xq0T8sYwR5uJmLpE7hGfDaZxCvBn2");
    const LEVELS: [(Assurance, u64, u64); 3] = [
        (Assurance::Aal1, 2_592_000, 2_592_000),
        (Assurance::Aal2, 86_400, 3600),
        (Assurance::Aal3, 43_200, 900),
    ];

    fn from_env(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        let env: Env = pairs.iter().copied().chain([SECRET]).collect();
        Settings::from_env(&env).map_err(|error| error.to_string())
    }

    #[test]
    fn a_level_sets_the_lifetimes_and_the_cookie() {
        for (level, absolute, idle) in LEVELS {
            let plain = CookieAttributes {
                name: "session".into(),
                secure: false,
                ..CookieAttributes::default()
            };
            let by_code = Settings::unsigned()
                .with_cookie(plain)
                .with_assurance(level);
            let by_env = from_env(&[("SESSION_ASSURANCE", &level.to_string())]).unwrap();
            for settings in [by_code, by_env] {
                assert_eq!(settings.check(), Ok(()));
                assert_eq!(settings.assurance(), Some(level));
                assert_eq!(settings.idle_timeout().as_secs(), idle);
                assert_eq!(settings.absolute_timeout().unwrap().as_secs(), absolute);
                assert!(settings.cookie().secure);
                assert_eq!(settings.cookie().name, "__Host-session");
            }
        }
    }

    #[test]
    fn a_lifetime_beyond_the_level_is_refused_and_a_shorter_one_is_kept() {
        let second = Duration::from_secs(1);
        for (level, absolute, idle) in LEVELS {
            let (absolute, idle) = (Duration::from_secs(absolute), Duration::from_secs(idle));
            let settings = || Settings::unsigned().with_assurance(level);
            let before = Settings::unsigned()
                .with_idle_timeout(second)
                .with_absolute_timeout(second)
                .with_assurance(level);
            assert_eq!(before.check(), Ok(()));
            assert_eq!(before.idle_timeout(), second);
            assert_eq!(before.absolute_timeout(), Some(second));
            assert_eq!(settings().with_idle_timeout(idle).check(), Ok(()));
            for (wrong, name) in [
                (
                    settings().with_idle_timeout(idle + second),
                    "PERMANENT_SESSION_LIFETIME",
                ),
                (
                    settings().with_absolute_timeout(absolute + second),
                    "SESSION_ABSOLUTE_LIFETIME",
                ),
                (
                    Settings::unsigned()
                        .with_idle_timeout(idle + second)
                        .with_assurance(level),
                    "PERMANENT_SESSION_LIFETIME",
                ),
            ] {
                assert_eq!(wrong.check().unwrap_err().name(), name, "{level}");
            }
        }
    }

    #[test]
    fn a_lifetime_that_equals_the_default_is_explicit_all_the_same() {
        let settings = Settings::unsigned()
            .with_idle_timeout(Settings::DEFAULT_IDLE_TIMEOUT)
            .with_assurance(Assurance::Aal2);
        let refused = settings.check().unwrap_err();
        assert_eq!(refused.name(), "PERMANENT_SESSION_LIFETIME");
    }

    #[test]
    fn the_environment_replaces_the_level_of_the_code() {
        for (level, absolute, idle) in LEVELS {
            let name = level.to_string();
            let env: Env = [("SESSION_ASSURANCE", name.as_str()), SECRET]
                .into_iter()
                .collect();
            let settings = Settings::unsigned().with_assurance(Assurance::Aal1);
            let settings = settings.overlaid(&env).unwrap();
            assert_eq!(settings.check(), Ok(()), "{level}");
            assert_eq!(settings.idle_timeout().as_secs(), idle);
            assert_eq!(settings.absolute_timeout().unwrap().as_secs(), absolute);
        }
    }

    #[test]
    fn less_than_the_level_from_the_environment_is_refused_with_what_to_do() {
        for (name, value, line) in [
            (
                "PERMANENT_SESSION_LIFETIME",
                "2678400",
                "PERMANENT_SESSION_LIFETIME must be at most 3600 (seconds) at AAL2",
            ),
            (
                "SESSION_ABSOLUTE_LIFETIME",
                "86401",
                "SESSION_ABSOLUTE_LIFETIME must be at most 86400 (seconds) at AAL2",
            ),
            (
                "SESSION_COOKIE_NAME",
                "session",
                "SESSION_COOKIE_NAME must begin with __Host- at AAL2; over plain HTTP leave SESSION_ASSURANCE unset",
            ),
            (
                "SESSION_COOKIE_NAME",
                "__Secure-session",
                "SESSION_COOKIE_NAME must begin with __Host- at AAL2; over plain HTTP leave SESSION_ASSURANCE unset",
            ),
        ] {
            let refused = from_env(&[("SESSION_ASSURANCE", "aal2"), (name, value)]);
            assert_eq!(refused.unwrap_err(), line);
        }
        let plain = [
            ("SESSION_ASSURANCE", "AAL1"),
            ("SESSION_COOKIE_SECURE", "false"),
        ];
        let named = [&plain[..], &[("SESSION_COOKIE_NAME", "session")]].concat();
        let line = "SESSION_COOKIE_SECURE must be true at AAL1; over plain HTTP leave SESSION_ASSURANCE unset";
        for insecure in [&plain[..], &named] {
            assert_eq!(from_env(insecure).unwrap_err(), line);
        }
        let readable = [
            ("SESSION_ASSURANCE", "AAL3"),
            ("SESSION_COOKIE_HTTPONLY", "false"),
        ];
        let line = "SESSION_COOKIE_HTTPONLY must be true at AAL3";
        assert_eq!(from_env(&readable).unwrap_err(), line);
        let line = "SESSION_ASSURANCE must be AAL1, AAL2 or AAL3";
        assert_eq!(
            from_env(&[("SESSION_ASSURANCE", "aal4")]).unwrap_err(),
            line
        );
        let shorter = [
            ("SESSION_ASSURANCE", "aal3"),
            ("PERMANENT_SESSION_LIFETIME", "60"),
        ];
        assert_eq!(from_env(&shorter).unwrap().idle_timeout().as_secs(), 60);
    }
}
