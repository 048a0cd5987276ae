//! Records into a table of an SQLite file.
//!
//! ```text
//! write    BEGIN IMMEDIATE ── what does the ledger say? ── one INSERT per record ──┐ others may read,
//! commit   the ledger moves ── COMMIT ─────────────────────────────────────────────┘ nobody may write
//! ```
//!
//! `session.rs` is that line, `ledger.rs` what it remembers, `table.rs` what the table looks like,
//! `rows.rs` how a record becomes a row, and `values.rs` what SQLite would do to a value.

mod ledger;
mod lookup;
mod rows;
mod session;
mod table;
mod values;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cloakroom_core::error::did_you_mean;
use cloakroom_core::policy::{Column, ColumnSource, Unlisted};
use cloakroom_core::{Object, Policy, Value};
use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::sink::{Ledger, RowOutcome, Sink, SinkBatch};
use cloakroom_pipeline::state::sqlite_error;
use schemars::JsonSchema;
use serde::Deserialize;

use cloakroom_pipeline::context::SinkContext;
use session::Session;

/// Where records go, and what may be made there.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The database file. A new one can be read by its owner alone.
    pub path: Template,
    /// The table's name.
    pub table: String,
    /// Makes the table when it is missing, and adds columns for fields that the policy does not name (default true).
    #[serde(default = "yes")]
    pub create_table: bool,
    /// One column or a list of them: a record whose key is there already replaces what it brings, instead of
    /// being added. An existing table needs a primary key or unique index on exactly these columns.
    #[serde(default, deserialize_with = "super::key::one_or_many")]
    #[schemars(with = "Option<super::key::OneOrMany>")]
    pub key: Option<Vec<String>>,
    /// How many days the ledger knows the records of sources without order, such as queues (default 90).
    #[serde(default = "ninety")]
    pub ledger_days: u32,
}

fn yes() -> bool {
    true
}

fn ninety() -> u32 {
    90
}

/// A configuration that was found to make sense, with its policy.
struct Target {
    path: PathBuf,
    table: String,
    create_table: bool,
    /// Empty when rows are only added.
    key: Vec<String>,
    ledger_days: u32,
    pipeline: String,
    policy: Arc<Policy>,
}

impl Target {
    /// The policy's columns that reach the sink.
    fn columns(&self) -> impl Iterator<Item = &Column> + Clone {
        self.policy.columns().iter().filter(|column| column.source != ColumnSource::Dropped)
    }

    /// Finds what is wrong with table, key and column names before any file is touched.
    fn check(&self) -> Result<(), ConnectorError> {
        let table = &self.table;
        if table.is_empty() || table.contains(['.', '\0']) {
            return Err(ConnectorError::configuration("`table` must be a plain name, without a schema or dots"));
        }
        if ["sqlite_", "cloakroom_ledger"].iter().any(|prefix| table.to_ascii_lowercase().starts_with(prefix)) {
            return Err(ConnectorError::configuration(format!("`table`: names like {table} are reserved")));
        }
        let mut seen: Vec<&str> = Vec::new();
        for column in self.columns() {
            if let Some(earlier) = seen.iter().find(|earlier| same_name(earlier, &column.name)) {
                return Err(ConnectorError::configuration(format!(
                    "the policy's fields `{earlier}` and `{}` are the same column for SQLite, which ignores case",
                    column.name
                )));
            }
            seen.push(&column.name);
        }
        for (index, name) in self.key.iter().enumerate() {
            if self.key[..index].iter().any(|earlier| same_name(earlier, name)) {
                return Err(ConnectorError::configuration(format!("`key` names `{name}` twice")));
            }
            let dropped = self.policy.columns().iter().any(|column| same_name(&column.name, name));
            let may_arrive = self.policy.unlisted() == Unlisted::Keep && !dropped;
            if !may_arrive && !seen.iter().any(|column| same_name(column, name)) {
                let near = did_you_mean(name, seen.iter().copied());
                return Err(ConnectorError::configuration(format!(
                    "`key` names `{name}`, which no record of this policy has{near}"
                )));
            }
        }
        Ok(())
    }
}

