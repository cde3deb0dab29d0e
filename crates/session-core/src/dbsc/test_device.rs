//! A device for tests.

use std::fmt;

use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::json;

use super::headers::base64url;

/// A browser's device with a new key, for tests of an application: it signs what a browser would.
pub struct TestDevice(EcdsaKeyPair);

impl TestDevice {
    /// With a new key.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    #[expect(
        clippy::missing_panics_doc,
        reason = "a key that was just made is right"
    )]
    pub fn new() -> Self {
        let (curve, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let made = EcdsaKeyPair::generate_pkcs8(curve, &random).expect("a key can be made");
        let pair = EcdsaKeyPair::from_pkcs8(curve, made.as_ref(), &random);
        Self(pair.expect("the key was just made"))
    }

    /// The `Secure-Session-Response` with which a browser takes the offer in a
    /// `Secure-Session-Registration` header.
    pub fn registration(&self, offer: &str) -> String {
        let head = format!(
            "{{\"alg\":\"ES256\",\"jwk\":{},\"typ\":\"dbsc+jwt\"}}",
            self.jwk()
        );
        self.signed(&head, &payload(challenge_in(offer)))
    }

    /// The `Secure-Session-Response` with which a browser answers a `Secure-Session-Challenge`
    /// header.
    pub fn proof(&self, challenge: &str) -> String {
        let head = "{\"alg\":\"ES256\",\"typ\":\"dbsc+jwt\"}";
        self.signed(head, &payload(challenge_in(challenge)))
    }

    /// The public key, as JSON.
    pub fn jwk(&self) -> String {
        let point = self.0.public_key().as_ref();
        let (x, y) = (base64url(&point[1..33]), base64url(&point[33..]));
        json!({ "crv": "P-256", "kty": "EC", "x": x, "y": y }).to_string()
    }

    /// A token with any header and payload.
    #[expect(clippy::missing_panics_doc, reason = "a key of P-256 signs anything")]
    pub fn signed(&self, head: &str, payload: &str) -> String {
        let (head, payload) = (base64url(head.as_bytes()), base64url(payload.as_bytes()));
        let signed = format!("{head}.{payload}");
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.expect("the operating system gives random numbers");
        format!("{signed}.{}", base64url(signature.as_ref()))
    }
}

/// The challenge in either header. Without one it is the text itself.
fn challenge_in(header: &str) -> &str {
    let from = header.rsplit_once("challenge=").map_or(header, |it| it.1);
    from.split('"').nth(1).unwrap_or(from)
}

fn payload(challenge: &str) -> String {
    json!({ "jti": challenge }).to_string()
}

impl fmt::Debug for TestDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestDevice(..)")
    }
}
