//! Decodes a [`Dynamic`] into a type of the application.

use serde::{
    de::{
        Deserializer, Error as _, IntoDeserializer, Visitor,
        value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer, StringDeserializer},
    },
    forward_to_deserialize_any,
};

use super::{Dynamic, mismatch::Mismatch};

/// A serde deserializer of a value. Timestamps become RFC 3339 text.
pub(in crate::payload) struct Decoder(pub(in crate::payload) Dynamic);

impl IntoDeserializer<'_, Mismatch> for Decoder {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Decoder {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Dynamic::Nil => visitor.visit_unit(),
            Dynamic::Bool(value) => visitor.visit_bool(value),
            Dynamic::Int(value) => visitor.visit_i64(value),
            Dynamic::UInt(value) => visitor.visit_u64(value),
            Dynamic::BigInt(digits) => match digits.parse() {
                Ok(value) => visitor.visit_i128(value),
                Err(_) => visitor.visit_u128(digits.parse().map_err(Mismatch::custom)?),
            },
            Dynamic::Float(value) => visitor.visit_f64(value),
            Dynamic::Text(text) => visitor.visit_string(text),
            Dynamic::Bytes(bytes) => visitor.visit_byte_buf(bytes),
            Dynamic::Timestamp(instant) => visitor.visit_string(instant.to_string()),
            Dynamic::Array(items) => {
                visitor.visit_seq(SeqDeserializer::new(items.into_iter().map(Decoder)))
            }
            Dynamic::Map(pairs) => visitor.visit_map(map(pairs)),
            Dynamic::Ext(..) => Err(Mismatch::custom("an extension")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Dynamic::Nil => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    /// A variant is its name, or a map from its name to its content.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.0 {
            Dynamic::Text(text) => visitor.visit_enum(StringDeserializer::new(text)),
            Dynamic::Map(pairs) => visitor.visit_enum(MapAccessDeserializer::new(map(pairs))),
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

fn map<'de>(
    pairs: Vec<(Dynamic, Dynamic)>,
) -> MapDeserializer<'de, impl Iterator<Item = (Decoder, Decoder)>, Mismatch> {
    let pairs = pairs.into_iter();
    MapDeserializer::new(pairs.map(|(key, value)| (Decoder(key), Decoder(value))))
}
