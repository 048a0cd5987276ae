//! Rows back to protected records, for whoever looks one up.

use cloakroom_core::error::did_you_mean;
use cloakroom_core::{CompactString, Number, Object, Value};
use cloakroom_pipeline::error::ConnectorError;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use super::table::{Table, no_file, open_to_read};
use super::values::bind;
use super::{Target, quoted, sqlite};

/// Rows that have one of the values in a column.
pub(super) fn find(
    target: &Target,
    column: &str,
    values: &[Value],
    limit: usize,
) -> Result<Vec<Object>, ConnectorError> {
    let connection = open_to_read(&target.path)?.ok_or_else(no_file)?;
    let Some(table) = Table::read(&connection, &target.table)? else {
        return Err(ConnectorError::configuration(format!("there is no table {}", target.table)));
    };
    let Some(at) = table.find(column) else {
        let near = did_you_mean(column, table.columns.iter().map(|column| column.name.as_str()));
        return Err(ConnectorError::configuration(format!("table {} has no column `{column}`{near}", target.table)));
    };
    // As the sink would have stored them; what it would not have stored is not there.
    let affinity = table.columns[at].affinity;
    let stored: Vec<_> = values.iter().filter_map(|value| bind(value, affinity)).collect();
    select(&connection, &target.table, column, &stored, limit).map_err(sqlite)
}

fn select(
    connection: &Connection,
    table: &str,
    column: &str,
    values: &[rusqlite::types::ToSqlOutput<'_>],
    limit: usize,
) -> rusqlite::Result<Vec<Object>> {
    let places = vec!["?"; values.len()].join(", ");
    let sql = format!("SELECT * FROM {} WHERE {} IN ({places}) LIMIT {limit}", quoted(table), quoted(column));
    let mut statement = connection.prepare(&sql)?;
    let names: Vec<CompactString> = statement.column_names().map(CompactString::new).collect();
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut record = Object::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            record.push(name.clone(), value(row.get_ref(index)?));
        }
        found.push(record);
    }
    Ok(found)
}

fn value(stored: ValueRef<'_>) -> Value {
    match stored {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Number::parse(&number.to_string()).map_or(Value::Null, Value::Number),
        // Not finite: JSON has no such numbers.
        ValueRef::Real(number) => Number::parse(&number.to_string()).map_or(Value::Null, Value::Number),
        ValueRef::Text(text) => Value::string(String::from_utf8_lossy(text)),
        // Nothing that this program has written.
        ValueRef::Blob(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Value::string(format!("\\x{hex}"))
        }
    }
}
