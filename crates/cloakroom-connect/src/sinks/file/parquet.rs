//! Parquet (<https://parquet.apache.org/docs/file-format/>), which cannot be appended to: records are collected as JSON
//! lines, and a file that is complete is turned into Parquet in one go, a row group in memory at a time.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use chrono::NaiveDate;
use cloakroom_core::decode::parse_json_object;
use cloakroom_core::error::safe_path;
use cloakroom_core::policy::{self, ColumnSource, FieldType, Unlisted};
use cloakroom_core::{Object, Policy, ProtectedRecord, RecordError, RecordErrorKind, Value, encode};
use cloakroom_pipeline::error::ConnectorError;
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;
use serde::{Deserialize, Serialize};

use super::disk;

/// The most rows of a row group.
const GROUP_ROWS: usize = 50_000;

/// The most bytes of its records as JSON, unless one alone has more.
const GROUP_BYTES: usize = 32 * 1024 * 1024;

/// How deep lines of our own may be nested: deeper than any record may.
const MAX_DEPTH: usize = 1_000;

/// The columns of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::sinks) struct Columns(Vec<Column>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Column {
    name: String,
    kind: Kind,
    required: bool,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// Text as it is; anything else as JSON.
    Text,
    Integer,
    Number,
    Boolean,
    /// A text like `2024-02-29`.
    Date,
}

impl Columns {
    /// The columns that the policy names.
    pub(in crate::sinks) fn new(policy: &Policy) -> Result<Self, ConnectorError> {
        let named = policy.columns().iter().filter(|column| column.source != ColumnSource::Dropped);
        let columns: Vec<Column> = named.map(Column::new).collect();
        if columns.is_empty() || policy.unlisted() == Unlisted::Keep {
            return Err(ConnectorError::configuration(
                "Parquet has fixed columns: set `record.unlisted` to `drop` or `reject`, and name every field to keep in `fields:`",
            ));
        }
        Ok(Self(columns))
    }

    /// Why a record cannot be a row.
    pub(in crate::sinks) fn check(&self, record: &ProtectedRecord) -> Result<(), RecordError> {
        let unknown = |(name, _): &(&str, &Value)| self.0.iter().all(|column| column.name != *name);
        if let Some((name, _)) = record.content().iter().find(unknown) {
            let what = "the Parquet file has no such column";
            return Err(RecordError::at(RecordErrorKind::UnknownColumn, safe_path(name), what));
        }
        for column in &self.0 {
            let refuse = |kind, what: &'static str| Err(RecordError::at(kind, safe_path(&column.name), what));
            let fits = match (column.kind, record.get(&column.name)) {
                (_, None | Some(Value::Null)) if column.required => {
                    return refuse(RecordErrorKind::MissingField, "the Parquet column is never null");
                }
                (_, None | Some(Value::Null)) | (Kind::Text, _) | (Kind::Boolean, Some(Value::Bool(_))) => true,
                (Kind::Integer, Some(Value::Number(number))) => number.as_i64().is_some(),
                (Kind::Number, Some(Value::Number(number))) => number.as_exact_f64().is_some(),
                (Kind::Date, Some(Value::String(text))) => days(text).is_some(),
                _ => false,
            };
            if !fits {
                return refuse(RecordErrorKind::Unrepresentable, "the Parquet column's type would change it");
            }
        }
        Ok(())
    }

    fn schema(&self) -> Result<Type, ParquetError> {
        let fields = self.0.iter().map(|column| column.field().map(Arc::new)).collect::<Result<_, _>>()?;
        Type::group_type_builder("record").with_fields(fields).build()
    }

    /// Turns a complete file of JSON lines into Parquet under another name, or under its own: whatever has the name is the
    /// one or the other, whenever this ends. `InvalidData` says that the records are not of these columns.
    pub(super) fn convert(&self, path: &Path, name: &Path) -> io::Result<()> {
        let converted = disk::with_ending(path, "parquet");
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let out = BufWriter::new(File::create(&converted)?);
        let schema = self.schema().map_err(failed)?;
        let mut writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties)).map_err(failed)?;
        let mut lines = BufReader::new(File::open(path)?);
        let (mut rows, mut bytes, mut line) = (Vec::new(), 0, Vec::new());
        loop {
            line.clear();
            let length = lines.read_until(b'\n', &mut line)?;
            if !rows.is_empty() && (length == 0 || rows.len() >= GROUP_ROWS || bytes + length > GROUP_BYTES) {
                let mut group = writer.next_row_group().map_err(failed)?;
                self.0.iter().try_for_each(|column| column.write(&mut group, &rows)).map_err(failed)?;
                group.close().map_err(failed)?;
                rows.clear();
                bytes = 0;
            }
            if length == 0 {
                break;
            }
            // These lines are what this program wrote and synced.
            let row = parse_json_object(&line, MAX_DEPTH).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            if row.iter().any(|(name, _)| self.0.iter().all(|column| column.name != name)) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            rows.push(row);
            bytes += length;
        }
        let mut out = writer.into_inner().map_err(failed)?;
        out.flush()?;
        out.get_ref().sync_all()?;
        fs::rename(&converted, name)
    }
}

