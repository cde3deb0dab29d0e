use std::fmt::Write as _;

/// JSON as Python's `json.dumps` spells it: blanks after commas and colons, ASCII alone, floats by `repr`.
///
/// What does not begin like a JSON object stays as it is. Equal sessions so have equal files, whoever wrote them.
pub(super) fn pythons(json: &[u8]) -> Vec<u8> {
    let text = match std::str::from_utf8(json) {
        Ok(text) if text.starts_with('{') => text,
        _ => return json.to_vec(),
    };
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string(rest),
            '-' | '0'..='9' => number(rest),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        match first {
            '"' => token.chars().for_each(|each| push(&mut out, each)),
            '-' | '0'..='9' => out.push_str(&spelled(token)),
            ' ' | '\t' | '\n' | '\r' => {}
            ',' => out.push_str(", "),
            ':' => out.push_str(": "),
            _ => out.push(first),
        }
        rest = after;
    }
    out.into_bytes()
}

/// The length of the string that `text` begins with, its quotes included.
fn string(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    end.map_or(text.len(), |end| end + 2)
}

/// The length of the number that `text` begins with.
fn number(text: &str) -> usize {
    let belongs = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    text.bytes()
        .position(|byte| !belongs(byte))
        .unwrap_or(text.len())
}

fn push(out: &mut String, each: char) {
    if matches!(each, ' '..='~') {
        out.push(each);
    } else {
        for unit in each.encode_utf16(&mut [0; 2]) {
            write!(out, "\\u{unit:04x}").expect("a String takes every write");
        }
    }
}

fn spelled(number: &str) -> String {
    let float = number.contains(['.', 'e', 'E']).then(|| number.parse());
    match float {
        Some(Ok(value)) if f64::is_finite(value) => float_repr(value),
        _ => number.to_owned(),
    }
}

/// With an exponent below 0.0001 and from 1e16 on, of a sign and two digits at least.
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
    fn equal_sessions_are_spelled_alike() {
        // By Python's json.dumps.
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
            let spelled = pythons(json.as_bytes());
            assert_eq!(String::from_utf8(spelled.clone()).unwrap(), python);
            assert_eq!(pythons(&spelled), spelled);
        }
        assert_eq!(pythons(b"\xc0"), b"\xc0");
    }

    /// Python would write `Infinity`, which is no JSON.
    #[test]
    fn a_number_beyond_every_float_stays_as_it_is() {
        let json = br#"{"a": [1e400, -1E400]}"#;
        assert_eq!(pythons(json), json);
    }
}
