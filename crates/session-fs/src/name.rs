//! `Name`, the file name of a record or an owner.

use std::fmt;

use sha2::{Digest, Sha256};

/// The name of a record's file: SHA-256 of its store key, in hexadecimal. Every key so gives a safe
/// file name.
///
/// The directory of an owner in the index is named in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) [u8; 32]);

impl Name {
    pub(crate) fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Parses 64 lower-case hexadecimal digits.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        unhex(text).map(Self)
    }

    /// The number of the directory, of 256, that holds the file.
    pub(crate) fn shard(&self) -> u8 {
        self.0[0]
    }
}

/// The name of a shard's directory.
pub(crate) fn shard_name(shard: u8) -> String {
    format!("{shard:02x}")
}

/// Decodes lower-case hexadecimal digits.
pub(crate) fn unhex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    // The decoder accepts capital letters as well.
    (!text.iter().any(u8::is_ascii_uppercase)).then_some(bytes)
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_parsed_from_its_own_text_only() {
        let name = Name::of("session:../../etc/passwd");
        let text = name.to_string();
        assert!(text.bytes().all(|b| b.is_ascii_hexdigit()));
        assert!(Name::parse(text.as_bytes()) == Some(name));
        assert!(text.starts_with(&shard_name(name.shard())));

        for foreign in [
            "",
            &text[1..],
            &text.to_uppercase(),
            &text.replace('a', "g"),
            ".lock",
        ] {
            assert!(Name::parse(foreign.as_bytes()) != Some(name), "{foreign}");
        }
    }
}
