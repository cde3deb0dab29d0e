//! A stored session, whatever it holds, is split or refused; what is written is read again as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use session_core::{Bytes, Payload};
use session_fuzz::{FORMATS, exercise, limited};

fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    limited(|| {
        for configured in FORMATS {
            check(&bytes, configured);
        }
    });
});

fn check(bytes: &Bytes, configured: session_core::Format) {
    let Ok(Some(payload)) = Payload::decode(bytes.clone(), configured) else {
        return;
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