/// SQLite compares column names without regard to the case of ASCII letters, and of no others.
fn same_name(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// A name as SQL takes it whatever it holds: from a record's field, it may hold anything.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// An error of SQLite, without its text.
fn sqlite(error: rusqlite::Error) -> ConnectorError {
    sqlite_error(&error)
}

/// Builds the sink. Nothing is opened yet.
///
/// # Errors
/// When the configuration does not make sense, by itself or with the policy.
pub fn build(config: &Config, context: &SinkContext) -> Result<Box<dyn Sink>, ConnectorError> {
    let path = config.path.resolve_plain().map_err(|error| error.context("sqlite"))?;
    // SQLite would take either for a database that disappears when it is closed.
    if path.is_empty() || path == ":memory:" {
        return Err(ConnectorError::configuration("sqlite: `path` must name a file"));
    }
    if config.key.as_ref().is_some_and(Vec::is_empty) {
        return Err(ConnectorError::configuration("sqlite: `key` must name at least one column"));
    }
    let target = Target {
        path: PathBuf::from(path),
        table: config.table.clone(),
        create_table: config.create_table,
        key: config.key.clone().unwrap_or_default(),
        ledger_days: config.ledger_days,
        pipeline: context.pipeline.clone(),
        policy: Arc::clone(&context.policy),
    };
    target.check().map_err(|error| error.context("sqlite"))?;
    Ok(Box::new(SqliteSink { target: Arc::new(target), session: Arc::default() }))
}

struct SqliteSink {
    target: Arc<Target>,
    /// There while the sink is open. Shared with the blocking thread, which ends what it began even when
    /// nobody waits for it any more.
    session: Arc<Mutex<Option<Session>>>,
}

impl SqliteSink {
    /// Runs SQLite calls on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Target, &mut Option<Session>) -> Result<T, ConnectorError> + Send + 'static,
    ) -> Result<T, ConnectorError> {
        let (target, session) = (Arc::clone(&self.target), Arc::clone(&self.session));
        let task = tokio::task::spawn_blocking(move || {
            // After a panic nothing counts as staged, and the next write rolls back what is left.
            work(&target, &mut session.lock().unwrap_or_else(PoisonError::into_inner))
        });
        let result = match task.await {
            Ok(result) => result,
            Err(_) => Err(ConnectorError::new(ErrorKind::Internal, "the worker thread ended")),
        };
        result.map_err(|error| error.context(format!("sqlite {}", self.target.path.display())))
    }

    /// The same for what needs an open sink.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Target, &mut Session) -> Result<T, ConnectorError> + Send + 'static,
    ) -> Result<T, ConnectorError> {
        self.blocking(move |target, session| match session {
            Some(session) => work(target, session),
            None => Err(ConnectorError::new(ErrorKind::Internal, "the sink is not open")),
        })
        .await
    }
}

#[async_trait]
impl Ledger for SqliteSink {
    async fn position(&mut self, partition: &str) -> Result<Option<String>, ConnectorError> {
        let partition = partition.to_owned();
        self.with(move |target, session| session.position(target, &partition)).await
    }
}

#[async_trait]
impl Sink for SqliteSink {
    async fn open(&mut self) -> Result<(), ConnectorError> {
        self.blocking(|target, session| {
            *session = None;
            *session = Some(Session::open(target)?);
            Ok(())
        })
        .await
    }

    async fn write(&mut self, batch: &SinkBatch) -> Result<Vec<RowOutcome>, ConnectorError> {
        let batch = batch.clone();
        self.with(move |target, session| session.write(target, &batch)).await
    }

    async fn commit(&mut self) -> Result<(), ConnectorError> {
        self.with(|target, session| session.commit(target)).await
    }

    async fn close(&mut self) -> Result<(), ConnectorError> {
        self.blocking(|_, session| session.take().map_or(Ok(()), Session::close)).await
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        self.blocking(|target, _| table::look(target)).await
    }

    async fn find(&mut self, member: &str, values: &[Value], limit: usize) -> Result<Vec<Object>, ConnectorError> {
        let (member, values) = (member.to_owned(), values.to_vec());
        self.blocking(move |target, _| lookup::find(target, &member, &values, limit)).await
    }
}
