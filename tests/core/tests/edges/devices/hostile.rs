//! What was to prove a device, and does not.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use session_core::dbsc::{DeviceKey, DeviceState, Proof, ProofRefused, TestDevice};

use super::{Bound, binding, offer_in, refresh, register};
use crate::support::{Log, Site};

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The challenge in a header.
fn challenge_in(header: &str) -> &str {
    let from = header.rsplit_once("challenge=").map_or(header, |it| it.1);
    from.split('"').nth(1).unwrap()
}

fn head(key: &TestDevice) -> Value {
    json!({ "alg": "ES256", "jwk": json_of(&key.jwk()), "typ": "dbsc+jwt" })
}

/// `head` with other members.
fn with(head: &Value, other: &Value) -> String {
    let mut head = head.clone();
    for (name, value) in other.as_object().unwrap() {
        head[name] = value.clone();
    }
    head.to_string()
}

/// `key.jwk()` with other members.
fn jwk(key: &TestDevice, other: &Value) -> Value {
    json!({ "jwk": json_of(&with(&json_of(&key.jwk()), other)) })
}

/// Each token that is refused as a registration to `challenge`, and why.
fn registrations(key: &TestDevice, challenge: &str) -> Vec<(String, ProofRefused)> {
    use ProofRefused::{Algorithm, Challenge, Form, Json, Key as BadKey, Signature, TooLong, Type};
    let head = head(key);
    let good = json!({ "jti": challenge }).to_string();
    let headed = |other: Value| key.signed(&with(&head, &other), &good);
    let keyed = |other: Value| headed(jwk(key, &other));
    let right = key.signed(&head.to_string(), &good);
    let (signed, _) = right.rsplit_once('.').unwrap();
    let unsigned = format!(
        "{}.{}.",
        encoded(with(&head, &json!({ "alg": "none" }))),
        encoded(&good)
    );
    let twice = |text: &str, with: &str| text.replacen('{', &format!("{{{with},"), 1);
    let other = TestDevice::new();
    let off_the_curve = encoded([1; 32]);
    let x = json_of(&key.jwk())["x"].clone();
    vec![
        (unsigned, Form),
        (headed(json!({ "alg": "none" })), Algorithm),
        (headed(json!({ "alg": "HS256" })), Algorithm),
        (headed(json!({ "alg": "RS256" })), Algorithm),
        (headed(json!({ "alg": ["ES256"] })), Algorithm),
        (headed(json!({ "alg": null })), Algorithm),
        (headed(json!({ "crit": ["exp"] })), Algorithm),
        (headed(json!({ "typ": "JWT" })), Type),
        (headed(json!({ "typ": "dbsc+JWT" })), Type),
        (headed(json!({ "typ": null })), Type),
        // Another key made the signature than the one that the token has with it.
        (other.signed(&head.to_string(), &good), Signature),
        (keyed(json!({ "d": "AAAA" })), BadKey),
        (keyed(json!({ "k": "AAAA" })), BadKey),
        (keyed(json!({ "kty": "oct" })), BadKey),
        (keyed(json!({ "kty": "RSA" })), BadKey),
        (keyed(json!({ "crv": "P-384" })), BadKey),
        (keyed(json!({ "x": "AAAA" })), BadKey),
        (keyed(json!({ "y": null })), BadKey),
        (
            keyed(json!({ "x": encoded([0; 32]), "y": encoded([0; 32]) })),
            Signature,
        ),
        (
            keyed(json!({ "x": encoded([255; 32]), "y": encoded([255; 32]) })),
            Signature,
        ),
        (keyed(json!({ "y": off_the_curve })), Signature),
        (keyed(json!({ "y": x })), Signature),
        (headed(json!({ "jwk": "key" })), BadKey),
        (
            key.signed(
                &json!({ "alg": "ES256", "typ": "dbsc+jwt" }).to_string(),
                &good,
            ),
            BadKey,
        ),
        // Members twice, at each level.
        (
            key.signed(&twice(&head.to_string(), "\"alg\":\"none\""), &good),
            Json,
        ),
        (
            key.signed(
                &head.to_string().replace("\"kty\"", "\"x\":\"AA\",\"kty\""),
                &good,
            ),
            Json,
        ),
        (
            key.signed(&head.to_string(), &twice(&good, "\"jti\":\"other\"")),
            Json,
        ),
        (key.signed(&head.to_string(), "[]"), Json),
        (key.signed(&head.to_string(), "{"), Json),
        (key.signed(&head.to_string(), &"[".repeat(1000)), Json),
        (key.signed(&head.to_string(), "{}"), Challenge),
        (key.signed(&head.to_string(), "{\"jti\":1}"), Challenge),
        (
            key.signed(&head.to_string(), "{\"jti\":\"other\"}"),
            Challenge,
        ),
        // Forms.
        (signed.to_owned(), Form),
        (format!("{right}.AAAA"), Form),
        (format!("{signed}.{}", encoded([0; 63])), Form),
        (format!("{signed}.{}", encoded([0; 64])), Signature),
        (format!("{signed}.{}", encoded([255; 64])), Signature),
        (format!("{right}="), Form),
        ("e30.e30.".to_owned(), Form),
        ("..".to_owned(), Form),
        (".".to_owned(), Form),
        (String::new(), Form),
        (format!("{signed}.{}", "A".repeat(100_000)), TooLong),
        (
            key.signed(&with(&head, &json!({ "a": "A".repeat(2000) })), &good),
            TooLong,
        ),
    ]
}

