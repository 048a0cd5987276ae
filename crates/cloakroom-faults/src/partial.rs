//! Batches that fail partly: entries that are left out of what is forwarded, and put into the answer as failed ones.

use std::io::Read;

use serde_json::{Map, Value, json};

use crate::Request;
use crate::plan::Pick;

/// A batch of which the answer can say what became of each entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batch {
    Sqs,
    DynamoDb,
    Elasticsearch,
}

impl Batch {
    pub(crate) fn of(request: &Request) -> Option<Self> {
        match request.operation.as_deref() {
            Some("SendMessageBatch" | "DeleteMessageBatch" | "ChangeMessageVisibilityBatch") => Some(Self::Sqs),
            Some("BatchWriteItem") => Some(Self::DynamoDb),
            Some(_) => None,
            None => {
                let path = request.path.split('?').next().unwrap_or_default();
                (path == "/_bulk" || path.ends_with("/_bulk")).then_some(Self::Elasticsearch)
            }
        }
    }

    /// Takes entries out. `None` when the body is not what it should be, or nothing is to be left out.
    pub(crate) fn split(self, request: &Request, body: &[u8], pick: Pick) -> Option<Split> {
        match self {
            Self::Sqs => split_sqs(body, pick),
            Self::DynamoDb => split_dynamodb(body, pick),
            Self::Elasticsearch => split_bulk(&request.path, body, pick),
        }
    }
}

/// A batch without some of its entries.
pub(crate) struct Split {
    /// What is forwarded; `None` when nothing of the batch is left.
    pub(crate) body: Option<Vec<u8>>,
    /// How many entries are not in it.
    pub(crate) count: usize,
    left_out: LeftOut,
}

enum LeftOut {
    /// Entries of `Failed`.
    Sqs(Vec<Value>),
    /// `UnprocessedItems`.
    DynamoDb(Map<String, Value>),
    /// For each entry of the batch its item of the answer, when it was left out.
    Elasticsearch(Vec<Option<Value>>),
}

impl Split {
    /// The answer to the batch as it was sent, from the answer to the one that was forwarded.
    pub(crate) fn answer(self, forwarded: Option<&[u8]>) -> Option<Vec<u8>> {
        let mut answer: Value = match forwarded {
            Some(bytes) => serde_json::from_slice(bytes).ok()?,
            None => json!({}),
        };
        let members = answer.as_object_mut()?;
        match self.left_out {
            LeftOut::Sqs(mut failed) => {
                members.entry("Successful").or_insert_with(|| json!([]));
                if let Some(Value::Array(more)) = members.remove("Failed") {
                    failed.extend(more);
                }
                members.insert("Failed".to_owned(), Value::Array(failed));
            }
            LeftOut::DynamoDb(left_out) => {
                let unprocessed = members.entry("UnprocessedItems").or_insert_with(|| json!({})).as_object_mut()?;
                for (table, items) in left_out {
                    match (unprocessed.get_mut(&table), items) {
                        (Some(Value::Array(known)), Value::Array(items)) => known.extend(items),
                        (_, items) => drop(unprocessed.insert(table, items)),
                    }
                }
            }
            LeftOut::Elasticsearch(places) => {
                let mut forwarded = match members.remove("items") {
                    Some(Value::Array(items)) => items.into_iter(),
                    _ => Vec::new().into_iter(),
                };
                // An entry of which the answer says nothing would shift all that follow it.
                let items: Option<Vec<Value>> =
                    places.into_iter().map(|place| place.or_else(|| forwarded.next())).collect();
                members.insert("errors".to_owned(), Value::Bool(true));
                members.insert("items".to_owned(), Value::Array(items?));
            }
        }
        serde_json::to_vec(&answer).ok()
    }
}

fn split_sqs(body: &[u8], pick: Pick) -> Option<Split> {
    let mut request: Value = serde_json::from_slice(body).ok()?;
    let entries = request.get_mut("Entries")?.as_array_mut()?;
    let (left_out, kept) = divide(std::mem::take(entries), pick);
    *entries = kept;
    let body = if entries.is_empty() { None } else { Some(serde_json::to_vec(&request).ok()?) };
    let failed = left_out
        .iter()
        .map(|entry| {
            json!({ "Id": entry["Id"], "SenderFault": false, "Code": "InternalError", "Message": "left out by the fault kit" })
        })
        .collect();
    split(body, left_out.len(), LeftOut::Sqs(failed))
}

