//! The structured fields (RFC 9651) of Device Bound Session Credentials, read and written.

use std::convert::Infallible;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sfv::{
    BareItemFromInput, ItemSerializer, KeyRef, ListEntry, ListSerializer, Parser, StringRef,
    TokenRef, key_ref, string_ref, token_ref,
    visitor::{Ignored, ItemVisitor, ParameterVisitor, parameter_visitor_with},
};

/// The header of a request that the browser sent without the bound cookie.
pub(crate) const SKIPPED: &str = "secure-session-skipped";

/// The longest list of skipped sessions that is read, in bytes.
const LONGEST_SKIPPED: usize = 1024;

/// How many reasons of a request are read.
const MOST_SKIPPED: usize = 4;

/// The text of an item that is a token, as Chromium writes it, or a string, as the specification
/// does.
pub(super) fn text(header: &[u8]) -> Option<String> {
    struct Text;

    impl<'de> ItemVisitor<'de> for Text {
        type Out = Option<String>;
        type Error = Infallible;

        fn bare_item(
            self,
            item: BareItemFromInput<'de>,
        ) -> Result<impl ParameterVisitor<'de, Out = Self::Out>, Self::Error> {
            let text = match item {
                BareItemFromInput::Token(token) => Some(token.as_str().to_owned()),
                BareItemFromInput::String(text) => Some(text.as_str().to_owned()),
                _ => None,
            };
            Ok(parameter_visitor_with(Ignored, move |()| Ok(text)))
        }
    }

    Parser::new(header).parse_item_with_visitor(Text).ok()?
}

/// A value that any structured field can hold.
pub(super) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Exactly `N` bytes in canonical base64url.
pub(super) fn base64url_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; 72];
    let decoded = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    bytes[..decoded].try_into().ok()
}

/// The value of `Secure-Session-Registration`: a browser may bind the session at `path`.
pub(super) fn registration(path: &str, challenge: &str) -> String {
    let mut list = ListSerializer::new();
    let mut algorithms = list.inner_list();
    let _ = algorithms.bare_item(token_ref("ES256"));
    let _ = algorithms
        .finish()
        .parameter(key_ref("path"), string(path))
        .parameter(key_ref("challenge"), string(challenge));
    list.finish().unwrap_or_default()
}

/// The value of `Secure-Session-Challenge`. Without the `id` Chromium ends the session.
pub(super) fn challenge(challenge: &str, id: &str) -> String {
    const ID: &KeyRef = key_ref("id");
    ItemSerializer::new()
        .bare_item(string(challenge))
        .parameter(ID, string(id))
        .finish()
}

/// The reasons in the lines of a [`SKIPPED`] header: why the browser sent the request without the
/// bound cookie. At most four.
pub(crate) fn skipped<'h>(lines: impl Iterator<Item = &'h [u8]>) -> Vec<&'static str> {
    lines.flat_map(reasons).take(MOST_SKIPPED).collect()
}

fn reasons(line: &[u8]) -> Vec<&'static str> {
    if line.len() > LONGEST_SKIPPED {
        return vec!["unreadable"];
    }
    let Ok(list) = Parser::new(line).parse::<sfv::List>() else {
        return vec!["unreadable"];
    };
    let reason = |entry: &ListEntry| {
        let ListEntry::Item(item) = entry else {
            return "unknown";
        };
        match item.bare_item.as_token().map(TokenRef::as_str) {
            Some("unreachable") => "unreachable",
            Some("server_error") => "server_error",
            Some("quota_exceeded") => "quota_exceeded",
            _ => "unknown",
        }
    };
    list.iter().map(reason).collect()
}

/// Paths and base64url are ASCII, so they are strings of structured fields.
fn string(text: &str) -> &StringRef {
    StringRef::from_str(text).unwrap_or(string_ref(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_chromium_reads() {
        assert_eq!(
            registration("/device/registration", "Y2hhbGxlbmdl"),
            "(ES256);path=\"/device/registration\";challenge=\"Y2hhbGxlbmdl\""
        );
        assert_eq!(challenge("c", "S"), "\"c\";id=\"S\"");
    }

    #[test]
    fn what_chromium_writes_is_read() {
        assert_eq!(text(b"eyJ.eyI.c2-_").as_deref(), Some("eyJ.eyI.c2-_"));
        assert_eq!(text(b"\"eyJ.eyI.c2\"").as_deref(), Some("eyJ.eyI.c2"));
        for other in [&b""[..], b"1", b"?1", b"(a)", b"a, b", b"\"a", b"\xff"] {
            assert_eq!(text(other), None, "{other:?}");
        }
        let read = |line: &[u8]| skipped([line].into_iter());
        assert_eq!(
            read(b"quota_exceeded;session_identifier=\"S\", unreachable"),
            ["quota_exceeded", "unreachable"]
        );
        assert_eq!(read(b"server_error"), ["server_error"]);
        assert_eq!(read(b"other, 1"), ["unknown", "unknown"]);
        assert_eq!(read(b"(("), ["unreadable"]);
        assert_eq!(read(&b"a, ".repeat(1000)), ["unreadable"]);
        assert_eq!(read(b"a, b, c, d, e, f").len(), 4);
        let lines = [&b"unreachable"[..], b"server_error, (("];
        assert_eq!(skipped(lines.into_iter()), ["unreachable", "unreadable"]);
    }
}
