//! Tests of the header of native records.

use proptest::prelude::*;

use super::*;

fn header() -> Header<'static> {
    Header {
        kind: Kind::Live,
        write_tag: [1; 8],
        binding: [2; 16],
        lineage: [3; 16],
        expires_at: Millis::new(4),
        created_at: Millis::new(5),
        authenticated_at: Some(Millis::new(6)),
        used_at: Millis::new(7),
        cookie_until: None,
        indexed_until: Some(Millis::new(8)),
        idle: Some(Duration::from_secs(9)),
        owner: Some("ada"),
        label: Some("Firefox on Linux"),
        successor: None,
        is_encrypted: false,
        provisional: false,
        id_use: Some(IdUse::NotYet),
        nonce: None,
        provider_session: None,
        device: None,
        flask_cookie: None,
    }
}

#[test]
fn a_header_is_read_as_it_was_written() {
    for header in [
        header(),
        Header {
            is_encrypted: true,
            ..header()
        },
        Header {
            kind: Kind::Forwarded,
            label: None,
            successor: Some("session:abc"),
            ..header()
        },
        Header {
            kind: Kind::Forwarded,
            successor: Some("session:abc"),
            id_use: Some(IdUse::Since(Millis::new(10))),
            nonce: Some(Nonce::of([11; 32])),
            ..header()
        },
        Header {
            kind: Kind::Ended,
            owner: None,
            label: None,
            ..header()
        },
        Header {
            provisional: true,
            provider_session: Some([9; 32]),
            device: Some(&[12; 109]),
            flask_cookie: Some([13; 5]),
            ..header()
        },
        Header {
            kind: Kind::Logins,
            owner: None,
            label: None,
            ..header()
        },
    ] {
        let mut bytes = header.write(7);
        let length = bytes.len();
        bytes.extend(b"payload");
        assert_eq!(Header::parse(&bytes).unwrap(), (header, length));
    }
}

#[test]
fn what_a_later_release_may_write_is_distinguished_from_damage() {
    let good = header().write(0);
    for (offset, value) in [
        (1, 2),
        (1, 255),
        (2, 4),
        (6, 16),
        (6, 128),
        (7, 4),
        (7, 128),
    ] {
        let mut bytes = good.clone();
        bytes[offset] = value;
        assert!(
            matches!(Header::parse(&bytes), Err(Error::LaterVersion)),
            "{offset}: {value}"
        );
    }
    for (offset, value) in [(0, 0x81), (1, 0), (5, 4), (5, 255)] {
        let mut bytes = good.clone();
        bytes[offset] = value;
        assert!(
            matches!(Header::parse(&bytes), Err(Error::Corrupt { .. })),
            "{offset}: {value}"
        );
    }
}

#[test]
fn a_header_without_optional_fields_has_at_most_80_bytes() {
    let visitor = Header {
        authenticated_at: None,
        indexed_until: None,
        idle: None,
        owner: None,
        label: None,
        id_use: None,
        ..header()
    };
    assert_eq!(visitor.write(0).len(), 66);
    let until = Some(Millis::new(8));
    let with_cookie = Header {
        cookie_until: until,
        ..visitor.clone()
    };
    assert_eq!(with_cookie.write(0).len(), 72);
    let with_all_times = Header {
        authenticated_at: until,
        indexed_until: until,
        idle: Some(Duration::from_secs(9)),
        ..with_cookie
    };
    assert_eq!(with_all_times.write(0).len(), 90);
}

#[test]
fn a_time_beyond_six_bytes_is_the_largest() {
    let far = Header {
        idle: Some(Duration::MAX),
        expires_at: Millis::new(u64::MAX),
        ..header()
    };
    let bytes = far.write(0);
    let (header, _) = Header::parse(&bytes).unwrap();
    assert_eq!(header.idle, Some(Duration::from_millis((1 << 48) - 1)));
    assert_eq!(header.expires_at, Millis::new((1 << 48) - 1));
}

#[test]
fn an_optional_time_of_zero_is_damage() {
    let mut bytes = header().write(0);
    bytes[66..72].fill(0);
    assert!(matches!(Header::parse(&bytes), Err(Error::Corrupt { .. })));
}

#[test]
fn the_longest_header_fits_the_head_of_a_record() {
    let longest = Header {
        owner: Some(&"o".repeat(MAX_OWNER)),
        label: Some(&"l".repeat(MAX_LABEL)),
        provider_session: Some([9; 32]),
        cookie_until: Some(Millis::new(8)),
        device: Some(&[12; 109]),
        flask_cookie: Some([13; 5]),
        ..header()
    }
    .write(0);
    assert!(longest.len() <= crate::Record::HEAD);
    let key = "k".repeat(crate::KeyPrefix::MAX_LEN + 64);
    let longest = Header {
        kind: Kind::Forwarded,
        owner: Some(&"o".repeat(MAX_OWNER)),
        label: None,
        successor: Some(&key),
        ..header()
    }
    .write(0);
    assert!(longest.len() <= crate::Record::HEAD);
}

#[test]
fn a_header_that_no_list_could_read_is_damage() {
    let bytes = Header {
        owner: Some(&"o".repeat(crate::Record::HEAD)),
        ..header()
    }
    .write(0);
    assert!(matches!(Header::parse(&bytes), Err(Error::Corrupt { .. })));
}

#[test]
fn a_header_cut_anywhere_is_damage() {
    let good = header().write(0);
    for length in 0..good.len() {
        assert!(matches!(
            Header::parse(&good[..length]),
            Err(Error::Corrupt { .. })
        ));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_header_or_an_error(mut bytes: Vec<u8>, known: bool) {
        if known && bytes.len() > 4 {
            bytes[..4].copy_from_slice(&[MAGIC, VERSION, 0, 7]);
            bytes.get_mut(6).into_iter().for_each(|it| *it &= TIMES);
            bytes.get_mut(7).into_iter().for_each(|it| *it &= DEVICE | FLASK_COOKIE);
        }
        if let Ok((header, length)) = Header::parse(&bytes) {
            prop_assert!(length <= bytes.len());
            prop_assert_eq!(header.write(0).len(), length);
        }
    }
}
