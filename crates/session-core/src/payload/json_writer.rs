use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// Appends `value` as compact JSON, its floats as Flask-Session writes them.
pub(super) fn write<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
) -> Result<(), serde_json::Error> {
    value.serialize(&mut Serializer::with_formatter(out, PlainExponents))
}

/// Compact, and no sign before a positive exponent: `1e16`, where `serde_json` has `1e+16`.
struct PlainExponents;

impl Formatter for PlainExponents {
    fn write_f64<W: Write + ?Sized>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let mut text = Vec::with_capacity(24);
        CompactFormatter.write_f64(&mut text, value)?;
        text.retain(|byte| *byte != b'+');
        writer.write_all(&text)
    }

    fn write_f32<W: Write + ?Sized>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        let mut text = Vec::with_capacity(16);
        CompactFormatter.write_f32(&mut text, value)?;
        text.retain(|byte| *byte != b'+');
        writer.write_all(&text)
    }
}
