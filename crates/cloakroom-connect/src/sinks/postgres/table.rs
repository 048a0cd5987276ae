//! The table: what columns it has, whether they fit the policy, and making what is missing.

use std::fmt;
use std::sync::Arc;

use cloakroom_core::error::did_you_mean;
use cloakroom_core::policy::{Column as PolicyColumn, ColumnSource, FieldType, Unlisted};
use cloakroom_core::{Policy, ProtectedRecord, Value};
use cloakroom_pipeline::error::ConnectorError;
use tokio_postgres::Client;

use super::connect::pg_error;
use super::encode::Kind;

/// PostgreSQL itself allows 1,600; beyond this the source has no columns but keys.
const MAX_COLUMNS: usize = 500;

/// A table's name, checked.
#[derive(Clone)]
pub(super) struct TableName {
    schema: Option<String>,
    table: String,
}

impl TableName {
    pub(super) fn parse(text: &str) -> Result<Self, ConnectorError> {
        let parts: Vec<&str> = text.split('.').collect();
        let (schema, table) = match parts[..] {
            [table] => (None, table),
            [schema, table] => (Some(schema.to_owned()), table),
            _ => (None, ""),
        };
        let fits = |name: &str| !name.is_empty() && name.len() <= 63 && !name.contains(['"', '\0']);
        if !fits(table) || !schema.as_deref().is_none_or(fits) {
            return Err(ConnectorError::configuration(
                "`sink.postgres.table` is `table` or `schema.table`, names of up to 63 bytes",
            ));
        }
        Ok(Self { schema, table: table.to_owned() })
    }

    /// Another table in the same schema, quoted.
    pub(super) fn sibling(&self, table: &str) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quote(schema), quote(table)),
            None => quote(table),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sibling(&self.table))
    }
}

/// An identifier as SQL wants it.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// One column.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    type_name: String,
    /// For varchar(n) and char(n).
    pub(super) max_chars: Option<usize>,
    not_null: bool,
    pub(super) has_default: bool,
    pub(super) generated: bool,
}

/// A table that exists.
pub(super) struct Table {
    pub(super) name: TableName,
    pub(super) columns: Vec<Column>,
    pub(super) key: Vec<String>,
    /// Names of its constraints and unique indexes, which errors may carry.
    pub(super) constraints: Vec<String>,
}

pub(super) fn missing(name: &TableName) -> ConnectorError {
    ConnectorError::configuration(format!("postgres: there is no table {name}; make it, or write `create_table: true`"))
}

/// Looks the table up; `None` when it is not there.
pub(super) async fn find(client: &Client, name: &TableName, key: &[String]) -> Result<Option<Table>, ConnectorError> {
    let text = name.to_string();
    let rows = client
        .query(
            "SELECT a.attname::text, coalesce(nullif(t.typbasetype, 0), t.oid), b.typcategory::text,
                    a.atttypmod, a.attnotnull, a.atthasdef OR a.attidentity <> '', a.attgenerated <> '' OR a.attidentity = 'a',
                    format_type(a.atttypid, a.atttypmod)
             FROM pg_attribute a
             JOIN pg_type t ON t.oid = a.atttypid
             JOIN pg_type b ON b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
             WHERE a.attrelid = to_regclass($1)::oid AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY a.attnum",
            &[&text],
        )
        .await
        .map_err(|error| pg_error(&error))?;
    if rows.is_empty() {
        return Ok(None);
    }
    let mut columns = Vec::with_capacity(rows.len());
    for row in rows {
        let (oid, category, modifier): (u32, String, i32) = (row.get(1), row.get(2), row.get(3));
        let kind = Kind::of(oid, &category);
        columns.push(Column {
            name: row.get(0),
            kind,
            type_name: row.get(7),
            // The modifier of varchar(n) and char(n) is n + 4.
            max_chars: (kind == Kind::Text && modifier > 4)
                .then(|| usize::try_from(modifier - 4).unwrap_or(usize::MAX)),
            not_null: row.get(4),
            has_default: row.get(5),
            generated: row.get(6),
        });
    }
    let constraints = client
        .query(
            "SELECT conname::text FROM pg_constraint WHERE conrelid = to_regclass($1)::oid
             UNION SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
             WHERE i.indrelid = to_regclass($1)::oid",
            &[&text],
        )
        .await
        .map_err(|error| pg_error(&error))?;
    let constraints = constraints.into_iter().map(|row| row.get(0)).collect();
    let table = Table { name: name.clone(), columns, key: key.to_vec(), constraints };
    if !key.is_empty() {
        table.check_key(client).await?;
    }
    Ok(Some(table))
}

