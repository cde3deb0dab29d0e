//! Serialises values as `MessagePack`, as Flask-Session writes them.

use std::io::Write;

use rmp_serde::Serializer as Plain;
use serde::{
    Deserialize, Serialize, Serializer,
    ser::{self, Error as _},
};

use crate::{
    error::BoxError,
    payload::{Dynamic, Format, Written},
    timestamp::{self, Timestamp},
};

/// Appends `value` as `MessagePack`, as Flask-Session would write it.
///
/// `rmp_serde` writes structs as maps, and addresses and UUIDs as text. It has no setting for the
/// rest: floats have 64 bits, integers of 128 bits are integers, and timestamps are an extension.
pub(in crate::payload) fn write(
    out: &mut impl Write,
    value: &(impl Serialize + ?Sized),
) -> Result<(), BoxError> {
    Ok(ByWriter(value).serialize(&mut Plain::new(out).with_struct_map())?)
}

/// A value that a [`Writer`] serialises, with all values in it.
struct ByWriter<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> Serialize for ByWriter<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Writer(to))
    }
}

/// Passes values on to `S`, the serializer of `rmp_serde`, unless that writes them in another way
/// than Flask-Session.
struct Writer<S>(S);

macro_rules! scalars {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {
        $(fn $method(self, $($name: $type),*) -> Result<S::Ok, S::Error> {
            self.0.$method($($name),*)
        })*
    };
}

macro_rules! compounds {
    ($($method:ident($($name:ident: $type:ty),*) -> $compound:ident;)*) => {
        $(type $compound = Writer<S::$compound>;

        fn $method(self, $($name: $type),*) -> Result<Self::$compound, S::Error> {
            self.0.$method($($name),*).map(Writer)
        })*
    };
}

impl<S: Serializer> Serializer for Writer<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    scalars! {
        serialize_bool(value: bool);
        serialize_i8(value: i8);
        serialize_i16(value: i16);
        serialize_i32(value: i32);
        serialize_i64(value: i64);
        serialize_u8(value: u8);
        serialize_u16(value: u16);
        serialize_u32(value: u32);
        serialize_u64(value: u64);
        serialize_f64(value: f64);
        serialize_char(value: char);
        serialize_str(value: &str);
        serialize_bytes(value: &[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(name: &'static str);
        serialize_unit_variant(name: &'static str, place: u32, variant: &'static str);
    }

    compounds! {
        serialize_seq(len: Option<usize>) -> SerializeSeq;
        serialize_tuple(len: usize) -> SerializeTuple;
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct;
        serialize_tuple_variant(name: &'static str, place: u32, variant: &'static str, len: usize) -> SerializeTupleVariant;
        serialize_map(len: Option<usize>) -> SerializeMap;
        serialize_struct(name: &'static str, len: usize) -> SerializeStruct;
        serialize_struct_variant(name: &'static str, place: u32, variant: &'static str, len: usize) -> SerializeStructVariant;
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        self.serialize_f64(value.into())
    }

    fn serialize_i128(self, value: i128) -> Result<S::Ok, S::Error> {
        match i64::try_from(value) {
            Ok(value) => self.serialize_i64(value),
            Err(_) => self.serialize_u128(value.try_into().map_err(S::Error::custom)?),
        }
    }

    fn serialize_u128(self, value: u128) -> Result<S::Ok, S::Error> {
        self.serialize_u64(value.try_into().map_err(S::Error::custom)?)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        if name != timestamp::NEWTYPE_NAME {
            return self.0.serialize_newtype_struct(name, &ByWriter(value));
        }
        let instant = serde_json::to_value(value).and_then(Timestamp::deserialize);
        let body = instant.map_err(S::Error::custom)?.to_ext();
        let extension = Dynamic::Ext(timestamp::EXT_CODE, body);
        Written(&extension, Some(Format::MessagePack)).serialize(self.0)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        place: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let (inner, value) = (self.0, ByWriter(value));
        inner.serialize_newtype_variant(name, place, variant, &value)
    }
}

macro_rules! elements {
    ($($compound:ident::$($method:ident($($key:ident)?)),*;)*) => {
        $(impl<S: ser::$compound> ser::$compound for Writer<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            $(fn $method<T: Serialize + ?Sized>(&mut self, $($key: &'static str,)? value: &T) -> Result<(), S::Error> {
                self.0.$method($($key,)? &ByWriter(value))
            })*

            fn end(self) -> Result<S::Ok, S::Error> {
                self.0.end()
            }
        })*
    };
}

elements! {
    SerializeSeq::serialize_element();
    SerializeTuple::serialize_element();
    SerializeTupleStruct::serialize_field();
    SerializeTupleVariant::serialize_field();
    SerializeMap::serialize_key(), serialize_value();
    SerializeStruct::serialize_field(key);
    SerializeStructVariant::serialize_field(key);
}
