//! Batches as bulk requests: bounded in size, each document with an outcome of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cloakroom_core::encode::write_string;
use cloakroom_core::{ProtectedRecord, RecordError, RecordErrorKind, Value};
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::retry::{Backoff, RetryConfig};
use cloakroom_pipeline::sink::RowOutcome;
use futures_util::stream::{self, StreamExt as _};
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::room::{Room, never_fits};
use super::server::{Server, error_name};
use super::{Config, OnExisting};

/// The most bytes of an `_id`: one that is longer fails the whole request.
const MAX_ID: usize = 512;

/// A batch is cut for all connections, but not into requests that are smaller than this for it.
const WORTH_A_REQUEST: usize = 256 * 1024;

/// How long documents that the server has no room for are sent again without any progress, before the batch as a whole is.
const BUSY: RetryConfig = RetryConfig { base_ms: 100, max_ms: 5_000, give_up_after_s: 30 };

pub(super) struct Bulk {
    server: Arc<Server>,
    path: String,
    id: String,
    action: &'static str,
    room: Room,
    concurrency: usize,
}

/// One document, ready to be sent.
struct Line {
    /// Its record in the batch.
    at: usize,
    /// Action and document, each with a line end.
    text: Vec<u8>,
}

impl Bulk {
    pub(super) fn new(config: &Config, server: Arc<Server>) -> Self {
        Self {
            server,
            path: format!("{}/_bulk?filter_path=items.*.status,items.*.error.type", config.index),
            id: config.id.clone(),
            action: match config.on_existing {
                OnExisting::Replace => "index",
                OnExisting::Keep => "create",
            },
            room: Room::new(config.max_request_bytes),
            concurrency: config.concurrency,
        }
    }

    /// Writes the records that have no outcome yet. What could not be told by an error's time has none.
    pub(super) async fn write(
        &self,
        records: &[ProtectedRecord],
        outcomes: &mut [Option<RowOutcome>],
    ) -> Result<(), ConnectorError> {
        let mut lines = Vec::new();
        for (at, (record, outcome)) in records.iter().zip(&mut *outcomes).enumerate() {
            if outcome.is_none() {
                match self.line(at, record) {
                    Ok(line) => lines.push(line),
                    Err(error) => *outcome = Some(RowOutcome::Dead(error)),
                }
            }
        }
        let requests = self.requests(lines);
        let mut answers = stream::iter(requests).map(|lines| self.send(lines)).buffer_unordered(self.concurrency);
        let mut failed = None;
        while let Some((known, error)) = answers.next().await {
            for (at, outcome) in known {
                outcomes[at] = Some(outcome);
            }
            // The others are under way: what becomes of them is worth knowing.
            failed = failed.or(error);
        }
        failed.map_or(Ok(()), Err)
    }

    fn line(&self, at: usize, record: &ProtectedRecord) -> Result<Line, RecordError> {
        let refuse = |kind, what: &'static str| RecordError::at(kind, self.id.clone(), what);
        let id = match record.get(&self.id) {
            Some(Value::String(text)) if !text.is_empty() => text.as_str(),
            Some(Value::Number(number)) => number.as_str(),
            _ => {
                return Err(refuse(
                    RecordErrorKind::MissingField,
                    "it becomes the document's `_id` and must have a value",
                ));
            }
        };
        if id.len() > MAX_ID {
            return Err(refuse(
                RecordErrorKind::TooLong,
                "it becomes the document's `_id`, which has at most 512 bytes",
            ));
        }
        let mut text = Vec::with_capacity(256);
        text.extend_from_slice(b"{\"");
        text.extend_from_slice(self.action.as_bytes());
        text.extend_from_slice(b"\":{\"_id\":");
        write_string(id, &mut text);
        text.extend_from_slice(b"}}\n");
        record.write_json(&mut text);
        text.push(b'\n');
        Ok(Line { at, text })
    }

    /// As many lines in a request as it has room for, at least one, and work for all connections where there is enough.
    fn requests(&self, lines: Vec<Line>) -> Vec<Vec<Line>> {
        let total: usize = lines.iter().map(|line| line.text.len()).sum();
        let most = total.div_ceil(self.concurrency).max(WORTH_A_REQUEST).min(self.room.bytes());
        let mut requests: Vec<Vec<Line>> = Vec::new();
        let mut bytes = usize::MAX;
        for line in lines {
            bytes = bytes.saturating_add(line.text.len());
            match requests.last_mut() {
                Some(request) if bytes <= most => request.push(line),
                _ => {
                    bytes = line.text.len();
                    requests.push(vec![line]);
                }
            }
        }
        requests
    }