impl Table {
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    async fn check_key(&self, client: &Client) -> Result<(), ConnectorError> {
        let names = || self.columns.iter().map(|column| column.name.as_str());
        for name in &self.key {
            if self.find(name).is_none() {
                let near = did_you_mean(name, names());
                return Err(ConnectorError::configuration(format!(
                    "postgres: `key` names `{name}`, which table {} has not{near}",
                    self.name
                )));
            }
        }
        let mut key = self.key.clone();
        key.sort();
        let covered = client
            .query_one(
                "SELECT EXISTS (
                     SELECT FROM pg_index i
                     WHERE i.indrelid = to_regclass($1)::oid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
                       AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text COLLATE \"C\") FROM pg_attribute a
                            WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])) = $2)",
                &[&self.name.to_string(), &key],
            )
            .await
            .map_err(|error| pg_error(&error))?;
        if covered.get(0) {
            return Ok(());
        }
        let columns = self.key.join(", ");
        Err(ConnectorError::configuration(format!(
            "postgres: no unique index of table {} covers `key` ({columns}); make one: CREATE UNIQUE INDEX ON {} ({columns})",
            self.name, self.name
        )))
    }

    /// Holds the table against the policy: what does not fit is said before the first record.
    pub(super) fn check(&self, policy: &Policy, create: bool) -> Result<(), ConnectorError> {
        let wrong = |text: String| Err(ConnectorError::configuration(format!("postgres: table {}: {text}", self.name)));
        let delivered = || policy.columns().iter().filter(|column| column.source != ColumnSource::Dropped);
        for wanted in delivered() {
            let Some(at) = self.find(&wanted.name) else {
                if create {
                    continue;
                }
                let near = did_you_mean(&wanted.name, self.columns.iter().map(|column| column.name.as_str()));
                return wrong(format!("has no column `{}`, which `fields.{}` gives{near}", wanted.name, wanted.from));
            };
            let column = &self.columns[at];
            if column.generated {
                return wrong(format!("column `{}` makes its own values; leave it out of `fields:`", column.name));
            }
            if let Some(field_type) = wanted.column_type
                && !column.kind.takes(field_type)
            {
                let (name, found) = (&column.name, &column.type_name);
                return wrong(format!(
                    "column `{name}` is of type {found}, and `fields.{}` gives {}",
                    wanted.from,
                    field_type.name()
                ));
            }
            let longest = wanted.fixed_length.or(wanted.max_length).map(|length| length as usize);
            if let (Some(holds), Some(longest)) = (column.max_chars, longest)
                && longest > holds
            {
                let name = &column.name;
                return wrong(format!(
                    "column `{name}` holds {holds} characters, and `fields.{}` gives up to {longest}",
                    wanted.from
                ));
            }
        }
        for column in &self.columns {
            if column.kind == Kind::Unknown
                && !column.has_default
                && delivered().any(|wanted| wanted.name == column.name)
            {
                return wrong(format!(
                    "column `{}` is of type {}, which cannot be written; use text or jsonb",
                    column.name, column.type_name
                ));
            }
            let filled = delivered().any(|wanted| wanted.name == column.name);
            if column.not_null
                && !column.has_default
                && !column.generated
                && !filled
                && policy.unlisted() != Unlisted::Keep
            {
                return wrong(format!(
                    "column `{}` must not be null, and no field of the policy fills it",
                    column.name
                ));
            }
        }
        Ok(())
    }
}

