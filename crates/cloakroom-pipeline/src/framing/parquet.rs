//! Rows of Parquet files (<https://parquet.apache.org/docs/file-format/>) as records.
//!
//! A file is read row group by row group, each column page by page, through a small cache of blocks: memory does not grow
//! with the file, and what is far away (an object) is asked for in large pieces. A row's place is its number.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat};
use cloakroom_core::{CompactString, Number, Object, Payload, Value, encode};
use parquet::basic::{LogicalType, TimeUnit};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, Length};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use super::frame::{Framed, Receive};
use super::input::{Content, Input};
use super::position::{Position, SAMPLE};
use crate::error::{ConnectorError, ErrorKind};

/// Bytes of a block of the cache.
const BLOCK: u64 = 512 * 1024;
/// Blocks in the cache. Columns are read side by side, each where it stands in the file.
const BLOCKS: usize = 32;

/// Reads rows from a position on: `end` and `number` both count rows.
pub(super) fn rows(input: &Input, from: &Position, out: &mut dyn Receive) -> Result<(), ConnectorError> {
    let Some(length) = input.plain_length() else {
        return Err(ConnectorError::configuration(
            "Parquet is read from its end: it cannot come from a stream or be compressed as a whole",
        ));
    };
    let blocks = Arc::new(Blocks { content: input.content(), length, cached: Mutex::new(VecDeque::new()) });
    let broken = |row: u64, error: &ParquetError| broken(input, row, error);
    let reader = SerializedFileReader::new(Window(Arc::clone(&blocks))).map_err(|error| broken(0, &error))?;
    let metadata = Arc::new(reader.metadata().clone());
    let schema = metadata.file_metadata().schema();
    let sample = ending(&blocks).map_err(|error| input.error(&error))?;
    let mut before = 0_u64;
    for (index, group) in metadata.row_groups().iter().enumerate() {
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        let first = before;
        before += rows;
        if before <= from.end {
            continue;
        }
        let skip = from.end.saturating_sub(first);
        let group = reader.get_row_group(index).map_err(|error| broken(first, &error))?;
        let rows = group.get_row_iter(None).map_err(|error| broken(first, &error))?;
        for (number, row) in (first..).zip(rows) {
            let row = row.map_err(|error| broken(number, &error))?;
            if number < first + skip {
                continue;
            }
            let mut bytes = Vec::new();
            encode::write_object(&object(&row, Some(schema)), &mut bytes);
            out.record(Framed {
                payload: Payload::Json(bytes.into()),
                number: number + 1,
                start: number,
                end: number + 1,
                sample: sample.clone(),
            })?;
        }
    }
    Ok(())
}

/// The last bytes of the file, which say where everything in it stands: what tells this file from another.
fn ending(blocks: &Blocks) -> io::Result<(u64, Bytes)> {
    let start = blocks.length.saturating_sub(SAMPLE as u64);
    let mut bytes = Vec::new();
    blocks.content.open_at(start)?.take(SAMPLE as u64).read_to_end(&mut bytes)?;
    Ok((start, bytes.into()))
}

/// The library's words are not repeated: they quote what they could not read.
fn broken(input: &Input, row: u64, error: &ParquetError) -> ConnectorError {
    if let ParquetError::External(cause) = error
        && let Some(io) = cause.downcast_ref::<io::Error>()
    {
        return input.error(io);
    }
    let place = if row == 0 { String::new() } else { format!(" after row {row}") };
    match error {
        ParquetError::NYI(_) => ConnectorError::configuration(format!("a kind of Parquet that is not known{place}")),
        _ => ConnectorError::new(ErrorKind::Corrupt, format!("the Parquet file cannot be read{place}")),
    }
}

/// A row, or a group in it, as an object.
fn object(row: &Row, schema: Option<&Type>) -> Object {
    let mut object = Object::with_capacity(row.len());
    for (index, (name, field)) in row.get_column_iter().enumerate() {
        let of = schema.and_then(|schema| schema.get_fields().get(index)).map(AsRef::as_ref);
        object.push(CompactString::new(name), value(field, of));
    }
    object
}

fn number(text: &str) -> Value {
    // What is no number of JSON (NaN, infinity) stays what it is, as text: a rule that wants a number refuses it.
    Number::parse(text).map_or_else(|| Value::string(text), Value::Number)
}

