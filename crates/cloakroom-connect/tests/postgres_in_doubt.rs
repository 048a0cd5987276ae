//! A commit that happened while its answer was lost, and one that never reached the server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Arc;

use cloakroom_connect::sinks::postgres::{self, Config};
use cloakroom_core::{Place, Policy, PolicyConfig, RecordId};
use cloakroom_faults::{Fault, FaultProxy, Plan};
use cloakroom_pipeline::context::SinkContext;
use cloakroom_pipeline::sink::Sink;
use cloakroom_pipeline::{ErrorKind, Progress, RowOutcome, SinkBatch, contract};
use tokio_postgres::{Client, NoTls};

/// A schema of a test's own, and the sink on a table in it behind a proxy.
async fn behind_a_proxy(test: &str) -> (Client, String, FaultProxy, Box<dyn Sink>) {
    let url = std::env::var("CLOAKROOM_TEST_POSTGRES_URL").expect("run the tests with `make test`");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let schema = format!("{test}{}", std::process::id());
    client.batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}")).await.unwrap();

    let proxy = FaultProxy::tcp(&url, Plan::none());
    let yaml = format!("url: '{}'\ntable: {schema}.rows\ncreate_table: true\n", proxy.url());
    let config: Config = serde_saphyr::from_str(&yaml).unwrap();
    let policy = Arc::new(Policy::compile(&PolicyConfig::default(), None).unwrap());
    let mut sink = postgres::build(&config, &SinkContext { pipeline: "test".to_owned(), policy }).unwrap();
    sink.open().await.unwrap();
    (client, schema, proxy, sink)
}

fn batch(progress: Progress) -> SinkBatch {
    let id = |number: u64| RecordId { partition: "p".into(), position: Place::Id(format!("{number}").into()) };
    let records = (0..5).map(|number| contract::record(id(number), &format!("{{\"n\":{number}}}"))).collect();
    SinkBatch { progress, records: Arc::new(records) }
}

async fn rows(client: &Client, schema: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {schema}.rows"), &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_without_an_answer_is_recognised() {
    let (client, schema, proxy, mut sink) = behind_a_proxy("doubt").await;
    let by_offset = Progress::Position { partition: "p".into(), position: "9".to_owned() };
    for (round, progress) in [by_offset, Progress::Ids].into_iter().enumerate() {
        let batch = batch(progress);
        assert_eq!(sink.write(&batch).await.unwrap(), vec![RowOutcome::Delivered; 5]);
        proxy.next(Fault::NoAnswer, "COMMIT\0");
        assert_eq!(sink.commit().await.unwrap_err().kind, ErrorKind::Unavailable);
        assert_eq!(
            sink.write(&batch).await.unwrap(),
            vec![RowOutcome::Delivered; 5],
            "delivered, by the commit in doubt"
        );
        sink.commit().await.unwrap();
        assert_eq!(sink.write(&batch).await.unwrap(), vec![RowOutcome::Duplicate; 5], "and once more is a duplicate");
        sink.commit().await.unwrap();
        assert_eq!(rows(&client, &schema).await, 5 * (round as i64 + 1), "every row once");
    }
    assert_eq!(proxy.injected().unanswered, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_never_arrived_is_made_again() {
    let (client, schema, proxy, mut sink) = behind_a_proxy("lost").await;
    let batch = batch(Progress::Ids);
    assert_eq!(sink.write(&batch).await.unwrap(), vec![RowOutcome::Delivered; 5]);
    proxy.next(Fault::Drop, "COMMIT\0");
    assert_eq!(sink.commit().await.unwrap_err().kind, ErrorKind::Unavailable);
    let table = client.query_one(&format!("SELECT to_regclass('{schema}.rows')::text"), &[]).await.unwrap();
    assert_eq!(table.get::<_, Option<String>>(0), None, "the table was part of what was lost");
    assert_eq!(sink.write(&batch).await.unwrap(), vec![RowOutcome::Delivered; 5]);
    sink.commit().await.unwrap();
    assert_eq!(rows(&client, &schema).await, 5);
    assert_eq!(proxy.injected().dropped, 1);
}
