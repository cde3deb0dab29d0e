use super::Dynamic;
use crate::{
    payload::{
        MAX_DEPTH,
        malformed::Malformed,
        reader::{Reader, Token},
    },
    timestamp::{self, Timestamp},
};

pub(in crate::payload) fn from_msgpack(bytes: &[u8]) -> Result<Dynamic, Malformed> {
    let mut reader = Reader::new(bytes);
    let value = read(&mut reader, MAX_DEPTH)?;
    reader.finish()?;
    Ok(value)
}

fn read(reader: &mut Reader<'_>, depth: usize) -> Result<Dynamic, Malformed> {
    let deeper = || depth.checked_sub(1).ok_or(Malformed::TooDeep);
    Ok(match reader.token()? {
        Token::Nil => Dynamic::Nil,
        Token::Bool(value) => Dynamic::Bool(value),
        Token::Int(value) => Dynamic::Int(value),
        Token::UInt(value) => Dynamic::UInt(value),
        Token::Float(value) => Dynamic::Float(value),
        Token::Text(text) => {
            let text = std::str::from_utf8(text).map_err(|_| Malformed::NotUtf8)?;
            Dynamic::Text(text.to_owned())
        }
        Token::Bytes(bytes) => Dynamic::Bytes(bytes.to_vec()),
        Token::Ext(code, bytes) => match Timestamp::from_ext(bytes) {
            Some(instant) if code == timestamp::EXT_CODE => Dynamic::Timestamp(instant),
            _ => Dynamic::Ext(code, bytes.to_vec()),
        },
        Token::Array(len) => {
            let depth = deeper()?;
            let items = (0..len).map(|_| read(reader, depth));
            Dynamic::Array(items.collect::<Result<_, _>>()?)
        }
        Token::Map(len) => {
            let depth = deeper()?;
            let pairs = (0..len).map(|_| Ok((read(reader, depth)?, read(reader, depth)?)));
            Dynamic::Map(pairs.collect::<Result<_, _>>()?)
        }
    })
}
