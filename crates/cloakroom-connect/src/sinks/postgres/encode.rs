//! Records to the rows of COPY's binary format
//! (<https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format"). A value that a column
//! cannot hold as it is rejects its record; nothing is rounded, cut or guessed.

use std::net::IpAddr;
use std::ops::Range;

use bytes::Bytes;
use cloakroom_core::dates::{days_since_1970, micros_since_1970};
use cloakroom_core::error::safe_path;
use cloakroom_core::policy::{ColumnSource, FieldType, Unlisted};
use cloakroom_core::{Number, Object, Policy, ProtectedRecord, RecordError, RecordErrorKind, Value, encode};
use cloakroom_pipeline::sink::RowOutcome;

use super::table::{Column, Table};

/// Signature, flags, no extension.
pub(super) const HEADER: &[u8] = b"PGCOPY\n\xFF\r\n\0\0\0\0\0\0\0\0\0";
/// A tuple of -1 fields ends the data.
pub(super) const TRAILER: &[u8] = b"\xFF\xFF";

/// PostgreSQL counts days and microseconds from 2000-01-01, 10,957 days after 1970-01-01.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 10_957 * 86_400 * 1_000_000;

/// What a column takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// text, varchar, char, citext, enumerations: received as their text.
    Text,
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Date,
    Timestamp,
    TimestampTz,
    Uuid,
    Json,
    Jsonb,
    Inet,
    Unknown,
}

impl Kind {
    /// By the type's object id (pg_type.dat) and category.
    pub(super) fn of(oid: u32, category: &str) -> Self {
        match oid {
            16 => Self::Bool,
            20 => Self::Int8,
            21 => Self::Int2,
            23 => Self::Int4,
            114 => Self::Json,
            700 => Self::Float4,
            701 => Self::Float8,
            869 => Self::Inet,
            1082 => Self::Date,
            1114 => Self::Timestamp,
            1184 => Self::TimestampTz,
            1700 => Self::Numeric,
            2950 => Self::Uuid,
            3802 => Self::Jsonb,
            _ if category == "S" || category == "E" => Self::Text,
            _ => Self::Unknown,
        }
    }

    /// Whether a column of this kind can hold a field of that type at all.
    pub(super) fn takes(self, field: FieldType) -> bool {
        match self {
            Self::Text | Self::Json | Self::Jsonb => true,
            Self::Bool => field == FieldType::Boolean,
            Self::Int2 | Self::Int4 | Self::Int8 => field == FieldType::Integer,
            Self::Float4 | Self::Float8 | Self::Numeric => matches!(field, FieldType::Integer | FieldType::Number),
            // A text may be a date, a UUID, an address; each record is looked at.
            Self::Date => matches!(field, FieldType::Date | FieldType::String),
            Self::Timestamp | Self::TimestampTz => {
                matches!(field, FieldType::Timestamp | FieldType::Date | FieldType::String)
            }
            Self::Uuid | Self::Inet => field == FieldType::String,
            Self::Unknown => false,
        }
    }
}

/// A batch as COPY rows.
pub(super) struct Encoded {
    /// Which columns, by their place in the table.
    pub(super) columns: Vec<usize>,
    body: Bytes,
    /// Where each row ends in the body.
    ends: Vec<usize>,
    /// Outcome of every record, and which row it is when it is one.
    records: Vec<Encoding>,
}

enum Encoding {
    Row,
    Duplicate,
    Refused(RecordError),
}

