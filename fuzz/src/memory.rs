//! Limits the memory of a fuzz target.

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Runs `target` and sees that it never held more than 64 MiB: no length in a few bytes may make us
/// allocate for it.
///
/// # Panics
///
/// If more than the limit was allocated. This is the defect that the target searches for.
pub fn limited<T>(target: impl FnOnce() -> T) -> T {
    const LIMIT: usize = 64 << 20;
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = target();
    let held = MEMORY.peak_usage().saturating_sub(before);
    assert!(held <= LIMIT, "{held} bytes were allocated");
    result
}
