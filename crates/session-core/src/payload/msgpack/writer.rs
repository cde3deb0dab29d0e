use rmp::encode;
use serde::{
    Serialize, Serializer,
    de::value::Error,
    ser::{self, Error as _},
};

use crate::timestamp::{self, Timestamp};

/// The name by which `rmp_serde` and those who follow it know an extension: a pair of its code and bytes.
pub(in crate::payload) const EXT: &str = "_ExtStruct";

/// Appends `value` as `MessagePack`, as Flask-Session writes its like.
///
/// That is as `rmp_serde` does it with maps for structs, and texts for what has one (addresses, UUIDs), but for what it
/// has no setting for: floats have 64 bits, integers of 128 bits are integers, and timestamps are their extension.
pub(in crate::payload) fn write<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
) -> Result<(), Error> {
    value.serialize(Writer(out))
}

struct Writer<'a>(&'a mut Vec<u8>);

/// A list or map that is being written.
struct Compound<'a> {
    out: &'a mut Vec<u8>,
    /// Where its head belongs that cannot be written before the number of its elements is known, and how.
    unknown: Option<(usize, WriteHead)>,
    count: usize,
}

type WriteHead = fn(&mut Vec<u8>, u32) -> Result<rmp::Marker, encode::ValueWriteError>;

impl<'a> Writer<'a> {
    fn compound(self, write_head: WriteHead, len: Option<usize>) -> Result<Compound<'a>, Error> {
        let unknown = match len {
            Some(len) => {
                write_head(self.0, u32::try_from(len).map_err(Error::custom)?)
                    .map_err(Error::custom)?;
                None
            }
            None => Some((self.0.len(), write_head)),
        };
        Ok(Compound {
            out: self.0,
            unknown,
            count: 0,
        })
    }

    /// Begins the map of one pair that an enum's variant is.
    fn variant(self, name: &str) -> Result<Self, Error> {
        let mut map = self.compound(encode::write_map_len, Some(1))?;
        map.element(name)?;
        Ok(Self(map.out))
    }

    fn ext(self, code: i8, body: &[u8]) -> Result<(), Error> {
        let len = u32::try_from(body.len()).map_err(Error::custom)?;
        encode::write_ext_meta(self.0, len, code).map_err(Error::custom)?;
        self.0.extend_from_slice(body);
        Ok(())
    }
}

macro_rules! scalars {
    ($($method:ident($value:ty) => $write:ident;)*) => {
        $(fn $method(self, value: $value) -> Result<(), Error> {
            encode::$write(self.0, value.into()).map(drop).map_err(Error::custom)
        })*
    };
}

impl<'a> Serializer for Writer<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    scalars! {
        serialize_bool(bool) => write_bool;
        serialize_i8(i8) => write_sint;
        serialize_i16(i16) => write_sint;
        serialize_i32(i32) => write_sint;
        serialize_i64(i64) => write_sint;
        serialize_u8(u8) => write_uint;
        serialize_u16(u16) => write_uint;
        serialize_u32(u32) => write_uint;
        serialize_u64(u64) => write_uint;
        serialize_f32(f32) => write_f64;
        serialize_f64(f64) => write_f64;
        serialize_str(&str) => write_str;
        serialize_bytes(&[u8]) => write_bin;
    }

    fn serialize_i128(self, value: i128) -> Result<(), Error> {
        match i64::try_from(value) {
            Ok(value) => self.serialize_i64(value),
            Err(_) => self.serialize_u128(value.try_into().map_err(Error::custom)?),
        }
    }

    fn serialize_u128(self, value: u128) -> Result<(), Error> {
        self.serialize_u64(value.try_into().map_err(Error::custom)?)
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        encode::write_nil(self.0).map_err(Error::custom)
    }

    fn serialize_unit_struct(self, _: &str) -> Result<(), Error> {
        self.compound(encode::write_array_len, Some(0)).map(drop)
    }

    fn serialize_unit_variant(self, _: &str, _: u32, variant: &str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &str,
        value: &T,
    ) -> Result<(), Error> {
        if name != EXT && name != timestamp::NEWTYPE_NAME {
            return value.serialize(self);
        }
        let mut inner = Vec::new();
        write(&mut inner, value)?;
        if name == EXT {
            let (code, body): (i8, &[u8]) = rmp_serde::from_slice(&inner).map_err(Error::custom)?;
            return self.ext(code, body);
        }
        let instant: Timestamp = rmp_serde::from_slice(&inner).map_err(Error::custom)?;
        self.ext(timestamp::EXT_CODE, &instant.to_ext())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &str,
        _: u32,
        variant: &str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self.variant(variant)?)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Compound<'a>, Error> {
        self.compound(encode::write_array_len, len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Compound<'a>, Error> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_struct(self, _: &str, len: usize) -> Result<Compound<'a>, Error> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_variant(
        self,
        _: &str,
        _: u32,
        variant: &str,
        len: usize,
    ) -> Result<Compound<'a>, Error> {
        self.variant(variant)?.serialize_seq(Some(len))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Compound<'a>, Error> {
        self.compound(encode::write_map_len, len)
    }

    fn serialize_struct(self, _: &str, len: usize) -> Result<Compound<'a>, Error> {
        self.serialize_map(Some(len))
    }

    fn serialize_struct_variant(
        self,
        _: &str,
        _: u32,
        variant: &str,
        len: usize,
    ) -> Result<Compound<'a>, Error> {
        self.variant(variant)?.serialize_map(Some(len))
    }
}

impl Compound<'_> {
    /// Writes an element of a list, or what is under a key.
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.count += 1;
        write(self.out, value)
    }

    fn close(self) -> Result<(), Error> {
        if let Some((place, write_head)) = self.unknown {
            let mut head = Vec::new();
            let count = u32::try_from(self.count).map_err(Error::custom)?;
            write_head(&mut head, count).map_err(Error::custom)?;
            self.out.splice(place..place, head);
        }
        Ok(())
    }
}

macro_rules! compounds {
    ($($name:ident::$method:ident($($key:ident)?);)*) => {
        $(impl ser::$name for Compound<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, $($key: &'static str,)? value: &T) -> Result<(), Error> {
                $(write(self.out, $key)?;)?
                self.element(value)
            }

            fn end(self) -> Result<(), Error> {
                self.close()
            }
        })*
    };
}

compounds! {
    SerializeSeq::serialize_element();
    SerializeTuple::serialize_element();
    SerializeTupleStruct::serialize_field();
    SerializeTupleVariant::serialize_field();
    SerializeStruct::serialize_field(key);
    SerializeStructVariant::serialize_field(key);
}

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        write(self.out, key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}
