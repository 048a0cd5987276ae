//! A record becomes a row: each of its fields a column of that name.

use std::borrow::Cow;

use cloakroom_core::error::safe_path;
use cloakroom_core::{Object, RecordError, RecordErrorKind, Value};
use cloakroom_pipeline::error::ConnectorError;
use cloakroom_pipeline::state::sqlite_error;
use rusqlite::{Connection, ffi};

use super::table::{Table, TableColumn, create};
use super::values::bind;
use super::{Target, quoted, same_name, sqlite};

/// How many columns a table may grow to by fields that the policy does not name. A record brings any
/// names it likes; a table of thousands of columns is of no use to anybody.
const MOST_COLUMNS: usize = 500;

/// Why a row was not written.
pub(super) enum Failure {
    /// The record has no place here.
    Record(RecordError),
    /// It says nothing about the record: the disk is full, the database damaged.
    Batch(ConnectorError),
}

impl Failure {
    fn at(kind: RecordErrorKind, name: &str, detail: &'static str) -> Self {
        Self::Record(RecordError::at(kind, safe_path(name), detail))
    }
}

/// Writes rows inside a transaction.
pub(super) struct Rows<'a> {
    connection: &'a Connection,
    target: &'a Target,
    /// With the columns that were added in this transaction; `None` when there is no table yet.
    table: Option<Table>,
    /// Records of a batch mostly have the same fields: what was found out about the last one.
    shape: Option<Shape>,
}

/// A list of field names, and the statement for it.
struct Shape {
    names: Vec<String>,
    /// The column of each field.
    columns: Vec<usize>,
    sql: String,
}

impl Shape {
    fn is_of(&self, content: &Object) -> bool {
        self.names.len() == content.len() && self.names.iter().zip(content.iter()).all(|(one, (two, _))| one == two)
    }
}

impl<'a> Rows<'a> {
    pub(super) fn new(connection: &'a Connection, target: &'a Target, table: Option<Table>) -> Self {
        Self { connection, target, table, shape: None }
    }

    /// Writes one row, or leaves everything as it was.
    pub(super) fn insert(&mut self, content: &Object) -> Result<(), Failure> {
        if self.shape.as_ref().is_some_and(|shape| shape.is_of(content)) {
            return self.execute(content);
        }
        self.shape = None;
        let new = self.new_names(content)?;
        if new.is_empty() && self.table.is_some() {
            self.take_shape(content)?;
            return self.execute(content);
        }
        // The columns go again with a row that is refused.
        let before = self.table.clone();
        self.run("SAVEPOINT cloakroom_row")?;
        let result =
            self.add_columns(&new).and_then(|()| self.take_shape(content)).and_then(|()| self.execute(content));
        if result.is_err() {
            self.table = before;
            self.shape = None;
            // A trigger may have rolled back everything, the savepoint too.
            if !self.connection.is_autocommit() {
                self.run("ROLLBACK TO cloakroom_row; RELEASE cloakroom_row")?;
            }
        } else {
            self.run("RELEASE cloakroom_row")?;
        }
        result
    }

    fn run(&self, sql: &str) -> Result<(), Failure> {
        self.connection.execute_batch(sql).map_err(|error| Failure::Batch(sqlite(error)))
    }

