//! The table that records go to: made from the policy, or held against it.

use std::path::Path;

use cloakroom_core::error::did_you_mean;
use cloakroom_core::policy::{FieldType, Unlisted};
use cloakroom_core::{Object, Value};
use cloakroom_pipeline::error::ConnectorError;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::values::Affinity;
use super::{Target, quoted, same_name, sqlite};

/// A table as the database describes it.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) columns: Vec<TableColumn>,
    pub(super) strict: bool,
}

/// One of its columns.
#[derive(Clone)]
pub(super) struct TableColumn {
    pub(super) name: String,
    pub(super) affinity: Affinity,
    not_null: bool,
    /// SQLite computes it: nothing can be written to it.
    pub(super) computed: bool,
    /// It gets a value when none is given.
    has_default: bool,
}

impl TableColumn {
    /// A column that is added for a field, without a type that could change its values.
    pub(super) fn added(name: &str) -> Self {
        Self { name: name.to_owned(), affinity: Affinity::Keep, not_null: false, computed: false, has_default: false }
    }
}

impl Table {
    /// Reads it from the database; `None` when there is none of that name.
    pub(super) fn read(connection: &Connection, name: &str) -> Result<Option<Self>, ConnectorError> {
        let found: Option<(String, bool, bool)> = connection
            .query_row("SELECT type, wr, strict FROM pragma_table_list(?1) WHERE schema = 'main'", [name], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()
            .map_err(sqlite)?;
        let Some((kind, without_rowid, strict)) = found else { return Ok(None) };
        if kind != "table" {
            return Err(ConnectorError::configuration(format!("`{name}` is a {kind}, not a table")));
        }
        let described =
            "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden FROM pragma_table_xinfo(?1)";
        let mut columns = Vec::new();
        let mut key = Vec::new();
        let mut statement = connection.prepare(described).map_err(sqlite)?;
        let mut rows = statement.query([name]).map_err(sqlite)?;
        while let Some(row) = rows.next().map_err(sqlite)? {
            let (declared, part_of_key): (String, i64) = (row.get(1).map_err(sqlite)?, row.get(4).map_err(sqlite)?);
            if part_of_key > 0 {
                key.push((columns.len(), declared.eq_ignore_ascii_case("INTEGER")));
            }
            columns.push(TableColumn {
                name: row.get(0).map_err(sqlite)?,
                affinity: Affinity::of(&declared, strict),
                not_null: row.get(2).map_err(sqlite)?,
                computed: row.get::<_, i64>(5).map_err(sqlite)? > 1,
                has_default: row.get(3).map_err(sqlite)?,
            });
        }
        // INTEGER PRIMARY KEY is the row's number, which SQLite gives.
        if let ([(at, true)], false) = (key.as_slice(), without_rowid) {
            columns[*at].has_default = true;
        }
        Ok(Some(Self { columns, strict }))
    }

    /// Where a column stands.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| same_name(&column.name, name))
    }

    /// The first column that needs a value and gets none from this record.
    pub(super) fn empty_column(&self, content: &Object) -> Option<&str> {
        let is_empty = |column: &&TableColumn| {
            let given = content.iter().find(|(name, _)| same_name(name, &column.name));
            column.not_null && given.map_or(!column.has_default, |(_, value)| *value == Value::Null)
        };
        self.columns.iter().find(is_empty).map(|column| column.name.as_str())
    }

    /// Checks that records of the policy have a place in it.
    fn fits(&self, connection: &Connection, target: &Target) -> Result<(), ConnectorError> {
        let table = &target.table;
        let names = || self.columns.iter().map(|column| column.name.as_str());
        let named = target.columns().map(|column| column.name.as_str());
        for name in named.clone().chain(target.key.iter().map(String::as_str)) {
            match self.find(name) {
                None => {
                    return Err(ConnectorError::configuration(format!(
                        "table {table} has no column `{name}`{}",
                        did_you_mean(name, names())
                    )));
                }
                Some(at) if self.columns[at].computed => {
                    return Err(ConnectorError::configuration(format!(
                        "column `{name}` of table {table} is computed and takes no values"
                    )));
                }
                Some(_) => {}
            }
        }
        if target.policy.unlisted() != Unlisted::Keep {
            let empty = self.columns.iter().find(|column| {
                let filled = named.clone().any(|name| same_name(name, &column.name));
                column.not_null && !column.has_default && !column.computed && !filled
            });
            if let Some(column) = empty {
                return Err(ConnectorError::configuration(format!(
                    "column `{0}` of table {table} must not be null and has no default, and no field of the policy fills it{1}",
                    column.name,
                    did_you_mean(&column.name, named)
                )));
            }
        }
        if target.key.is_empty() {
            return Ok(());
        }
        // SQLite itself knows best which indexes serve ON CONFLICT (not partial ones, not other collations).
        let upsert = super::rows::insert_sql(target, &target.key);
        connection.prepare(&upsert).map(|_| ()).map_err(|_| {
            ConnectorError::configuration(format!(
                "table {table} has no primary key or unique index on exactly `key`: {}",
                target.key.join(", ")
            ))
        })
    }
}

