//! The name and the attributes of the session cookie, and the check that browsers will accept them.

use std::str::FromStr;

use crate::config::ConfigError;

/// Which cross-site requests carry the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// None of them.
    Strict,
    /// Those that follow a link.
    Lax,
    /// All of them. Needs `Secure`.
    None,
}

impl SameSite {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

impl FromStr for SameSite {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.to_ascii_lowercase().as_str() {
            "strict" => Ok(Self::Strict),
            "lax" => Ok(Self::Lax),
            "none" => Ok(Self::None),
            _ => Err(()),
        }
    }
}

/// The session cookie's name and attributes.
///
/// The default is the safest cookie: `__Host-session; Path=/; HttpOnly; Secure; SameSite=Lax`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieAttributes {
    /// The name, a token of RFC 6265. Defaults to `__Host-session`.
    pub name: String,
    /// The domain whose hosts receive it besides the host that set it. Defaults to none.
    pub domain: Option<String>,
    /// The path below which it is sent. Defaults to `/`.
    pub path: String,
    /// Whether scripts cannot read it. Defaults to true.
    pub http_only: bool,
    /// Whether it is sent only over TLS. Defaults to true.
    pub secure: bool,
    /// Which cross-site requests carry it. `None` omits the attribute. Defaults to `Lax`.
    pub same_site: Option<SameSite>,
    /// Whether each top-level site has its own (CHIPS). Defaults to false.
    pub partitioned: bool,
}

impl Default for CookieAttributes {
    fn default() -> Self {
        Self {
            name: "__Host-session".into(),
            domain: None,
            path: "/".into(),
            http_only: true,
            secure: true,
            same_site: Some(SameSite::Lax),
            partitioned: false,
        }
    }
}

impl CookieAttributes {
    const MAX_NAME: usize = 256;
    /// Browsers ignore an attribute that is longer (RFC 6265bis, 5.7).
    const MAX_ATTRIBUTE: usize = 1024;

