//! Any stored value is read or refused. A value that is read stays unchanged.

#![no_main]

use libfuzzer_sys::fuzz_target;
use session_core::Value;
use session_fuzz::{FORMATS, exercise, limited};

fuzz_target!(|bytes: &[u8]| {
    limited(|| {
        for format in FORMATS {
            if let Ok(value) = Value::from_encoded(bytes, format) {
                assert_eq!(value.as_bytes(), bytes);
                exercise(&value);
            }
        }
    });
});