/// Makes the table when it is missing and may be made, and checks it otherwise. A policy that names no
/// field gives no columns: then the first record makes the table.
pub(super) fn prepare(connection: &Connection, target: &Target) -> Result<Option<Table>, ConnectorError> {
    if let Some(table) = Table::read(connection, &target.table)? {
        table.fits(connection, target)?;
        return Ok(Some(table));
    }
    if !target.create_table {
        return Err(missing(target));
    }
    let mut columns: Vec<String> = target
        .columns()
        .map(|column| {
            let not_null = if column.never_null { " NOT NULL" } else { "" };
            format!("{} {}{not_null}", quoted(&column.name), declared(column.column_type))
        })
        .collect();
    let unnamed = target.key.iter().filter(|name| !target.columns().any(|column| same_name(&column.name, name)));
    columns.extend(unnamed.map(|name| format!("{} ANY", quoted(name))));
    if columns.is_empty() {
        return Ok(None);
    }
    if !target.key.is_empty() {
        let key: Vec<String> = target.key.iter().map(|name| quoted(name)).collect();
        columns.push(format!("PRIMARY KEY ({})", key.join(", ")));
    }
    create(connection, &target.table, &columns).map_err(sqlite)?;
    Table::read(connection, &target.table)
}

/// Makes a STRICT table: only there does a column of type ANY keep every value as it is.
pub(super) fn create(connection: &Connection, table: &str, columns: &[String]) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("CREATE TABLE {} ({}) STRICT", quoted(table), columns.join(", ")))
}

/// The column type for values of a field type.
fn declared(field_type: Option<FieldType>) -> &'static str {
    use FieldType as Type;
    match field_type {
        Some(Type::String | Type::Date | Type::Timestamp | Type::Object | Type::Array) => "TEXT",
        Some(Type::Boolean) => "INTEGER",
        // INTEGER ends at 2^63 and REAL at 15 digits; ANY takes what does not fit as its digits.
        Some(Type::Integer | Type::Number) | None => "ANY",
    }
}

fn missing(target: &Target) -> ConnectorError {
    ConnectorError::configuration(format!("there is no table {}; make it, or set `create_table: true`", target.table))
}

/// Says what is there and whether it fits, without making or changing anything.
pub(super) fn look(target: &Target) -> Result<String, ConnectorError> {
    let table = &target.table;
    let Some(connection) = open_to_read(&target.path)? else {
        if !target.create_table {
            return Err(no_file());
        }
        let folder = target.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(ConnectorError::configuration(format!("there is no folder {}", folder.display())));
        }
        return Ok(format!("the file will be created, with table {table}"));
    };
    match Table::read(&connection, table)? {
        Some(found) => {
            found.fits(&connection, target)?;
            Ok(format!("table {table}: {} columns, fits", found.columns.len()))
        }
        None if target.create_table => Ok(format!("table {table} will be created")),
        None => Err(missing(target)),
    }
}

/// The error for a file that is missing and must not be made.
pub(super) fn no_file() -> ConnectorError {
    ConnectorError::configuration("there is no such file, and `create_table: false` makes none")
}

/// Opens the file if there is one, without leaving anything beside it.
pub(super) fn open_to_read(path: &Path) -> Result<Option<Connection>, ConnectorError> {
    match std::fs::metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ConnectorError::io("the file", &error)),
    }
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        Path::new(&name).exists()
    };
    // Even a reader makes the log's files, and a read-only one leaves them there. Where there is no log,
    // nobody is writing, and the file alone can be read as it stands.
    let immutable = if beside("-wal") || beside("-journal") { "" } else { "?immutable=1" };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri(path) + immutable, flags).map_err(sqlite)?;
    connection.busy_timeout(super::session::PATIENCE).map_err(sqlite)?;
    Ok(Some(connection))
}

/// The path as a URI: <https://www.sqlite.org/uri.html>.
fn uri(path: &Path) -> String {
    let path = path.to_string_lossy();
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "file:" });
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_') {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
