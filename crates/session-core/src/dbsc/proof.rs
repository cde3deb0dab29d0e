//! The proof that a browser sends: a JSON Web Token, signed by the key of its device.
//!
//! Only what browsers send is accepted, so nothing is chosen by the sender: the algorithm is ES256,
//! the key is the session's. No work grows with the input: what is longer than 2 KiB is refused
//! before it is read.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::headers;

/// The longest header that is read, in bytes. Chromium's have about 400.
const LONGEST: usize = 2048;

/// A public key on the curve P-256: x and y, 32 bytes each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DeviceKey([u8; 64]);

impl DeviceKey {
    /// Whether it is a point of the curve is checked with each signature.
    pub(crate) fn of(coordinates: [u8; 64]) -> Self {
        Self(coordinates)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey(..)")
    }
}

/// A proof that was read, and whose signature is not verified yet.
#[derive(Clone)]
pub struct Proof {
    signed: String,
    signature: [u8; 64],
    key: Option<DeviceKey>,
    challenge: String,
}

/// Why something is no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProofRefused {
    /// The header has more than 2 KiB.
    TooLong,
    /// It is no structured field with a token or a string, or has not three parts of base64url.
    Form,
    /// A part is no JSON object, or has a member twice.
    Json,
    /// `alg` is not `ES256`, or there are critical extensions.
    Algorithm,
    /// `typ` is not `dbsc+jwt`.
    Type,
    /// The key is not two coordinates on P-256, or has private parts.
    Key,
    /// There is no challenge.
    Challenge,
    /// The signature is not one of the key, or the key is no point of the curve.
    Signature,
}

impl ProofRefused {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "too long",
            Self::Form => "form",
            Self::Json => "json",
            Self::Algorithm => "algorithm",
            Self::Type => "type",
            Self::Key => "key",
            Self::Challenge => "challenge",
            Self::Signature => "signature",
        }
    }
}

impl fmt::Display for ProofRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no proof of a device: {}", self.reason())
    }
}

impl std::error::Error for ProofRefused {}

impl Proof {
    /// Reads the value of a `Secure-Session-Response` header.
    ///
    /// # Errors
    ///
    /// If it is not what a browser sends. The signature is not verified here.
    pub fn read(header: &[u8]) -> Result<Self, ProofRefused> {
        if header.len() > LONGEST {
            return Err(ProofRefused::TooLong);
        }
        let token = headers::text(header).ok_or(ProofRefused::Form)?;
        let (signed, signature) = token.rsplit_once('.').ok_or(ProofRefused::Form)?;
        let (head, payload) = signed.split_once('.').ok_or(ProofRefused::Form)?;
        let signature = headers::base64url_of(signature).ok_or(ProofRefused::Form)?;
        let (head, payload) = (object(head)?, object(payload)?);
        if head.text("alg") != Some("ES256") || head.get("crit").is_some() {
            return Err(ProofRefused::Algorithm);
        }
        if head.text("typ") != Some("dbsc+jwt") {
            return Err(ProofRefused::Type);
        }
        let key = head.get("jwk").map(key_of).transpose()?;
        let challenge = payload.text("jti").ok_or(ProofRefused::Challenge)?.into();
        Ok(Self {
            signed: signed.into(),
            signature,
            key,
            challenge,
        })
    }

    /// The key that the proof has with it, as it has when a browser registers.
    pub fn key(&self) -> Option<&DeviceKey> {
        self.key.as_ref()
    }

    /// The challenge that was signed.
    pub fn challenge(&self) -> &str {
        &self.challenge
    }

    /// Verifies the signature by `key`, which has to be a point of the curve. A key that the proof
    /// has with it must be the same.
    ///
    /// # Errors
    ///
    /// [`ProofRefused::Key`] if the proof has another key, [`ProofRefused::Signature`] if the key did
    /// not make the signature.
    pub fn verify(&self, key: &DeviceKey) -> Result<(), ProofRefused> {
        if self.key.as_ref().is_some_and(|own| own != key) {
            return Err(ProofRefused::Key);
        }
        // The uncompressed form of SEC 1.
        let mut point = [4; 65];
        point[1..].copy_from_slice(&key.0);
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(self.signed.as_bytes(), &self.signature)
            .map_err(|_| ProofRefused::Signature)
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// The key in a JWK (RFC 7517). Only its public members are allowed.
fn key_of(jwk: &Json) -> Result<DeviceKey, ProofRefused> {
    let Json::Object(jwk) = jwk else {
        return Err(ProofRefused::Key);
    };
    let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
    let is_of_p256 = jwk.text("kty") == Some("EC") && jwk.text("crv") == Some("P-256");
    if !is_of_p256 || private.iter().any(|name| jwk.get(name).is_some()) {
        return Err(ProofRefused::Key);
    }
    let coordinate = |name| jwk.text(name).and_then(headers::base64url_of::<32>);
    let (Some(x), Some(y)) = (coordinate("x"), coordinate("y")) else {
        return Err(ProofRefused::Key);
    };
    let mut coordinates = [0; 64];
    coordinates[..32].copy_from_slice(&x);
    coordinates[32..].copy_from_slice(&y);
    Ok(DeviceKey(coordinates))
}

/// A part of a token that is a JSON object.
fn object(part: &str) -> Result<Members, ProofRefused> {
    let text = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| ProofRefused::Form)?;
    match serde_json::from_slice(&text) {
        Ok(Json::Object(members)) => Ok(members),
        _ => Err(ProofRefused::Json),
    }
}

/// What is read of JSON: texts and objects. Two readers must not take different members of one name.
enum Json {
    Text(String),
    Object(Members),
    Other,
}

/// The members of an object, none of them twice.
struct Members(Vec<(String, Json)>);

impl Members {
    fn get(&self, name: &str) -> Option<&Json> {
        let found = self.0.iter().find(|(it, _)| it == name);
        found.map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Json::Text(text)) => Some(text),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyJson)
    }
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Members(Vec::new());
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            if members.get(&name).is_some() {
                return Err(A::Error::custom("a member twice"));
            }
            members.0.push((name, value));
        }
        Ok(Json::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        while items.next_element::<Json>()?.is_some() {}
        Ok(Json::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Other)
    }
}
