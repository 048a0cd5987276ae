//! Batches as bulk requests: bounded in size, each document with an outcome of its own.
//!
//! Records of one `_id` arrive in their order, whatever has to be sent again. Requests with documents of different ids are under
//! way side by side. Documents of ids that the batch has several times follow, one request after the other: the server does what
//! stands in one request in its order, shard by shard. With `on_existing: keep`, where the first of them is the one to stay,
//! they go in rounds instead, in which every id is once.
//!
//! What an unanswered request did is not known. When a document that it held is there at the next try, and is exactly what the
//! record holds, the request did it, and the record counts as delivered. (One that was there before and is the same in every
//! field cannot be told from it.) After the death of the program nothing is known of requests: what it wrote is a duplicate
//! then, with `on_existing: keep`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cloakroom_core::encode::write_string;
use cloakroom_core::{ProtectedRecord, RecordError, RecordErrorKind, Value};
use cloakroom_pipeline::apart::{State, Told, rounds};
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::retry::{Backoff, RetryConfig};
use cloakroom_pipeline::sink::RowOutcome;
use futures_util::stream::{self, StreamExt as _};
use reqwest::{Method, StatusCode};

use super::answer::{Items, MEMBERS, Verdict};
use super::room::{Room, never_fits};
use super::server::Server;
use super::{Config, OnExisting};

/// The action that leaves what is there as it is.
const CREATE: &str = "create";

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
struct Line<'a> {
    /// Its record in the batch.
    at: usize,
    id: &'a str,
    /// Action and document, each with a line end.
    text: Vec<u8>,
    in_doubt: bool,
}

impl Line<'_> {
    /// The document as it is sent.
    fn document(&self) -> &[u8] {
        let end = self.text.iter().position(|byte| *byte == b'\n').unwrap_or_default();
        self.text[end..].trim_ascii()
    }
}

