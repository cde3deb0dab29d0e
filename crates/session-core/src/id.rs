//! Session ids: the secrets in the cookies.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

const SUCCESSOR: &[u8] = b"session-core successor of a rotated id, version 1";

/// The secret in the cookie. Whoever has it has the session.
///
/// It has no `Display` and no serialisation, and its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId(Arc<Text>);

/// The characters of an id, in place, so that an id is one allocation.
#[derive(PartialEq, Eq)]
struct Text {
    /// Zero after the end.
    characters: Zeroizing<[u8; SessionId::MAX_LEN]>,
    len: usize,
}

impl SessionId {
    /// The fewest random bytes an id may have: 128 bits (ASVS 5.0, 7.2.3).
    pub const MIN_BYTES: usize = 16;
    /// The random bytes an id has by default: 256 bits.
    pub const DEFAULT_BYTES: usize = 32;
    /// The most random bytes an id may have, so that every store key stays within memcached's 250
    /// bytes.
    pub const MAX_BYTES: usize = 90;

    /// The most characters: those of so many bytes in base64url. Flask's ids have no more either.
    pub(crate) const MAX_LEN: usize = 120;

    /// A new id of `bytes` random bytes from the operating system's generator, as base64url.
    ///
    /// # Panics
    ///
    /// If the operating system provides no random numbers. There is no safe way to continue then.
    pub fn random(bytes: usize) -> Self {
        Self::filled(bytes, |raw| {
            getrandom::fill(raw).expect("the operating system gives random numbers");
        })
    }

    /// An id of `bytes` bytes that `fill` makes random.
    pub(crate) fn filled(bytes: usize, fill: impl FnOnce(&mut [u8])) -> Self {
        let bytes = bytes.clamp(Self::MIN_BYTES, Self::MAX_BYTES);
        let mut raw = Zeroizing::new([0; Self::MAX_BYTES]);
        fill(&mut raw[..bytes]);
        let mut characters = Zeroizing::new([0; Self::MAX_LEN]);
        let len = URL_SAFE_NO_PAD
            .encode_slice(&raw[..bytes], &mut characters[..])
            .expect("the buffer has the length of the longest id");
        Self(Arc::new(Text { characters, len }))
    }

    /// Accepts only what `random(bytes)` can return: exact length, exact alphabet, canonical
    /// encoding.
    pub fn from_native(text: &str, bytes: usize) -> Option<Self> {
        let mut raw = Zeroizing::new([0; Self::MAX_BYTES + 3]);
        let decoded = URL_SAFE_NO_PAD.decode_slice(text, &mut raw[..]).ok()?;
        (decoded == bytes).then(|| Self::of(text))
    }

    /// Takes up to [`MAX_LEN`](Self::MAX_LEN) ASCII characters.
    pub(crate) fn of(text: &str) -> Self {
        let mut characters = Zeroizing::new([0; Self::MAX_LEN]);
        characters[..text.len()].copy_from_slice(text.as_bytes());
        let len = text.len();
        Self(Arc::new(Text { characters, len }))
    }

    /// The id of `bytes` bytes that a rotation with this `nonce` gives the session of this id.
    ///
    /// It is HMAC-SHA-256, keyed by this id, of a label, the nonce and the number of the block. So
    /// whoever knows only the nonce, which the store has, or only the old id, does not know it.
    pub(crate) fn successor(&self, nonce: &Nonce, bytes: usize) -> Self {
        Self::made(self.as_str().as_bytes(), &[SUCCESSOR, &nonce.0], bytes)
    }

    /// The id of `bytes` bytes that `message` makes, for whoever knows the key: HMAC-SHA-256 of the
    /// message and the number of the block.
    pub(crate) fn made(key: &[u8], message: &[&[u8]], bytes: usize) -> Self {
        let mut keyed = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        for part in message {
            keyed.update(part);
        }
        Self::filled(bytes, |raw| {
            for (block, number) in raw.chunks_mut(32).zip(0_u8..) {
                let made = keyed.clone().chain_update([number]).finalize();
                let made = Zeroizing::new(<[u8; 32]>::from(made.into_bytes()));
                block.copy_from_slice(&made[..block.len()]);
            }
        })
    }

    /// The secret, for the cookie and the store key. Never log it.
    #[expect(clippy::missing_panics_doc, reason = "an id is ASCII")]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0.characters[..self.0.len]).expect("an id is ASCII")
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// A random value of a rotation. With the old id it gives the new one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonce([u8; Self::LEN]);

impl Nonce {
    pub(crate) const LEN: usize = 32;

