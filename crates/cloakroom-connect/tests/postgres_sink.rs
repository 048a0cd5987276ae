//! The PostgreSQL sink against a real server (CLOAKROOM_TEST_POSTGRES_URL; `make test` starts one).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use cloakroom_connect::sinks::postgres::{self, Config};
use cloakroom_core::located::OrderedMap;
use cloakroom_core::policy::{FieldConfig, RecordConfig, Unlisted};
use cloakroom_core::{Place, Policy, PolicyConfig, RecordErrorKind, RecordId};
use cloakroom_pipeline::context::SinkContext;
use cloakroom_pipeline::contract::{self, SinkUnderTest};
use cloakroom_pipeline::{ErrorKind, Progress, RowOutcome, Sink, SinkBatch};
use tokio_postgres::{Client, NoTls};

fn url() -> String {
    std::env::var("CLOAKROOM_TEST_POSTGRES_URL").expect("CLOAKROOM_TEST_POSTGRES_URL; run the tests with `make test`")
}

/// A schema of its own for each test.
async fn schema() -> (Client, String) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let (client, connection) = tokio_postgres::connect(&url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    let name = format!("t{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    client.batch_execute(&format!("DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}")).await.unwrap();
    (client, name)
}

fn policy(unlisted: Unlisted, fields: &str) -> Arc<Policy> {
    let fields: OrderedMap<FieldConfig> = serde_saphyr::from_str(fields).unwrap();
    let record = RecordConfig { unlisted, ..RecordConfig::default() };
    let config = PolicyConfig { record, fields, ..PolicyConfig::default() };
    Arc::new(Policy::compile(&config, None).unwrap())
}

fn sink(schema: &str, policy: &Arc<Policy>, create: bool, key: Option<&str>) -> Box<dyn Sink> {
    let key = key.map_or(String::new(), |key| format!("key: {key}\n"));
    let yaml = format!("url: '{}'\ntable: {schema}.rows\ncreate_table: {create}\n{key}", url());
    let config: Config = serde_saphyr::from_str(&yaml).unwrap();
    let context = SinkContext { pipeline: "test".to_owned(), policy: Arc::clone(policy) };
    postgres::build(&config, &context).unwrap()
}

fn batch(position: &str, rows: &[&str]) -> SinkBatch {
    let id = |number| RecordId { partition: "p".into(), position: Place::Offset { byte: number, number } };
    let records = rows.iter().enumerate().map(|(at, json)| contract::record(id(at as u64), json)).collect();
    let progress = Progress::Position { partition: "p".into(), position: position.to_owned() };
    SinkBatch { progress, records: Arc::new(records) }
}

struct Under {
    client: Client,
    schema: String,
    key: Option<&'static str>,
}

#[async_trait]
impl SinkUnderTest for Under {
    fn is_shared(&self) -> bool {
        true
    }

