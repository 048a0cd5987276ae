//! The SQLite sink: the contract of sinks, and what is SQLite's own.
#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

mod delivery;
mod table;
mod values;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_connect::sinks::sqlite::{Config, build};
use cloakroom_core::located::OrderedMap;
use cloakroom_core::policy::{FieldConfig, FieldType, RecordConfig, Unlisted};
use cloakroom_core::{Place, Policy, PolicyConfig, RecordErrorKind, RecordId};
use cloakroom_pipeline::context::SinkContext;
use cloakroom_pipeline::contract::{self, SinkUnderTest, record};
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::sink::{RowOutcome, Sink, SinkBatch};
use cloakroom_pipeline::source::Progress;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Stands in every value that must not show.
const CANARY: &str = "c4n4ry";

/// A folder with a database, and how the sink is configured.
struct Bench {
    folder: TempDir,
    config: Value,
    policy: Arc<Policy>,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let config = json!({ "path": folder.path().join("out.db"), "table": "rows" });
        Self { folder, config, policy: policy(Unlisted::Keep, &[]) }
    }

    /// With a table of the user's, which the sink may not change.
    fn existing(sql: &str) -> Self {
        let bench = Self::new().with("create_table", json!(false));
        bench.sql(sql);
        bench
    }

    fn with(mut self, option: &str, value: Value) -> Self {
        self.config[option] = value;
        self
    }

    fn policy(mut self, policy: Arc<Policy>) -> Self {
        self.policy = policy;
        self
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("out.db")
    }

    fn build(&self) -> Result<Box<dyn Sink>, ConnectorError> {
        let config: Config = serde_json::from_value(self.config.clone()).unwrap();
        build(&config, &SinkContext { pipeline: "p".to_owned(), policy: Arc::clone(&self.policy) })
    }

    async fn open(&self) -> Box<dyn Sink> {
        let mut sink = self.build().unwrap();
        sink.open().await.unwrap();
        sink
    }

    /// The error that building, checking and opening agree on.
    async fn refused(&self) -> String {
        let mut sink = match self.build() {
            Ok(sink) => sink,
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
                return error.message;
            }
        };
        let (opened, checked) = (sink.open().await.unwrap_err(), sink.check().await.unwrap_err());
        assert_eq!(opened.kind, ErrorKind::Configuration, "{opened}");
        assert_eq!(opened.message, checked.message);
        opened.message
    }

    fn database(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    fn sql(&self, sql: &str) {
        self.database().execute_batch(sql).unwrap();
    }

    /// Every value of the query's first column as SQL would write it: `1`, `1.5`, `'1.5'`, `NULL`.
    fn values(&self, query: &str) -> Vec<String> {
        let database = self.database();
        let mut statement = database.prepare(&format!("SELECT quote(v) FROM (SELECT {query})")).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    fn schema(&self) -> String {
        let read = |row: &rusqlite::Row<'_>| row.get(0);
        self.database().query_row("SELECT sql FROM sqlite_schema WHERE name = 'rows'", [], read).unwrap()
    }
}

#[async_trait]
impl SinkUnderTest for Bench {
    async fn make(&self) -> Box<dyn Sink> {
        self.build().unwrap()
    }

    async fn count(&self) -> usize {
        let count: i64 = self.database().query_row("SELECT count(*) FROM rows", [], |row| row.get(0)).unwrap_or(0);
        count.try_into().unwrap()
    }

    fn bad(&self) -> Option<String> {
        Some(format!("{{\"id\":\"{CANARY}\",\"n\":-1,\"more\":1}}"))
    }
}

fn field(field_type: FieldType) -> FieldConfig {
    FieldConfig { field_type: Some(field_type), ..FieldConfig::default() }
}

fn required(field_type: FieldType) -> FieldConfig {
    FieldConfig { required: true, nullable: Some(false), ..field(field_type) }
}

fn policy(unlisted: Unlisted, fields: &[(&str, FieldConfig)]) -> Arc<Policy> {
    let fields = fields.iter().map(|(name, field)| ((*name).to_owned().into(), field.clone())).collect();
    let record = RecordConfig { unlisted, ..RecordConfig::default() };
    let config = PolicyConfig { record, fields: OrderedMap(fields), ..PolicyConfig::default() };
    Arc::new(Policy::compile(&config, None).unwrap())
}

fn batch(progress: Progress, rows: &[&str]) -> SinkBatch {
    let id = |index| RecordId { partition: "q".into(), position: Place::Id(format!("m{index}").into()) };
    let records = rows.iter().enumerate().map(|(index, row)| record(id(index), row)).collect();
    SinkBatch { progress, records: Arc::new(records) }
}

fn at(position: &str) -> Progress {
    Progress::Position { partition: "part".into(), position: position.to_owned() }
}

/// Writes and commits; each outcome as text, and none of them shows a value.
async fn put(sink: &mut Box<dyn Sink>, progress: Progress, rows: &[&str]) -> Vec<String> {
    let outcomes = sink.write(&batch(progress, rows)).await.unwrap();
    sink.commit().await.unwrap();
    outcomes.iter().map(shown).collect()
}

fn shown(outcome: &RowOutcome) -> String {
    let text = match outcome {
        RowOutcome::Delivered => "delivered".to_owned(),
        RowOutcome::Duplicate => "duplicate".to_owned(),
        RowOutcome::Filtered => "filtered".to_owned(),
        RowOutcome::Dead(error) => error.to_string(),
    };
    assert!(!text.contains(CANARY), "{text}");
    text
}

#[tokio::test]
async fn the_contract_holds_for_a_table_that_records_make() {
    // The canary comes with a trigger: nothing else in such a table refuses a record.
    let bench = Bench::new();
    bench.sql(
        "CREATE TABLE rows (id ANY) STRICT;
         CREATE TRIGGER positive BEFORE INSERT ON rows WHEN new.id LIKE 'c4n%' BEGIN SELECT RAISE(ABORT, 'no'); END;",
    );
    contract::sink(&bench).await;
    // `more` came only with the bad records, and went with them.
    assert_eq!(bench.schema(), "CREATE TABLE rows (id ANY, \"n\" ANY) STRICT");
}

#[tokio::test]
async fn the_contract_holds_for_a_table_of_the_users() {
    contract::sink(&Bench::existing("CREATE TABLE rows (id VARCHAR(20), n INTEGER CHECK (n >= 0))")).await;
}

#[tokio::test]
async fn the_contract_holds_with_a_key() {
    let fields = [("id", required(FieldType::String)), ("n", field(FieldType::Integer))];
    let bench = Bench::existing("CREATE TABLE rows (id TEXT PRIMARY KEY, n ANY CHECK (n >= 0)) STRICT")
        .with("key", json!("id"))
        .policy(policy(Unlisted::Keep, &fields));
    contract::sink(&bench).await;
}
