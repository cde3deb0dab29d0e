//! Flask-Login's identifier of a browser.

use sha2::{Digest, Sha512};

use crate::key::hex;

/// The value that Flask-Login 0.6 stores under `_id` to recognise a browser. A login by this
/// library must store it, too, to be valid in Flask.
///
/// `address` is the value of the `X-Forwarded-For` header, whose first address counts, or else the
/// peer's address without its port. `user_agent` is the value of that header. Pass `None` for what
/// the request does not have.
///
/// Flask-Login takes a login with another `_id`, or without one, as not fresh. If its
/// `session_protection` is `strong`, it ends the login, unless the session is permanent.
///
/// ```
/// let id = session_core::flask_login_id(Some(b"127.0.0.1"), Some(b"curl/8"));
/// assert_eq!(id.len(), 128);
/// ```
pub fn flask_login_id(address: Option<&[u8]>, user_agent: Option<&[u8]>) -> String {
    let first = |list: &[u8]| {
        let first = list.split(|byte| *byte == b',').next();
        repr(first.unwrap_or_default().trim_ascii())
    };
    let text = format!(
        "{}|{}",
        address.map_or("None".into(), first),
        user_agent.map_or("None".into(), repr)
    );
    hex(&Sha512::digest(text), &mut [0; 128]).to_owned()
}

/// Python's `repr` of a header's bytes, which Flask reads as Latin-1 and writes as UTF-8.
fn repr(header: &[u8]) -> String {
    let utf8: String = header.iter().copied().map(char::from).collect();
    let quote = if header.contains(&b'\'') && !header.contains(&b'"') {
        '"'
    } else {
        '\''
    };
    let mut text = format!("b{quote}");
    for byte in utf8.bytes() {
        match byte {
            b'\'' | b'"' if char::from(byte) != quote => text.push(byte.into()),
            _ => text.extend(byte.escape_ascii().map(char::from)),
        }
    }
    text.push(quote);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_python_writes_them() {
        for (header, python) in [
            (&b""[..], "b''"),
            (b"UA/1", "b'UA/1'"),
            (b"it's", r#"b"it's""#),
            (br#"say "hi""#, r#"b'say "hi"'"#),
            (br#"it's "it""#, r#"b'it\'s "it"'"#),
            (br"a\b", r"b'a\\b'"),
            (b"a\tb~\x7f\x00", r"b'a\tb~\x7f\x00'"),
            (b"caf\xe9", r"b'caf\xc3\xa9'"),
            (b"\xc3\xa9", r"b'\xc3\x83\xc2\xa9'"),
        ] {
            assert_eq!(repr(header), python);
        }
    }

    #[test]
    fn an_identifier_is_flask_logins() {
        for (address, agent, hashed) in [
            (
                Some(&b"127.0.0.1"[..]),
                Some(&b"UA/1"[..]),
                "b'127.0.0.1'|b'UA/1'",
            ),
            (Some(b"127.0.0.1"), None, "b'127.0.0.1'|None"),
            (None, Some(b"UA/1"), "None|b'UA/1'"),
            (Some(b" 10.0.0.1 , 10.0.0.2"), Some(b""), "b'10.0.0.1'|b''"),
            (Some(b""), Some(b"a,b"), "b''|b'a,b'"),
        ] {
            let mut room = [0; 128];
            let expected = hex(&Sha512::digest(hashed), &mut room);
            assert_eq!(flask_login_id(address, agent), expected, "{hashed}");
        }
    }
}
