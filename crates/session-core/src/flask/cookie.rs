//! Flask's cookie: read and written as Werkzeug does, signed as itsdangerous does for
//! Flask-Session.

use std::borrow::Cow;

use hmac::Hmac;
use sha1::Sha1;

use crate::{
    cookie::{self, CookieAttributes, CookieLifetime, SameSite},
    expiry::Millis,
    id::SessionId,
    secret_keys::SecretKeys,
    signer,
};

const SALT: &[u8] = b"flask-session";

/// HMAC-SHA-1 over the id. The key is derived with a salt.
pub(crate) type Signer = signer::Signer<Hmac<Sha1>>;

pub(crate) fn signer(keys: &SecretKeys) -> Signer {
    Signer::derived(keys, SALT, |key| key)
}

/// The id in a cookie's value, if its signature is valid; and whether an older key signed it.
pub(crate) fn id_in(value: &str, signer: Option<&Signer>) -> Option<(SessionId, bool)> {
    let value = unquoted(value);
    let found = Signer::verified(signer, &value)?;
    Some((SessionId::from_flask(found.id)?, found.outdated))
}

impl SessionId {
    const FLASK_MIN_LEN: usize = 22;

    /// Accepts ids that Flask-Session makes: base64url of any length (0.6 and later) or a UUID
    /// (0.5).
    ///
    /// With the feature `flask`.
    pub fn from_flask(text: &str) -> Option<Self> {
        let fits = (Self::FLASK_MIN_LEN..=Self::MAX_LEN).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        fits.then(|| Self::of(text))
    }
}

/// A cookie's value as Flask reads it (Werkzeug 3). Double quotes around it do not belong to it.
/// Within them a backslash escapes three octal digits of a byte, or one byte.
fn unquoted(value: &str) -> Cow<'_, str> {
    let inner = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    let Some(inner) = inner else {
        return value.into();
    };
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.as_bytes();
    loop {
        rest = match rest {
            [
                b'\\',
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                rest @ ..,
            ] => {
                bytes.push((a & 3) << 6 | (b & 7) << 3 | (c & 7));
                rest
            }
            [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
            [] => return String::from_utf8_lossy(&bytes).into_owned().into(),
        };
    }
}

/// How long the browser keeps the cookie of a permanent session that ends at `end`.
pub(crate) fn cookie_lifetime(end: Millis) -> CookieLifetime {
    CookieLifetime {
        until: Some(end.into()),
        ..CookieLifetime::BROWSER_SESSION
    }
}

/// The removal as Flask writes it, with only name, `Domain` and `Path`. `Secure` and `SameSite` are
/// added if a browser would keep the cookie otherwise.
pub(crate) fn removal(cookie: &CookieAttributes) -> String {
    let cross_site = cookie.same_site.filter(|it| *it == SameSite::None);
    let bare = CookieAttributes {
        secure: cookie.name.starts_with("__") || cross_site.is_some() || cookie.partitioned,
        same_site: cross_site,
        http_only: false,
        ..cookie.clone()
    };
    cookie::removal(&bare)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::set_cookie;

    const ID: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn only_ids_of_both_kinds_are_valid() {
        assert!(SessionId::from_flask("3f2504e0-4f89-41d3-9a0c-0305e82c3301").is_some());
        assert!(SessionId::from_flask("lCBxQhmigcoMD9lqisirUBYtGgxHw4lat3ohLhjKxL0").is_some());
        for bad in [
            "short",
            "../../../../etc/passwd/aaaaaaaaaa",
            "a b aaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert!(SessionId::from_flask(bad).is_none());
        }
    }

    #[test]
    fn flasks_signatures_are_reproduced() {
        for (secret, id, cookie) in [
            (
                "s3cr3t",
                ID,
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.Ngdt-PucUh1jWeAbTg8ELtMpq88",
            ),
            (
                "dev",
                "lCBxQhmigcoMD9lqisirUBYtGgxHw4lat3ohLhjKxL0",
                "lCBxQhmigcoMD9lqisirUBYtGgxHw4lat3ohLhjKxL0.GquBOjMuPXP4HekUYhxjmJak8I0",
            ),
            (
                "kéy",
                "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
                "3f2504e0-4f89-41d3-9a0c-0305e82c3301.QdDdwb2LrhPNvVBHB6O4wJKAFro",
            ),
        ] {
            let signer = signer(&SecretKeys::of_flask(secret).unwrap());
            assert_eq!(signer.sign(id), cookie);
            assert_eq!(signer.verify(cookie).unwrap().id, id);
        }
    }

    #[test]
    fn no_signature_of_flasks_is_a_native_one() {
        let keys = SecretKeys::new("a newer key of some forty characters, 22").unwrap();
        let native = signer::Signer::native(&keys, "session");
        assert!(native.verify(&signer(&keys).sign(ID)).is_none());
        assert!(signer(&keys).verify(&native.sign(ID)).is_none());
    }

    #[test]
    fn quotes_are_taken_off_as_werkzeug_does_it() {
        for (value, read) in [
            ("id.sig", "id.sig"),
            (r#""id.sig""#, "id.sig"),
            (r#""""#, ""),
            (r#"""#, r#"""#),
            (r#""open"#, r#""open"#),
            (r#"shut""#, r#"shut""#),
            (r#"i"d"#, r#"i"d"#),
            (r#""\151\d\056\"\\""#, r#"id."\"#),
            (r#""\15\400\08""#, "1540008"),
            (r#""\303\251 é""#, "é é"),
            (r#""\377""#, "\u{fffd}"),
            (r#""end\""#, r"end\"),
        ] {
            assert_eq!(unquoted(value), read, "{value}");
        }
    }

    #[test]
    fn flasks_headers_are_reproduced() {
        let flask = CookieAttributes {
            name: "session".into(),
            secure: false,
            same_site: None,
            ..CookieAttributes::default()
        };
        let until = cookie_lifetime(Millis::new(1_795_222_698_000));
        assert_eq!(
            set_cookie(&flask, "v", until),
            "session=v; Expires=Sat, 21 Nov 2026 00:58:18 GMT; HttpOnly; Path=/"
        );
        assert_eq!(
            removal(&flask),
            "session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/"
        );
    }

    #[test]
    fn flasks_removal_has_only_the_attributes_that_a_browser_needs_to_take_it() {
        let removal = |name: &str, same_site| {
            removal(&CookieAttributes {
                name: name.into(),
                same_site,
                ..CookieAttributes::default()
            })
        };
        let gone = "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0";
        assert_eq!(
            removal("session", Some(SameSite::Lax)),
            format!("session=; {gone}; Path=/")
        );
        assert_eq!(
            removal("__Host-session", Some(SameSite::Strict)),
            format!("__Host-session=; {gone}; Secure; Path=/")
        );
        assert_eq!(
            removal("session", Some(SameSite::None)),
            format!("session=; {gone}; Secure; Path=/; SameSite=None")
        );
    }
}
