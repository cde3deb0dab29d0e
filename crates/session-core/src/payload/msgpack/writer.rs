use rmp::encode;
use serde::{
    Serialize, Serializer,
    de::value::Error,
    ser::{self, Error as _},
};

use super::write_text;
use crate::timestamp::{self, Timestamp};

/// The name by which `rmp_serde` and those who follow it know an extension: a pair of its code and bytes.
pub(in crate::payload) const EXT: &str = "_ExtStruct";

/// Appends `value` as `MessagePack`, as Flask-Session writes its like.
///
/// That is as `rmp_serde` does it with maps for structs, and texts for what has one (addresses, UUIDs), but for what it
/// has no setting for: floats have 64 bits, integers of 128 bits are integers, and timestamps are their extension.
pub(in crate::payload) fn write(
    out: &mut Vec<u8>,
    value: &(impl Serialize + ?Sized),
) -> Result<()> {
    value.serialize(Writer {
        out,
        head: None,
        count: 0,
    })
}

type Result<T, E = Error> = std::result::Result<T, E>;
type WriteHead = fn(&mut Vec<u8>, u32) -> Result<rmp::Marker, encode::ValueWriteError>;

/// Writes one value, or the elements of a list or map.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// Where the head belongs that cannot be written before its elements are counted, and how.
    head: Option<(usize, WriteHead)>,
    count: usize,
}

impl Writer<'_> {
    fn begin(mut self, write_head: WriteHead, len: Option<usize>) -> Result<Self> {
        match len {
            Some(len) => self.write_head(write_head, len)?,
            None => self.head = Some((self.out.len(), write_head)),
        }
        Ok(self)
    }

    fn write_head(&mut self, write_head: WriteHead, len: usize) -> Result<()> {
        let len = u32::try_from(len).map_err(Error::custom)?;
        write_head(self.out, len).map(drop).map_err(Error::custom)
    }

    /// Begins the map of one pair that an enum's variant is.
    fn variant(mut self, name: &str) -> Result<Self> {
        self.write_head(encode::write_map_len, 1)?;
        write(self.out, name)?;
        Ok(self)
    }

    /// Writes an element of a list, or what is under a key of a map.
    fn element(&mut self, value: &(impl Serialize + ?Sized)) -> Result<()> {
        self.count += 1;
        write(self.out, value)
    }

    fn finish(mut self) -> Result<()> {
        if let Some((place, write_head)) = self.head {
            let elements = self.out.split_off(place);
            self.write_head(write_head, self.count)?;
            self.out.extend(elements);
        }
        Ok(())
    }
}

macro_rules! scalars {
    ($($method:ident($value:ty) => $write:ident;)*) => {
        $(fn $method(self, value: $value) -> Result<()> {
            encode::$write(self.out, value.into()).map(drop).map_err(Error::custom)
        })*
    };
}

impl Serializer for Writer<'_> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

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
        serialize_bytes(&[u8]) => write_bin;
    }

    fn serialize_i128(self, value: i128) -> Result<()> {
        match i64::try_from(value) {
            Ok(value) => self.serialize_i64(value),
            Err(_) => self.serialize_u128(value.try_into().map_err(Error::custom)?),
        }
    }

    fn serialize_u128(self, value: u128) -> Result<()> {
        self.serialize_u64(value.try_into().map_err(Error::custom)?)
    }

    fn serialize_char(self, value: char) -> Result<()> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<()> {
        write_text(self.out, value.as_bytes())
    }

    fn serialize_unit(self) -> Result<()> {
        encode::write_nil(self.out).map_err(Error::custom)
    }

    fn serialize_none(self) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_unit_struct(self, _: &str) -> Result<()> {
        self.serialize_seq(Some(0)).map(drop)
    }

    fn serialize_unit_variant(self, _: &str, _: u32, variant: &str) -> Result<()> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &str, value: &T) -> Result<()> {
        if name != EXT && name != timestamp::NEWTYPE_NAME {
            return value.serialize(self);
        }
        let mut inner = Vec::new();
        write(&mut inner, value)?;
        let (code, body) = if name == EXT {
            rmp_serde::from_slice::<(i8, &[u8])>(&inner).map(|(code, body)| (code, body.to_vec()))
        } else {
            let instant = rmp_serde::from_slice::<Timestamp>(&inner);
            instant.map(|instant| (timestamp::EXT_CODE, instant.to_ext()))
        }
        .map_err(Error::custom)?;
        let len = u32::try_from(body.len()).map_err(Error::custom)?;
        encode::write_ext_meta(self.out, len, code).map_err(Error::custom)?;
        self.out.extend(body);
        Ok(())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &str,
        _: u32,
        variant: &str,
        value: &T,
    ) -> Result<()> {
        value.serialize(self.variant(variant)?)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self> {
        self.begin(encode::write_array_len, len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Self> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_struct(self, _: &str, len: usize) -> Result<Self> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_variant(self, _: &str, _: u32, variant: &str, len: usize) -> Result<Self> {
        self.variant(variant)?.serialize_seq(Some(len))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self> {
        self.begin(encode::write_map_len, len)
    }

    fn serialize_struct(self, _: &str, len: usize) -> Result<Self> {
        self.serialize_map(Some(len))
    }

    fn serialize_struct_variant(self, _: &str, _: u32, variant: &str, len: usize) -> Result<Self> {
        self.variant(variant)?.serialize_map(Some(len))
    }
}

macro_rules! compounds {
    ($($name:ident::$method:ident($($key:ident)?);)*) => {
        $(impl ser::$name for Writer<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, $($key: &'static str,)? value: &T) -> Result<()> {
                $(write(self.out, $key)?;)?
                self.element(value)
            }

            fn end(self) -> Result<()> {
                self.finish()
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

impl ser::SerializeMap for Writer<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        write(self.out, key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.element(value)
    }

    fn end(self) -> Result<()> {
        self.finish()
    }
}