impl Encoded {
    /// Encodes the wanted records.
    pub(super) fn new(table: &Table, policy: &Policy, records: &[ProtectedRecord], wanted: &[bool]) -> Self {
        let named = policy.columns().iter().filter(|column| column.source != ColumnSource::Dropped);
        let mut columns: Vec<usize> = named.filter_map(|column| table.find(&column.name)).collect();
        if !table.key.is_empty() && policy.unlisted() == Unlisted::Keep {
            // A record replaces the row of its key, whatever other records of its batch bring: every column
            // that the sink fills takes part, and becomes null where the record has nothing for it.
            let others =
                table.columns.iter().enumerate().filter(|(_, column)| !column.has_default && !column.generated);
            let others: Vec<usize> = others.map(|(at, _)| at).filter(|at| !columns.contains(at)).collect();
            columns.extend(others);
        }
        // Fields that the policy keeps without naming them: their columns join when the first one is met,
        // and the batch is encoded again. The common case is one pass.
        loop {
            match encode_all(table, &columns, records, wanted, policy.unlisted() == Unlisted::Keep) {
                Ok(encoded) => return encoded,
                Err(Joins(column)) => columns.push(column),
            }
        }
    }

    pub(super) fn row_count(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of some rows, without header and trailer.
    pub(super) fn bytes(&self, rows: Range<usize>) -> Bytes {
        let end_of = |row: usize| row.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.body.slice(end_of(rows.start)..end_of(rows.end))
    }

    /// The outcome of every record, given the rows that the server refused.
    pub(super) fn outcomes(self, refused: Vec<(usize, RecordError)>) -> Vec<RowOutcome> {
        let mut refused: std::collections::HashMap<usize, RecordError> = refused.into_iter().collect();
        let mut row = 0;
        let outcome = |encoding| match encoding {
            Encoding::Duplicate => RowOutcome::Duplicate,
            Encoding::Refused(error) => RowOutcome::Dead(error),
            Encoding::Row => {
                row += 1;
                refused.remove(&(row - 1)).map_or(RowOutcome::Delivered, RowOutcome::Dead)
            }
        };
        self.records.into_iter().map(outcome).collect()
    }
}

/// A column that the records need and the list has not.
struct Joins(usize);

fn encode_all(
    table: &Table,
    columns: &[usize],
    records: &[ProtectedRecord],
    wanted: &[bool],
    may_join: bool,
) -> Result<Encoded, Joins> {
    let mut body = Vec::with_capacity(records.len() * 128);
    let mut ends = Vec::with_capacity(records.len());
    let mut encodings = Vec::with_capacity(records.len());
    for (record, wanted) in records.iter().zip(wanted) {
        if !wanted {
            encodings.push(Encoding::Duplicate);
            continue;
        }
        let start = body.len();
        match encode_row(table, columns, record.content(), &mut body) {
            Ok(()) => {
                ends.push(body.len());
                encodings.push(Encoding::Row);
            }
            Err(RowError::Unlisted(name)) => match table.find(name) {
                Some(column) if may_join && !table.columns[column].generated => return Err(Joins(column)),
                _ => {
                    body.truncate(start);
                    let why = "the table has no such column; drop the field, or add the column";
                    encodings.push(Encoding::Refused(RecordError::at(
                        RecordErrorKind::UnknownColumn,
                        safe_path(name),
                        why,
                    )));
                }
            },
            Err(RowError::Value(error)) => {
                body.truncate(start);
                encodings.push(Encoding::Refused(error));
            }
        }
    }
    Ok(Encoded { columns: columns.to_vec(), body: body.into(), ends, records: encodings })
}

enum RowError<'a> {
    /// A field that is in no listed column.
    Unlisted(&'a str),
    Value(RecordError),
}

fn encode_row<'a>(table: &Table, columns: &[usize], record: &'a Object, out: &mut Vec<u8>) -> Result<(), RowError<'a>> {
    out.extend_from_slice(&(columns.len() as i16).to_be_bytes());
    let (mut cursor, mut used) = (0, 0);
    for at in columns {
        let column = &table.columns[*at];
        // Records mostly have their fields in one order: look at the next one first.
        let found = match record.at(cursor) {
            Some((name, value)) if name == column.name => Some((cursor, value)),
            _ => record.iter().position(|(name, _)| name == column.name).and_then(|at| Some((at, record.at(at)?.1))),
        };
        match found {
            None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
            Some((at, value)) => {
                cursor = at + 1;
                used += 1;
                encode_value(column, value, out).map_err(RowError::Value)?;
            }
        }
    }
    if used < record.len() {
        let listed = |name: &str| columns.iter().any(|at| table.columns[*at].name == name);
        if let Some((name, _)) = record.iter().find(|(name, _)| !listed(name)) {
            return Err(RowError::Unlisted(name));
        }
    }
    Ok(())
}

