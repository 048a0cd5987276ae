//! Throttling, items that come back, answers that do not.

use std::sync::{Arc, Mutex};

use cloakroom_core::RecordErrorKind;
use cloakroom_pipeline::error::ErrorKind;
use cloakroom_pipeline::sink::{RowOutcome, Sink};

use super::proxy::{self, Faults};
use super::{Table, at, batch, count, dead, numbered, records};

/// A table behind a proxy, and a sink on it that is open.
async fn behind(more: &str) -> (Table, Box<dyn Sink>, Arc<Mutex<Faults>>) {
    let table = Table::new();
    let (url, faults) = proxy::start(&table.url).await;
    let mut sink = Table { url, name: table.name.clone(), client: table.client.clone() }.sink(more);
    sink.open().await.unwrap();
    (table, sink, faults)
}

#[tokio::test]
async fn items_that_come_back_are_sent_again() {
    let (table, mut sink, faults) = behind("").await;
    faults.lock().unwrap().most_items = Some(4);
    let lines = (0..200).map(|n| format!(r#"{{"id":"row-{}","n":{n}}}"#, n % 150));
    let outcomes = sink.write(&batch(&records(lines))).await.unwrap();
    assert_eq!(count(&outcomes, &RowOutcome::Delivered), 200);
    assert_eq!(table.items().await, 150);
    let item = table.item(serde_json::json!({ "id": { "S": "row-49" } })).await;
    assert_eq!(item["n"]["N"], "199", "the order of a key holds");
    let calls = faults.lock().unwrap().calls.iter().filter(|(action, _)| action == "BatchWriteItem").count();
    assert!(calls >= 50, "{calls} calls: nothing came back, and the test proves nothing");
}

#[tokio::test]
async fn throttled_calls_are_made_again() {
    for code in ["ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"] {
        for mode in ["replace", "keep"] {
            let (table, mut sink, faults) = behind(&format!("on_existing: {mode}")).await;
            faults.lock().unwrap().refuse = Some((6, code));
            let outcomes = sink.write(&batch(&numbered(60))).await.unwrap();
            assert_eq!(count(&outcomes, &RowOutcome::Delivered), 60, "{code} {mode}");
            assert_eq!(table.items().await, 60);
            assert_eq!(faults.lock().unwrap().refuse, Some((0, code)), "all were made");
        }
    }
}

#[tokio::test]
async fn a_bad_item_is_found_by_halving() {
    // A text where an index of the table has numbers: only the server knows that.
    let table = Table::made(&[("id", "S")]).await;
    table
        .ask(
            "UpdateTable",
            serde_json::json!({
                "TableName": table.name,
                "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" },
                                         { "AttributeName": "age", "AttributeType": "N" }],
                "GlobalSecondaryIndexUpdates": [{ "Create": { "IndexName": "by_age",
                    "KeySchema": [{ "AttributeName": "age", "KeyType": "HASH" }],
                    "Projection": { "ProjectionType": "ALL" } } }],
            }),
        )
        .await;
    for mode in ["replace", "keep"] {
        let mut sink = table.build(&format!("on_existing: {mode}"), &super::policy("{}")).unwrap();
        sink.open().await.unwrap();
        let age = |n: usize| if n % 31 == 7 { "\"secret-4111\"".to_owned() } else { n.to_string() };
        let lines = (0..100).map(|n| format!(r#"{{"id":"{mode}-{n}","age":{}}}"#, age(n)));
        let outcomes = sink.write(&batch(&records(lines))).await.unwrap();
        let places: Vec<usize> = dead(&outcomes).into_iter().map(|(at, _)| at).collect();
        assert_eq!(places, [7, 38, 69], "{mode}: {outcomes:?}");
        assert_eq!(count(&outcomes, &RowOutcome::Delivered), 97);
        assert!(!format!("{outcomes:?}").contains("4111"), "no value in an error");
    }
    assert_eq!(table.items().await, 194);
}

#[tokio::test]
async fn requests_that_are_too_large_are_halved() {
    for mode in ["replace", "keep"] {
        let (table, mut sink, faults) = behind(&format!("on_existing: {mode}")).await;
        faults.lock().unwrap().largest = Some(250_000);
        let length = |n: usize| if n == 11 { 300_000 } else { 60_000 };
        let lines = (0..25).map(|n| format!(r#"{{"id":"row-{n}","text":"{}"}}"#, "a".repeat(length(n))));
        let outcomes = sink.write(&batch(&records(lines))).await.unwrap();
        assert_eq!(dead(&outcomes), [(11, RecordErrorKind::TooLarge)], "{mode}");
        assert_eq!(table.items().await, 24);
    }
}

#[tokio::test]
async fn what_an_unanswered_call_wrote_is_no_duplicate() {
    let (table, mut sink, faults) = behind("on_existing: keep\nconcurrency: 1").await;
    table.ask("PutItem", serde_json::json!({ "TableName": table.name, "Item": { "id": { "S": "row-2" } } })).await;
    let all = at("1", &numbered(20));
    sink.position("p").await.unwrap();
    faults.lock().unwrap().lose_answers = 4;
    let mut failures = 0;
    let outcomes = loop {
        match sink.write(&all).await {
            Ok(outcomes) => break outcomes,
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Unavailable);
                assert!(!error.message.contains("4111"), "{error}");
                failures += 1;
                assert!(failures < 10);
            }
        }
    };
    // The answers for 0 and 1 were lost, and that for 2, which was there before and is another one.
    assert_eq!(failures, 4);
    assert_eq!(count(&outcomes, &RowOutcome::Duplicate), 1, "{outcomes:?}");
    assert_eq!(outcomes[2], RowOutcome::Duplicate);
    // The same for the ledger: it moved, and did not say so.
    faults.lock().unwrap().lose_ledger = 1;
    assert_eq!(sink.commit().await.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(sink.write(&all).await.unwrap(), outcomes, "what was said before the doubt");
    sink.commit().await.unwrap();
    assert_eq!(sink.position("p").await.unwrap().as_deref(), Some("1"));
    assert_eq!(table.items().await, 20);
}

#[tokio::test]
async fn a_batch_that_failed_in_the_middle_goes_on_where_it_was() {
    let (table, mut sink, faults) = behind("concurrency: 1").await;
    let all = batch(&numbered(100));
    faults.lock().unwrap().lose_answers = 1;
    assert_eq!(sink.write(&all).await.unwrap_err().kind, ErrorKind::Unavailable);
    faults.lock().unwrap().calls.clear();
    let outcomes = sink.write(&all).await.unwrap();
    assert_eq!(count(&outcomes, &RowOutcome::Delivered), 100);
    assert_eq!(table.items().await, 100);
    sink.commit().await.unwrap();
    // A refusal that trying again does not mend says so, and nothing of the server's words.
    faults.lock().unwrap().refuse = Some((9, "AccessDeniedException"));
    let error = sink.write(&batch(&numbered(3))).await.unwrap_err();
    assert!(error.kind == ErrorKind::Denied && !error.message.contains("4111"), "{error}");
}