#[tokio::test]
async fn no_hostile_registration_binds_a_session() {
    let site = Site::new(binding());
    let browser = site.browser();
    let login = site
        .request(&browser, |session| session.log_in("ada").unwrap())
        .await;
    let challenge = offer_in(&login).unwrap();
    let key = TestDevice::new();
    let (log, _guard) = Log::start();
    for (token, why) in registrations(&key, challenge_in(&challenge)) {
        let answer = register(&site, &browser, &token).await;
        let shown = &token[..token.len().min(300)];
        assert_eq!(
            (answer.status, answer.set_cookie),
            (401, None),
            "{why:?}: {shown}"
        );
    }
    let lines = log.lines();
    let event = "event=\"device_proof_refused\"";
    assert!(
        lines.iter().filter(|it| it.contains(event)).count() >= 10,
        "{lines:?}"
    );
    // The challenge of another session.
    let grace = site.browser();
    let login = site
        .request(&grace, |session| session.log_in("grace").unwrap())
        .await;
    let theirs = offer_in(&login).unwrap();
    let answer = register(&site, &browser, &key.registration(&theirs)).await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        site.open(&browser).await.device_state(),
        DeviceState::Unbound
    );
    // After all of that the right one is taken.
    let answer = register(&site, &browser, &key.registration(&challenge)).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn no_hostile_proof_refreshes_a_session() {
    let mut ada = Bound::new(binding()).await;
    ada.browser.forget("__Host-device");
    for (token, why) in registrations(&ada.device, challenge_in(&ada.challenge)) {
        let read = Proof::read(token.as_bytes());
        // Without the key it is no registration, and a right proof.
        if read.as_ref().is_ok_and(|it| it.key().is_none()) {
            continue;
        }
        // The right signature of another challenge is asked for again.
        let status = if read.is_ok_and(|it| it.challenge() == "other") {
            403
        } else {
            401
        };
        let answer = refresh(&ada.site, &ada.browser, &ada.name, Some(&token)).await;
        let shown = &token[..token.len().min(300)];
        assert_eq!(
            (answer.status, answer.set_cookie),
            (status, None),
            "{why:?}: {shown}"
        );
    }
    let other = TestDevice::new();
    for wrong in [
        other.proof(&ada.challenge),
        other.registration(&ada.challenge),
    ] {
        assert_eq!(ada.send(Some(&wrong)).await.status, 401);
    }
    // The proof of another session.
    let grace = Bound::log_in(
        ada.site.with_settings(binding()),
        ada.site.browser(),
        "grace",
    )
    .await
    .unwrap();
    let theirs = grace.device.proof(&grace.challenge);
    assert_eq!(ada.send(Some(&theirs)).await.status, 401);
    // This device signed the challenge of another one: it gets its own.
    let confused = ada.device.proof(&grace.challenge);
    let answer = ada.send(Some(&confused)).await;
    assert_eq!((answer.status, answer.set_cookie), (403, None));
    assert_eq!(ada.state().await, DeviceState::Unproved);
    assert_eq!(ada.refresh().await.status, 200);
    // Scripts of a page cannot name the session.
    let request = ada.site.open(&ada.browser).await;
    let proof = ada.device.proof(&ada.challenge);
    for name in [None, Some(&b""[..]), Some(b"\xff"), Some(&[b'a'; 65])] {
        let answer = request.refresh_device(name, Some(proof.as_bytes())).await;
        assert_eq!(answer.unwrap().status, 400, "{name:?}");
    }
}

#[test]
fn each_hostile_token_is_refused_for_its_own_reason() {
    let key = TestDevice::new();
    for (token, why) in registrations(&key, "challenge") {
        let read = Proof::read(token.as_bytes());
        let refused = match read {
            Err(refused) => refused,
            Ok(proof) => match proof.key() {
                None => ProofRefused::Key,
                Some(_) if proof.challenge() != "challenge" => ProofRefused::Challenge,
                Some(key) => proof.verify(&key.clone()).unwrap_err(),
            },
        };
        assert_eq!(refused, why, "{}", &token[..token.len().min(300)]);
    }
    let good = key.registration("challenge");
    for header in [good.clone(), format!("\"{good}\"")] {
        let proof = Proof::read(header.as_bytes()).unwrap();
        assert_eq!(proof.verify(&proof.key().unwrap().clone()), Ok(()));
    }
    for changed in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[changed] = if bytes[changed] == b'A' { b'B' } else { b'A' };
        let verified = Proof::read(&bytes).and_then(|it| it.verify(&key_of(&good)));
        assert!(verified.is_err(), "byte {changed}");
    }
}

fn key_of(token: &str) -> DeviceKey {
    *Proof::read(token.as_bytes()).unwrap().key().unwrap()
}