/// Appends a field: its length, then its bytes.
fn encode_value(column: &Column, value: &Value, out: &mut Vec<u8>) -> Result<(), RecordError> {
    if *value == Value::Null {
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        return Ok(());
    }
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    put_value(column, value, out).map_err(|(kind, detail)| RecordError::at(kind, safe_path(&column.name), detail))?;
    let length = i32::try_from(out.len() - start - 4)
        .map_err(|_| RecordError::at(RecordErrorKind::TooLarge, safe_path(&column.name), "more than 2 GiB"))?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

type Refused = (RecordErrorKind, std::borrow::Cow<'static, str>);

fn put_value(column: &Column, value: &Value, out: &mut Vec<u8>) -> Result<(), Refused> {
    let wrong = |expected: &'static str| -> Refused {
        (RecordErrorKind::WrongType, format!("the column takes {expected}, a {} was found", value.kind()).into())
    };
    let inexact = |what: &'static str| -> Refused { (RecordErrorKind::Unrepresentable, what.into()) };
    match (column.kind, value) {
        (Kind::Text, value) => return put_text(column, value, out),
        (Kind::Json | Kind::Jsonb, value) => {
            if column.kind == Kind::Jsonb {
                out.push(1); // the format's version
            }
            encode::write_json(value, out);
        }
        (Kind::Bool, Value::Bool(flag)) => out.push(u8::from(*flag)),
        (Kind::Int2 | Kind::Int4 | Kind::Int8, Value::Number(number)) => {
            let integer = number.as_i64().ok_or_else(|| inexact("not an integer of 64 bits"))?;
            match column.kind {
                Kind::Int2 => out.extend(i16::try_from(integer).map_err(|_| inexact("beyond smallint"))?.to_be_bytes()),
                Kind::Int4 => out.extend(i32::try_from(integer).map_err(|_| inexact("beyond integer"))?.to_be_bytes()),
                _ => out.extend(integer.to_be_bytes()),
            }
        }
        (Kind::Float8, Value::Number(number)) => {
            let double = number.as_exact_f64().ok_or_else(|| inexact("double precision would change its digits"))?;
            out.extend(double.to_be_bytes());
        }
        (Kind::Float4, Value::Number(number)) => {
            let single = number.as_exact_f64().map(|double| double as f32).filter(|single| {
                f64::from(*single).to_string() == number.as_str() || single.to_string() == number.as_str()
            });
            out.extend(single.ok_or_else(|| inexact("real would change its digits"))?.to_be_bytes());
        }
        (Kind::Numeric, Value::Number(number)) => put_numeric(number, out).ok_or_else(|| inexact("beyond numeric"))?,
        (Kind::Date, Value::String(text)) => {
            let days = days_since_1970(text).ok_or_else(|| wrong("dates like 2024-02-29"))?;
            out.extend((days - EPOCH_DAYS).to_be_bytes());
        }
        (Kind::Timestamp | Kind::TimestampTz, Value::String(text)) => {
            let micros = micros_since_1970(text)
                .ok_or_else(|| wrong("moments like 2024-02-29T12:00:00Z, no finer than microseconds"))?;
            out.extend((micros - EPOCH_MICROS).to_be_bytes());
        }
        (Kind::Uuid, Value::String(text)) => out.extend(uuid(text).ok_or_else(|| wrong("UUIDs"))?),
        (Kind::Inet, Value::String(text)) => put_inet(text, out).ok_or_else(|| wrong("IP addresses and networks"))?,
        (Kind::Bool, _) => return Err(wrong("true or false")),
        (Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Float4 | Kind::Float8 | Kind::Numeric, _) => {
            return Err(wrong("numbers"));
        }
        (Kind::Date | Kind::Timestamp | Kind::TimestampTz, _) => return Err(wrong("dates")),
        (Kind::Uuid, _) => return Err(wrong("UUIDs")),
        (Kind::Inet, _) => return Err(wrong("IP addresses and networks")),
        (Kind::Unknown, _) => {
            return Err((RecordErrorKind::UnknownColumn, "the column's type cannot be written".into()));
        }
    }
    Ok(())
}

fn put_text(column: &Column, value: &Value, out: &mut Vec<u8>) -> Result<(), Refused> {
    let start = out.len();
    match value {
        Value::String(text) => out.extend_from_slice(text.as_bytes()),
        other => encode::write_json(other, out),
    }
    let written = &out[start..];
    if memchr::memchr(0, written).is_some() {
        return Err((
            RecordErrorKind::Unrepresentable,
            "SQLSTATE 22021: the database holds no character of code zero".into(),
        ));
    }
    if let Some(max) = column.max_chars
        && written.len() > max
    {
        // Every byte but those that continue a character (10xxxxxx) begins one.
        let count = written.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        if count > max {
            return Err((
                RecordErrorKind::TooLong,
                format!("SQLSTATE 22001: {count} characters, the column holds {max}").into(),
            ));
        }
    }
    Ok(())
}

/// `numeric`: groups of four decimal digits, the place of the first group, the sign, and the digits
/// after the point as they were written.
fn put_numeric(number: &Number, out: &mut Vec<u8>) -> Option<()> {
    let decimal = number.decimal()?;
    if decimal.point.abs() > 100_000 || decimal.scale > 16_000 {
        return None;
    }
    let (sign, scale) = (if decimal.negative { 0x4000_u16 } else { 0 }, i16::try_from(decimal.scale).ok()?);
    // Align the point to a multiple of four digits.
    let weight = if decimal.digits.is_empty() { 0 } else { (decimal.point - 1).div_euclid(4) };
    let lead = if decimal.digits.is_empty() { 0 } else { usize::try_from((weight + 1) * 4 - decimal.point).ok()? };
    let mut digits = vec![0_u8; lead];
    digits.extend_from_slice(&decimal.digits);
    while digits.len() % 4 != 0 {
        digits.push(0);
    }
    let groups = digits.len() / 4;
    out.extend(i16::try_from(groups).ok()?.to_be_bytes());
    out.extend(i16::try_from(weight).ok()?.to_be_bytes());
    out.extend(sign.to_be_bytes());
    out.extend(scale.to_be_bytes());
    for group in digits.chunks_exact(4) {
        let value = group.iter().fold(0_i16, |sum, digit| sum * 10 + i16::from(*digit));
        out.extend(value.to_be_bytes());
    }
    Some(())
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let hex: Vec<u8> = text
        .bytes()
        .filter(|byte| *byte != b'-')
        .map(|byte| char::from(byte).to_digit(16).map(|d| d as u8))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = hex.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if hex.len() == 32 { bytes.try_into().ok() } else { None }
}

/// `inet`: family, bits of the network, "is a cidr", length, address.
fn put_inet(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits: u8 = bits.map_or(Some(most), |bits| bits.parse().ok()).filter(|bits| *bits <= most)?;
    out.extend([if address.is_ipv4() { 2 } else { 3 }, bits, 0]);
    match address {
        IpAddr::V4(address) => {
            out.push(4);
            out.extend(address.octets());
        }
        IpAddr::V6(address) => {
            out.push(16);
            out.extend(address.octets());
        }
    }
    Some(())
}
