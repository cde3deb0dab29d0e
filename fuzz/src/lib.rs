//! Functions that the fuzz targets share.

mod bench;
mod edit;
mod memory;
mod snapshot;
mod value;
mod watched;

pub use bench::{Bench, NOW, SECRET, keys, run};
pub use edit::edited;
pub use memory::limited;
pub use snapshot::Snapshot;
pub use value::{FORMATS, exercise};
pub use watched::Watched;
