//! Rewrites JSON as Python's `json.dumps` writes it.

use std::fmt::Write as _;

/// Rewrites `json` as Python does: spaces after commas and colons, ASCII only, floats by `repr`.
///
/// Equal sessions then have equal files, whether Flask or this store wrote them. Bytes that do not
/// start like a JSON object stay unchanged.
pub(super) fn to_python_json(json: &[u8]) -> Vec<u8> {
    let text = match std::str::from_utf8(json) {
        Ok(text) if text.starts_with('{') => text,
        _ => return json.to_vec(),
    };
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string_length(rest),
            '-' | '0'..='9' => number_length(rest),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        match first {
            '"' => token.chars().for_each(|each| push_ascii(&mut out, each)),
            '-' | '0'..='9' => out.push_str(&python_number(token)),
            ' ' | '\t' | '\n' | '\r' => {}
            ',' => out.push_str(", "),
            ':' => out.push_str(": "),
            _ => out.push(first),
        }
        rest = after;
    }
    out.into_bytes()
}

/// The length of the string that `text` starts with, including its quotes.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    end.map_or(text.len(), |end| end + 2)
}

/// The length of the number that `text` starts with.
fn number_length(text: &str) -> usize {
    let belongs = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    text.bytes()
        .position(|byte| !belongs(byte))
        .unwrap_or(text.len())
}

fn push_ascii(out: &mut String, each: char) {
    if matches!(each, ' '..='~') {
        out.push(each);
    } else {
        for unit in each.encode_utf16(&mut [0; 2]) {
            write!(out, "\\u{unit:04x}").expect("writing to a String cannot fail");
        }
    }
}

fn python_number(number: &str) -> String {
    let float = number.contains(['.', 'e', 'E']).then(|| number.parse());
    match float {
        Some(Ok(value)) if f64::is_finite(value) => float_repr(value),
        _ => number.to_owned(),
    }
}

/// Python's `repr` uses an exponent below 0.0001 and from 1e16 on. The exponent has a sign and at
/// least two digits.
fn float_repr(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..16).contains(&exponent) => format!("{digits}e{exponent:+03}"),
        _ => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sessions_have_equal_bytes() {
        // The right side was written by Python's json.dumps.
        for (json, python) in [
            ("{}", "{}"),
            (
                r#"{"_permanent":true,"a":"x"}"#,
                r#"{"_permanent": true, "a": "x"}"#,
            ),
            (
                r#"{"a":[1,{"b":null},[],{}]}"#,
                r#"{"a": [1, {"b": null}, [], {}]}"#,
            ),
            (r#"{ "a" : [ 1 , 2 ] }"#, r#"{"a": [1, 2]}"#),
            (r#"{"a":"b,c:\"d\\"}"#, r#"{"a": "b,c:\"d\\"}"#),
            (
                "{\"é\":\"\u{7f}\u{2028}\u{1f600}\"}",
                r#"{"\u00e9": "\u007f\u2028\ud83d\ude00"}"#,
            ),
            (r#"{"a":"\n\u001f"}"#, r#"{"a": "\n\u001f"}"#),
            (
                "[1.0,0.00001,1e-7,0.0001,1e16,1.5e300,1000000000000000.0,-0.0,-2.5e-8]",
                "[1.0,0.00001,1e-7,0.0001,1e16,1.5e300,1000000000000000.0,-0.0,-2.5e-8]",
            ),
            (
                r#"{"a":[1.0,0.00001,1e-7,0.0001,1e16,1.5e300,1000000000000000.0,-0.0,-2.5e-8]}"#,
                r#"{"a": [1.0, 1e-05, 1e-07, 0.0001, 1e+16, 1.5e+300, 1000000000000000.0, -0.0, -2.5e-08]}"#,
            ),
            (
                r#"{"a":123456789012345678901234567890}"#,
                r#"{"a": 123456789012345678901234567890}"#,
            ),
        ] {
            let rewritten = to_python_json(json.as_bytes());
            assert_eq!(String::from_utf8(rewritten.clone()).unwrap(), python);
            assert_eq!(to_python_json(&rewritten), rewritten);
        }
        assert_eq!(to_python_json(b"\xc0"), b"\xc0");
    }

    /// Python would write `Infinity`, which is not JSON.
    #[test]
    fn a_number_out_of_the_range_of_floats_stays_unchanged() {
        let json = br#"{"a": [1e400, -1E400]}"#;
        assert_eq!(to_python_json(json), json);
    }
}
