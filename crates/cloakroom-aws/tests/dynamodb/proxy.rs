//! Between the sink and DynamoDB: refuses calls, gives back items that it then does not pass on, and loses answers.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What is done to calls from now on.
#[derive(Default)]
pub(crate) struct Faults {
    /// Of every BatchWriteItem only this many items are passed on.
    pub(crate) most_items: Option<usize>,
    /// So many of the next writes of records are refused, with this code.
    pub(crate) refuse: Option<(usize, &'static str)>,
    /// Requests of more bytes are refused with 413.
    pub(crate) largest: Option<usize>,
    /// So many of the next writes of records are done, and answered with 500.
    pub(crate) lose_answers: usize,
    /// The same for writes of the ledger.
    pub(crate) lose_ledger: usize,
    /// Actions that came, with the number of items in them.
    pub(crate) calls: Vec<(String, usize)>,
}

struct Passage {
    to: String,
    client: reqwest::Client,
    faults: Arc<Mutex<Faults>>,
}

/// A proxy before DynamoDB; the address of it, and what it is told.
pub(crate) async fn start(to: &str) -> (String, Arc<Mutex<Faults>>) {
    let faults = Arc::new(Mutex::new(Faults::default()));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let passage = Arc::new(Passage { to: to.to_owned(), client, faults: Arc::clone(&faults) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(pass).layer(DefaultBodyLimit::disable()).with_state(passage);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, faults)
}

fn answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("content-type", "application/x-amz-json-1.0")], body.to_string()).into_response()
}

fn refusal(status: u16, code: &str) -> Response {
    let message = "Item with key 4111-secret was refused";
    answer(status, &json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": message }))
}

async fn pass(State(passage): State<Arc<Passage>>, headers: HeaderMap, body: Bytes) -> Response {
    let action = headers["x-amz-target"].to_str().unwrap().rsplit('.').next().unwrap().to_owned();
    let mut sent: Value = serde_json::from_slice(&body).unwrap();
    let is_ledger = sent["TableName"].as_str().is_some_and(|name| name.starts_with("ledger-"));
    let mut back = Value::Null;
    let lost = {
        let mut faults = passage.faults.lock().unwrap();
        let items = sent["RequestItems"]
            .as_object()
            .map_or(1, |tables| tables.values().map(|requests| requests.as_array().unwrap().len()).sum());
        faults.calls.push((action.clone(), items));
        let writes = matches!(action.as_str(), "BatchWriteItem" | "PutItem");
        if let Some((left, code)) = &mut faults.refuse
            && writes
            && !is_ledger
            && *left > 0
        {
            *left -= 1;
            return refusal(400, code);
        }
        if writes && faults.largest.is_some_and(|largest| body.len() > largest) {
            return refusal(413, "RequestEntityTooLarge");
        }
        if let (Some(most), "BatchWriteItem") = (faults.most_items, action.as_str()) {
            for (table, requests) in sent["RequestItems"].as_object_mut().unwrap() {
                let requests = requests.as_array_mut().unwrap();
                let rest = requests.split_off(most.min(requests.len()));
                if !rest.is_empty() {
                    back = json!({ table: rest });
                }
            }
        }
        let lose = match is_ledger {
            true => &mut faults.lose_ledger,
            false => &mut faults.lose_answers,
        };
        let lost = writes && *lose > 0;
        *lose -= usize::from(lost);
        lost
    };
    let mut request = passage.client.post(&passage.to).body(sent.to_string());
    for name in ["x-amz-target", "content-type", "authorization", "x-amz-date"] {
        if let Some(value) = headers.get(name) {
            request = request.header(name, value);
        }
    }
    let done = request.send().await.unwrap();
    let status = done.status().as_u16();
    let mut body: Value = serde_json::from_slice(&done.bytes().await.unwrap()).unwrap();
    if lost {
        return refusal(500, "InternalServerError");
    }
    if !back.is_null() && status == 200 {
        body["UnprocessedItems"] = back;
    }
    answer(status, &body)
}