    /// Sends one request, and again what the server had no room for. Gives what is known, and what kept the rest from being so.
    async fn send(&self, lines: Vec<Line>) -> (Vec<(usize, RowOutcome)>, Option<ConnectorError>) {
        let mut known = Vec::with_capacity(lines.len());
        // Parts of the request, the next one last.
        let mut parts = vec![lines];
        let mut backoff = Backoff::new(BUSY);
        while let Some(lines) = parts.pop() {
            let before = known.len();
            let sent = match self.once(lines, &mut known).await {
                Ok(sent) => sent,
                Err(error) => return (known, Some(error)),
            };
            if known.len() > before {
                backoff = Backoff::new(BUSY);
            }
            let (again, wait) = match sent {
                Sent::All => continue,
                Sent::Parted(again) => (again, None),
                Sent::Busy(lines) => (vec![lines], Some(None)),
                Sent::Refused(lines, asked) => (halves(lines), Some(asked)),
            };
            if let Some(asked) = wait {
                let count: usize = again.iter().map(Vec::len).sum();
                let mut busy = ConnectorError::unavailable(format!(
                    "the server has no room for {count} documents (429); it may be short of memory, threads or disk"
                ));
                busy.retry_after = asked;
                match backoff.after(busy) {
                    Ok(pause) => tokio::time::sleep(pause).await,
                    Err(error) => return (known, Some(error)),
                }
            }
            parts.extend(again.into_iter().rev());
        }
        (known, None)
    }

    async fn once(&self, lines: Vec<Line>, known: &mut Vec<(usize, RowOutcome)>) -> Result<Sent, ConnectorError> {
        let bytes = lines.iter().map(|line| line.text.len()).sum();
        let mut body = Vec::with_capacity(bytes);
        lines.iter().for_each(|line| body.extend_from_slice(&line.text));
        let answer =
            self.server.send(Method::POST, &self.path, "application/x-ndjson", Some(Bytes::from(body))).await?;
        match answer.status {
            status if status.is_success() => self.room.taken(bytes),
            StatusCode::PAYLOAD_TOO_LARGE => {
                self.room.refused(bytes, lines.len() > 1);
                return Ok(parted(
                    lines,
                    known,
                    RecordErrorKind::TooLarge,
                    "the server takes no request of that size (413)",
                ));
            }
            StatusCode::TOO_MANY_REQUESTS if never_fits(&answer.body) => {
                self.room.refused(bytes, lines.len() > 1);
                return Ok(parted(
                    lines,
                    known,
                    RecordErrorKind::TooLarge,
                    "the server never has that much memory for a request (429)",
                ));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                self.room.refused(bytes, false);
                return Ok(Sent::Refused(lines, answer.retry_after));
            }
            // One of them is such that it takes none: find it.
            StatusCode::BAD_REQUEST => {
                return Ok(parted(lines, known, RecordErrorKind::Database, "the server refuses the document (400)"));
            }
            _ => return Err(answer.refusal("a bulk request")),
        }
        let damaged = || ConnectorError::new(ErrorKind::Corrupt, "the server did not answer for every document");
        let items: Items = serde_json::from_slice(&answer.body).map_err(|_| damaged())?;
        if items.items.len() != lines.len() {
            return Err(damaged());
        }
        let mut busy = Vec::new();
        let mut fault = None;
        for (line, item) in lines.into_iter().zip(items.items) {
            match item.verdict() {
                Verdict::Is(outcome) => known.push((line.at, outcome)),
                Verdict::Busy => busy.push(line),
                Verdict::Fault(error) => fault = Some(error),
            }
        }
        match (fault, busy.is_empty()) {
            (Some(error), _) => Err(error),
            (None, true) => Ok(Sent::All),
            (None, false) => Ok(Sent::Busy(busy)),
        }
    }
}

