//! Tests of signing and verifying.

use super::*;

const OLD: &str = "an older key of some forty characters, 1";
const NEW: &str = "a newer key of some forty characters, 22";
const ID: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn native(secret: &str, name: &str) -> Signer<Hmac<Sha256>> {
    Signer::native(&SecretKeys::new(secret).unwrap(), name)
}

#[test]
fn the_signature_of_version_1_stays_what_it_is() {
    // Computed by Python's hmac module.
    let golden = "SVJV03gdjegWLxM5bbW6eFsOPO1wOF0Bf1kUSZ0dIA8";
    assert_eq!(native(NEW, "session").sign(ID), format!("{ID}.{golden}"));
}

#[test]
fn every_changed_character_is_refused() {
    let signer = native(NEW, "session");
    let good = signer.sign(ID);
    assert_eq!(signer.verify(&good).unwrap().id, ID);
    for position in 0..good.len() {
        let mut bad = good.clone().into_bytes();
        bad[position] = if bad[position] == b'B' { b'C' } else { b'B' };
        let bad = String::from_utf8(bad).unwrap();
        assert!(signer.verify(&bad).is_none(), "{bad}");
    }
}

#[test]
fn another_cookies_signature_is_refused() {
    let other = native(NEW, "lang").sign(ID);
    assert!(native(NEW, "session").verify(&other).is_none());
}

#[test]
fn only_the_full_signature_is_valid() {
    let signer = native(NEW, "session");
    let good = signer.sign(ID);
    for bad in [
        ID,
        &format!("{ID}."),
        &format!("{ID}.."),
        &good[..good.len() - 1],
        &format!("{good}="),
        &format!("{good}A"),
        &format!("{good}.AAAA"),
        "",
        ".",
    ] {
        assert!(signer.verify(bad).is_none(), "{bad:?}");
    }
}

#[test]
fn the_newest_key_signs_and_all_verify() {
    let old = native(OLD, "session");
    let rotated = Signer::native(
        &SecretKeys::new(NEW).unwrap().with_fallback(OLD).unwrap(),
        "session",
    );
    let verdict = rotated.verify(&old.sign(ID).clone()).map(|v| v.outdated);
    assert_eq!(verdict, Some(true));
    assert!(old.verify(&rotated.sign(ID)).is_none());
    let new = native(NEW, "session");
    assert_eq!(
        new.verify(&rotated.sign(ID)).map(|v| v.outdated),
        Some(false)
    );
    assert!(new.verify(&old.sign(ID)).is_none());
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{:?}", native(NEW, "session")), "Signer(..)");
}
