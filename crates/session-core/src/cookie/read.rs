//! Finds the values of a cookie in a `Cookie` header.

/// The values of the cookies called `name` in one `Cookie` header, in order.
///
/// It works on raw bytes. Names are never percent-decoded (CVE-2020-8184), a `;` within quotes
/// counts, and a malformed cookie does not hide its neighbours (RFC 6265bis, 5.7 and 8.6). It takes
/// linear time.
pub(crate) fn values<'h>(header: &'h [u8], name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    header.split(|byte| *byte == b';').filter_map(move |pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        (trim(&pair[..equals]) == name.as_bytes()).then(|| trim(&pair[equals + 1..]))
    })
}

fn trim(bytes: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = bytes.iter().position(|byte| !blank(byte));
    let end = bytes.iter().rposition(|byte| !blank(byte));
    match (start, end) {
        (Some(start), Some(end)) => &bytes[start..=end],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(header: &[u8]) -> Vec<&[u8]> {
        values(header, "__Host-id").collect()
    }

    #[test]
    fn hostile_neighbours_hide_nothing_and_forge_nothing() {
        let hit: &[&[u8]] = &[b"v"];
        for header in [
            &b"__Host-id=v"[..],
            b" __Host-id = v ",
            b"a=b; __Host-id=v; c",
            b"x=\"; __Host-id=v; y=\"",
            b"x=\xff\xfe; __Host-id=v",
            b"=; ;;; __Host-id=v;",
            b"novalue; __Host-id=v",
        ] {
            assert_eq!(all(header), hit, "{header:?}");
        }
        for header in [
            &b"%5F%5FHost-id=v"[..],
            b"=__Host-id=v",
            b"__host-id=v",
            b"__Host-id",
            b"x__Host-id=v",
            b"\"__Host-id\"=v",
            b"",
        ] {
            assert!(all(header).is_empty(), "{header:?}");
        }
    }

    #[test]
    fn duplicates_come_in_order() {
        let both: &[&[u8]] = &[b"1", b"2"];
        assert_eq!(all(b"__Host-id=1; __Host-id=2"), both);
    }

    #[test]
    fn a_header_of_100_kib_takes_linear_time() {
        let time = |len: usize| {
            let header = vec![b';'; len];
            let once = |_| {
                let start = std::time::Instant::now();
                assert!(all(&header).is_empty());
                start.elapsed()
            };
            // Other programs may slow down some attempts.
            (0..50).map(once).min().unwrap()
        };
        // 100 times as long; 10,000 times, if it were quadratic.
        let (short, long) = (time(1024), time(102_400));
        assert!(long.as_millis() < 100, "{long:?}");
        assert!(long < short * 1000, "{short:?} {long:?}");
    }

    proptest! {
        #[test]
        fn a_neighbour_never_changes_what_is_found(before: Vec<u8>, after: Vec<u8>) {
            let clean = |bytes: &[u8]| !values(bytes, "__Host-id").any(|_| true);
            prop_assume!(clean(&before) && clean(&after));
            let header = [&before[..], b";__Host-id=v;", &after].concat();
            prop_assert_eq!(all(&header), vec![&b"v"[..]]);
        }
    }
}
