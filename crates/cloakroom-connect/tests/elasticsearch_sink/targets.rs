//! What a name stands for, and what becomes of documents there: aliases, data streams, ingest pipelines, dates.

use cloakroom_faults::{Fault, FaultProxy, Plan};

use super::faults::Node;
use super::*;

/// A write that must end the run, and what it says.
async fn stopped(sink: &mut Box<dyn Sink>) -> String {
    let error = sink.write(&batch(&numbered(3))).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
    error.message
}

#[tokio::test]
async fn an_alias_needs_an_index_that_is_written_to() {
    for server in servers() {
        let index = Index::new(server);
        let actions = async |actions: serde_json::Value| {
            let answer = index.ask(Method::POST, "_aliases", json!({ "actions": actions })).await;
            assert_eq!(answer["acknowledged"], true, "{answer}");
        };
        let parts = ["1", "2"].map(|part| format!("part-{part}-{}", index.name));
        for part in &parts {
            index.ask(Method::PUT, part, json!({ "aliases": { &index.name: {} } })).await;
        }
        let mut sink = index.sink("");
        for error in [sink.open().await.unwrap_err(), sink.check().await.unwrap_err()] {
            assert_eq!(error.kind, ErrorKind::Configuration, "{server}: {error}");
            assert!(
                error.message.contains("alias of 2 indices") && error.message.contains("`is_write_index`"),
                "{error}"
            );
        }
        actions(json!([{ "add": { "index": parts[1], "alias": index.name, "is_write_index": true } }])).await;
        sink.open().await.unwrap();
        assert!(sink.check().await.unwrap().contains("is there"));
        let outcomes = sink.write(&batch(&numbered(5))).await.unwrap();
        assert_eq!(count(&outcomes, &RowOutcome::Delivered), 5, "{server}");
        sink.commit().await.unwrap();
        assert_eq!(index.documents().await, 5);
        // A role that may not ask goes on.
        let proxy = FaultProxy::http(&index.url, Plan::none());
        let through = Index { url: proxy.url().to_owned(), name: index.name.clone(), client: index.client.clone() };
        for path in ["_alias/", "_data_stream/"] {
            proxy.next(Fault::Refuse(403, "security_exception"), path);
        }
        through.sink("").open().await.unwrap();
        assert_eq!(proxy.waiting(), 0, "{server}");
        proxy.next(Fault::Status(503), "_alias/");
        assert_eq!(through.sink("").open().await.unwrap_err().kind, ErrorKind::Unavailable, "{server}");
        // Somebody changes it under the run: no document is at fault.
        actions(json!([{ "add": { "index": parts[1], "alias": index.name, "is_write_index": false } }])).await;
        assert!(stopped(&mut sink).await.contains("`is_write_index`"), "{server}");
    }
}

#[tokio::test]
async fn nothing_is_replaced_in_a_data_stream() {
    // Elasticsearch has data streams in a part that is in no registry.
    for server in servers().into_iter().filter(|server| server.starts_with("OPENSEARCH")) {
        let index = Index::new(server);
        let template = json!({ "index_patterns": [&index.name], "data_stream": {}, "priority": 300 });
        let path = format!("_index_template/of-{}", index.name);
        assert_eq!(index.ask(Method::PUT, &path, template).await["acknowledged"], true, "{server}");
        let stream = format!("_data_stream/{}", index.name);
        // It is made by the first document, under a run that cannot know of it.
        let mut early = index.sink("create: template");
        early.open().await.unwrap();
        index.ask(Method::PUT, &stream, serde_json::Value::Null).await;
        assert!(stopped(&mut early).await.contains("`on_existing: keep`"), "{server}");
        for (settings, advice) in [
            ("", "`on_existing: keep`"),
            ("create: none", "`on_existing: keep`"),
            ("create: template\non_existing: keep", "`create: none`"),
        ] {
            let error = index.sink(settings).open().await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Configuration, "{server}: {error}");
            assert!(error.message.contains("data stream") && error.message.contains(advice), "{server}: {error}");
        }
        let mut sink = index.sink("create: none\non_existing: keep");
        sink.open().await.unwrap();
        let policy = policy("'@timestamp': { type: timestamp }");
        let line = |n: usize| format!(r#"{{"id":"row-{n}","@timestamp":"2026-01-31T00:00:00Z"}}"#);
        let records = records(&policy, (0..10).map(line));
        for outcome in [RowOutcome::Delivered, RowOutcome::Duplicate] {
            let outcomes = sink.write(&batch(&records)).await.unwrap();
            assert_eq!(count(&outcomes, &outcome), 10, "{server}: {outcomes:?}");
            sink.commit().await.unwrap();
        }
        assert_eq!(index.documents().await, 10, "{server}");
        index.ask(Method::DELETE, &stream, serde_json::Value::Null).await;
        for template in [path, format!("_index_template/cloakroom-{}", index.name)] {
            index.ask(Method::DELETE, &template, serde_json::Value::Null).await;
        }
    }
}

