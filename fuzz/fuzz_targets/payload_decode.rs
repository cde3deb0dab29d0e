//! A stored session, whatever it holds, is split or refused; what is written is read again as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use session_core::{Format, Payload, Timestamp, Value};

const FORMATS: [Format; 2] = [Format::MessagePack, Format::Json];

fuzz_target!(|bytes: &[u8]| {
    for configured in FORMATS {
        let Ok(Some(payload)) = Payload::decode(bytes.to_vec(), configured) else {
            continue;
        };
        for format in FORMATS {
            let Ok(written) = payload.encode(format) else {
                continue;
            };
            let again = Payload::decode(written.clone(), format)
                .expect("what was written can be read")
                .expect("a map is a session");
            assert_eq!(again.encode(format).expect("and written again"), written);
        }
        for key in payload.keys() {
            exercise(&payload.value(key).expect("every key has a value"));
        }
    }
});

fn exercise(value: &Value) {
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
