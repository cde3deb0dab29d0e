mod deserializer;
mod json_reader;
mod json_writer;
mod lossy;
mod msgpack_reader;
mod msgpack_writer;

pub(super) use deserializer::decode;
pub(super) use json_reader::from_json;
pub(super) use json_writer::write_key;
pub(super) use msgpack_reader::from_msgpack;

use super::{Format, Value, unwritable::Unwritable};
use crate::{
    error::{Error, Result},
    timestamp::Timestamp,
};

/// Any value of a session, taken apart: for code that does not know what it will find.
///
/// `Debug` shows the contents.
#[derive(Clone, Debug, PartialEq)]
pub enum Dynamic {
    /// Nothing: Python's `None`.
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer that fits in 64 bits with a sign.
    Int(i64),
    /// An integer of 2^63 to 2^64 - 1.
    UInt(u64),
    /// An integer beyond 64 bits, in decimal digits. JSON alone has them.
    BigInt(String),
    /// A float, also if it is whole.
    Float(f64),
    /// A text.
    Text(String),
    /// Bytes. In JSON they become base64 text, and stay text.
    Bytes(Vec<u8>),
    /// An instant. In JSON it becomes RFC 3339 text, and stays text.
    Timestamp(Timestamp),
    /// A list.
    Array(Vec<Dynamic>),
    /// A map in its order; Flask's keys may be of any type.
    Map(Vec<(Dynamic, Dynamic)>),
    /// Another extension type of `MessagePack`: its code and bytes.
    Ext(i8, Vec<u8>),
}

impl Dynamic {
    /// Encodes the value, as Flask-Session does.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] if `format` has no form for it: [`BigInt`](Self::BigInt) in `MessagePack`;
    /// [`Ext`](Self::Ext), and keys such as nil or lists, in JSON; or if it nests more than 64 deep.
    pub fn to_value(&self, format: Format) -> Result<Value> {
        let bytes = self.write(format).map_err(|fault| Error::Encode {
            source: fault.into(),
        })?;
        Ok(Value::checked(bytes.into(), format))
    }

    pub(super) fn write(&self, format: Format) -> Result<Vec<u8>, Unwritable> {
        let mut out = Vec::new();
        match format {
            Format::MessagePack => msgpack_writer::write(&mut out, self)?,
            Format::Json => json_writer::write(&mut out, self)?,
        }
        Ok(out)
    }

    pub(super) fn to_json_lossy(&self) -> serde_json::Value {
        lossy::to_json(self)
    }
}
