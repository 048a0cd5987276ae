//! Records as text: JSON lines, a JSON array, CSV, `key=value` blocks.

use std::collections::HashSet;

use cloakroom_core::error::safe_path;
use cloakroom_core::policy::{ColumnSource, Unlisted};
use cloakroom_core::{Policy, ProtectedRecord, RecordError, RecordErrorKind, Value, encode};
use cloakroom_pipeline::error::ConnectorError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::Columns;

/// How records are written into a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// One JSON object a line.
    #[default]
    JsonLines,
    /// One JSON array of objects.
    JsonArray,
    /// CSV with a header of the fields that the policy names (RFC 4180); null is an empty field.
    Csv,
    /// Blocks of `key=value` lines with an empty line between them; null is an empty value.
    KeyValue,
    /// Parquet with a column for each field that the policy names, compressed with zstd. Only with `rotate` or `replace`.
    Parquet,
}

/// What a file holds: the format of its records, and its columns where they are fixed. The journal beside a file keeps it:
/// records of another layout would not be read as what they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Layout {
    JsonLines,
    JsonArray,
    /// The names of its header, in order.
    Csv(Vec<String>),
    KeyValue,
    Parquet(Columns),
}

impl Layout {
    /// What this policy writes.
    pub(super) fn new(format: FileFormat, policy: &Policy) -> Result<Self, ConnectorError> {
        Ok(match format {
            FileFormat::JsonLines => Self::JsonLines,
            FileFormat::JsonArray => Self::JsonArray,
            FileFormat::KeyValue => Self::KeyValue,
            FileFormat::Parquet => Self::Parquet(Columns::new(policy)?),
            FileFormat::Csv => {
                let named = policy.columns().iter().filter(|column| column.source != ColumnSource::Dropped);
                let columns: Vec<String> = named.map(|column| column.name.clone()).collect();
                if columns.is_empty() {
                    return Err(ConnectorError::configuration("CSV needs columns: name the fields in `fields:`"));
                }
                if policy.unlisted() == Unlisted::Keep {
                    return Err(ConnectorError::configuration(
                        "CSV has fixed columns: set `record.unlisted` to `drop` or `reject`, and name every field to keep in `fields:`",
                    ));
                }
                Self::Csv(columns)
            }
        })
    }

    /// The columns of what is to become Parquet.
    pub(super) fn parquet(&self) -> Option<&Columns> {
        match self {
            Self::Parquet(columns) => Some(columns),
            _ => None,
        }
    }

    /// What a file with records begins with, where the layout says that.
    pub(super) fn header(&self) -> Option<Vec<u8>> {
        let Self::Csv(columns) = self else { return None };
        let mut header = Vec::new();
        csv_line(columns.iter().map(String::as_bytes), &mut header).ok()?;
        Some(header)
    }

    /// Appends the wanted records; gives those that the format cannot hold, by index.
    pub(super) fn write(
        &self,
        records: &[ProtectedRecord],
        wanted: &[bool],
        mut any: bool,
        out: &mut Vec<u8>,
    ) -> Vec<(usize, RecordError)> {
        let mut refused = Vec::new();
        for (index, record) in records.iter().enumerate().filter(|(index, _)| wanted[*index]) {
            let length = out.len();
            match self.write_one(record, any, out) {
                Ok(()) => any = true,
                Err(error) => {
                    out.truncate(length);
                    refused.push((index, error));
                }
            }
        }
        refused
    }

    fn write_one(&self, record: &ProtectedRecord, any: bool, out: &mut Vec<u8>) -> Result<(), RecordError> {
        match self {
            Self::JsonLines => write_line(record, out),
            // Until the file is complete.
            Self::Parquet(columns) => {
                columns.check(record)?;
                write_line(record, out);
            }
            Self::JsonArray => {
                out.extend_from_slice(if any { b",\n" } else { b"[\n" });
                record.write_json(out);
            }
            Self::Csv(columns) => {
                if !any {
                    csv_line(columns.iter().map(String::as_bytes), out)?;
                }
                let known: HashSet<&str> = columns.iter().map(String::as_str).collect();
                if let Some((name, _)) = record.content().iter().find(|(name, _)| !known.contains(name)) {
                    return Err(RecordError::at(
                        RecordErrorKind::UnknownColumn,
                        safe_path(name),
                        "the CSV has no such column",
                    ));
                }
                csv_line(columns.iter().map(|name| text_of(record.get(name))), out)?;
            }
            Self::KeyValue => {
                if any {
                    out.push(b'\n');
                }
                for (name, value) in record.content().iter() {
                    let text = text_of(Some(value));
                    if name.contains(['=', '\n', '\r']) || text.contains(&b'\n') || text.contains(&b'\r') {
                        let why = "a `key=value` line cannot hold a line break, nor its key a `=`";
                        return Err(RecordError::at(RecordErrorKind::Unrepresentable, safe_path(name), why));
                    }
                    out.extend_from_slice(name.as_bytes());
                    out.push(b'=');
                    out.extend_from_slice(&text);
                    out.push(b'\n');
                }
            }
        }
        Ok(())
    }

    /// What ends a complete file.
    pub(super) fn end(&self, any: bool) -> Vec<u8> {
        match (self, any) {
            (Self::JsonArray, true) => b"\n]\n".to_vec(),
            (Self::JsonArray, false) => b"[]\n".to_vec(),
            _ => Vec::new(),
        }
    }
}

fn write_line(record: &ProtectedRecord, out: &mut Vec<u8>) {
    record.write_json(out);
    out.push(b'\n');
}

fn csv_line<T: AsRef<[u8]>>(fields: impl Iterator<Item = T>, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(out);
    let written = writer.write_record(fields).map_err(|_| ()).and_then(|()| writer.flush().map_err(|_| ()));
    written.map_err(|()| RecordError::new(RecordErrorKind::Unrepresentable, "not to be written as CSV"))
}

/// A value as plain text: strings as they are, null as nothing, anything else as JSON.
fn text_of(value: Option<&Value>) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => out.extend_from_slice(text.as_bytes()),
        Some(other) => encode::write_json(other, &mut out),
    }
    out
}