/// A field as JSON has it. Dates and times are texts as in ISO 8601, decimals numbers with all their digits, bytes that are
/// no text base64.
fn value(field: &Field, of: Option<&Type>) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(truth) => Value::Bool(*truth),
        Field::Byte(int) => Value::Number(i64::from(*int).into()),
        Field::Short(int) => Value::Number(i64::from(*int).into()),
        Field::Int(int) => Value::Number(i64::from(*int).into()),
        Field::Long(int) => {
            match of.filter(|of| of.is_primitive()).and_then(|of| of.get_basic_info().logical_type_ref()) {
                Some(LogicalType::Timestamp(of)) if of.unit == TimeUnit::NANOS => {
                    time(Some(DateTime::from_timestamp_nanos(*int)), SecondsFormat::Nanos, *int)
                }
                _ => Value::Number((*int).into()),
            }
        }
        Field::UByte(int) => Value::Number(i64::from(*int).into()),
        Field::UShort(int) => Value::Number(i64::from(*int).into()),
        Field::UInt(int) => Value::Number(i64::from(*int).into()),
        Field::ULong(int) => number(&int.to_string()),
        Field::Float16(float) => number(&format!("{:?}", f32::from(*float))),
        Field::Float(float) => number(&format!("{float:?}")),
        Field::Double(float) => number(&format!("{float:?}")),
        Field::Decimal(_) => number(&field.to_string()),
        Field::Str(text) => Value::string(text),
        // Old writers left out that a column is text.
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => Value::string(text),
            Err(_) => Value::string(STANDARD.encode(bytes.data())),
        },
        Field::Date(days) => {
            let date = NaiveDate::from_epoch_days(*days);
            date.map_or_else(|| Value::Number(i64::from(*days).into()), |date| Value::string(date.to_string()))
        }
        Field::TimeMillis(millis) => clock(i64::from(*millis) * 1000),
        Field::TimeMicros(micros) => clock(*micros),
        Field::TimestampMillis(millis) => {
            time(DateTime::from_timestamp_millis(*millis), SecondsFormat::Millis, *millis)
        }
        Field::TimestampMicros(micros) => {
            time(DateTime::from_timestamp_micros(*micros), SecondsFormat::Micros, *micros)
        }
        Field::Group(row) => Value::Object(object(row, of)),
        Field::ListInternal(list) => Value::Array(list.elements().iter().map(|field| value(field, None)).collect()),
        Field::MapInternal(map) => {
            let mut object = Object::with_capacity(map.len());
            for (key, field) in map.entries() {
                let name = match value(key, None) {
                    Value::String(text) => text,
                    Value::Number(number) => CompactString::new(number.as_str()),
                    _ => CompactString::new(key.to_string()),
                };
                object.push(name, value(field, None));
            }
            Value::Object(object)
        }
    }
}

/// A moment; the number itself when no calendar reaches so far.
fn time(moment: Option<DateTime<chrono::Utc>>, precision: SecondsFormat, raw: i64) -> Value {
    let text = |moment: DateTime<chrono::Utc>| Value::string(moment.to_rfc3339_opts(precision, true));
    moment.map_or_else(|| Value::Number(raw.into()), text)
}

/// A time of day, in microseconds.
fn clock(micros: i64) -> Value {
    let whole = u32::try_from(micros.div_euclid(1_000_000)).ok();
    let rest = u32::try_from(micros.rem_euclid(1_000_000) * 1000).unwrap_or(0);
    let time = whole.and_then(|seconds| NaiveTime::from_num_seconds_from_midnight_opt(seconds, rest));
    time.map_or_else(|| Value::Number(micros.into()), |time| Value::string(time.to_string()))
}

/// The content in blocks, the latest of which are kept.
struct Blocks {
    content: Arc<dyn Content>,
    length: u64,
    /// Number and bytes, the one used last at the end.
    cached: Mutex<VecDeque<(u64, Bytes)>>,
}

impl Blocks {
    fn block(&self, number: u64) -> io::Result<Bytes> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = cached.iter().position(|(known, _)| *known == number)
            && let Some(found) = cached.remove(at)
        {
            let bytes = found.1.clone();
            cached.push_back(found);
            return Ok(bytes);
        }
        let start = number * BLOCK;
        let wanted = BLOCK.min(self.length.saturating_sub(start));
        let mut bytes = Vec::with_capacity(usize::try_from(wanted).unwrap_or(0));
        self.content.read_range(start, wanted)?.read_to_end(&mut bytes)?;
        if bytes.len() as u64 != wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let bytes = Bytes::from(bytes);
        if cached.len() >= BLOCKS {
            cached.pop_front();
        }
        cached.push_back((number, bytes.clone()));
        Ok(bytes)
    }
}

/// What the library reads through.
struct Window(Arc<Blocks>);

impl Length for Window {
    fn len(&self) -> u64 {
        self.0.length
    }
}

impl ChunkReader for Window {
    type T = Walk;

    fn get_read(&self, start: u64) -> Result<Walk, ParquetError> {
        Ok(Walk { blocks: Arc::clone(&self.0), at: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let mut bytes = vec![0; length];
        let mut walk = Walk { blocks: Arc::clone(&self.0), at: start };
        walk.read_exact(&mut bytes).map_err(|error| ParquetError::External(Box::new(error)))?;
        Ok(bytes.into())
    }
}

struct Walk {
    blocks: Arc<Blocks>,
    at: u64,
}

impl Read for Walk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.blocks.length || buffer.is_empty() {
            return Ok(0);
        }
        let block = self.blocks.block(self.at / BLOCK)?;
        let from = usize::try_from(self.at % BLOCK).unwrap_or(0);
        let count = buffer.len().min(block.len() - from);
        buffer[..count].copy_from_slice(&block[from..from + count]);
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
