//! Every record once, in the order of its key, whoever dies and whoever else writes.

use std::time::Duration;

use cloakroom_faults::{Fault, FaultProxy, Plan};
use cloakroom_pipeline::error::ErrorKind;
use cloakroom_pipeline::sink::RowOutcome;
use serde_json::json;

use super::{Instance, Table, at, batch, count, numbered, records};

#[tokio::test]
async fn the_last_of_a_key_wins_and_each_has_its_outcome() {
    let table = Table::new();
    let mut sink = table.open("concurrency: 8").await;
    let lines = (0..1_000).map(|n| format!(r#"{{"id":"row-{}","n":{n}}}"#, n % 130));
    let outcomes = sink.write(&batch(&records(lines))).await.unwrap();
    assert_eq!(count(&outcomes, &RowOutcome::Delivered), 1_000);
    assert_eq!(table.items().await, 130);
    for key in 0..130 {
        let item = table.item(json!({ "id": { "S": format!("row-{key}") } })).await;
        let last = (0..1_000).rev().find(|n| n % 130 == key).unwrap();
        assert_eq!(item["n"]["N"], last.to_string());
    }
}

#[tokio::test]
async fn what_is_there_stays_or_is_replaced_as_it_was_asked() {
    let table = Table::new();
    let mut sink = table.open("").await;
    let old = records((0..60).map(|n| format!(r#"{{"id":"row-{n}","v":"old","more":1}}"#)));
    sink.write(&batch(&old)).await.unwrap();
    let new = records((30..110).map(|n| format!(r#"{{"id":"row-{}","v":"new"}}"#, n.min(99))));

    let mut keep = table.open("on_existing: keep").await;
    let outcomes = keep.write(&batch(&new)).await.unwrap();
    // 30 are there, and of the eleven with one key the first is written.
    assert_eq!(count(&outcomes, &RowOutcome::Duplicate), 30 + 10);
    assert_eq!(count(&outcomes, &RowOutcome::Delivered), 40);
    keep.commit().await.unwrap();
    assert_eq!(table.items().await, 100);
    let value = async |key: &str| table.item(json!({ "id": { "S": key } })).await;
    assert_eq!(value("row-45").await["v"]["S"], "old");
    assert_eq!(value("row-75").await["v"]["S"], "new");
    let again = keep.write(&batch(&new)).await.unwrap();
    assert_eq!(count(&again, &RowOutcome::Duplicate), 80, "all that is there stays");

    let outcomes = sink.write(&batch(&new)).await.unwrap();
    assert_eq!(count(&outcomes, &RowOutcome::Delivered), 80);
    let replaced = value("row-45").await;
    assert_eq!(replaced["v"]["S"], "new");
    assert!(replaced["more"].is_null(), "the whole item is replaced");
}

#[tokio::test]
async fn a_move_of_the_ledger_that_came_twice_is_our_own() {
    let table = Table::new();
    let proxy = FaultProxy::http(&table.url, Plan::none());
    let through = Table { url: proxy.url().to_owned(), name: table.name.clone(), client: table.client.clone() };
    let records = numbered(3);
    let mut sink = through.open("").await;
    assert_eq!(sink.position("p").await.unwrap(), None);
    for position in ["1", "2", "3"] {
        sink.write(&at(position, &records)).await.unwrap();
        proxy.next(Fault::Duplicate, "PutItem");
        sink.commit().await.unwrap();
        assert_eq!(proxy.waiting(), 0, "{}", proxy.describe());
    }
    // An entry as versions before wrote it, which names no run.
    let ledger = format!("ledger-{}", table.name);
    let mut old = table.ask("Scan", json!({ "TableName": ledger, "ConsistentRead": true })).await["Items"][0].take();
    assert!(old.as_object_mut().unwrap().remove("run").is_some());
    table.ask("PutItem", json!({ "TableName": ledger, "Item": old })).await;
    let mut next = table.open("").await;
    assert_eq!(next.position("p").await.unwrap().as_deref(), Some("3"));
    next.write(&at("4", &records)).await.unwrap();
    next.commit().await.unwrap();
}

#[tokio::test]
async fn two_runs_of_one_pipeline_do_not_move_one_ledger() {
    let table = Table::new();
    let records = numbered(3);
    let (mut one, mut other) = (table.open("").await, table.open("").await);
    assert_eq!((one.position("p").await.unwrap(), other.position("p").await.unwrap()), (None, None));
    one.write(&at("1", &records)).await.unwrap();
    one.commit().await.unwrap();
    other.write(&at("1", &records)).await.unwrap();
    assert_eq!(other.commit().await.unwrap_err().kind, ErrorKind::Conflict);
    // A run that looks again sees where the other stands.
    assert_eq!(other.position("p").await.unwrap().as_deref(), Some("1"));
    assert_eq!(other.write(&at("1", &records)).await.unwrap(), vec![RowOutcome::Duplicate; 3]);
    other.commit().await.unwrap();
    other.write(&at("2", &records)).await.unwrap();
    other.commit().await.unwrap();
    one.write(&at("2", &records)).await.unwrap();
    assert_eq!(one.commit().await.unwrap_err().kind, ErrorKind::Conflict, "also later");
    // Partitions do not know each other.
    assert_eq!(one.position("q").await.unwrap(), None);
}

#[tokio::test]
async fn a_table_that_is_no_ledger_is_refused() {
    let table = Table::made(&[("n", "N")]).await;
    let records = Table::new();
    let mut sink = records.open("").await;
    drop(sink);
    let yaml = format!("table: {}\nendpoint: '{}'\nledger_table: {}", records.name, records.url, table.name);
    let config = serde_saphyr::from_str(&yaml).unwrap();
    let context = cloakroom_pipeline::context::SinkContext { pipeline: "t".to_owned(), policy: super::policy("{}") };
    sink = cloakroom_aws::dynamodb::build(&config, &context).unwrap();
    sink.open().await.unwrap();
    let error = sink.position("p").await.unwrap_err();
    assert!(error.kind == ErrorKind::Configuration && error.message.contains("is no ledger"), "{error}");
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_gets_the_rest_when_it_is_back() {
    let instance = Instance::start("mortal");
    let table = Table::on(instance.url.clone());
    for (mode, rows) in [("replace", 2_000), ("keep", 500)] {
        let mut sink = table.open(&format!("on_existing: {mode}\nconcurrency: 4")).await;
        let records = records((0..rows).map(|n| format!(r#"{{"id":"{mode}-{n}","n":{n}}}"#)));
        let (name, before) = (instance.name.clone(), table.items().await);
        let watch = Table { url: table.url.clone(), name: table.name.clone(), client: table.client.clone() };
        let killer = tokio::spawn(async move {
            while watch.items().await < before + 200 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let kill = move || Instance::script(&["dynamodb-kill", &name]);
            tokio::task::spawn_blocking(kill).await.unwrap();
        });
        let batch = at(mode, &records);
        let mut failures = 0;
        let outcomes = loop {
            match sink.write(&batch).await {
                Ok(outcomes) => break outcomes,
                Err(error) => {
                    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
                    failures += 1;
                    assert!(failures < 600, "it must come to an end");
                    if failures == 1 {
                        let name = instance.name.clone();
                        tokio::task::spawn_blocking(move || Instance::script(&["dynamodb-start", &name]))
                            .await
                            .unwrap();
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        };
        killer.await.unwrap();
        assert!(failures > 0, "the server was not missed; the test proves nothing");
        assert_eq!(count(&outcomes, &RowOutcome::Delivered), rows, "{mode}: what this run wrote is no duplicate");
        sink.commit().await.unwrap();
    }
    assert_eq!(table.items().await, 2_500);
    // The ledger is on the disk too.
    let mut sink = table.open("").await;
    assert_eq!(sink.position("p").await.unwrap().as_deref(), Some("keep"));
    let known = sink.write(&at("keep", &numbered(2))).await.unwrap();
    assert_eq!(known, vec![RowOutcome::Duplicate; 2]);
}
