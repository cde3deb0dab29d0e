//! The sizes that a record claims reserve no memory. This is a test program of its own, because it
//! measures the memory of the whole program.

use peak_alloc::PeakAlloc;
use session_core::{Format, Payload};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MOST: f32 = 1024.0;

/// How many KiB `work` needs at its peak, beyond what is in use.
fn peak(work: impl FnOnce()) -> f32 {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage_as_kb();
    work();
    MEMORY.peak_usage_as_kb() - before
}

#[test]
fn no_claimed_length_and_no_depth_reserves_memory() {
    let seen = peak(|| drop(std::hint::black_box(vec![0_u8; 2 * 1024 * 1024])));
    assert!(seen > MOST, "the measurement sees {seen} of 2048 KiB");
    let open: [&[u8]; 5] = [
        b"\x91",
        b"[",
        b"\x81\xa1a",
        b"{\"a\":",
        b"\xdd\xff\xff\xff\xff",
    ];
    let mut hostile: Vec<Vec<u8>> = open.iter().map(|it| it.repeat(65_536 / it.len())).collect();
    for marker in [0xc6, 0xc9, 0xdb, 0xdd, 0xdf] {
        let claim = [&[marker][..], &[0xff; 4]].concat();
        hostile.push(claim.clone());
        hostile.push([&b"\x81\xa1a"[..], &claim].concat());
        hostile.push([&b"\x81"[..], &claim].concat());
    }
    for bytes in hostile {
        for format in [Format::MessagePack, Format::Json] {
            let given = bytes.clone();
            let needed = peak(|| assert!(Payload::decode(given, format).is_err()));
            assert!(
                needed < MOST,
                "{needed} KiB for {:?}",
                &bytes[..8.min(bytes.len())]
            );
        }
    }
}