/// True when a file was turned into Parquet. JSON lines begin with a brace.
pub(super) fn is_converted(path: &Path) -> io::Result<bool> {
    let mut beginning = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut beginning)?;
    Ok(beginning == b"PAR1")
}

impl Column {
    fn new(column: &policy::Column) -> Self {
        let kind = match column.column_type {
            Some(FieldType::Integer) => Kind::Integer,
            Some(FieldType::Number) => Kind::Number,
            Some(FieldType::Boolean) => Kind::Boolean,
            Some(FieldType::Date) => Kind::Date,
            _ => Kind::Text,
        };
        Self { name: column.name.clone(), kind, required: column.never_null }
    }

    fn field(&self) -> Result<Type, ParquetError> {
        let (physical, logical) = match self.kind {
            Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Integer => (Physical::INT64, None),
            Kind::Number => (Physical::DOUBLE, None),
            Kind::Boolean => (Physical::BOOLEAN, None),
            Kind::Date => (Physical::INT32, Some(LogicalType::Date)),
        };
        let repetition = if self.required { Repetition::REQUIRED } else { Repetition::OPTIONAL };
        Type::primitive_type_builder(&self.name, physical)
            .with_logical_type(logical)
            .with_repetition(repetition)
            .build()
    }

    fn write<W: Write + Send>(
        &self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        rows: &[Object],
    ) -> Result<(), ParquetError> {
        match self.kind {
            Kind::Text => self.put::<ByteArrayType, W>(group, rows, |value| Some(ByteArray::from(text(value)))),
            Kind::Integer => self.put::<Int64Type, W>(group, rows, |value| match value {
                Value::Number(number) => number.as_i64(),
                _ => None,
            }),
            Kind::Number => self.put::<DoubleType, W>(group, rows, |value| match value {
                Value::Number(number) => number.as_exact_f64(),
                _ => None,
            }),
            Kind::Boolean => self.put::<BoolType, W>(group, rows, |value| match value {
                Value::Bool(truth) => Some(*truth),
                _ => None,
            }),
            Kind::Date => self.put::<Int32Type, W>(group, rows, |value| value.as_str().and_then(days)),
        }
    }

    /// Values, and for each row whether it has one. Every value is of its column's type: it was checked when it came.
    fn put<T: DataType, W: Write + Send>(
        &self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        rows: &[Object],
        value: impl Fn(&Value) -> Option<T::T>,
    ) -> Result<(), ParquetError> {
        let mut values = Vec::with_capacity(rows.len());
        let mut levels = Vec::with_capacity(rows.len());
        for row in rows {
            let given = row.get(&self.name).filter(|value| **value != Value::Null);
            let given = given.map(|given| value(given).ok_or_else(|| ParquetError::General("another type".to_owned())));
            levels.push(i16::from(given.is_some()));
            values.extend(given.transpose()?);
        }
        let Some(mut column) = group.next_column()? else {
            return Err(ParquetError::General("a column too many".to_owned()));
        };
        column.typed::<T>().write_batch(&values, (!self.required).then_some(&levels[..]), None)?;
        column.close()
    }
}

fn text(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::String(text) => out.extend_from_slice(text.as_bytes()),
        other => encode::write_json(other, &mut out),
    }
    out
}

/// Days since 1970-01-01.
fn days(text: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    // No other spelling of it: what is read back is the same text.
    (date.to_string() == text).then(|| date.to_epoch_days())
}

/// The library's words are not repeated: they might quote what it was given.
fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(_) => io::ErrorKind::Other.into(),
        },
        _ => io::ErrorKind::InvalidData.into(),
    }
}
