//! PostgreSQL: COPY BINARY and the ledger in one transaction.
//!
//! - `connect`: connections, TLS, what an SQLSTATE means
//! - `table`: the table's columns, held against the policy before the first record; created on wish
//! - `encode`: records to COPY's binary rows
//! - `copy`: rows into the table, straight or through a staging table and one upsert; bad rows found by bisection
//! - `ledger`: what was delivered, in the same transaction
//! - `lookup`: rows back to protected records

mod connect;
mod copy;
mod encode;
mod ledger;
mod lookup;
mod table;

use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_core::{Object, Policy, Value};
use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::sink::{Ledger, RowOutcome, Sink, SinkBatch};
use cloakroom_pipeline::source::Progress;
use schemars::JsonSchema;
use serde::Deserialize;

use self::connect::{Connector, pg_error};
use self::encode::Encoded;
use self::ledger::PgLedger;
use self::table::{Table, TableName};
use crate::tls::TlsConfig;
use cloakroom_pipeline::context::SinkContext;

/// A PostgreSQL table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the database is: `postgres://user:password@host:port/database`. Other hosts than this one
    /// must speak TLS unless the URL says `sslmode=disable`.
    pub url: Template,
    /// The table, with or without its schema.
    pub table: String,
    /// Make the table when it is not there, and columns that it lacks.
    #[serde(default)]
    pub create_table: bool,
    /// The columns that identify a row: a record replaces the row with its key, and columns for which it
    /// has nothing become null. Without it rows are added.
    #[serde(default, deserialize_with = "super::key::one_or_many")]
    #[schemars(with = "Option<super::key::OneOrMany>")]
    pub key: Option<Vec<String>>,
    /// Which certificates are trusted.
    #[serde(default)]
    pub tls: TlsConfig,
    /// For sources without order: how many days the ledger remembers a record's id.
    #[serde(default = "ninety")]
    pub ledger_days: u32,
}

fn ninety() -> u32 {
    90
}

/// Builds the sink.
///
/// # Errors
/// When the URL or the table's name is none.
pub fn build(config: &Config, context: &SinkContext) -> Result<Box<dyn Sink>, ConnectorError> {
    Ok(Box::new(PostgresSink {
        connector: Connector::new(&config.url, &config.tls)?,
        name: TableName::parse(&config.table)?,
        create: config.create_table,
        key: config.key.clone().unwrap_or_default(),
        policy: Arc::clone(&context.policy),
        ledger: PgLedger::new(context.pipeline.clone(), config.ledger_days),
        table: None,
        in_transaction: false,
        staged: None,
        in_doubt: None,
    }))
}

struct PostgresSink {
    connector: Connector,
    name: TableName,
    create: bool,
    key: Vec<String>,
    policy: Arc<Policy>,
    ledger: PgLedger,
    /// `None` until it exists: a table is made from the first batch, whose values tell the types of
    /// fields that the policy keeps without saying one.
    table: Option<Arc<Table>>,
    in_transaction: bool,
    staged: Option<Staged>,
    /// A batch whose commit got no answer: it may have happened.
    in_doubt: Option<Staged>,
}

/// A batch that is written and not yet committed.
#[derive(Clone)]
struct Staged {
    progress: Progress,
    outcomes: Vec<RowOutcome>,
    /// A table that this transaction makes or changes: known for good only after the commit.
    table: Option<Arc<Table>>,
}

impl PostgresSink {
    /// A connection without an open transaction. What was staged is gone.
    async fn ready(&mut self) -> Result<(), ConnectorError> {
        self.staged = None;
        if self.in_transaction && self.connector.is_open() {
            let rolled_back = self.connector.client()?.batch_execute("ROLLBACK").await;
            if rolled_back.is_err() {
                self.connector.forget();
            }
        }
        self.in_transaction = false;
        if !self.connector.is_open() {
            self.connector.connect().await?;
        }
        Ok(())
    }

