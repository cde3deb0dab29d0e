//! Tests of what opens with which key.

use super::*;
use crate::header::{Header, Kind, binding};

const OLD: &str = "Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP";
const NEW: &str = "Uc4mZr1yP9vWt6xKi3dLn8cHg0eTb2fQ";
const PAYLOAD: &[u8] = b"a payload of more than one block of the cipher";

fn store_key(end: char) -> StoreKey {
    StoreKey::from_stored(format!("session:{}{end}", "0".repeat(63)))
}

fn header(write_tag: u8) -> Vec<u8> {
    let header = Header {
        kind: Kind::Live,
        write_tag: [write_tag; 8],
        binding: binding(&store_key('a')).unwrap(),
        lineage: [9; 16],
        expires_at: crate::expiry::Millis::new(5),
        created_at: crate::expiry::Millis::new(1),
        authenticated_at: None,
        used_at: crate::expiry::Millis::new(4),
        cookie_until: None,
        indexed_until: None,
        idle: None,
        owner: Some("ada"),
        label: None,
        successor: None,
        id_use: None,
        nonce: None,
        provider_session: None,
        device: None,
        flask_cookie: None,
        is_encrypted: true,
        provisional: false,
    };
    header.write(0)
}

fn record(keys: &EncryptionKeys) -> (Vec<u8>, usize) {
    let mut record = header(7);
    let length = record.len();
    keys.encrypt(&store_key('a'), &mut record, PAYLOAD).unwrap();
    (record, length)
}

fn keys(secret: &str) -> EncryptionKeys {
    EncryptionKeys::new(secret).unwrap()
}

#[test]
fn a_payload_comes_back_and_is_not_seen_in_the_record() {
    let (record, length) = record(&keys(OLD));
    assert!(
        !record
            .windows(4)
            .any(|part| PAYLOAD.windows(4).any(|it| it == part))
    );
    let back = keys(OLD).decrypt(&store_key('a'), &record, length).unwrap();
    assert_eq!(back, PAYLOAD);
}

#[test]
fn each_changed_bit_and_each_missing_byte_makes_a_record_unreadable() {
    let (record, length) = record(&keys(OLD));
    for at in 0..record.len() * 8 {
        let mut changed = record.clone();
        changed[at / 8] ^= 1 << (at % 8);
        let opened = keys(OLD).decrypt(&store_key('a'), &changed, length);
        let name = length * 8..(length + size_of::<KeyName>()) * 8;
        match opened {
            Err(Error::UnknownEncryptionKey) => assert!(name.contains(&at), "bit {at}"),
            Err(Error::Corrupt { .. }) => assert!(!name.contains(&at), "bit {at}"),
            other => panic!("bit {at}: {other:?}"),
        }
    }
    for end in length..record.len() {
        let opened = keys(OLD).decrypt(&store_key('a'), &record[..end], length);
        assert!(matches!(opened, Err(Error::Corrupt { .. })), "{end} bytes");
    }
}

#[test]
fn a_record_opens_under_no_other_store_key() {
    let (record, length) = record(&keys(OLD));
    let opened = keys(OLD).decrypt(&store_key('b'), &record, length);
    assert!(matches!(opened, Err(Error::Corrupt { .. })), "{opened:?}");
}

#[test]
fn the_newest_key_encrypts_and_every_key_decrypts() {
    let (old, length) = record(&keys(OLD));
    let both = keys(NEW).with_fallback(OLD).unwrap();
    assert!(both.decrypt(&store_key('a'), &old, length).is_ok());
    let (new, length) = record(&both);
    assert!(keys(NEW).decrypt(&store_key('a'), &new, length).is_ok());
    let unknown = keys(OLD).decrypt(&store_key('a'), &new, length);
    assert!(matches!(unknown, Err(Error::UnknownEncryptionKey)));
}

#[test]
fn equal_payloads_differ_in_each_write() {
    let (keys, key) = (keys(OLD), store_key('a'));
    let [one, other] = [1, 2].map(|write_tag| {
        let mut record = header(write_tag);
        let length = record.len();
        keys.encrypt(&key, &mut record, PAYLOAD).unwrap();
        record.split_off(length)
    });
    let same = one.iter().zip(&other).skip(size_of::<KeyName>());
    let same = same.filter(|(one, other)| one == other).count();
    assert!(same < 8, "{same} bytes are the same");
}

#[test]
fn weak_keys_are_refused_and_debug_shows_none() {
    let error = EncryptionKeys::new("secret").unwrap_err().to_string();
    assert!(
        error.starts_with("SESSION_ENCRYPTION_KEY must be"),
        "{error}"
    );
    let error = keys(OLD).with_fallback("").unwrap_err().to_string();
    assert!(
        error.starts_with("SESSION_ENCRYPTION_KEY_FALLBACKS must be"),
        "{error}"
    );
    assert_eq!(format!("{:?}", keys(OLD)), "EncryptionKeys(1)");
}
