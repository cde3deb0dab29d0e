use std::fmt;

use sha2::{Digest, Sha256};

/// What a record's file is called: SHA-256 of its store key, in hexadecimal, so that every key is a safe file name.
///
/// Owners are named in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) [u8; 32]);

impl Name {
    pub(crate) fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// The name that `text` writes in 64 lower-case hexadecimal digits.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        unhex(text).map(Self)
    }

    /// Which of the 256 directories the file is in.
    pub(crate) fn shard(&self) -> u8 {
        self.0[0]
    }
}

/// The name of a shard's directory.
pub(crate) fn shard_name(shard: u8) -> String {
    format!("{shard:02x}")
}

/// The bytes that `text` writes in lower-case hexadecimal digits.
pub(crate) fn unhex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    // It takes capital letters, too.
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
    fn a_name_reads_back_from_its_text_alone() {
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