    pub(crate) fn of(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_is_an_id_that_needs_both_the_old_id_and_the_nonce() {
        for bytes in [16, 32, 48, 90] {
            let (id, other) = (SessionId::random(bytes), SessionId::random(bytes));
            let (nonce, another) = (Nonce::of([1; 32]), Nonce::of([2; 32]));
            let successor = id.successor(&nonce, bytes);
            assert!(SessionId::from_native(successor.as_str(), bytes).is_some());
            assert!(successor == id.successor(&nonce, bytes));
            assert!(successor != id);
            assert!(successor != id.successor(&another, bytes));
            assert!(successor != other.successor(&nonce, bytes));
        }
        // The blocks of a long one differ.
        let long = SessionId::random(90).successor(&Nonce::of([1; 32]), 90);
        assert!(long.as_str()[..40] != long.as_str()[43..83]);
    }

    /// Computed by Python: `hmac.new(id, label + nonce + b"\0", "sha256")`.
    #[test]
    fn a_successor_stays_the_same_in_every_release() {
        let id = SessionId::of("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        let successor = id.successor(&Nonce::of([7; 32]), 32);
        assert_eq!(
            successor.as_str(),
            "5DtdubWBa9YIVIOvmZXx4_lfEALlvwYKYebFGjHzMb4"
        );
    }

    #[test]
    fn a_random_id_is_valid_and_differs_from_the_next() {
        for bytes in [16, 32, 90] {
            let id = SessionId::random(bytes);
            assert!(SessionId::from_native(id.as_str(), bytes).is_some());
            assert!(id != SessionId::random(bytes));
        }
    }

    #[test]
    fn only_the_exact_canonical_form_is_an_id() {
        let good = SessionId::random(32);
        let good = good.as_str();
        for bad in [
            &good[1..],
            &format!("{good}A"),
            &format!("{good}="),
            &format!("{}+", &good[..42]),
            &format!("{}/", &good[..42]),
            // The last of 43 characters carries four bits; the lower two must be zero.
            &format!("{}B", &good[..42]),
            "",
            &"A".repeat(5000),
        ] {
            assert!(SessionId::from_native(bad, 32).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", SessionId::random(32)), "SessionId(..)");
    }

    #[test]
    fn a_million_ids_are_distinct_and_evenly_spread() {
        const IDS: u32 = 1_000_000;
        const ALPHABET: [u8; 64] =
            *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut seen = std::collections::HashSet::new();
        let mut counts = vec![[0_u32; 128]; 43];
        for _ in 0..IDS {
            let id = SessionId::random(32);
            for (position, byte) in id.as_str().bytes().enumerate() {
                counts[position][usize::from(byte)] += 1;
            }
            let mut raw = [0; 33];
            URL_SAFE_NO_PAD.decode_slice(id.as_str(), &mut raw).unwrap();
            assert!(seen.insert(u128::from_be_bytes(raw[..16].try_into().unwrap())));
        }
        for (position, counts) in counts.iter().enumerate() {
            let counts = ALPHABET.map(|symbol| counts[usize::from(symbol)]);
            // The last character carries four bits of the 256.
            let (bits, most) = if position == 42 {
                (4, 65.0)
            } else {
                (6, 150.0)
            };
            let symbols: Vec<u32> = (0..64).step_by(64 >> bits).map(|it| counts[it]).collect();
            assert_eq!(symbols.iter().sum::<u32>(), IDS);
            let expected = f64::from(IDS) / f64::from(1 << bits);
            let chi_squared: f64 = symbols
                .iter()
                .map(|count| (f64::from(*count) - expected).powi(2) / expected)
                .sum();
            // More by chance once in ten million, with 63 and with 15 degrees of freedom.
            assert!(chi_squared < most, "position {position}: {chi_squared}");
            for bit in 6 - bits..6 {
                let set: u32 = (0..64)
                    .filter(|it| it >> bit & 1 == 1)
                    .map(|it| counts[it])
                    .sum();
                let share = f64::from(set) / f64::from(IDS);
                assert!(
                    (0.497..=0.503).contains(&share),
                    "position {position}: {share}"
                );
            }
        }
    }

    #[test]
    fn two_ids_have_nothing_in_common() {
        const PAIRS: u32 = 10_000;
        let raw = || {
            let mut raw = [0; 33];
            URL_SAFE_NO_PAD
                .decode_slice(SessionId::random(32).as_str(), &mut raw)
                .unwrap();
            raw
        };
        let mut total = 0;
        for _ in 0..PAIRS {
            let differing: u32 = raw()
                .iter()
                .zip(raw())
                .map(|(a, b)| (a ^ b).count_ones())
                .sum();
            // 128 of 256 bits, and nine times the standard deviation of 8.
            assert!((56..=200).contains(&differing), "{differing} bits differ");
            total += differing;
        }
        assert!((127..=129).contains(&(total / PAIRS)), "{total}");
    }
}
