//! Reads and writes a value in every way.

use serde::de::IgnoredAny;
use session_core::{Format, Timestamp, Value};

/// Those that are read.
pub const FORMATS: [Format; 2] = [Format::MessagePack, Format::Json];

/// Reads `value` as this and that; what is written of it is read again.
///
/// # Panics
///
/// If it is not.
pub fn exercise(value: &Value) {
    let _ = value.decode::<IgnoredAny>();
    let _ = value.decode::<String>();
    let _ = value.decode::<Timestamp>();
    let _ = value.decode::<Vec<Option<f64>>>();
    let _ = value.to_json_lossy();
    let Ok(apart) = value.to_dynamic() else {
        return;
    };
    for format in FORMATS {
        if let Ok(written) = apart.to_value(format) {
            assert_eq!(written.format(), format);
            written.to_dynamic().expect("what was written can be read");
        }
    }
}
