//! The proxy in front of a small server of the test's own, and in front of real queues and tables.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use cloakroom_faults::{Counts, Fault, FaultProxy, Plan};
use futures_util::stream;
use serde_json::{Value, json};

/// What reached the server: `METHOD path body`.
type Seen = Arc<Mutex<Vec<String>>>;

/// A server that gives back what it gets; `/large` is 64 MiB, `/pieces` has no length.
fn upstream() -> (String, Seen) {
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let router = axum::Router::new().fallback(move |request: Request| give_back(Arc::clone(&kept), request));
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    (url, seen)
}

async fn give_back(seen: Seen, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.to_string();
    if path == "/large" {
        let mut count = 0;
        let mut body = body.into_data_stream();
        while let Some(piece) = futures_util::StreamExt::next(&mut body).await {
            count += piece.unwrap().len();
        }
        seen.lock().unwrap().push(format!("{count} bytes"));
        let piece = Bytes::from(vec![b'x'; 1024 * 1024]);
        return Body::from_stream(stream::iter((0..64).map(move |_| Ok::<_, std::io::Error>(piece.clone()))))
            .into_response();
    }
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    seen.lock().unwrap().push(format!("{} {path} {}", parts.method, String::from_utf8_lossy(&body)));
    if path == "/pieces" {
        let pieces = ["first ", "second"].map(Ok::<_, std::io::Error>);
        return Body::from_stream(stream::iter(pieces)).into_response();
    }
    body.into_response()
}

/// An answer: status and as much of the body as came. `Err` when not even a head came.
fn call(url: &str, path: &str, headers: &str, body: &[u8]) -> Result<(u16, String, bool), String> {
    request(url, &format!("POST {path}"), headers, body)
}

fn request(url: &str, line: &str, headers: &str, body: &[u8]) -> Result<(u16, String, bool), String> {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "{line} HTTP/1.1\r\nHost: test\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).map_err(|error| error.to_string())?;
    // A server that has refused already closes: its answer still counts.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    // "Go on", for who asked with `Expect`.
    let answer = answer.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let whole = match length {
        Some(length) => body.len() == length.parse::<usize>().unwrap(),
        None => body.ends_with("0\r\n\r\n"),
    };
    Ok((status, body.to_owned(), whole))
}

fn aws(url: &str, target: &str, body: &Value) -> Result<(u16, Value), String> {
    let scope = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0";
    let headers = format!("X-Amz-Target: {target}\r\nContent-Type: application/x-amz-json-1.0\r\n{scope}\r\n");
    let (status, body, whole) = call(url, "/", &headers, body.to_string().as_bytes())?;
    assert!(whole, "{body}");
    Ok((status, serde_json::from_str(&body).unwrap_or_default()))
}

fn taken(seen: &Seen) -> Vec<String> {
    std::mem::take(&mut *seen.lock().unwrap())
}

#[test]
fn without_a_plan_everything_passes() {
    let (url, seen) = upstream();
    let proxy = FaultProxy::http(&url, Plan::none());
    assert_eq!(call(proxy.url(), "/a?b=c", "", b"body").unwrap(), (200, "body".to_owned(), true));
    assert_eq!(taken(&seen), ["POST /a?b=c body"]);
    assert!(call(proxy.url(), "/pieces", "", b"").unwrap().1.contains("second"));
    assert_eq!(proxy.injected(), Counts { requests: 2, ..Counts::default() });
    assert_eq!(proxy.injected().total(), 0);
}

