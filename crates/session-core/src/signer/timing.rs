//! Tests that the time to refuse a signature does not depend on which byte is wrong: Welch's t-test
//! over interleaved verifications, as in dudect (Reparaz, Balasch, Verbauwhede, 2017).

use std::{hint::black_box, time::Instant};

use super::*;
use crate::conformance::rounds;

const ID: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// The bound of dudect and of the TVLA method: above it, two classes differ.
const LEAK: f64 = 4.5;

/// How far apart the times of `verify` are for the two values, in standard errors.
fn t(values: [&str; 2], verify: impl Fn(&str)) -> f64 {
    let samples = rounds() * 1000;
    let mut times = [Vec::new(), Vec::new()];
    // Any sequence will do, as long as nothing else in the machine follows it.
    let mut state = 1_u64;
    // Both classes use one buffer, because the address of a text affects the time.
    let mut buffer = String::with_capacity(values[0].len());
    for _ in 0..samples {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let class = usize::from(state >> 63 == 1);
        buffer.clear();
        buffer.push_str(values[class]);
        let start = Instant::now();
        verify(black_box(&buffer));
        times[class].push(start.elapsed().as_secs_f64() * 1e9);
    }
    // The slowest tenth is dropped: interruptions are not a property of the code.
    let mut all = times.concat();
    all.sort_by(f64::total_cmp);
    let longest = all[all.len() * 9 / 10];
    let [first, last] = times.map(|times| {
        let kept: Vec<f64> = times.into_iter().filter(|it| *it <= longest).collect();
        #[expect(clippy::cast_precision_loss, reason = "at most a million")]
        let count = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / count;
        let variance = kept.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    });
    (first.0 - last.0) / (first.1 + last.1).sqrt()
}

fn with_wrong_byte(signed: &str, position: usize) -> String {
    let mut bytes = signed.as_bytes().to_vec();
    bytes[position] = if bytes[position] == b'B' { b'C' } else { b'B' };
    String::from_utf8(bytes).unwrap()
}

fn check<M: Mac + KeyInit + Clone>(signer: impl Fn(&SecretKeys) -> Signer<M>) {
    let signer = signer(&SecretKeys::new("a newer key of some forty characters, 22").unwrap());
    let good = signer.sign(ID);
    let first = with_wrong_byte(&good, ID.len() + 1);
    let last = with_wrong_byte(&good, good.len() - 2);
    let verify = |value: &str| assert!(black_box(signer.verify(value)).is_none());
    // A leak shows every time; a disturbance does not.
    let times: Vec<f64> = (0..5).map(|_| t([&first, &last], verify)).collect();
    assert!(times.iter().any(|it| it.abs() < LEAK), "{times:?}");
}

#[test]
fn the_time_to_refuse_a_signature_does_not_tell_which_byte_is_wrong() {
    check(|keys| Signer::native(keys, "session"));
    #[cfg(feature = "flask")]
    check(crate::flask::signer);
}

#[test]
fn the_measurement_sees_a_comparison_that_stops_at_the_first_difference() {
    let good = [7_u8; 32];
    let verify = |value: &str| {
        let equal = value.bytes().zip(good).all(|(a, b)| a == b);
        assert!(!black_box(equal));
    };
    let early = with_wrong_byte(&"\x07".repeat(32), 0);
    let late = with_wrong_byte(&"\x07".repeat(32), 31);
    let times: Vec<f64> = (0..5).map(|_| t([&early, &late], verify)).collect();
    assert!(times.iter().all(|it| it.abs() > LEAK), "{times:?}");
}
