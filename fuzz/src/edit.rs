//! Edits of a right value, by a script of the fuzzer.

/// `value` after the edits that `script` says, three bytes each: replace, insert or remove, where,
/// and what.
#[must_use]
pub fn edited(value: &[u8], script: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    for edit in script.chunks_exact(3) {
        let place = usize::from(edit[1]) % (value.len() + 1);
        match edit[0] % 4 {
            0 => value.insert(place, edit[2]),
            1 if place < value.len() => drop(value.remove(place)),
            2 => value.truncate(place),
            _ if place < value.len() => value[place] = edit[2],
            _ => {}
        }
    }
    value
}