fn doubt(told: &mut Told, lines: &[Line<'_>]) {
    told.doubt.extend(lines.iter().map(|line| line.at));
}

impl Bulk {
    pub(super) fn new(config: &Config, server: Arc<Server>) -> Self {
        // The server gives up before we do: what comes without an answer is not known to have ended.
        let timeout = config.timeout_s.saturating_mul(750).max(1);
        Self {
            server,
            path: format!("{}/_bulk?timeout={timeout}ms&filter_path={MEMBERS}", config.index),
            id: config.id.clone(),
            action: match config.on_existing {
                OnExisting::Replace => "index",
                OnExisting::Keep => CREATE,
            },
            room: Room::new(config.max_request_bytes),
            concurrency: config.concurrency,
        }
    }

    /// Writes the records that have no outcome yet. What could not be told by an error's time has none.
    pub(super) async fn write(&self, records: &[ProtectedRecord], states: &mut [State]) -> Result<(), ConnectorError> {
        let mut lines = Vec::new();
        for (at, (record, state)) in records.iter().zip(&mut *states).enumerate() {
            if state.outcome.is_none() {
                match self.line(at, record, state.in_doubt) {
                    Ok(line) => lines.push(line),
                    Err(error) => state.outcome = Some(RowOutcome::Dead(error)),
                }
            }
        }
        if self.action == CREATE {
            for round in rounds(lines, |line| line.id) {
                self.side_by_side(self.requests(round), states).await?;
            }
            return Ok(());
        }
        let (once, again) = repeated(lines);
        self.side_by_side(self.requests(once), states).await?;
        for request in self.requests(again) {
            self.side_by_side(vec![request], states).await?;
        }
        Ok(())
    }

    /// Sends requests. After a failure no further one begins; what becomes of those under way is worth knowing.
    async fn side_by_side(&self, requests: Vec<Vec<Line<'_>>>, states: &mut [State]) -> Result<(), ConnectorError> {
        let stopped = AtomicBool::new(false);
        let sent: Vec<_> = requests.into_iter().map(|lines| self.send(lines, &stopped)).collect();
        let mut answers = stream::iter(sent).buffer_unordered(self.concurrency);
        let mut failed = None;
        while let Some(told) = answers.next().await {
            failed = failed.or(told.note(states));
        }
        failed.map_or(Ok(()), Err)
    }

    fn line<'a>(&self, at: usize, record: &'a ProtectedRecord, in_doubt: bool) -> Result<Line<'a>, RecordError> {
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
        Ok(Line { at, id, text, in_doubt })
    }

    /// As many lines in a request as it has room for, at least one, and work for all connections where there is enough.
    fn requests<'a>(&self, lines: Vec<Line<'a>>) -> Vec<Vec<Line<'a>>> {
        let total: usize = lines.iter().map(|line| line.text.len()).sum();
        let most = total.div_ceil(self.concurrency).max(WORTH_A_REQUEST).min(self.room.bytes());
        let mut requests: Vec<Vec<Line<'a>>> = Vec::new();
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

    /// Sends one request, and again what the server had no room for.
    async fn send(&self, lines: Vec<Line<'_>>, stopped: &AtomicBool) -> Told {
        let mut told = Told::default();
        if !stopped.load(Ordering::Relaxed)
            && let Err(error) = self.send_all(lines, &mut told).await
        {
            stopped.store(true, Ordering::Relaxed);
            told.failed = Some(error);
        }
        told
    }

    async fn send_all(&self, lines: Vec<Line<'_>>, told: &mut Told) -> Result<(), ConnectorError> {
        // Parts of the request, the next one last.
        let mut parts = vec![lines];
        let mut backoff = Backoff::new(BUSY);
        while let Some(lines) = parts.pop() {
            let before = told.known.len();
            let sent = self.once(lines, told).await?;
            if told.known.len() > before {
                backoff.succeeded();
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
                tokio::time::sleep(backoff.after(busy)?).await;
            }
            parts.extend(again.into_iter().rev());
        }
        Ok(())
    }

    async fn once<'a>(&self, lines: Vec<Line<'a>>, told: &mut Told) -> Result<Sent<'a>, ConnectorError> {
        let bytes = lines.iter().map(|line| line.text.len()).sum();
        let mut body = Vec::with_capacity(bytes);
        lines.iter().for_each(|line| body.extend_from_slice(&line.text));
        let sent = self.server.send(Method::POST, &self.path, "application/x-ndjson", Some(Bytes::from(body))).await;
        let answer = sent.inspect_err(|_| doubt(told, &lines))?;
        match answer.status {
            status if status.is_success() => self.room.taken(bytes),
            StatusCode::PAYLOAD_TOO_LARGE => {
                self.room.refused(bytes, lines.len() > 1);
                return Ok(parted(
                    lines,
                    &mut told.known,
                    RecordErrorKind::TooLarge,
                    "the server takes no request of that size (413)",
                ));
            }
            StatusCode::TOO_MANY_REQUESTS if never_fits(&answer.body) => {
                self.room.refused(bytes, lines.len() > 1);
                return Ok(parted(
                    lines,
                    &mut told.known,
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
                return Ok(parted(
                    lines,
                    &mut told.known,
                    RecordErrorKind::Database,
                    "the server refuses the document (400)",
                ));
            }
            _ => {
                // Whoever passes requests on answers so when he does not know either.
                if answer.status.is_server_error() || answer.status == StatusCode::REQUEST_TIMEOUT {
                    doubt(told, &lines);
                }
                return Err(answer.refusal("a bulk request"));
            }
        }
        let items = serde_json::from_slice(&answer.body).ok().map(|Items { items }| items);
        let Some(items) = items.filter(|items| items.len() == lines.len()) else {
            doubt(told, &lines);
            return Err(ConnectorError::new(ErrorKind::Corrupt, "the server did not answer for every document"));
        };
        let (mut busy, mut found) = (Vec::new(), Vec::new());
        let mut fault = None;
        // Ids of which a later document is there.
        let mut replaced: HashSet<&str> = HashSet::new();
        for (mut line, item) in lines.into_iter().zip(items).rev() {
            if item.is_unsure() {
                line.in_doubt = true;
                told.doubt.push(line.at);
            }
            match item.verdict() {
                Verdict::Is(outcome) => {
                    if outcome == RowOutcome::Delivered {
                        replaced.insert(line.id);
                    }
                    told.known.push((line.at, outcome));
                }
                Verdict::Exists(Some(index)) if line.in_doubt => found.push((index, line)),
                Verdict::Exists(_) => told.known.push((line.at, RowOutcome::Duplicate)),
                // Sent again it would take the place of the later one.
                Verdict::Busy | Verdict::Fault(_) if replaced.contains(line.id) => {
                    told.known.push((line.at, RowOutcome::Delivered));
                }
                Verdict::Busy => busy.push(line),
                Verdict::Fault(error) => fault = Some(error),
            }
        }
        busy.reverse();
        self.tell_apart(found, told).await?;
        match (fault, busy.is_empty()) {
            (Some(error), _) => Err(error),
            (None, true) => Ok(Sent::All),
            (None, false) => Ok(Sent::Busy(busy)),
        }
    }

    /// Documents that are there and may be ours: they are, when they are what was sent.
    async fn tell_apart(&self, found: Vec<(String, Line<'_>)>, told: &mut Told) -> Result<(), ConnectorError> {
        if found.is_empty() {
            return Ok(());
        }
        let places: Vec<(&str, &str)> = found.iter().map(|(index, line)| (index.as_str(), line.id)).collect();
        let kept = match self.server.documents(&places).await {
            Ok(kept) => kept,
            Err(error) if error.kind.is_transient() => return Err(error),
            Err(error) => {
                tracing::warn!(
                    "elasticsearch: {} documents of requests without an answer count as duplicates: {error}",
                    found.len()
                );
                vec![None; found.len()]
            }
        };
        for ((_, line), kept) in found.iter().zip(kept) {
            let is_ours = kept.is_some_and(|kept| kept == line.document());
            told.known.push((line.at, if is_ours { RowOutcome::Delivered } else { RowOutcome::Duplicate }));
        }
        Ok(())
    }
}

/// How sending a request ended.
enum Sent<'a> {
    All,
    /// The server has no room for these of them.
    Busy(Vec<Line<'a>>),
    /// The server has no room for the request as a whole, and may ask for a pause.
    Refused(Vec<Line<'a>>, Option<Duration>),
    /// The server takes them not together.
    Parted(Vec<Vec<Line<'a>>>),
}

/// Documents whose id is there once, and those of ids that are there several times, in their order.
fn repeated(lines: Vec<Line<'_>>) -> (Vec<Line<'_>>, Vec<Line<'_>>) {
    let mut counts: HashMap<&str, usize> = HashMap::with_capacity(lines.len());
    for line in &lines {
        *counts.entry(line.id).or_default() += 1;
    }
    lines.into_iter().partition(|line| counts.get(line.id) == Some(&1))
}

fn halves(mut lines: Vec<Line<'_>>) -> Vec<Vec<Line<'_>>> {
    if lines.len() < 2 {
        return vec![lines];
    }
    let right = lines.split_off(lines.len() / 2);
    vec![lines, right]
}

/// Halves what the server takes not together. A document that is alone is dead, for this reason.
fn parted<'a>(
    lines: Vec<Line<'a>>,
    known: &mut Vec<(usize, RowOutcome)>,
    kind: RecordErrorKind,
    why: &'static str,
) -> Sent<'a> {
    if lines.len() > 1 {
        return Sent::Parted(halves(lines));
    }
    let error = RecordError::new(kind, why);
    known.extend(lines.into_iter().map(|line| (line.at, RowOutcome::Dead(error.clone()))));
    Sent::All
}
