//! Limits the time that a call to Redis may take.

use std::{io, time::Duration};

use redis::RedisResult;

/// How long to look for a cluster's nodes or for the primary behind Sentinels, which takes several
/// connections. A call waits for it only until its own deadline.
#[cfg(any(feature = "cluster", feature = "sentinel"))]
pub(crate) const DISCOVERY: Duration = Duration::from_secs(3);

/// How long to ask the Sentinels while there is a connection to the primary that they named before.
#[cfg(feature = "sentinel")]
pub(crate) const CONFIRMATION: Duration = Duration::from_millis(250);

/// The result of `call`, or a timeout error if `call` takes longer than `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    let result = tokio::time::timeout(limit, call).await;
    result.map_err(io::Error::from)?
}
