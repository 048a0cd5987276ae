//! Several real sinks as one: the contract, refusals, and a run that dies between the commits of two of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use cloakroom_connect::sinks::{elasticsearch, file, postgres, sqlite};
use cloakroom_core::{Place, Policy, PolicyConfig, RecordId, Value};
use cloakroom_pipeline::context::SinkContext;
use cloakroom_pipeline::contract::{self, SinkUnderTest};
use cloakroom_pipeline::fan_out::FanOut;
use cloakroom_pipeline::{ConnectorError, Ledger, Progress, RowOutcome, Sink, SinkBatch};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name}; run the tests with `make test`"))
}

fn context(pipeline: &str) -> SinkContext {
    let policy = Policy::compile(&PolicyConfig::default(), None).unwrap();
    SinkContext { pipeline: pipeline.to_owned(), policy: Arc::new(policy) }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    File,
    Sqlite,
    Postgres,
    /// Another table of the same database.
    Second,
    OpenSearch,
}

use Kind::{File, OpenSearch, Postgres, Second, Sqlite};

/// Some sinks, and ways to look into them.
struct Bench {
    kinds: Vec<Kind>,
    folder: TempDir,
    client: Option<Client>,
    schema: String,
    /// So many commits of the last sink fail before they happen.
    fails: Arc<AtomicUsize>,
}

impl Bench {
    async fn new(kinds: &[Kind]) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let schema = format!("fan{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = TempDir::new().unwrap();
        let mut bench = Self { kinds: kinds.to_vec(), folder, client: None, schema, fails: Arc::default() };
        if kinds.contains(&Postgres) {
            let (client, connection) =
                tokio_postgres::connect(&variable("CLOAKROOM_TEST_POSTGRES_URL"), NoTls).await.unwrap();
            tokio::spawn(connection);
            let schema = &bench.schema;
            let sql = format!(
                "DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema};
                 CREATE TABLE {schema}.rows (id text, n bigint CHECK (n >= 0));
                 CREATE TABLE {schema}.second (id text, n bigint)"
            );
            client.batch_execute(&sql).await.unwrap();
            bench.client = Some(client);
        }
        if kinds.contains(&Sqlite) {
            bench.sqlite().execute_batch("CREATE TABLE rows (id TEXT, n INTEGER CHECK (n >= 0))").unwrap();
        }
        bench
    }

