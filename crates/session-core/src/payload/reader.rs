use rmp::Marker;

use super::{MAX_DEPTH, malformed::Malformed};

/// One step through `MessagePack` bytes: a whole scalar, or the head of a list or map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    /// Not yet checked for UTF-8.
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Ext(i8, &'a [u8]),
    Array(usize),
    Map(usize),
}

/// Reads `MessagePack` marker by marker; every length is checked against the bytes that are left.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The offset of the next token.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Goes back to a token that was read before.
    pub(super) fn rewind(&mut self, position: usize) {
        self.at = position;
    }

    /// Refuses bytes behind the last value.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(Malformed::Trailing)
        }
    }

    pub(super) fn token(&mut self) -> Result<Token<'a>, Malformed> {
        let [marker] = self.array()?;
        Ok(match Marker::from_u8(marker) {
            Marker::FixStr(len) => Token::Text(self.slice(len.into())?),
            Marker::FixPos(value) => Token::Int(value.into()),
            Marker::FixNeg(value) => Token::Int(value.into()),
            Marker::FixMap(len) => Token::Map(self.count(len.into(), 2)?),
            Marker::FixArray(len) => Token::Array(self.count(len.into(), 1)?),
            Marker::Null => Token::Nil,
            Marker::False => Token::Bool(false),
            Marker::True => Token::Bool(true),
            Marker::U8 => Token::Int(u8::from_be_bytes(self.array()?).into()),
            Marker::U16 => Token::Int(u16::from_be_bytes(self.array()?).into()),
            Marker::U32 => Token::Int(u32::from_be_bytes(self.array()?).into()),
            Marker::U64 => {
                let value = u64::from_be_bytes(self.array()?);
                i64::try_from(value).map_or(Token::UInt(value), Token::Int)
            }
            Marker::I8 => Token::Int(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => Token::Int(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => Token::Int(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => Token::Int(i64::from_be_bytes(self.array()?)),
            Marker::F32 => Token::Float(f32::from_be_bytes(self.array()?).into()),
            Marker::F64 => Token::Float(f64::from_be_bytes(self.array()?)),
            Marker::Str8 => Token::Text(self.slice_after_len8()?),
            Marker::Str16 => Token::Text(self.slice_after_len16()?),
            Marker::Str32 => Token::Text(self.slice_after_len32()?),
            Marker::Bin8 => Token::Bytes(self.slice_after_len8()?),
            Marker::Bin16 => Token::Bytes(self.slice_after_len16()?),
            Marker::Bin32 => Token::Bytes(self.slice_after_len32()?),
            Marker::Array16 => {
                let len = self.len16()?;
                Token::Array(self.count(len, 1)?)
            }
            Marker::Array32 => {
                let len = self.len32()?;
                Token::Array(self.count(len, 1)?)
            }
            Marker::Map16 => {
                let len = self.len16()?;
                Token::Map(self.count(len, 2)?)
            }
            Marker::Map32 => {
                let len = self.len32()?;
                Token::Map(self.count(len, 2)?)
            }
            Marker::FixExt1 => self.ext(1)?,
            Marker::FixExt2 => self.ext(2)?,
            Marker::FixExt4 => self.ext(4)?,
            Marker::FixExt8 => self.ext(8)?,
            Marker::FixExt16 => self.ext(16)?,
            Marker::Ext8 => {
                let [len] = self.array()?;
                self.ext(len.into())?
            }
            Marker::Ext16 => {
                let len = self.len16()?;
                self.ext(len)?
            }
            Marker::Ext32 => {
                let len = self.len32()?;
                self.ext(len)?
            }
            Marker::Reserved => return Err(Malformed::Reserved),
        })
    }

    /// Moves behind the next value, whose lists and maps may nest [`MAX_DEPTH`] deep.
    pub(super) fn skip(&mut self) -> Result<(), Malformed> {
        self.skip_within(MAX_DEPTH)
    }

    fn skip_within(&mut self, depth: usize) -> Result<(), Malformed> {
        let Some(values) = self.skip_head()? else {
            return Ok(());
        };
        let depth = depth.checked_sub(1).ok_or(Malformed::TooDeep)?;
        for _ in 0..values {
            self.skip_within(depth)?;
        }
        Ok(())
    }

    /// Moves behind a scalar, or behind the head of a list or map: how many values of it follow.
    fn skip_head(&mut self) -> Result<Option<usize>, Malformed> {
        // Nearly all of a session is of these.
        let width = match self.bytes.get(self.at) {
            Some(0..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3) => 1,
            Some(marker @ 0xa0..=0xbf) => 1 + usize::from(marker & 0x1f),
            Some(0xcc | 0xd0) => 2,
            Some(0xcd | 0xd1) => 3,
            Some(0xca | 0xce | 0xd2) => 5,
            Some(0xcb | 0xcf | 0xd3) => 9,
            _ => return self.skip_other_head(),
        };
        self.slice(width).map(|_| None)
    }

    fn skip_other_head(&mut self) -> Result<Option<usize>, Malformed> {
        Ok(match self.token()? {
            Token::Array(len) => Some(len),
            // No overflow: there are at least that many bytes left.
            Token::Map(len) => Some(len * 2),
            _ => None,
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, _) = self.bytes[self.at..]
            .split_first_chunk()
            .ok_or(Malformed::Truncated)?;
        self.at += N;
        Ok(*head)
    }

    fn slice(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, _) = self.bytes[self.at..]
            .split_at_checked(len)
            .ok_or(Malformed::Truncated)?;
        self.at += len;
        Ok(head)
    }

    /// A list or map of `len` entries, each at least `bytes_each` long.
    fn count(&self, len: usize, bytes_each: usize) -> Result<usize, Malformed> {
        if len > (self.bytes.len() - self.at) / bytes_each {
            return Err(Malformed::Truncated);
        }
        Ok(len)
    }

    fn len16(&mut self) -> Result<usize, Malformed> {
        self.array().map(|len| u16::from_be_bytes(len).into())
    }

    fn len32(&mut self) -> Result<usize, Malformed> {
        let len = u32::from_be_bytes(self.array()?);
        usize::try_from(len).map_err(|_| Malformed::Truncated)
    }

    fn slice_after_len8(&mut self) -> Result<&'a [u8], Malformed> {
        let [len] = self.array()?;
        self.slice(len.into())
    }

    fn slice_after_len16(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.len16()?;
        self.slice(len)
    }

    fn slice_after_len32(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.len32()?;
        self.slice(len)
    }

    fn ext(&mut self, len: usize) -> Result<Token<'a>, Malformed> {
        let [kind] = self.array()?;
        Ok(Token::Ext(i8::from_be_bytes([kind]), self.slice(len)?))
    }
}
