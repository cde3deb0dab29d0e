mod compound;
mod scalar;

use rmp_serde::encode::Error;
use serde::{Serialize, Serializer};

/// Appends `value` as `MessagePack`, as Flask-Session writes its like.
///
/// That is `rmp_serde` with its maps for structs and its texts for what has one (addresses, UUIDs), and above it
/// [`Shaped`], for what `rmp_serde` has no setting for.
pub(super) fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), Error> {
    let mut serializer = rmp_serde::Serializer::new(out)
        .with_struct_map()
        .with_human_readable();
    value.serialize(Shaped(&mut serializer))
}

/// Writes floats with 64 bits, integers of 128 bits as integers, and timestamps as their extension, at any depth.
struct Shaped<S>(S);

/// Passes [`Shaped`] on to what is inside a value.
struct Shape<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> Serialize for Shape<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Shaped(serializer))
    }
}