    /// The fields that the table has no column for, if columns may be added for them.
    fn new_names<'c>(&self, content: &'c Object) -> Result<Vec<&'c str>, Failure> {
        let columns = self.table.as_ref().map_or(&[][..], |table| &table.columns);
        let unknown = |name: &str| self.table.as_ref().is_none_or(|table| table.find(name).is_none());
        let refuse = |name: &str, detail| Err(Failure::at(RecordErrorKind::UnknownColumn, name, detail));
        let mut new: Vec<&str> = Vec::new();
        for (name, _) in content.iter().filter(|(name, _)| unknown(name)) {
            if !self.target.create_table {
                return refuse(name, "the table has no such column");
            }
            if columns.len() + new.len() >= MOST_COLUMNS {
                return refuse(name, "the table would have more than 500 columns");
            }
            if name.is_empty() || name.contains('\0') {
                return refuse(name, "no column can have such a name");
            }
            if new.iter().any(|earlier| same_name(earlier, name)) {
                return Err(Failure::at(
                    RecordErrorKind::NameConflict,
                    name,
                    "SQLite ignores the case of column names",
                ));
            }
            new.push(name);
        }
        Ok(new)
    }

    /// Adds a column for each name, or makes the table of them.
    fn add_columns(&mut self, names: &[&str]) -> Result<(), Failure> {
        let failed = |error| Failure::Batch(sqlite(error));
        let columns = names.iter().map(|name| TableColumn::added(name));
        if let Some(table) = &mut self.table {
            // Elsewhere ANY would turn texts that look like numbers into numbers; no type keeps them.
            let declared = if table.strict { " ANY" } else { "" };
            for name in names {
                let (to, name) = (quoted(&self.target.table), quoted(name));
                let sql = format!("ALTER TABLE {to} ADD COLUMN {name}{declared}");
                self.connection.execute_batch(&sql).map_err(failed)?;
            }
            table.columns.extend(columns);
        } else {
            if names.is_empty() {
                let detail = "the record has no field to make a table of";
                return Err(Failure::Record(RecordError::new(RecordErrorKind::UnknownColumn, detail)));
            }
            let declared: Vec<String> = names.iter().map(|name| format!("{} ANY", quoted(name))).collect();
            create(self.connection, &self.target.table, &declared).map_err(failed)?;
            self.table = Some(Table { columns: columns.collect(), strict: true });
        }
        Ok(())
    }

    /// Finds the column of every field.
    fn take_shape(&mut self, content: &Object) -> Result<(), Failure> {
        let Some(table) = &self.table else { return Ok(()) };
        let mut columns = Vec::with_capacity(content.len());
        for (name, _) in content.iter() {
            let conflict = |kind, detail| Failure::at(kind, name, detail);
            let at = table
                .find(name)
                .ok_or_else(|| conflict(RecordErrorKind::UnknownColumn, "the table has no such column"))?;
            if table.columns[at].computed {
                return Err(conflict(RecordErrorKind::UnknownColumn, "the column is computed and takes no values"));
            }
            if columns.contains(&at) {
                return Err(conflict(RecordErrorKind::NameConflict, "SQLite ignores the case of column names"));
            }
            columns.push(at);
        }
        let names = content.iter().map(|(name, _)| name.to_owned()).collect();
        let given: Vec<&str> = columns.iter().map(|at| table.columns[*at].name.as_str()).collect();
        self.shape = Some(Shape { names, sql: insert_sql(self.target, &given), columns });
        Ok(())
    }

    fn execute(&self, content: &Object) -> Result<(), Failure> {
        let (Some(table), Some(shape)) = (&self.table, &self.shape) else { return Ok(()) };
        for key in &self.target.key {
            let given = content.iter().find(|(name, _)| same_name(name, key));
            if given.is_none_or(|(_, value)| *value == Value::Null) {
                return Err(Failure::at(RecordErrorKind::MissingField, key, "part of the sink's `key`"));
            }
        }
        let mut statement =
            self.connection.prepare_cached(&shape.sql).map_err(|error| Failure::Batch(sqlite(error)))?;
        for (index, ((name, value), at)) in content.iter().zip(&shape.columns).enumerate() {
            let affinity = table.columns[*at].affinity;
            let bound = bind(value, affinity).ok_or_else(|| {
                Failure::at(RecordErrorKind::Unrepresentable, name, "the column's type would change it")
            })?;
            statement.raw_bind_parameter(index + 1, bound).map_err(|error| refused(&error, table, content))?;
        }
        match statement.raw_execute() {
            Ok(0) => Err(Failure::Record(RecordError::new(
                RecordErrorKind::Database,
                "a trigger of the table ignored the row",
            ))),
            Ok(_) => Ok(()),
            Err(error) => Err(refused(&error, table, content)),
        }
    }
}

