use sha2::{Digest, Sha512};

use crate::key::hex;

/// What Flask-Login 0.6 keeps under `_id` to tell one browser from another: a login made here needs it to be one there.
///
/// `address` is the value of the `X-Forwarded-For` header, of which the first address counts, or else the peer's address
/// without its port; `user_agent` is the value of that header. `None` stands for what the request has not.
///
/// A login under another `_id`, or none, is not fresh to Flask-Login; where its `session_protection` is `strong` it is ended,
/// unless the session is permanent.
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

/// What Python's `repr` makes of a header's bytes once they were text: read as Latin-1, written as UTF-8.
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
