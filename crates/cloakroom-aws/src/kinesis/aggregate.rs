//! Records that the Kinesis Producer Library packed into one
//! (<https://github.com/awslabs/amazon-kinesis-producer/blob/master/aggregation-format.md>):
//!
//! ```text
//! F3 89 9A C2 | AggregatedRecord in Protocol Buffers | MD5 of the message, 16 bytes
//!
//! AggregatedRecord  1: partition keys, strings    2: explicit hash keys, strings    3: records
//! Record            1: index of its partition key    2: index of its hash key    3: data
//! ```
//!
//! A record that begins like one and does not end like one is an ordinary record: the libraries of AWS do the same.

use std::fmt;
use std::ops::Range;

use md5::{Digest as _, Md5};

const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
const DIGEST: usize = 16;

/// A record that carries the digest of an aggregated one, and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

impl fmt::Display for Damaged {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an aggregated record of the Kinesis Producer Library that cannot be read")
    }
}

impl std::error::Error for Damaged {}

/// Where a packed record stands in the one that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    /// Its partition key, in UTF-8.
    pub(super) key: Range<usize>,
    /// Its data.
    pub(super) data: Range<usize>,
}

/// Where each packed record stands, or `None` for an ordinary record.
///
/// # Errors
/// When the digest is right and the message is not.
pub(super) fn records(data: &[u8]) -> Result<Option<Vec<Packed>>, Damaged> {
    let Some(message) = data.strip_prefix(&MAGIC).and_then(|rest| rest.len().checked_sub(DIGEST)) else {
        return Ok(None);
    };
    let message = MAGIC.len()..MAGIC.len() + message;
    if Md5::digest(&data[message.clone()])[..] != data[message.end..] {
        return Ok(None);
    }
    let (mut keys, mut found) = (Vec::new(), Vec::new());
    let mut fields = Fields { data, at: message.start, end: message.end };
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Bytes(range)) => keys.push(range),
            (3, Value::Bytes(range)) => found.push(record(data, range)?),
            _ => {}
        }
    }
    let packed = |(key, data): (u64, Range<usize>)| {
        // A key that is not there: not what the library writes.
        let key = usize::try_from(key).ok().and_then(|key| keys.get(key)).ok_or(Damaged)?;
        Ok(Packed { key: key.clone(), data })
    };
    found.into_iter().map(packed).collect::<Result<_, _>>().map(Some)
}

/// The number of the partition key, and where the data stands.
fn record(data: &[u8], range: Range<usize>) -> Result<(u64, Range<usize>), Damaged> {
    let (mut key, mut bytes) = (None, None);
    let mut fields = Fields { data, at: range.start, end: range.end };
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Number(number)) => key = Some(number),
            (3, Value::Bytes(range)) => bytes = Some(range),
            _ => {}
        }
    }
    key.zip(bytes).ok_or(Damaged)
}

/// The fields of a message of Protocol Buffers (<https://protobuf.dev/programming-guides/encoding/>).
struct Fields<'a> {
    data: &'a [u8],
    at: usize,
    end: usize,
}

enum Value {
    Number(u64),
    Bytes(Range<usize>),
    /// Four or eight bytes, which no field of these messages has.
    Fixed,
}

impl Fields<'_> {
    fn next(&mut self) -> Result<Option<(u64, Value)>, Damaged> {
        if self.at == self.end {
            return Ok(None);
        }
        let tag = self.number()?;
        let value = match tag & 7 {
            0 => Value::Number(self.number()?),
            1 => self.bytes(8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(self.number()?).map_err(|_| Damaged)?;
                Value::Bytes(self.bytes(length)?)
            }
            5 => self.bytes(4).map(|_| Value::Fixed)?,
            _ => return Err(Damaged),
        };
        Ok(Some((tag >> 3, value)))
    }

    fn bytes(&mut self, length: usize) -> Result<Range<usize>, Damaged> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.end).ok_or(Damaged)?;
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }

    /// Seven bits in a byte, the lowest first.
    fn number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let place = self.bytes(1)?;
            let byte = self.data[place.start];
            if shift == 63 && byte > 1 {
                return Err(Damaged);
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2];
        let mut length = bytes.len();
        while length >= 0x80 {
            field.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        field.push(u8::try_from(length).unwrap());
        field.extend_from_slice(bytes);
        field
    }

    fn packed(message: &[u8]) -> Vec<u8> {
        [&MAGIC[..], message, &Md5::digest(message)[..]].concat()
    }

    fn message(datas: &[&[u8]]) -> Vec<u8> {
        let mut message = [field(1, b"key"), field(1, b"other"), field(2, b"12")].concat();
        for (at, data) in datas.iter().enumerate() {
            let tags = field(4, &field(1, b"tag"));
            let key = vec![1 << 3, u8::from(at % 2 == 1)];
            message.extend(field(3, &[key, field(3, data), tags].concat()));
        }
        message
    }

    #[test]
    fn packed_records_come_out_in_order() {
        let long = vec![b'x'; 40_000];
        let datas: [&[u8]; 4] = [b"{\"n\":1}", b"", &long, b"{\"n\":2}"];
        let data = packed(&message(&datas));
        let found = records(&data).unwrap().unwrap();
        assert_eq!(found.iter().map(|packed| &data[packed.data.clone()]).collect::<Vec<_>>(), datas);
        let keys: Vec<_> = found.iter().map(|packed| &data[packed.key.clone()]).collect();
        assert_eq!(keys, [&b"key"[..], b"other", b"key", b"other"]);
        assert_eq!(records(&packed(&message(&[]))), Ok(Some(Vec::new())));
    }

    #[test]
    fn what_only_looks_like_one_is_an_ordinary_record() {
        let data = packed(&message(&[b"one"]));
        for ordinary in [&b"{}"[..], b"", &MAGIC, &data[..data.len() - 1], &data[1..], &[&MAGIC[..], &[0; 16]].concat()]
        {
            assert_eq!(records(ordinary), Ok(None));
        }
        let mut changed = data;
        changed[6] ^= 1;
        assert_eq!(records(&changed), Ok(None));
    }

    #[test]
    fn a_right_digest_over_a_wrong_message_is_an_error() {
        let whole = message(&[b"one", b"two"]);
        for length in 1..whole.len() {
            // Cut between two fields it is a shorter message, else it is none; it never reads past its end.
            let data = packed(&whole[..length]);
            if let Ok(Some(found)) = records(&data) {
                assert!(found.iter().all(|packed| packed.data.end <= data.len() - DIGEST));
            }
        }
        let no_key = field(3, &field(3, b"data"));
        let key_of_nobody = [field(1, b"key"), field(3, &[vec![1 << 3, 1], field(3, b"data")].concat())].concat();
        let group = vec![1 << 3 | 3];
        let endless = [vec![1 << 3], vec![0xff; 12]].concat();
        for wrong in [no_key, key_of_nobody, group, endless, vec![0x1a, 0xff, 0xff, 0x03]] {
            assert_eq!(records(&packed(&wrong)), Err(Damaged));
        }
    }
}
