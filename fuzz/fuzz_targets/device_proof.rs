//! A proof of a device is verified only if it says what the device signed, whatever was changed.

#![no_main]

use std::{iter, sync::Arc};

use libfuzzer_sys::fuzz_target;
use session_core::{
    MemoryStore, SecretKeys, Sessions, Settings,
    dbsc::{DeviceBinding, Proof, TestDevice},
};
use session_fuzz::{edited, limited};

const CHALLENGE: &str = "Y2hhbGxlbmdl";

/// A device, and what it signed: to register, and to prove itself.
struct Signed {
    device: TestDevice,
    registration: String,
    proof: String,
    sessions: Sessions,
}

thread_local! {
    static SIGNED: Signed = {
        let device = TestDevice::new();
        Signed {
            registration: device.registration(CHALLENGE),
            proof: device.proof(CHALLENGE),
            device,
            sessions: sessions(),
        }
    };
}

fuzz_target!(|bytes: &[u8]| {
    SIGNED.with(|signed| {
        limited(|| {
            signed.check(bytes);
            for token in [&signed.registration, &signed.proof] {
                signed.check(&edited(token.as_bytes(), bytes));
            }
            // Any parts, signed by the right key.
            if let Ok(text) = std::str::from_utf8(bytes) {
                let (head, payload) = text.split_at(text.floor_char_boundary(text.len() / 2));
                let token = signed.device.signed(head, payload);
                if let Ok(proof) = Proof::read(token.as_bytes()) {
                    let _ = proof.key().map(|key| proof.verify(key));
                }
            }
            let request = signed.sessions.begin_request();
            let _opening = request
                .session(&mut iter::empty())
                .with_headers(|_| iter::once(bytes));
        });
    });
});

fn sessions() -> Sessions {
    let keys = SecretKeys::new("a secret of more than 32 random characters").expect("long enough");
    let settings = Settings::new(keys).with_device_binding(DeviceBinding::new("/bind", "/refresh"));
    Sessions::new(settings, Arc::new(MemoryStore::new())).expect("settings that fit")
}

impl Signed {
    fn check(&self, header: &[u8]) {
        let Ok(proof) = Proof::read(header) else {
            return;
        };
        let right = Proof::read(self.registration.as_bytes()).expect("the device signed it");
        let key = right.key().expect("it has the key with it");
        if proof.verify(key).is_ok() {
            assert_eq!(proof.challenge(), CHALLENGE);
        }
    }
}
