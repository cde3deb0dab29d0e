//! Recognises Python pickles, which are never read.

/// Whether `bytes` are a dict that Python's `pickle` wrote, in any protocol.
///
/// Flask-Session before 0.7 stored such sessions. To read a pickle is to run code from it, so it
/// counts as no session. The warning in the log uses this function to tell a pickle from a damaged
/// record.
pub fn is_pickle(bytes: &[u8]) -> bool {
    // Every pickle ends with STOP.
    let Some((b'.', body)) = bytes.split_last() else {
        return false;
    };
    matches!(
        body,
        // PROTO 2 to 5. In MessagePack the first byte is an empty map, and nothing may follow.
        [0x80, 2..=5, ..]
            // Protocol 0: MARK, DICT, PUT.
            | [b'(', b'd', b'p', ..]
            // Protocol 1: EMPTY_DICT, then BINPUT or LONG_BINPUT.
            | [b'}', b'q' | b'r', ..]
    )
}

#[cfg(test)]
mod tests {
    use super::is_pickle;

    #[test]
    fn a_pickled_dict_is_recognised_in_every_protocol() {
        // pickle.dumps({"a": 1}, protocol)
        let pickles: [&[u8]; 6] = [
            b"(dp0\nVa\np1\nI1\ns.",
            b"}q\x00X\x01\x00\x00\x00aq\x01K\x01s.",
            b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s.",
            b"\x80\x03}q\x00X\x01\x00\x00\x00aq\x01K\x01s.",
            b"\x80\x04\x95\x0a\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.",
            b"\x80\x05\x95\x0a\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.",
        ];
        for pickle in pickles {
            assert!(is_pickle(pickle), "{pickle:?}");
        }
    }

    #[test]
    fn a_payload_or_noise_is_no_pickle() {
        for other in [
            &b""[..],
            b".",
            b"\x80",
            b"\xc0",
            b"{}",
            b"\x81\xa1a\xa1.",
            b"noise.",
        ] {
            assert!(!is_pickle(other), "{other:?}");
        }
    }
}