/// The statement for a row with these columns.
///
/// `OR ABORT` stands above what the table's own constraints may say: `ON CONFLICT IGNORE` would lose a
/// row in silence, `REPLACE` another one, and `ROLLBACK` the whole batch.
pub(super) fn insert_sql(target: &Target, columns: &[impl AsRef<str>]) -> String {
    let table = quoted(&target.table);
    let columns: Vec<&str> = columns.iter().map(AsRef::as_ref).collect();
    if columns.is_empty() {
        return format!("INSERT OR ABORT INTO {table} DEFAULT VALUES");
    }
    let list = |names: &[&str]| names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    let values = vec!["?"; columns.len()].join(", ");
    let mut sql = format!("INSERT OR ABORT INTO {table} ({}) VALUES ({values})", list(&columns));
    if !target.key.is_empty() {
        let key: Vec<&str> = target.key.iter().map(String::as_str).collect();
        let is_key = |name: &str| key.iter().any(|key| same_name(key, name));
        let mut replaced: Vec<&str> = columns.iter().copied().filter(|name| !is_key(name)).collect();
        if replaced.is_empty() {
            // The row stays as it is, and counts as written.
            replaced = key.clone();
        }
        let set: Vec<String> = replaced.iter().map(|name| format!("{0} = excluded.{0}", quoted(name))).collect();
        sql.push_str(&format!(" ON CONFLICT ({}) DO UPDATE SET {}", list(&key), set.join(", ")));
    }
    sql
}

/// What a refused statement says: about the row when it is one of the results that a row's content can
/// bring about, else about the database. Of SQLite only the result code is kept.
fn refused(error: &rusqlite::Error, table: &Table, content: &Object) -> Failure {
    let Some(code) = error.sqlite_error().map(|inner| inner.extended_code) else {
        return Failure::Batch(sqlite_error(error));
    };
    let name = match code {
        ffi::SQLITE_CONSTRAINT_CHECK => "SQLITE_CONSTRAINT_CHECK",
        ffi::SQLITE_CONSTRAINT_DATATYPE => "SQLITE_CONSTRAINT_DATATYPE",
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => "SQLITE_CONSTRAINT_FOREIGNKEY",
        ffi::SQLITE_CONSTRAINT_NOTNULL => "SQLITE_CONSTRAINT_NOTNULL",
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY => "SQLITE_CONSTRAINT_PRIMARYKEY",
        ffi::SQLITE_CONSTRAINT_ROWID => "SQLITE_CONSTRAINT_ROWID",
        ffi::SQLITE_CONSTRAINT_TRIGGER => "SQLITE_CONSTRAINT_TRIGGER",
        ffi::SQLITE_CONSTRAINT_UNIQUE => "SQLITE_CONSTRAINT_UNIQUE",
        _ => match code & 0xff {
            ffi::SQLITE_CONSTRAINT => "SQLITE_CONSTRAINT",
            ffi::SQLITE_MISMATCH => "SQLITE_MISMATCH",
            ffi::SQLITE_TOOBIG => "SQLITE_TOOBIG",
            // A trigger, a check or a computed column that cannot work on this row.
            ffi::SQLITE_ERROR => "SQLITE_ERROR",
            _ => return Failure::Batch(sqlite_error(error)),
        },
    };
    let detail: Cow<'static, str> = format!("{name}, result code {code}").into();
    let empty = (code == ffi::SQLITE_CONSTRAINT_NOTNULL).then(|| table.empty_column(content)).flatten();
    Failure::Record(match empty {
        Some(column) => RecordError::at(RecordErrorKind::Database, safe_path(column), detail),
        None => RecordError::new(RecordErrorKind::Database, detail),
    })
}
