//! Records as text: JSON lines, a JSON array, CSV, `key=value` blocks.

use std::collections::HashSet;
use std::sync::Arc;

use cloakroom_core::error::safe_path;
use cloakroom_core::policy::{ColumnSource, Unlisted};
use cloakroom_core::{Policy, ProtectedRecord, RecordError, RecordErrorKind, Value, encode};
use cloakroom_pipeline::error::ConnectorError;
use schemars::JsonSchema;
use serde::Deserialize;

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

/// Writes records in one format.
pub(super) struct Encoder {
    format: FileFormat,
    columns: Vec<String>,
    /// For Parquet.
    typed: Option<Arc<Columns>>,
}

impl Encoder {
    pub(super) fn new(format: FileFormat, policy: &Policy) -> Result<Self, ConnectorError> {
        let named = policy.columns().iter().filter(|column| column.source != ColumnSource::Dropped);
        let columns: Vec<String> = named.map(|column| column.name.clone()).collect();
        if format == FileFormat::Csv && columns.is_empty() {
            return Err(ConnectorError::configuration("CSV needs columns: name the fields in `fields:`"));
        }
        if format == FileFormat::Csv && policy.unlisted() == Unlisted::Keep {
            return Err(ConnectorError::configuration(
                "CSV has fixed columns: set `record.unlisted` to `drop` or `reject`, and name every field to keep in `fields:`",
            ));
        }
        let typed = (format == FileFormat::Parquet).then(|| Columns::new(policy).map(Arc::new)).transpose()?;
        Ok(Self { format, columns, typed })
    }

    /// The columns of what is to become Parquet.
    pub(super) fn parquet(&self) -> Option<Arc<Columns>> {
        self.typed.clone()
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
        if let Some(columns) = &self.typed {
            columns.check(record)?;
        }
        match self.format {
            // Parquet, too, until the file is complete.
            FileFormat::JsonLines | FileFormat::Parquet => {
                record.write_json(out);
                out.push(b'\n');
            }
            FileFormat::JsonArray => {
                out.extend_from_slice(if any { b",\n" } else { b"[\n" });
                record.write_json(out);
            }
            FileFormat::Csv => {
                if !any {
                    self.csv_line(self.columns.iter().map(|name| name.as_bytes().to_vec()), out)?;
                }
                let known: HashSet<&str> = self.columns.iter().map(String::as_str).collect();
                if let Some((name, _)) = record.content().iter().find(|(name, _)| !known.contains(name)) {
                    return Err(RecordError::at(
                        RecordErrorKind::UnknownColumn,
                        safe_path(name),
                        "the CSV has no such column",
                    ));
                }
                self.csv_line(self.columns.iter().map(|name| text_of(record.get(name))), out)?;
            }
            FileFormat::KeyValue => {
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

    fn csv_line(&self, fields: impl Iterator<Item = Vec<u8>>, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(out);
        let written = writer.write_record(fields).map_err(|_| ()).and_then(|()| writer.flush().map_err(|_| ()));
        written.map_err(|()| RecordError::new(RecordErrorKind::Unrepresentable, "not to be written as CSV"))
    }

    /// What ends a complete file.
    pub(super) fn end(&self, any: bool) -> Vec<u8> {
        match (self.format, any) {
            (FileFormat::JsonArray, true) => b"\n]\n".to_vec(),
            (FileFormat::JsonArray, false) => b"[]\n".to_vec(),
            _ => Vec::new(),
        }
    }
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