/// The table with a column for every field of these records, as far as it may be made or changed.
pub(super) async fn prepare(
    client: &Client,
    name: &TableName,
    table: Option<&Arc<Table>>,
    policy: &Policy,
    records: &[ProtectedRecord],
    create: bool,
    key: &[String],
) -> Result<Arc<Table>, ConnectorError> {
    let table = match table {
        Some(table) if !create => return Ok(Arc::clone(table)),
        table => table,
    };
    let mut wanted: Vec<(String, String, bool)> = Vec::new();
    let has = |name: &str, wanted: &[(String, String, bool)]| {
        table.is_some_and(|table| table.find(name).is_some()) || wanted.iter().any(|(known, _, _)| known == name)
    };
    for column in policy.columns().iter().filter(|column| column.source != ColumnSource::Dropped) {
        if !has(&column.name, &wanted) {
            wanted.push((column.name.clone(), sql_type(column, records), column.never_null));
        }
    }
    if policy.unlisted() == Unlisted::Keep {
        for record in records {
            for (name, _) in record.content().iter() {
                let room = wanted.len() + table.map_or(0, |table| table.columns.len()) < MAX_COLUMNS;
                if room && name.len() <= 63 && !name.is_empty() && !name.contains('\0') && !has(name, &wanted) {
                    wanted.push((name.to_owned(), inferred_type(name, records).to_owned(), false));
                }
            }
        }
    }
    let sql = match table {
        Some(table) if wanted.is_empty() => return Ok(Arc::clone(table)),
        Some(_) => {
            let added: Vec<String> =
                wanted.iter().map(|(name, sql, _)| format!("ADD COLUMN IF NOT EXISTS {} {sql}", quote(name))).collect();
            format!("ALTER TABLE {name} {}", added.join(", "))
        }
        None => {
            let not_null = |never_null: bool| if never_null { " NOT NULL" } else { "" };
            let mut parts: Vec<String> =
                wanted.iter().map(|(name, sql, never)| format!("{} {sql}{}", quote(name), not_null(*never))).collect();
            if !key.is_empty() {
                let columns: Vec<String> = key.iter().map(|name| quote(name)).collect();
                parts.push(format!("PRIMARY KEY ({})", columns.join(", ")));
            }
            format!("CREATE TABLE IF NOT EXISTS {name} ({})", parts.join(", "))
        }
    };
    client.batch_execute(&sql).await.map_err(|error| pg_error(&error).context("making the table or its columns"))?;
    match find(client, name, key).await? {
        Some(table) => Ok(Arc::new(table)),
        None => Err(missing(name)),
    }
}

fn sql_type(column: &PolicyColumn, records: &[ProtectedRecord]) -> String {
    match (column.column_type, column.max_length) {
        (Some(FieldType::String), Some(length)) => format!("varchar({length})"),
        (Some(FieldType::String), None) => "text".to_owned(),
        (Some(FieldType::Integer), _) => "bigint".to_owned(),
        (Some(FieldType::Number), _) => "numeric".to_owned(),
        (Some(FieldType::Boolean), _) => "boolean".to_owned(),
        (Some(FieldType::Date), _) => "date".to_owned(),
        (Some(FieldType::Timestamp), _) => "timestamptz".to_owned(),
        (Some(FieldType::Object | FieldType::Array), _) => "jsonb".to_owned(),
        (None, _) => inferred_type(&column.name, records).to_owned(),
    }
}

/// The type of a field that the policy keeps without saying one, by its first value that is not null.
fn inferred_type(name: &str, records: &[ProtectedRecord]) -> &'static str {
    match records.iter().filter_map(|record| record.get(name)).find(|value| **value != Value::Null) {
        Some(Value::Number(_)) => "numeric",
        Some(Value::Bool(_)) => "boolean",
        Some(Value::Array(_) | Value::Object(_)) => "jsonb",
        _ => "text",
    }
}