#[test]
fn each_fault_does_what_it_says() {
    let (url, seen) = upstream();
    let proxy = FaultProxy::http(&url, Plan::none());
    let to = |path: &str| call(proxy.url(), path, "", b"0123456789");

    proxy.next(Fault::Drop, "");
    assert!(to("/drop").is_err());
    assert!(taken(&seen).is_empty());

    proxy.next(Fault::NoAnswer, "");
    assert!(to("/lost").is_err());
    assert_eq!(taken(&seen), ["POST /lost 0123456789"]);

    proxy.next(Fault::Cut, "");
    assert_eq!(to("/cut").unwrap(), (200, "01234".to_owned(), false));
    proxy.next(Fault::Cut, "");
    let (status, body, whole) = to("/pieces").unwrap();
    assert!(status == 200 && body.contains("first") && !whole, "{body}");
    assert_eq!(taken(&seen).len(), 2);

    proxy.next(Fault::Duplicate, "");
    assert_eq!(to("/twice").unwrap(), (200, "0123456789".to_owned(), true));
    assert_eq!(taken(&seen), ["POST /twice 0123456789"; 2]);

    proxy.next(Fault::Status(503), "");
    assert_eq!(to("/refused").unwrap().0, 503);
    assert!(taken(&seen).is_empty());

    proxy.next(Fault::Delay(Duration::from_millis(200)), "");
    let began = Instant::now();
    assert_eq!(to("/late").unwrap().0, 200);
    assert!(began.elapsed() >= Duration::from_millis(200));
    taken(&seen);

    let Counts {
        dropped: 1,
        cut: 2,
        unanswered: 1,
        delayed: 1,
        duplicated: 1,
        refused: 1,
        partial: 0,
        requests: 7,
        ..
    } = proxy.injected()
    else {
        panic!("{}", proxy.describe());
    };
    assert_eq!(proxy.injected().total(), 7);
}

#[test]
fn a_fault_waits_for_the_request_that_is_meant() {
    let (url, seen) = upstream();
    let proxy = FaultProxy::http(&url, Plan::none());
    proxy.next(Fault::Refuse(400, "AccessDeniedException"), "Decrypt");
    proxy.next(Fault::Status(429), "/_search");
    assert_eq!(aws(proxy.url(), "TrentService.Encrypt", &json!({})).unwrap().0, 200);
    let (status, body) = aws(proxy.url(), "TrentService.Decrypt", &json!({})).unwrap();
    assert_eq!((status, &body["__type"]), (400, &json!("com.amazonaws#AccessDeniedException")));
    assert_eq!(aws(proxy.url(), "TrentService.Decrypt", &json!({})).unwrap().0, 200);
    assert_eq!(proxy.waiting(), 1);
    assert_eq!(call(proxy.url(), "/logins/_search?q=1", "", b"").unwrap().0, 429);
    assert_eq!(taken(&seen).len(), 2);
    proxy.next(Fault::Drop, "");
    proxy.off();
    assert_eq!((proxy.waiting(), call(proxy.url(), "/", "", b"").unwrap().0), (0, 200));
}

#[test]
fn the_same_seed_meets_the_same_requests() {
    let (url, seen) = upstream();
    let run = |seed| {
        let plan = Plan::new(seed).drop(0.15).cut(0.15).duplicate(0.1).status(0.2);
        let proxy = FaultProxy::http(&url, plan);
        let answers: Vec<_> = (0..120).map(|n| call(proxy.url(), &format!("/{n}"), "", b"abcd").ok()).collect();
        (answers, taken(&seen), proxy.injected())
    };
    let first = run(11);
    assert_eq!(first, run(11));
    assert_ne!(first.0, run(12).0);
    let counts = first.2;
    for count in [counts.dropped, counts.cut, counts.unanswered, counts.duplicated, counts.refused] {
        assert!(count > 0, "{counts}");
    }
    assert_eq!(first.0.iter().flatten().filter(|(status, _, _)| *status != 200).count() as u64, counts.refused);
    assert_eq!(first.1.len() as u64, 120 - counts.dropped - counts.refused + counts.duplicated);
}

#[test]
fn the_plan_can_be_for_some_requests_only() {
    let (url, _) = upstream();
    let proxy = FaultProxy::http(&url, Plan::new(1).status(1.0).statuses(&[500]));
    proxy.only(|request| request.is("DeleteMessageBatch") && request.method == "POST");
    assert_eq!(call(proxy.url(), "/other", "", b"").unwrap().0, 200);
    assert_eq!(aws(proxy.url(), "AmazonSQS.DeleteMessageBatch", &json!({})).unwrap().0, 500);
    proxy.set(Plan::none());
    assert_eq!(aws(proxy.url(), "AmazonSQS.DeleteMessageBatch", &json!({})).unwrap().0, 200);
    assert!(proxy.describe().contains("1 refused"), "{}", proxy.describe());
}