#[tokio::test]
async fn an_index_that_cannot_be_written_to_makes_no_dead_letters() {
    for server in servers() {
        let index = Index::new(server);
        let mut sink = index.sink("");
        sink.open().await.unwrap();
        index.setting("index.default_pipeline", "no-such-pipeline".into()).await;
        let said = stopped(&mut sink).await;
        assert!(said.contains("ingest pipeline") && !said.contains("no-such-pipeline"), "{server}: {said}");

        let index = Index::new(server);
        index.ask(Method::PUT, &index.name, json!({ "mappings": { "_routing": { "required": true } } })).await;
        let mut sink = index.sink("");
        sink.open().await.unwrap();
        assert!(stopped(&mut sink).await.contains("routing"), "{server}");

        // A node that has room for no shard, where the first document would make the index.
        let node = Node::start_kind(&server.to_lowercase(), "full", &["cluster.max_shards_per_node=1"]);
        let index = Index::on(node.url.clone());
        let mut sink = index.sink("create: template\nshards: 2\nreplicas: 1");
        sink.open().await.unwrap();
        assert!(stopped(&mut sink).await.contains("shards"), "{server}");
    }
}

#[tokio::test]
async fn what_an_ingest_pipeline_drops_is_not_delivered() {
    for server in servers() {
        let index = Index::new(server);
        let path = format!("_ingest/pipeline/{}", index.name);
        let drop = json!({ "processors": [{ "drop": {} }] });
        assert_eq!(index.ask(Method::PUT, &path, drop).await["acknowledged"], true, "{server}");
        for mode in ["replace", "keep"] {
            let mut sink = index.sink(&format!("on_existing: {mode}"));
            sink.open().await.unwrap();
            index.setting("index.default_pipeline", index.name.as_str().into()).await;
            let outcomes = sink.write(&batch(&numbered(10))).await.unwrap();
            assert_eq!(outcomes, vec![RowOutcome::Filtered; 10], "{server} {mode}");
            sink.commit().await.unwrap();
            assert_eq!(index.documents().await, 0, "{server}");
        }
        index.setting("index.default_pipeline", serde_json::Value::Null).await;
        index.ask(Method::DELETE, &path, serde_json::Value::Null).await;
    }
}

#[tokio::test]
async fn every_date_that_the_policy_takes_is_taken() {
    let moments = [
        "2021-07-31T00:11:06Z",
        "2021-07-31T00:11:06",
        "2021-07-31 00:11:06",
        "2021-07-31 00:11:06Z",
        "2021-07-31t00:11:06z",
        "2021-07-31 00:11:06.7",
        "2021-07-31 00:11:06.74",
        "2021-07-31 00:11:06.741",
        "2021-07-31 00:11:06.7412",
        "2021-07-31T00:11:06.74123",
        "2021-07-31 00:11:06.741234",
        "2021-07-31 00:11:06.7412345",
        "2021-07-31 00:11:06.74123456",
        "2021-07-31 00:11:06.741234567",
        "2021-07-31T00:11:06.741234567Z",
        "2021-07-31t00:11:06.741z",
        "2021-07-31 00:11:06+00:00",
        "2021-07-31 02:11:06.741+02:00",
        "2021-07-30T16:41:06.5-07:30",
        "2021-07-31T00:11:06-00:00",
    ];
    let policy = policy("id: {}\nat: { type: timestamp }\nday: { type: date }");
    let line = |at: &str, day: &str| json!({ "id": format!("{at} {day}"), "at": at, "day": day }).to_string();
    let mut lines: Vec<String> = moments.iter().map(|at| line(at, "2021-07-31")).collect();
    lines.extend(["0001-01-01", "9999-12-31"].map(|day| line("0000-01-01T00:00:00Z", day)));
    let known = moments.len();
    // A leap second is a moment; what the server cannot read is kept, and costs no document.
    lines.push(line("2016-12-31T23:59:60Z", "2016-12-31"));
    let records = records(&policy, lines);
    for server in servers() {
        let index = Index::new(server);
        let mut sink = index.sink_of("replicas: 0", &policy);
        sink.open().await.unwrap();
        let outcomes = sink.write(&batch(&records)).await.unwrap();
        assert_eq!(count(&outcomes, &RowOutcome::Delivered), records.len(), "{server}: {outcomes:?}");
        sink.close().await.unwrap();
        let query = json!({ "size": 100, "query": { "bool": { "filter": [
            { "range": { "at": { "gte": "2021-07-31T00:11:06Z", "lt": "2021-07-31T00:11:07Z" } } },
            { "term": { "day": "2021-07-31" } },
        ] } } });
        let found = index.ask(Method::POST, &format!("{}/_search", index.name), query).await;
        // All are that second in UTC.
        assert_eq!(found["hits"]["hits"].as_array().unwrap().len(), known, "{server}: {found}");
        let ignored = json!({ "query": { "exists": { "field": "_ignored" } } });
        let found = index.ask(Method::POST, &format!("{}/_search", index.name), ignored).await;
        assert_eq!(found["hits"]["total"]["value"], 1, "{server}: {found}");
    }
}