fn split_dynamodb(body: &[u8], pick: Pick) -> Option<Split> {
    let mut request: Value = serde_json::from_slice(body).ok()?;
    let tables = request.get_mut("RequestItems")?.as_object_mut()?;
    let flat: Option<Vec<(String, Value)>> = std::mem::take(tables)
        .into_iter()
        .map(|(table, items)| match items {
            Value::Array(items) => Some(items.into_iter().map(move |item| (table.clone(), item))),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()
        .map(|tables| tables.into_iter().flatten().collect());
    let (left_out, kept) = divide(flat?, pick);
    let count = left_out.len();
    *tables = by_table(kept);
    let body = if tables.is_empty() { None } else { Some(serde_json::to_vec(&request).ok()?) };
    split(body, count, LeftOut::DynamoDb(by_table(left_out)))
}

fn by_table(items: Vec<(String, Value)>) -> Map<String, Value> {
    let mut tables = Map::new();
    for (table, item) in items {
        if let Value::Array(items) = tables.entry(table).or_insert_with(|| json!([])) {
            items.push(item);
        }
    }
    tables
}

fn split_bulk(path: &str, body: &[u8], pick: Pick) -> Option<Split> {
    let index = path.trim_start_matches('/').split('/').next().filter(|index| !index.starts_with("_bulk"));
    let mut lines = body.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let mut entries = Vec::new();
    while let Some(line) = lines.next() {
        let action: Map<String, Value> = serde_json::from_slice(line).ok()?;
        let (name, about) = action.into_iter().next()?;
        let mut bytes = line.to_vec();
        if name != "delete" {
            bytes.extend_from_slice(lines.next()?);
        }
        entries.push((name, about, bytes));
    }
    let left_out = pick.of(entries.len());
    let count = left_out.iter().filter(|left_out| **left_out).count();
    let mut kept = Vec::new();
    let mut places = Vec::new();
    for ((name, about, bytes), left_out) in entries.into_iter().zip(left_out) {
        if left_out {
            let index = about.get("_index").and_then(Value::as_str).or(index);
            let error = json!({ "type": "es_rejected_execution_exception", "reason": "rejected by the fault kit" });
            let mut item = json!({ "_index": index, "_id": about["_id"], "status": 429, "error": error });
            if let (true, Some(item)) = (item["_id"].is_null(), item.as_object_mut()) {
                item.remove("_id");
            }
            places.push(Some(Value::Object(Map::from_iter([(name, item)]))));
        } else {
            kept.extend_from_slice(&bytes);
            places.push(None);
        }
    }
    split((!kept.is_empty()).then_some(kept), count, LeftOut::Elasticsearch(places))
}

/// What is left out, and what is kept.
fn divide<T>(entries: Vec<T>, pick: Pick) -> (Vec<T>, Vec<T>) {
    let left_out = pick.of(entries.len());
    let (left_out, kept): (Vec<_>, Vec<_>) = entries.into_iter().zip(left_out).partition(|(_, left_out)| *left_out);
    let without = |pairs: Vec<(T, bool)>| pairs.into_iter().map(|(entry, _)| entry).collect();
    (without(left_out), without(kept))
}

fn split(body: Option<Vec<u8>>, count: usize, left_out: LeftOut) -> Option<Split> {
    (count > 0).then_some(Split { body, count, left_out })
}

/// What a body with `Content-Encoding: gzip` holds.
pub(crate) fn gunzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(body).read_to_end(&mut plain).ok()?;
    Some(plain)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request(operation: Option<&str>, path: &str) -> Request {
        let target = operation.map(|operation| format!("Service.{operation}"));
        Request::of_parts("POST", path, target.as_deref(), operation.is_some())
    }

    fn value(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn only_batches_fail_partly() {
        for (operation, path, batch) in [
            (Some("DeleteMessageBatch"), "/", Some(Batch::Sqs)),
            (Some("DeleteMessage"), "/", None),
            (Some("BatchWriteItem"), "/", Some(Batch::DynamoDb)),
            (None, "/logins/_bulk?refresh=true", Some(Batch::Elasticsearch)),
            (None, "/_bulk", Some(Batch::Elasticsearch)),
            (None, "/logins/_search", None),
        ] {
            assert_eq!(Batch::of(&request(operation, path)), batch, "{operation:?} {path}");
        }
    }

    #[test]
    fn sqs_entries_are_left_out_and_failed() {
        let request = request(Some("DeleteMessageBatch"), "/");
        let sent = json!({ "QueueUrl": "q", "Entries": [{ "Id": "a" }, { "Id": "b" }, { "Id": "c" }] }).to_string();
        let split = Batch::Sqs.split(&request, sent.as_bytes(), Pick::First(2)).unwrap();
        assert_eq!(value(split.body.as_ref().unwrap()), json!({ "QueueUrl": "q", "Entries": [{ "Id": "c" }] }));
        assert_eq!(split.count, 2);
        let answer = split.answer(Some(br#"{"Successful":[{"Id":"c"}],"Failed":[]}"#)).unwrap();
        let answer = value(&answer);
        assert_eq!(answer["Successful"], json!([{ "Id": "c" }]));
        assert_eq!(answer["Failed"].as_array().unwrap().iter().map(|f| &f["Id"]).collect::<Vec<_>>(), ["a", "b"]);
        // All of it.
        let split = Batch::Sqs.split(&request, sent.as_bytes(), Pick::First(9)).unwrap();
        assert!(split.body.is_none());
        let answer = value(&split.answer(None).unwrap());
        assert_eq!((&answer["Successful"], answer["Failed"].as_array().unwrap().len()), (&json!([]), 3));
        assert!(Batch::Sqs.split(&request, b"not JSON", Pick::First(1)).is_none());
        assert!(Batch::Sqs.split(&request, sent.as_bytes(), Pick::First(0)).is_none());
    }

    #[test]
    fn dynamodb_items_come_back_unprocessed() {
        let request = request(Some("BatchWriteItem"), "/");
        let put = |n: u32| json!({ "PutRequest": { "Item": { "k": { "N": n.to_string() } } } });
        let sent = json!({ "RequestItems": { "one": [put(1), put(2)], "two": [put(3)] } }).to_string();
        let split = Batch::DynamoDb.split(&request, sent.as_bytes(), Pick::First(1)).unwrap();
        let forwarded = value(split.body.as_ref().unwrap());
        assert_eq!(forwarded, json!({ "RequestItems": { "one": [put(2)], "two": [put(3)] } }));
        let unprocessed = json!({ "UnprocessedItems": { "one": [put(2)] } }).to_string();
        let answer = value(&split.answer(Some(unprocessed.as_bytes())).unwrap());
        assert_eq!(answer, json!({ "UnprocessedItems": { "one": [put(2), put(1)] } }));
        let split = Batch::DynamoDb.split(&request, sent.as_bytes(), Pick::First(3)).unwrap();
        assert!(split.body.is_none());
        assert_eq!(value(&split.answer(None).unwrap())["UnprocessedItems"], value(sent.as_bytes())["RequestItems"]);
    }

    #[test]
    fn bulk_items_keep_their_places() {
        let sent = "{\"index\":{\"_id\":\"1\"}}\n{\"a\":1}\n{\"delete\":{\"_id\":\"2\"}}\n{\"create\":{\"_index\":\"other\"}}\n{\"a\":3}\n";
        let request = request(None, "/logins/_bulk");
        let split = Batch::Elasticsearch.split(&request, sent.as_bytes(), Pick::First(2)).unwrap();
        assert_eq!(split.body.as_deref().unwrap(), b"{\"create\":{\"_index\":\"other\"}}\n{\"a\":3}\n");
        let answer = value(&split.answer(Some(br#"{"items":[{"create":{"status":201}}]}"#)).unwrap());
        assert_eq!(answer["errors"], true);
        assert_eq!(answer["items"][0]["index"]["status"], 429);
        assert_eq!(answer["items"][0]["index"]["_index"], "logins");
        assert_eq!(answer["items"][1]["delete"]["_id"], "2");
        assert_eq!(answer["items"][2], json!({ "create": { "status": 201 } }));
        // An answer that says too little is none.
        let split = Batch::Elasticsearch.split(&request, sent.as_bytes(), Pick::First(1)).unwrap();
        assert!(split.answer(Some(br#"{"items":[{"create":{"status":201}}]}"#)).is_none());
    }
}
