//! Requests that fail, come late, come twice or are not answered: the order of records holds, and what happened is known.

use std::time::Duration;

use cloakroom_faults::{Fault, FaultProxy, Plan};

use super::*;

/// An index behind a proxy, and the same index through it.
fn behind(server: &str) -> (Index, Index, FaultProxy) {
    let index = Index::new(server);
    let proxy = FaultProxy::http(&index.url, Plan::none());
    let through = Index { url: proxy.url().to_owned(), name: index.name.clone(), client: index.client.clone() };
    (index, through, proxy)
}

fn at(index: &Index, position: &str, records: &Arc<Vec<ProtectedRecord>>) -> SinkBatch {
    let progress = Progress::Position { partition: index.name.as_str().into(), position: position.to_owned() };
    SinkBatch { progress, records: Arc::clone(records) }
}

/// Writes a batch until it is written; says how often it failed.
async fn write(sink: &mut Box<dyn Sink>, batch: &SinkBatch) -> (Vec<RowOutcome>, usize) {
    for failures in 0..20 {
        match sink.write(batch).await {
            Ok(outcomes) => return (outcomes, failures),
            Err(error) => assert_eq!(error.kind, ErrorKind::Unavailable, "{error}"),
        }
    }
    panic!("it must come to an end");
}

#[tokio::test]
async fn records_of_one_id_keep_their_order_whatever_becomes_of_requests() {
    let policy = policy("{}");
    // The first request is cut small, and its first record is the first of an id; the last record is the last of it.
    let line = |n: usize| match n {
        0 => r#"{"id":"same","v":"first"}"#.to_owned(),
        199 => r#"{"id":"same","v":"last"}"#.to_owned(),
        n => format!(r#"{{"id":"row-{n}","v":"{n}"}}"#),
    };
    let records = records(&policy, (0..200).map(line));
    let late = Duration::from_millis(500);
    for server in servers() {
        for fault in [Fault::Delay(late), Fault::Status(429), Fault::Status(503), Fault::Drop, Fault::Partial(1)] {
            for (mode, kept) in [("replace", "last"), ("keep", "first")] {
                let (index, through, proxy) = behind(server);
                let config = format!("replicas: 0\nmax_request_bytes: 2000\nconcurrency: 4\non_existing: {mode}");
                let mut sink = through.sink(&config);
                sink.open().await.unwrap();
                proxy.next(fault.clone(), "/_bulk");
                let (outcomes, _) = write(&mut sink, &batch(&records)).await;
                assert_eq!(proxy.waiting(), 0, "{}", proxy.describe());
                assert_eq!(outcomes[0], RowOutcome::Delivered, "{server} {fault:?} {mode}");
                let last = if mode == "keep" { RowOutcome::Duplicate } else { RowOutcome::Delivered };
                assert_eq!(outcomes[199], last, "{server} {fault:?} {mode}");
                let found = index.get(&format!("{}/_doc/same", index.name)).await;
                assert_eq!(found["_source"]["v"], kept, "{server} {fault:?} {mode}");
                assert_eq!(index.documents().await, 199, "{server}");
            }
        }
    }
}

#[tokio::test]
async fn ids_that_a_batch_has_again_and_again_end_with_the_right_one() {
    let policy = policy("{}");
    let line = |n: usize| format!(r#"{{"id":"row-{}","v":"{n}"}}"#, n % 20);
    let records = records(&policy, (0..400).map(line));
    for server in servers() {
        for fault in [Fault::Status(429), Fault::Drop, Fault::NoAnswer, Fault::Partial(1), Fault::Partial(30)] {
            for (mode, kept) in [("replace", 380), ("keep", 0)] {
                let (index, through, proxy) = behind(server);
                let mut sink = through.sink(&format!("replicas: 0\nmax_request_bytes: 4000\non_existing: {mode}"));
                sink.open().await.unwrap();
                proxy.next(fault.clone(), "/_bulk");
                proxy.next(fault.clone(), "/_bulk");
                let (outcomes, _) = write(&mut sink, &batch(&records)).await;
                assert_eq!(proxy.waiting(), 0, "{}", proxy.describe());
                let delivered = outcomes.iter().filter(|outcome| **outcome == RowOutcome::Delivered).count();
                assert_eq!(delivered, if mode == "keep" { 20 } else { 400 }, "{server} {fault:?} {mode}");
                for id in 0..20 {
                    let found = index.get(&format!("{}/_doc/row-{id}", index.name)).await;
                    assert_eq!(found["_source"]["v"], (kept + id).to_string(), "{server} {fault:?} {mode}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_an_unanswered_request_wrote_is_no_duplicate() {
    let policy = policy("{}");
    // As it comes back, to the last digit.
    let line = |n: usize| {
        format!(r#"{{"id":"row-{n}","x":1.10,"big":9223372036854775807,"t":"\u00e9\n\"/","a":[null,{{}}]}}"#)
    };
    let records = records(&policy, (0..20).map(line));
    for server in servers() {
        for fault in [Fault::NoAnswer, Fault::Cut] {
            let (index, through, proxy) = behind(server);
            let mut sink = through.sink("replicas: 0\non_existing: keep");
            sink.open().await.unwrap();
            index.ask(Method::PUT, &format!("{}/_doc/row-2", index.name), json!({ "id": "row-2" })).await;
            for _ in 0..2 {
                proxy.next(fault.clone(), "/_bulk");
            }
            let all = at(&index, "1", &records);
            sink.position(&index.name).await.unwrap();
            let (outcomes, failures) = write(&mut sink, &all).await;
            assert_eq!((failures, proxy.waiting()), (2, 0), "{server}: {}", proxy.describe());
            // The one that was there before is another one.
            assert_eq!(outcomes[2], RowOutcome::Duplicate, "{server}");
            assert_eq!(count(&outcomes, &RowOutcome::Delivered), 19, "{server} {fault:?}: {outcomes:?}");
            sink.commit().await.unwrap();
            assert_eq!(index.documents().await, 20, "{server}");
            // What was answered is in no doubt.
            let again = sink.write(&batch(&records)).await.unwrap();
            assert_eq!(count(&again, &RowOutcome::Duplicate), 20, "{server}");
        }
        // A role that may not read documents does not end the run.
        let (index, through, proxy) = behind(server);
        let mut sink = through.sink("replicas: 0\non_existing: keep");
        sink.open().await.unwrap();
        proxy.next(Fault::NoAnswer, "/_bulk");
        proxy.next(Fault::Refuse(403, "security_exception"), "/_mget");
        let (outcomes, failures) = write(&mut sink, &batch(&records)).await;
        assert_eq!((failures, count(&outcomes, &RowOutcome::Duplicate)), (1, 20), "{server}");
        assert_eq!(index.documents().await, 20, "{server}");
    }
}

#[tokio::test]
async fn the_server_gives_up_before_we_do() {
    for server in servers() {
        let index = Index::new(server);
        // Its shard has no place: the server waits a minute for one, unless it is told otherwise.
        let nowhere =
            json!({ "settings": { "index.routing.allocation.require._name": "nobody", "number_of_replicas": 0 } });
        index.ask(Method::PUT, &format!("{}?wait_for_active_shards=0", index.name), nowhere).await;
        let mut sink = index.sink("create: none\ntimeout_s: 4");
        sink.open().await.unwrap();
        let writing = tokio::spawn(async move { sink.write(&batch(&numbered(10))).await });
        tokio::time::sleep(Duration::from_secs(5)).await;
        index.setting("index.routing.allocation.require._name", serde_json::Value::Null).await;
        let outcomes = writing.await.unwrap().unwrap();
        assert_eq!(count(&outcomes, &RowOutcome::Delivered), 10, "{server}: {outcomes:?}");
    }
}

#[tokio::test]
async fn a_move_of_the_ledger_that_came_twice_is_our_own() {
    for server in servers() {
        let (index, through, proxy) = behind(server);
        let records = numbered(3);
        let mut sink = through.sink("replicas: 0");
        sink.open().await.unwrap();
        assert_eq!(sink.position(&index.name).await.unwrap(), None);
        for (position, condition) in [("1", "op_type=create"), ("2", "if_seq_no"), ("3", "if_seq_no")] {
            sink.write(&at(&index, position, &records)).await.unwrap();
            proxy.next(Fault::Duplicate, condition);
            sink.commit().await.unwrap();
            assert_eq!(proxy.waiting(), 0, "{server}: {}", proxy.describe());
        }
        // An entry as versions before wrote it, which names no run.
        index.ask(Method::POST, "cloakroom_ledger/_refresh", serde_json::Value::Null).await;
        let mine = json!({ "query": { "match": { "part.keyword": index.name } } });
        let found = index.ask(Method::POST, "cloakroom_ledger/_search", mine).await;
        let entry = &found["hits"]["hits"][0];
        assert_eq!(entry["_source"]["position"], "3", "{server}: {found}");
        let mut old = entry["_source"].clone();
        old.as_object_mut().unwrap().remove("run").unwrap();
        let path = format!("cloakroom_ledger/_doc/{}", entry["_id"].as_str().unwrap());
        index.ask(Method::PUT, &path, old).await;
        let mut next = index.sink("");
        next.open().await.unwrap();
        assert_eq!(next.position(&index.name).await.unwrap().as_deref(), Some("3"), "{server}");
        next.write(&at(&index, "4", &records)).await.unwrap();
        next.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_run_that_delivered_everything_ends_well_without_a_refresh() {
    for server in servers() {
        for fault in [Fault::Refuse(403, "security_exception"), Fault::Status(503), Fault::Drop] {
            let (index, through, proxy) = behind(server);
            let mut sink = through.sink("replicas: 0");
            sink.open().await.unwrap();
            sink.write(&batch(&numbered(3))).await.unwrap();
            sink.commit().await.unwrap();
            proxy.next(fault, "_refresh");
            sink.close().await.unwrap();
            assert_eq!(proxy.waiting(), 0, "{server}");
            assert_eq!(index.documents().await, 3, "{server}");
        }
    }
}

#[tokio::test]
async fn only_a_connection_that_ends_without_a_word_may_want_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let opened = async |url: String| {
        let index = Index::on(url);
        let error = index.sink("timeout_s: 1").open().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        error.message
    };
    let port = |listener: &std::net::TcpListener| format!("http://{}", listener.local_addr().unwrap());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let late = opened(port(&silent)).await;
    assert!(late.contains("no answer") && !late.contains("https"), "{late}");
    let url = port(&silent);
    drop(silent);
    let refused = opened(url).await;
    assert!(refused.contains("cannot connect") && !refused.contains("https"), "{refused}");
    let unknown = opened("http://no-such-host.invalid:9200".to_owned()).await;
    assert!(!unknown.contains("https"), "{unknown}");
    let (index, through, proxy) = behind("OPENSEARCH");
    proxy.next(Fault::Drop, "");
    let closed = opened(through.url.clone()).await;
    assert!(closed.contains("`https` in `url`"), "{closed}");
    // Whoever spoke to it once knows that it does not.
    let mut sink = through.sink("");
    sink.open().await.unwrap();
    proxy.next(Fault::Drop, "/_bulk");
    let error = sink.write(&batch(&numbered(1))).await.unwrap_err();
    assert!(!error.message.contains("https"), "{error}");
    assert_eq!(index.documents().await, 0);
}
