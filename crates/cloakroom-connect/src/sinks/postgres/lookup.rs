//! Rows back to protected records, for whoever looks one up.

use bytes::BytesMut;
use cloakroom_core::decode::parse_json_object;
use cloakroom_core::error::did_you_mean;
use cloakroom_core::{Object, Value};
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

use super::connect::pg_error;
use super::table::{Table, quote};

/// How deep JSON columns may be nested: deeper than any record may.
const MAX_DEPTH: usize = 1_000;

/// Rows that have one of the values in a column.
pub(super) async fn find(
    client: &Client,
    table: &Table,
    column: &str,
    values: &[Value],
    limit: usize,
) -> Result<Vec<Object>, ConnectorError> {
    if table.find(column).is_none() {
        let near = did_you_mean(column, table.columns.iter().map(|column| column.name.as_str()));
        return Err(ConnectorError::configuration(format!("table {} has no column `{column}`{near}", table.name)));
    }
    // Whatever the column's type, the server reads it from its text, so a text and the number that it is are one.
    let mut texts: Vec<&str> = values
        .iter()
        .filter_map(|value| match value {
            Value::String(text) => Some(text.as_str()),
            Value::Number(number) => Some(number.as_str()),
            _ => None,
        })
        .collect();
    texts.dedup();
    let sql = format!("SELECT row_to_json(t)::text FROM {} t WHERE {} = $1 LIMIT {limit}", table.name, quote(column));
    let mut found = Vec::new();
    for text in texts {
        let rows = match client.query(&sql, &[&Text(text)]).await {
            Ok(rows) => rows,
            // No number, no date, no UUID: then no row has it.
            Err(error) if error.code().is_some_and(is_no_such_value) => continue,
            Err(error) => return Err(pg_error(&error)),
        };
        for row in rows {
            let text: String = row.try_get(0).map_err(|error| pg_error(&error))?;
            found.push(parse_json_object(text.as_bytes(), MAX_DEPTH).map_err(|error| {
                ConnectorError::new(ErrorKind::Corrupt, format!("a row of {}: {}", table.name, error.kind))
            })?);
        }
    }
    Ok(found)
}

fn is_no_such_value(state: &SqlState) -> bool {
    [
        SqlState::INVALID_TEXT_REPRESENTATION,
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        SqlState::INVALID_DATETIME_FORMAT,
        SqlState::DATETIME_FIELD_OVERFLOW,
    ]
    .contains(state)
}

/// A parameter that goes as text, of whatever type the server takes it for.
struct Text<'t>(&'t str);

/// The trait asks for it; what stands inside is a value.
impl std::fmt::Debug for Text<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Text")
    }
}

impl ToSql for Text<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}