    fn sqlite(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("rows.db")).unwrap()
    }

    fn file(&self) -> String {
        self.folder.path().join("rows.jsonl").display().to_string()
    }

    fn one(&self, kind: Kind) -> (String, Box<dyn Sink>) {
        let url = || variable("CLOAKROOM_TEST_POSTGRES_URL");
        let schema = &self.schema;
        match kind {
            File => {
                let config: file::Config = serde_saphyr::from_str(&format!("path: '{}'", self.file())).unwrap();
                ("file".to_owned(), file::build(&config, &context("test")).unwrap())
            }
            Sqlite => {
                let path = self.folder.path().join("rows.db");
                let config = format!("path: '{}'\ntable: rows\ncreate_table: false", path.display());
                let config: sqlite::Config = serde_saphyr::from_str(&config).unwrap();
                ("sqlite rows".to_owned(), sqlite::build(&config, &context("test")).unwrap())
            }
            Postgres | Second => {
                let table = if kind == Postgres { "rows" } else { "second" };
                let config = format!("url: '{}'\ntable: {schema}.{table}", url());
                let config: postgres::Config = serde_saphyr::from_str(&config).unwrap();
                let sink = postgres::build(&config, &context(&format!("test/postgres:{table}"))).unwrap();
                (format!("postgres {table}"), sink)
            }
            OpenSearch => {
                let config = format!("url: '{}'\nindex: {schema}\nid: id", variable("CLOAKROOM_TEST_OPENSEARCH_URL"));
                let config: elasticsearch::Config = serde_saphyr::from_str(&config).unwrap();
                let sink = elasticsearch::build(&config, &context(schema)).unwrap();
                ("elasticsearch".to_owned(), sink)
            }
        }
    }

    /// All of them as one.
    fn sink(&self) -> FanOut {
        let mut sinks: Vec<_> = self.kinds.iter().map(|kind| self.one(*kind)).collect();
        let (name, inner) = sinks.pop().unwrap();
        sinks.push((name, Box::new(Failing { inner, fails: Arc::clone(&self.fails) })));
        FanOut::new(sinks).unwrap()
    }

    async fn count_in(&self, kind: Kind) -> usize {
        match kind {
            File => std::fs::read_to_string(self.file()).map_or(0, |text| text.lines().count()),
            Sqlite => {
                let count = "SELECT count(*) FROM rows";
                self.sqlite().query_row(count, [], |row| row.get::<_, i64>(0)).unwrap().try_into().unwrap()
            }
            Postgres | Second => {
                let table = if kind == Postgres { "rows" } else { "second" };
                let sql = format!("SELECT count(*) FROM {}.{table}", self.schema);
                let row = self.client.as_ref().unwrap().query_one(&sql, &[]).await.unwrap();
                usize::try_from(row.get::<_, i64>(0)).unwrap()
            }
            OpenSearch => {
                let server = variable("CLOAKROOM_TEST_OPENSEARCH_URL");
                let _ = rustls::crypto::ring::default_provider().install_default();
                let client = reqwest::Client::builder().no_proxy().build().unwrap();
                let ask = async |path: &str| {
                    let answer = client.get(format!("{server}/{}/{path}", self.schema)).send().await.unwrap();
                    serde_json::from_slice::<serde_json::Value>(&answer.bytes().await.unwrap()).unwrap()
                };
                ask("_refresh").await;
                usize::try_from(ask("_count").await["count"].as_u64().unwrap_or(0)).unwrap()
            }
        }
    }

    async fn counts(&self) -> Vec<usize> {
        let mut counts = Vec::new();
        for kind in &self.kinds {
            counts.push(self.count_in(*kind).await);
        }
        counts
    }
}

#[async_trait]
impl SinkUnderTest for Bench {
    async fn make(&self) -> Box<dyn Sink> {
        Box::new(self.sink())
    }

    async fn count(&self) -> usize {
        let counts = self.counts().await;
        assert!(counts.iter().all(|count| *count == counts[0]), "all have the same records: {counts:?}");
        counts[0]
    }

    fn bad(&self) -> Option<String> {
        Some("{\"id\":\"row-bad\",\"n\":-1}".to_owned())
    }
}

/// A sink that is away when it is to commit.
struct Failing {
    inner: Box<dyn Sink>,
    fails: Arc<AtomicUsize>,
}

#[async_trait]
impl Ledger for Failing {
    async fn position(&mut self, partition: &str) -> Result<Option<String>, ConnectorError> {
        self.inner.position(partition).await
    }
}

#[async_trait]
impl Sink for Failing {
    async fn open(&mut self) -> Result<(), ConnectorError> {
        self.inner.open().await
    }

    async fn write(&mut self, batch: &SinkBatch) -> Result<Vec<RowOutcome>, ConnectorError> {
        self.inner.write(batch).await
    }

    async fn commit(&mut self) -> Result<(), ConnectorError> {
        let less = |fails: usize| fails.checked_sub(1);
        match self.fails.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
            Ok(_) => Err(ConnectorError::unavailable("away")),
            Err(_) => self.inner.commit().await,
        }
    }

    async fn close(&mut self) -> Result<(), ConnectorError> {
        self.inner.close().await
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        self.inner.check().await
    }
}