#[test]
fn large_bodies_flow_in_both_directions() {
    let (url, seen) = upstream();
    let proxy = FaultProxy::http(&url, Plan::new(1).duplicate(1.0));
    let body = vec![b'y'; 48 * 1024 * 1024];
    let (status, answer, whole) = call(proxy.url(), "/large", "", &body).unwrap();
    assert!(status == 200 && whole && answer.len() > 64 * 1024 * 1024, "{status} {}", answer.len());
    // Too large to be repeated.
    assert_eq!((taken(&seen), proxy.injected().duplicated), (vec![format!("{} bytes", body.len())], 0));
}

#[test]
fn batches_fail_partly() {
    let (url, seen) = upstream();
    let proxy = FaultProxy::http(&url, Plan::none());
    let bulk = "{\"index\":{}}\n{\"a\":1}\n{\"index\":{}}\n{\"a\":2}\n";
    proxy.next(Fault::Partial(9), "/_bulk");
    let (_, answer, whole) = call(proxy.url(), "/logins/_bulk", "", bulk.as_bytes()).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert!(whole && answer["items"][1]["index"]["status"] == 429, "{answer}");
    assert!(taken(&seen).is_empty());
    assert_eq!((proxy.injected().partial, proxy.injected().entries), (1, 2));
    // Of a request that is no batch nothing can be left out.
    proxy.next(Fault::Partial(1), "");
    assert_eq!(call(proxy.url(), "/logins/_doc", "", b"{}").unwrap().1, "{}");
    assert_eq!(proxy.injected().partial, 1);
}

#[test]
fn open_connections_can_be_closed() {
    let (url, _) = upstream();
    let proxy = FaultProxy::http(&url, Plan::none());
    proxy.next(Fault::Delay(Duration::from_secs(60)), "");
    let began = Instant::now();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| call(proxy.url(), "/", "", b""));
        while proxy.injected().delayed == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        proxy.cut_now();
        assert!(waits.join().unwrap().is_err());
    });
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_server_that_is_gone_is_a_closed_connection() {
    let (url, _) = upstream();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = FaultProxy::http(&format!("http://{closed}"), Plan::none());
    assert!(call(proxy.url(), "/", "", b"").is_err());
    let known = proxy.url().to_owned();
    drop(proxy);
    assert!(call(&known, "/", "", b"").is_err(), "{url}: the proxy goes with its value");
}

