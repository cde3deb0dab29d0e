//! A sweep by as many calls as it takes.

use session_core::ExpiredSweep;

/// Removes up to `limit` expired records, and returns how many. A call of the sweep ends after a
/// second, which may be soon on a machine with other work; so it calls until the limit is reached or
/// everything was looked at.
pub async fn sweep_up_to<S: ExpiredSweep + ?Sized>(store: &S, limit: usize) -> u64 {
    let mut removed = 0;
    while removed < limit as u64 {
        let left = limit - usize::try_from(removed).expect("it is less than the limit");
        let swept = store.sweep(left).await.expect("the store can be swept");
        removed += swept.removed;
        if swept.is_done {
            break;
        }
    }
    removed
}