fn batch(numbers: std::ops::RangeInclusive<u64>, bad: &[u64]) -> SinkBatch {
    let position = numbers.end().to_string();
    let record = |number| {
        let id = RecordId { partition: "part".into(), position: Place::Offset { byte: number * 7, number } };
        let n = if bad.contains(&number) { "-1".to_owned() } else { number.to_string() };
        contract::record(id, &format!("{{\"id\":\"row-{number}\",\"n\":{n}}}"))
    };
    let records = Arc::new(numbers.map(record).collect());
    SinkBatch { progress: Progress::Position { partition: "part".into(), position }, records }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_and_a_file_keep_the_contract_of_sinks_together() {
    contract::sink(&Bench::new(&[Sqlite, File]).await).await;
    contract::sink(&Bench::new(&[File, Sqlite]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_and_sqlite_keep_the_contract_of_sinks_together() {
    contract::sink(&Bench::new(&[Postgres, Sqlite]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tables_of_one_database_keep_the_contract_of_sinks_together() {
    contract::sink(&Bench::new(&[Second, Postgres]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_may_die_between_two_commits_and_what_one_refuses_is_nowhere() {
    for kinds in [&[Postgres, Sqlite][..], &[Sqlite, Postgres], &[File, Sqlite], &[Postgres, Second, OpenSearch]] {
        let bench = Bench::new(kinds).await;
        let bad = [4, 15, 23];
        let mut sink = bench.sink();
        sink.open().await.unwrap();
        assert_eq!(sink.position("part").await.unwrap(), None);
        sink.write(&batch(1..=10, &bad)).await.unwrap();
        sink.commit().await.unwrap();
        bench.fails.store(1, Ordering::Relaxed);
        sink.write(&batch(11..=20, &bad)).await.unwrap();
        assert_eq!(sink.commit().await.unwrap_err().message.rsplit(": ").next(), Some("away"));
        drop(sink);
        assert_eq!(bench.count_in(kinds[0]).await, 18, "the first one has committed");

        for (numbers, refused) in [(11..=13, 0), (14..=17, 1), (18..=30, 1)] {
            let mut sink = bench.sink();
            sink.open().await.unwrap();
            let before = (*numbers.start() - 1).to_string();
            assert_eq!(sink.position("part").await.unwrap(), Some(before));
            let outcomes = sink.write(&batch(numbers, &bad)).await.unwrap();
            let dead = outcomes.iter().filter(|outcome| matches!(outcome, RowOutcome::Dead(_))).count();
            assert_eq!(dead, refused);
            sink.commit().await.unwrap();
            drop(sink);
        }
        // The document of a record that PostgreSQL refuses is not in the index either: it came after.
        assert_eq!(bench.counts().await, vec![27; kinds.len()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_is_away_for_a_while_is_waited_for() {
    let bench = Bench::new(&[Postgres, File, Sqlite]).await;
    let mut sink = bench.sink();
    sink.open().await.unwrap();
    for (numbers, fails) in [(1..=10, 3), (11..=20, 1), (21..=30, 0)] {
        bench.fails.store(fails, Ordering::Relaxed);
        let batch = batch(numbers, &[5]);
        let mut tries = 0;
        let outcomes = loop {
            let outcomes = sink.write(&batch).await.unwrap();
            tries += 1;
            match sink.commit().await {
                Ok(()) => break outcomes,
                Err(error) => assert_eq!(error.message, "sqlite rows: away"),
            }
        };
        assert_eq!(tries, fails + 1);
        let delivered = outcomes.iter().filter(|outcome| **outcome == RowOutcome::Delivered).count();
        let dead = outcomes.iter().filter(|outcome| matches!(outcome, RowOutcome::Dead(_))).count();
        assert_eq!(delivered + dead, 10, "none counts as a duplicate");
    }
    sink.close().await.unwrap();
    assert_eq!(bench.counts().await, [29, 29, 29]);
    // The first one that can be searched is asked.
    let found = bench.sink().find("id", &[Value::string("row-7")], 5).await.unwrap();
    assert_eq!(found.len(), 1);
    let said = bench.sink().check().await.unwrap();
    assert!(said.starts_with("postgres rows: table") && said.contains("; sqlite rows: "), "{said}");
}