#[test]
fn real_queue_deletes_only_what_was_forwarded() {
    let Ok(url) = std::env::var("CLOAKROOM_TEST_SQS_URL") else {
        eprintln!("not run: CLOAKROOM_TEST_SQS_URL; run the tests with `make test`");
        return;
    };
    let proxy = FaultProxy::http(&url, Plan::none());
    let sqs = |operation: &str, body: Value| aws(proxy.url(), &format!("AmazonSQS.{operation}"), &body);
    let queue = format!("faults-{}", std::process::id());
    let (_, made) = sqs("CreateQueue", json!({ "QueueName": queue })).unwrap();
    let queue = made["QueueUrl"].as_str().unwrap();
    let entries: Vec<Value> =
        (0..10).map(|n| json!({ "Id": format!("m{n}"), "MessageBody": format!("{n}") })).collect();
    // Answered by nobody, and there all the same.
    proxy.next(Fault::NoAnswer, "SendMessageBatch");
    assert!(sqs("SendMessageBatch", json!({ "QueueUrl": queue, "Entries": entries })).is_err());
    let receive = json!({ "QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1, "VisibilityTimeout": 1 });
    let (_, received) = sqs("ReceiveMessage", receive.clone()).unwrap();
    let messages = received["Messages"].as_array().unwrap();
    assert_eq!(messages.len(), 10, "{received}");

    proxy.next(Fault::Partial(3), "DeleteMessageBatch");
    let entries: Vec<Value> = (0..)
        .zip(messages)
        .map(|(n, message): (u32, _)| json!({ "Id": format!("e{n}"), "ReceiptHandle": message["ReceiptHandle"] }))
        .collect();
    let (status, deleted) = sqs("DeleteMessageBatch", json!({ "QueueUrl": queue, "Entries": entries })).unwrap();
    assert_eq!((status, deleted["Successful"].as_array().unwrap().len()), (200, 7), "{deleted}");
    let failed: Vec<&Value> = deleted["Failed"].as_array().unwrap().iter().map(|failed| &failed["Id"]).collect();
    assert_eq!(failed, ["e0", "e1", "e2"]);
    std::thread::sleep(Duration::from_millis(1_200));
    let (_, again) = sqs("ReceiveMessage", receive).unwrap();
    let bodies = |list: &[Value]| {
        list.iter().map(|message| message["Body"].to_string()).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(bodies(again["Messages"].as_array().unwrap()), bodies(&messages[..3]));
    let injected = proxy.injected();
    assert_eq!((injected.unanswered, injected.partial, injected.entries), (1, 1, 3));
    sqs("DeleteQueue", json!({ "QueueUrl": queue })).unwrap();
}

#[test]
fn real_table_gets_only_what_was_forwarded() {
    let Ok(url) = std::env::var("CLOAKROOM_TEST_DYNAMODB_URL") else {
        eprintln!("not run: CLOAKROOM_TEST_DYNAMODB_URL; run the tests with `make test`");
        return;
    };
    let proxy = FaultProxy::http(&url, Plan::none());
    let dynamodb = |operation: &str, body: Value| aws(proxy.url(), &format!("DynamoDB_20120810.{operation}"), &body);
    let table = format!("faults-{}", std::process::id());
    let key = json!({ "AttributeName": "k", "AttributeType": "S" });
    let made = json!({ "TableName": table, "BillingMode": "PAY_PER_REQUEST", "AttributeDefinitions": [key],
                       "KeySchema": [{ "AttributeName": "k", "KeyType": "HASH" }] });
    assert_eq!(dynamodb("CreateTable", made).unwrap().0, 200);
    let count = || dynamodb("Scan", json!({ "TableName": table, "Select": "COUNT" })).unwrap().1["Count"].clone();
    let items: Vec<Value> =
        (0..25).map(|n| json!({ "PutRequest": { "Item": { "k": { "S": format!("{n}") } } } })).collect();
    let batch = |items: &Value| json!({ "RequestItems": items });

    proxy.next(Fault::Status(429), "BatchWriteItem");
    let (status, refused) = dynamodb("BatchWriteItem", batch(&json!({ table.as_str(): items }))).unwrap();
    assert_eq!((status, count()), (400, json!(0)), "{refused}");
    proxy.next(Fault::Partial(10), "BatchWriteItem");
    let (_, written) = dynamodb("BatchWriteItem", batch(&json!({ table.as_str(): items }))).unwrap();
    assert_eq!(count(), 15);
    let rest = &written["UnprocessedItems"];
    assert_eq!(rest[&table].as_array().unwrap().as_slice(), &items[..10]);
    proxy.next(Fault::NoAnswer, "BatchWriteItem");
    assert!(dynamodb("BatchWriteItem", batch(rest)).is_err());
    assert_eq!(count(), 25);
    dynamodb("DeleteTable", json!({ "TableName": table })).unwrap();
}

#[test]
fn real_objects_of_any_size_pass_and_can_be_cut() {
    let Ok(url) = std::env::var("CLOAKROOM_TEST_LOCALSTACK_URL") else {
        eprintln!("not run: CLOAKROOM_TEST_LOCALSTACK_URL; run the tests with `make test`");
        return;
    };
    let proxy = FaultProxy::http(&url, Plan::none());
    let headers = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, \
                   SignedHeaders=host, Signature=0\r\nExpect: 100-continue\r\n";
    let s3 = |line: &str, body: &[u8]| request(proxy.url(), line, headers, body);
    let bucket = format!("faults-{}", std::process::id());
    assert_eq!(s3(&format!("PUT /{bucket}"), b"").unwrap().0, 200);
    let object = "o".repeat(40 * 1024 * 1024);
    let (put, get) = (format!("PUT /{bucket}/large"), format!("GET /{bucket}/large"));
    proxy.next(Fault::Status(429), "/large");
    let (status, refused, _) = s3(&put, object.as_bytes()).unwrap();
    assert!(status == 503 && refused.contains("<Code>SlowDown</Code>"), "{status} {refused}");
    assert_eq!(s3(&get, b"").unwrap().0, 404);
    proxy.next(Fault::NoAnswer, "/large");
    assert!(s3(&put, object.as_bytes()).is_err());
    proxy.next(Fault::Cut, "/large");
    let (status, half, whole) = s3(&get, b"").unwrap();
    assert_eq!((status, half.len(), whole), (200, object.len() / 2, false));
    let (status, all, whole) = s3(&get, b"").unwrap();
    assert!(status == 200 && whole && all == object);
}