    /// Checks the rules that browsers enforce (RFC 6265bis, 4.1.3 and 5.7), so that no browser
    /// silently drops the cookie.
    ///
    /// # Errors
    ///
    /// The first rule that is broken, and what to do.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |setting: &str, reason: &str| Err(ConfigError::new(setting, reason));
        if self.name.len() > Self::MAX_NAME || !is_token(&self.name) {
            return refuse(
                "SESSION_COOKIE_NAME",
                "must be 1 to 256 characters of letters, digits and !#$%&'*+-.^_`|~",
            );
        }
        if self.domain.as_deref().is_some_and(|it| !is_domain(it)) {
            return refuse(
                "SESSION_COOKIE_DOMAIN",
                "must be a host name such as example.org",
            );
        }
        if !self.path.starts_with('/')
            || !self.path.bytes().all(is_attribute_byte)
            || self.path.len() > Self::MAX_ATTRIBUTE
        {
            return refuse(
                "SESSION_COOKIE_PATH",
                "must start with /, hold no ; or control character, and have at most 1024 bytes",
            );
        }
        self.check_prefix()?;
        if self.same_site == Some(SameSite::None) && !self.secure {
            return refuse(
                "SESSION_COOKIE_SAMESITE",
                "None needs SESSION_COOKIE_SECURE=true",
            );
        }
        if self.partitioned && !self.secure {
            return refuse(
                "SESSION_COOKIE_PARTITIONED",
                "needs SESSION_COOKIE_SECURE=true",
            );
        }
        Ok(())
    }

    /// Whether the cookie comes with a request to `path` (RFC 6265, 5.1.4).
    #[cfg(feature = "dbsc")]
    pub(crate) fn comes_with_path(&self, path: &str) -> bool {
        let rest = path.strip_prefix(&*self.path);
        rest.is_some_and(|it| it.is_empty() || it.starts_with('/') || self.path.ends_with('/'))
    }

    /// How few cross-site requests carry the cookie. Without the attribute browsers take it as `Lax`.
    #[cfg(feature = "dbsc")]
    pub(crate) fn strictness(&self) -> u8 {
        match self.same_site {
            Some(SameSite::None) => 0,
            Some(SameSite::Lax) | None => 1,
            Some(SameSite::Strict) => 2,
        }
    }

    fn check_prefix(&self) -> Result<(), ConfigError> {
        let name = self.name.to_ascii_lowercase();
        let (host, http) = (
            name.starts_with("__host-"),
            name.starts_with("__http-") || name.starts_with("__host-http-"),
        );
        if (host || http || name.starts_with("__secure-")) && !self.secure {
            return Err(ConfigError::new(
                "SESSION_COOKIE_NAME",
                format!(
                    "{} needs SESSION_COOKIE_SECURE=true; over plain HTTP choose a name without the prefix",
                    self.name
                ),
            ));
        }
        if host && (self.domain.is_some() || self.path != "/") {
            return Err(ConfigError::new(
                "SESSION_COOKIE_NAME",
                format!(
                    "{} needs SESSION_COOKIE_PATH=/ and no SESSION_COOKIE_DOMAIN",
                    self.name
                ),
            ));
        }
        if http && !self.http_only {
            return Err(ConfigError::new(
                "SESSION_COOKIE_NAME",
                format!("{} needs SESSION_COOKIE_HTTPONLY=true", self.name),
            ));
        }
        Ok(())
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Whether a host can have this name, or another one that ends with it (RFC 1035, 2.3.4, and RFC 1123,
/// 2.1), with or without a dot in front.
fn is_domain(text: &str) -> bool {
    let name = text.strip_prefix('.').unwrap_or(text);
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

fn is_attribute_byte(byte: u8) -> bool {
    byte != b';' && (byte.is_ascii_graphic() || byte == b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_passes() {
        assert_eq!(CookieAttributes::default().check(), Ok(()));
    }

    #[test]
    fn what_a_browser_would_drop_is_refused() {
        let base = CookieAttributes::default;
        let named = |name: &str| CookieAttributes {
            name: name.into(),
            ..base()
        };
        let insecure = |name: &str| CookieAttributes {
            secure: false,
            ..named(name)
        };
        for bad in [
            named(""),
            named("a b"),
            named("a;b"),
            named("a=b"),
            named(&"a".repeat(257)),
            CookieAttributes {
                domain: Some("example.org".into()),
                ..base()
            },
            CookieAttributes {
                path: "/app".into(),
                ..base()
            },
            CookieAttributes {
                path: "app".into(),
                ..named("s")
            },
            CookieAttributes {
                path: "/\r\nX: y".into(),
                ..named("s")
            },
            CookieAttributes {
                path: "/;Domain=x".into(),
                ..named("s")
            },
            CookieAttributes {
                domain: Some("a;b".into()),
                ..named("s")
            },
            CookieAttributes {
                domain: Some(String::new()),
                ..named("s")
            },
            CookieAttributes {
                domain: Some("-a.example".into()),
                ..named("s")
            },
            CookieAttributes {
                domain: Some("a-.example".into()),
                ..named("s")
            },
            CookieAttributes {
                domain: Some("a".repeat(64) + ".example"),
                ..named("s")
            },
            CookieAttributes {
                domain: Some("a.".repeat(127) + "example"),
                ..named("s")
            },
            CookieAttributes {
                path: "/a".repeat(513),
                ..named("s")
            },
            insecure("__Host-s"),
            insecure("__host-s"),
            insecure("__Secure-s"),
            insecure("__Http-s"),
            CookieAttributes {
                http_only: false,
                ..named("__Host-Http-s")
            },
            CookieAttributes {
                same_site: Some(SameSite::None),
                ..insecure("s")
            },
            CookieAttributes {
                partitioned: true,
                ..insecure("s")
            },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_a_browser_keeps_passes() {
        for domain in [
            "example.org",
            ".example.org",
            "xn--bcher-kva.example",
            "127.0.0.1",
        ] {
            let good = CookieAttributes {
                name: "s".into(),
                domain: Some(domain.into()),
                path: "/a".repeat(512),
                ..CookieAttributes::default()
            };
            assert_eq!(good.check(), Ok(()), "{domain}");
        }
    }
}
