//! How a session changes, renews and ends, over the five methods of a store.
//!
//! The rules were checked by exhaustive interleaving; each of them removes a violation found without it, and the tests
//! in `tests/interleavings.rs` run this code through every order of its store calls.

mod budget;
mod end;
mod lanes;
mod owned;
mod refresh;
mod renew;
mod work;
mod write;

pub(crate) use budget::Budget;
pub(crate) use end::EndTerms;
pub(crate) use lanes::Lanes;
pub use owned::OwnedSession;
pub use work::Saved;
pub(crate) use work::{Cookie, Done, Found, Live, Origin, Work};
pub(crate) use write::Terms;

use std::time::Duration;

/// How long a marker tells of a renewed or ended session.
pub(crate) const MARKER_LIFE: Duration = Duration::from_secs(90);

/// After that long, an absent record no longer tells what became of the session; the rest of a marker's life is for
/// clocks that differ and stores that count in seconds.
pub(crate) const MARKER_TRUST: Duration = Duration::from_secs(60);

/// How often a change is tried on fresher data; the request's budget of store time mostly ends it earlier.
const ATTEMPTS: usize = 100;