/// How sending a request ended.
enum Sent {
    All,
    /// The server has no room for these of them.
    Busy(Vec<Line>),
    /// The server has no room for the request as a whole, and may ask for a pause.
    Refused(Vec<Line>, Option<Duration>),
    /// The server takes them not together.
    Parted(Vec<Vec<Line>>),
}

fn halves(mut lines: Vec<Line>) -> Vec<Vec<Line>> {
    if lines.len() < 2 {
        return vec![lines];
    }
    let right = lines.split_off(lines.len() / 2);
    vec![lines, right]
}

/// Halves what the server takes not together. A document that is alone is dead, for this reason.
fn parted(lines: Vec<Line>, known: &mut Vec<(usize, RowOutcome)>, kind: RecordErrorKind, why: &'static str) -> Sent {
    if lines.len() > 1 {
        return Sent::Parted(halves(lines));
    }
    let error = RecordError::new(kind, why);
    known.extend(lines.into_iter().map(|line| (line.at, RowOutcome::Dead(error.clone()))));
    Sent::All
}

#[derive(Deserialize)]
struct Items {
    #[serde(default)]
    items: Vec<Item>,
}

/// `{"index":{"status":201}}`, with the action as its only member.
#[derive(Deserialize)]
struct Item {
    #[serde(alias = "index", alias = "create")]
    done: Done,
}

#[derive(Deserialize)]
struct Done {
    status: u16,
    error: Option<serde_json::Value>,
}

/// What an item's status means.
enum Verdict {
    Is(RowOutcome),
    /// Later.
    Busy,
    /// It is not about the document.
    Fault(ConnectorError),
}

impl Item {
    fn verdict(&self) -> Verdict {
        let Done { status, error } = &self.done;
        let name = error.as_ref().and_then(error_name).unwrap_or_else(|| "no reason given".to_owned());
        let fault = |kind, what: &str| Verdict::Fault(ConnectorError::new(kind, format!("{what} ({status}, {name})")));
        match (status, name.as_str()) {
            (200..=299, _) => Verdict::Is(RowOutcome::Delivered),
            (409, _) => Verdict::Is(RowOutcome::Duplicate),
            (429 | 503, _) => Verdict::Busy,
            (_, "cluster_block_exception" | "index_closed_exception") => {
                fault(ErrorKind::Unavailable, "the index is closed or blocked for writing")
            }
            (_, "index_not_found_exception") => fault(ErrorKind::Configuration, "the index is gone"),
            (401 | 403, _) => fault(ErrorKind::Denied, "the server lets these credentials not write"),
            (500.., _) => fault(ErrorKind::Unavailable, "the server fails on a document"),
            _ => {
                Verdict::Is(RowOutcome::Dead(RecordError::new(RecordErrorKind::Database, format!("{name} ({status})"))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_verdict() {
        let verdict = |status: u16, name: &str| {
            let error = if name.is_empty() { String::new() } else { format!(",\"error\":{{\"type\":\"{name}\"}}") };
            let item: Item = serde_json::from_str(&format!("{{\"index\":{{\"status\":{status}{error}}}}}")).unwrap();
            match item.verdict() {
                Verdict::Is(RowOutcome::Dead(error)) => format!("dead: {error}"),
                Verdict::Is(outcome) => format!("{outcome:?}"),
                Verdict::Busy => "busy".to_owned(),
                Verdict::Fault(error) => format!("{:?}: {error}", error.kind),
            }
        };
        assert_eq!(verdict(201, ""), "Delivered");
        assert_eq!(verdict(409, "version_conflict_engine_exception"), "Duplicate");
        assert_eq!(verdict(429, "es_rejected_execution_exception"), "busy");
        assert_eq!(verdict(503, "unavailable_shards_exception"), "busy");
        assert_eq!(
            verdict(400, "mapper_parsing_exception"),
            "dead: refused by the database (mapper_parsing_exception (400))"
        );
        // Since Elasticsearch 8.8.
        assert!(verdict(400, "document_parsing_exception").starts_with("dead"));
        assert!(verdict(400, "index_closed_exception").starts_with("Unavailable"));
        assert!(verdict(403, "cluster_block_exception").starts_with("Unavailable"));
        assert!(verdict(403, "security_exception").starts_with("Denied"));
        assert!(verdict(404, "index_not_found_exception").starts_with("Configuration"));
        assert!(!verdict(400, "Value 4111 of card").contains("4111"));
    }
}