    /// The staging of one batch, inside a transaction.
    async fn stage(&mut self, batch: &SinkBatch) -> Result<Staged, ConnectorError> {
        let mut wanted = vec![true; batch.records.len()];
        let client = self.connector.client()?;
        if let Progress::Position { partition, position } = &batch.progress
            && self.ledger.stands_at(client, &self.name, partition, position).await?
        {
            let outcomes = self.outcomes_in_doubt(&batch.progress, batch.records.len());
            return Ok(Staged { progress: batch.progress.clone(), outcomes, table: None });
        }
        if batch.progress == Progress::Ids {
            wanted = self.ledger.claim(client, &self.name, &batch.records).await?;
            if !wanted.contains(&true)
                && let Some(doubt) = self.in_doubt.take_if(|doubt| doubt.outcomes.len() == wanted.len())
            {
                return Ok(doubt);
            }
        }
        let before = self.table.clone();
        let table = table::prepare(
            client,
            &self.name,
            self.table.as_ref(),
            &self.policy,
            &batch.records,
            self.create,
            &self.key,
        )
        .await?;
        let (records, encoder) = (Arc::clone(&batch.records), Arc::clone(&table));
        let policy = Arc::clone(&self.policy);
        // CPU work, off the async threads.
        let work = tokio::task::spawn_blocking(move || Encoded::new(&encoder, &policy, &records, &wanted));
        let encoded =
            work.await.map_err(|_| ConnectorError::new(ErrorKind::Internal, "postgres: encoding a batch failed"))?;
        let refused = copy::copy(client, &table, &encoded).await?;
        let outcomes = encoded.outcomes(refused);
        match &batch.progress {
            Progress::Position { partition, position } => {
                self.ledger.advance(client, &self.name, partition, position).await?
            }
            Progress::Ids => self.ledger.release(client, &self.name, &batch.records, &outcomes).await?,
        }
        let changed = !before.is_some_and(|before| Arc::ptr_eq(&before, &table));
        Ok(Staged { progress: batch.progress.clone(), outcomes, table: changed.then_some(table) })
    }

    /// The ledger says that this batch was committed: by us a moment ago, in a commit that got no answer,
    /// or by an earlier run.
    fn outcomes_in_doubt(&mut self, progress: &Progress, count: usize) -> Vec<RowOutcome> {
        match self.in_doubt.take_if(|doubt| doubt.progress == *progress && doubt.outcomes.len() == count) {
            Some(doubt) => doubt.outcomes,
            None => vec![RowOutcome::Duplicate; count],
        }
    }
}

#[async_trait]
impl Ledger for PostgresSink {
    async fn position(&mut self, partition: &str) -> Result<Option<String>, ConnectorError> {
        self.ready().await?;
        self.ledger.read(self.connector.client()?, &self.name, partition).await
    }
}

#[async_trait]
impl Sink for PostgresSink {
    async fn open(&mut self) -> Result<(), ConnectorError> {
        self.ready().await?;
        let client = self.connector.client()?;
        self.ledger.open(client, &self.name).await?;
        self.table = table::find(client, &self.name, &self.key).await?.map(Arc::new);
        match &self.table {
            Some(table) => table.check(&self.policy, self.create),
            None if self.create => Ok(()),
            None => Err(table::missing(&self.name)),
        }
    }

    async fn write(&mut self, batch: &SinkBatch) -> Result<Vec<RowOutcome>, ConnectorError> {
        self.ready().await?;
        self.connector.client()?.batch_execute("BEGIN").await.map_err(|error| pg_error(&error))?;
        self.in_transaction = true;
        let staged = self.stage(batch).await?;
        let outcomes = staged.outcomes.clone();
        self.staged = Some(staged);
        Ok(outcomes)
    }

    async fn commit(&mut self) -> Result<(), ConnectorError> {
        let Some(staged) = self.staged.take() else { return Ok(()) };
        let committed = self.connector.client()?.batch_execute("COMMIT").await;
        self.in_transaction = false;
        match committed {
            Ok(()) => {
                self.ledger.committed(&staged.progress);
                if staged.table.is_some() {
                    self.table = staged.table;
                }
                self.in_doubt = None;
                Ok(())
            }
            Err(error) => {
                self.in_doubt = Some(staged);
                self.connector.forget();
                Err(pg_error(&error))
            }
        }
    }

    async fn close(&mut self) -> Result<(), ConnectorError> {
        self.staged = None;
        self.connector.forget();
        Ok(())
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        self.ready().await?;
        let client = self.connector.client()?;
        match table::find(client, &self.name, &self.key).await? {
            Some(table) => {
                table.check(&self.policy, self.create)?;
                Ok(format!("table {}: {} columns, fits the policy", self.name, table.columns.len()))
            }
            None if self.create => Ok(format!("table {} will be made", self.name)),
            None => Err(table::missing(&self.name)),
        }
    }

    async fn find(&mut self, member: &str, values: &[Value], limit: usize) -> Result<Vec<Object>, ConnectorError> {
        self.ready().await?;
        let client = self.connector.client()?;
        let table = table::find(client, &self.name, &self.key).await?.ok_or_else(|| table::missing(&self.name))?;
        lookup::find(client, &table, member, values, limit).await
    }
}