    async fn make(&self) -> Box<dyn Sink> {
        sink(
            &self.schema,
            &policy(Unlisted::Keep, "{ id: { type: string }, n: { type: integer } }"),
            self.key.is_some(),
            self.key,
        )
    }
    async fn count(&self) -> usize {
        let sql = format!("SELECT count(*) FROM {}.rows", self.schema);
        match self.client.query_one(&sql, &[]).await {
            Ok(row) => usize::try_from(row.get::<_, i64>(0)).unwrap(),
            Err(_) => 0,
        }
    }
    fn bad(&self) -> Option<String> {
        // Refused by the server (a constraint), by its type, by a column that is not there.
        Some("{\"id\":\"row-bad\",\"n\":-1}".to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_of_sinks() {
    let (client, schema) = schema().await;
    client.batch_execute(&format!("CREATE TABLE {schema}.rows (id text, n bigint CHECK (n >= 0))")).await.unwrap();
    contract::sink(&Under { client, schema, key: None }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_of_sinks_with_a_key() {
    let (client, schema) = schema().await;
    client
        .batch_execute(&format!("CREATE TABLE {schema}.rows (id text PRIMARY KEY, n bigint CHECK (n >= 0))"))
        .await
        .unwrap();
    contract::sink(&Under { client, schema, key: Some("id") }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_written_exactly() {
    let (client, schema) = schema().await;
    client
        .batch_execute(&format!(
            "CREATE TYPE {schema}.mood AS ENUM ('ok', 'bad');
             CREATE DOMAIN {schema}.short AS varchar(5);
             CREATE TABLE {schema}.rows (t text, v varchar(5), c char(3), e {schema}.mood, d {schema}.short, b bool, i2 int2, i4 int4, i8 int8,
                 f8 float8, f4 float4, num numeric, day date, ts timestamp, tz timestamptz, u uuid, j json, jb jsonb, ip inet, made int GENERATED ALWAYS AS (1) STORED)"
        ))
        .await
        .unwrap();
    let mut sink = sink(&schema, &policy(Unlisted::Keep, "{}"), false, None);
    sink.open().await.unwrap();
    let good = [
        r#"{"t":"é😀","v":"ñandú","c":"ab","e":"ok","d":"12345","b":true,"i2":-32768,"i4":2147483647,"i8":-9223372036854775808,"f8":0.1,"f4":1.5,"num":-123456789012345678901234567890.00123,"day":"2024-02-29","ts":"2021-07-31T00:11:06.741Z","tz":"2021-07-31T02:11:06.741+02:00","u":"424cdd21-063a-43a7-b91b-7ca1a833afae","j":{"a":[1,2.50]},"jb":{"b":1.10},"ip":"2001:db8::/48"}"#,
        r#"{"t":null,"num":0.00}"#,
        r#"{"num":1e20,"t":7}"#,
        r#"{"num":100000000}"#,
        r#"{"num":0.0001}"#,
        r#"{"num":12345.6789,"day":"1999-12-31","ip":"192.0.2.7"}"#,
        r#"{"num":-0.5}"#,
        r#"{"num":99990000.0001}"#,
    ];
    assert_eq!(sink.write(&batch("1", &good)).await.unwrap(), vec![RowOutcome::Delivered; good.len()]);
    sink.commit().await.unwrap();
    let rows = client
        .query(&format!("SELECT row_to_json(r)::text, num::text, tz AT TIME ZONE 'UTC' = ts FROM {schema}.rows r"), &[])
        .await
        .unwrap();
    let first: String = rows[0].get(0);
    for part in [
        "\"t\":\"é😀\"",
        "\"v\":\"ñandú\"",
        "\"c\":\"ab \"",
        "\"e\":\"ok\"",
        "\"i2\":-32768",
        "\"i8\":-9223372036854775808",
        "\"f8\":0.1",
        "\"f4\":1.5",
        "\"day\":\"2024-02-29\"",
        "\"ts\":\"2021-07-31T00:11:06.741\"",
        "\"u\":\"424cdd21-063a-43a7-b91b-7ca1a833afae\"",
        "\"j\":{\"a\":[1,2.50]}",
        "\"jb\":{\"b\": 1.10}",
        "\"ip\":\"2001:db8::/48\"",
    ] {
        assert!(first.contains(part), "{part} in {first}");
    }
    assert!(rows[0].get::<_, bool>(2));
    let numbers: Vec<String> = rows.iter().map(|row| row.get(1)).collect();
    assert_eq!(
        numbers,
        [
            "-123456789012345678901234567890.00123",
            "0.00",
            "100000000000000000000",
            "100000000",
            "0.0001",
            "12345.6789",
            "-0.5",
            "99990000.0001"
        ]
    );

    let bad = [
        (r#"{"v":"123456"}"#, RecordErrorKind::TooLong),
        (r#"{"t":"a\u0000b"}"#, RecordErrorKind::Unrepresentable),
        (r#"{"e":"sad"}"#, RecordErrorKind::Database),
        (r#"{"d":"123456"}"#, RecordErrorKind::Database),
        (r#"{"b":1}"#, RecordErrorKind::WrongType),
        (r#"{"i2":32768}"#, RecordErrorKind::Unrepresentable),
        (r#"{"i8":9223372036854775808}"#, RecordErrorKind::Unrepresentable),
        (r#"{"i4":1.5}"#, RecordErrorKind::Unrepresentable),
        (r#"{"f8":9007199254740993}"#, RecordErrorKind::Unrepresentable),
        (r#"{"f8":1e400}"#, RecordErrorKind::Unrepresentable),
        (r#"{"f4":0.1234567891}"#, RecordErrorKind::Unrepresentable),
        (r#"{"num":1e200000}"#, RecordErrorKind::Unrepresentable),
        (r#"{"day":"2023-02-29"}"#, RecordErrorKind::WrongType),
        (r#"{"tz":"2021-07-31T00:11:06.7410001Z"}"#, RecordErrorKind::WrongType),
        (r#"{"u":"not-a-uuid"}"#, RecordErrorKind::WrongType),
        (r#"{"ip":"300.1.1.1"}"#, RecordErrorKind::WrongType),
        (r#"{"jb":"\u0000"}"#, RecordErrorKind::Database),
        (r#"{"made":1}"#, RecordErrorKind::UnknownColumn),
        (r#"{"nowhere":1}"#, RecordErrorKind::UnknownColumn),
    ];
    let rows: Vec<&str> = bad.iter().map(|(json, _)| *json).collect();
    let outcomes = sink.write(&batch("2", &rows)).await.unwrap();
    for ((json, kind), outcome) in bad.iter().zip(outcomes) {
        match outcome {
            RowOutcome::Dead(error) => {
                assert_eq!(error.kind, *kind, "{json}: {error}");
                assert!(!error.to_string().contains("123456"), "no value in {error}");
            }
            _ => panic!("accepted: {json}"),
        }
    }
    sink.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_rows_are_found_by_bisection_with_their_sqlstate() {
    let (client, schema) = schema().await;
    client
        .batch_execute(&format!("CREATE TABLE {schema}.rows (n bigint UNIQUE, CONSTRAINT even CHECK (n % 2 = 0))"))
        .await
        .unwrap();
    let mut sink = sink(&schema, &policy(Unlisted::Keep, "{}"), false, None);
    sink.open().await.unwrap();
    let rows: Vec<String> = (0..5000)
        .map(|n| {
            format!(
                "{{\"n\":{}}}",
                if n == 17 || n == 4999 {
                    2 * n + 1
                } else if n == 3000 {
                    10
                } else {
                    2 * n
                }
            )
        })
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let outcomes = sink.write(&batch("1", &rows)).await.unwrap();
    let dead: Vec<(usize, String)> = outcomes
        .iter()
        .enumerate()
        .filter_map(|(at, outcome)| match outcome {
            RowOutcome::Dead(error) => Some((at, error.detail.to_string())),
            _ => None,
        })
        .collect();
    assert_eq!(
        dead,
        [
            (17, "SQLSTATE 23514, constraint even".to_owned()),
            (3000, "SQLSTATE 23505, constraint rows_n_key".to_owned()),
            (4999, "SQLSTATE 23514, constraint even".to_owned())
        ]
    );
    sink.commit().await.unwrap();
    let count: i64 = client.query_one(&format!("SELECT count(*) FROM {schema}.rows"), &[]).await.unwrap().get(0);
    assert_eq!(count, 4997);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_made_and_grow_when_asked() {
    let (client, schema) = schema().await;
    let fields = "{ id: { type: string, max_length: 9, nullable: false, required: true }, x: { protect: drop } }";
    let mut sink = sink(&schema, &policy(Unlisted::Keep, fields), true, Some("id"));
    sink.open().await.unwrap();
    let one = batch("1", &[r#"{"id":"a","n":1.50,"o":{"k":1},"b":true}"#]);
    assert_eq!(sink.write(&one).await.unwrap(), [RowOutcome::Delivered]);
    sink.commit().await.unwrap();
    let two = batch("2", &[r#"{"id":"a","late":"text"}"#, r#"{"id":"b","n":1}"#, r#"{"id":"b","n":2}"#]);
    assert_eq!(sink.write(&two).await.unwrap(), vec![RowOutcome::Delivered; 3]);
    sink.commit().await.unwrap();
    let columns: Vec<(String, String)> = client
        .query("SELECT column_name::text, data_type::text FROM information_schema.columns WHERE table_schema = $1 AND table_name = 'rows' ORDER BY ordinal_position", &[&schema])
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    let columns: Vec<(&str, &str)> = columns.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
    let expected = [("id", "character varying"), ("n", "numeric"), ("o", "jsonb"), ("b", "boolean"), ("late", "text")];
    assert_eq!(columns, expected);
    let rows = client.query(&format!("SELECT id, n::text, late FROM {schema}.rows ORDER BY id"), &[]).await.unwrap();
    let rows: Vec<(String, Option<String>, Option<String>)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(rows, [("a".to_owned(), None, Some("text".to_owned())), ("b".to_owned(), Some("2".to_owned()), None)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_said_before_the_first_record() {
    let (client, schema) = schema().await;
    client
        .batch_execute(&format!("CREATE TABLE {schema}.rows (id varchar(10) NOT NULL, masked_ip text, n int, must text NOT NULL, made int GENERATED ALWAYS AS IDENTITY)"))
        .await
        .unwrap();
    for (fields, expected) in [
        ("{ masked_pi: {} }", "no column `masked_pi`, which `fields.masked_pi` gives; did you mean `masked_ip`?"),
        ("{ n: { type: string } }", "column `n` is of type integer, and `fields.n` gives string"),
        ("{ id: { max_length: 11 } }", "holds 10 characters, and `fields.id` gives up to 11"),
        (
            "{ id: { protect: { hash: md5, allow_reversible: true } } }",
            "holds 10 characters, and `fields.id` gives up to 32",
        ),
        ("{ id: {} }", "column `must` must not be null"),
        ("{ made: {}, id: {}, must: {} }", "column `made` makes its own values"),
    ] {
        let mut sink = sink(&schema, &policy(Unlisted::Drop, fields), false, None);
        let error = sink.open().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration);
        assert!(error.message.contains(expected), "{error}");
        assert!(sink.check().await.is_err());
    }
    let keyed = policy(Unlisted::Drop, "{ id: {}, must: {} }");
    let error = sink(&schema, &keyed, false, Some("id")).open().await.unwrap_err();
    assert!(error.message.contains("CREATE UNIQUE INDEX"), "{error}");
    let error = sink(&schema, &keyed, false, Some("ix")).open().await.unwrap_err();
    assert!(error.message.contains("did you mean `id`"), "{error}");
    client.batch_execute(&format!("DROP TABLE {schema}.rows")).await.unwrap();
    let error = sink(&schema, &keyed, false, None).open().await.unwrap_err();
    assert!(error.message.contains("create_table: true"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_run_that_moves_the_ledger_is_a_conflict() {
    let (_client, schema) = schema().await;
    let policy = policy(Unlisted::Keep, "{}");
    let (mut first, mut second) = (sink(&schema, &policy, true, None), sink(&schema, &policy, true, None));
    for sink in [&mut first, &mut second] {
        sink.open().await.unwrap();
        assert_eq!(sink.position("p").await.unwrap(), None);
    }
    first.write(&batch("1", &[r#"{"a":1}"#])).await.unwrap();
    first.commit().await.unwrap();
    let error = second.write(&batch("7", &[r#"{"a":1}"#])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert_eq!(second.write(&batch("1", &[r#"{"a":1}"#])).await.unwrap(), [RowOutcome::Duplicate]);
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_errors_have_a_kind_and_no_secret() {
    let policy = policy(Unlisted::Keep, "{}");
    let context = SinkContext { pipeline: "test".to_owned(), policy };
    for (url, kind) in [
        ("postgres://someone:s3cret@127.0.0.1:1/db".to_owned(), ErrorKind::Unavailable),
        (format!("{}/no_such_db", url().rsplit_once('/').unwrap().0), ErrorKind::Configuration),
        (format!("{}?sslmode=require", url()), ErrorKind::Configuration),
    ] {
        let yaml = format!("url: '{url}'\ntable: rows\n");
        let config: Config = serde_saphyr::from_str(&yaml).unwrap();
        let error = postgres::build(&config, &context).unwrap().open().await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(!error.message.contains("s3cret"), "{error}");
    }
    let config: Config = serde_saphyr::from_str("url: 'nonsense s3cret'\ntable: rows\n").unwrap();
    let error = postgres::build(&config, &context).err().unwrap();
    assert!(!error.message.contains("s3cret"));
}
