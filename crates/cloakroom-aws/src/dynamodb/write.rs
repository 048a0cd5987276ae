//! Batches as requests: an outcome for each record, in the order that records with the same key have.
//!
//! *replace* writes with `BatchWriteItem`, which takes 25 items and refuses two with one key. So a batch goes in rounds: the
//! first record of every key, then the second of those that have one. Requests of a round are under way side by
//! side; the next round begins when all of them are answered.
//!
//! *keep* writes item by item under the condition that there is none, the first record of a key before the others. What an
//! unanswered call did is not known: when the item is there at the next try and holds exactly what the record holds, the
//! call did it, and the record counts as delivered. (An item that was there before and is the same in every attribute
//! cannot be told from it.) After the death of the program nothing is known of calls: what it wrote is a duplicate then.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{PutRequest, ReturnValuesOnConditionCheckFailure, WriteRequest};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use cloakroom_core::{ProtectedRecord, RecordError, RecordErrorKind};
use cloakroom_pipeline::apart::{State, Told, rounds};
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::retry::{Backoff, RetryConfig};
use cloakroom_pipeline::sink::RowOutcome;
use futures_util::stream::{self, StreamExt as _};

use super::item::{self, Identity};
use super::table::Schema;
use super::{OnExisting, code, failed, is_answered, status};

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
/// Items of one request.
const MOST_ITEMS: usize = 25;
/// Bytes of one request; the limit is 16 MB.
const MOST_BYTES: usize = 15 * 1024 * 1024;
/// How long DynamoDB may take none of what it is given before the batch as a whole is tried again.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pauses while it takes only a part.
const BUSY: RetryConfig = RetryConfig { base_ms: 50, max_ms: 5_000, give_up_after_s: u64::MAX };

pub(super) struct Writer<'a> {
    /// One that does not try again by itself: it could not tell what an unanswered call did.
    pub(super) client: &'a Client,
    pub(super) table: &'a str,
    pub(super) schema: &'a Schema,
    pub(super) on_existing: OnExisting,
    pub(super) concurrency: usize,
    pub(super) records: &'a [ProtectedRecord],
}

/// One record, ready to be sent.
struct Put {
    /// Its place in the batch.
    at: usize,
    identity: Identity,
    wire: usize,
}

impl Writer<'_> {
    /// Writes the records that have no outcome yet. What could not be told by an error's time has none.
    pub(super) async fn write(&self, states: &mut [State]) -> Result<(), ConnectorError> {
        let mut puts = Vec::new();
        for (at, (record, state)) in self.records.iter().zip(&mut *states).enumerate() {
            if state.outcome.is_none() {
                match item::measure(record, self.schema) {
                    Ok(item) => puts.push(Put { at, identity: item.identity, wire: item.wire }),
                    Err(error) => state.outcome = Some(RowOutcome::Dead(error)),
                }
            }
        }
        let doubts: Vec<bool> = states.iter().map(|state| state.in_doubt).collect();
        match self.on_existing {
            OnExisting::Replace => {
                for round in rounds(puts, |put| put.identity.clone()) {
                    self.side_by_side(requests(round), &doubts, states).await?;
                }
                Ok(())
            }
            OnExisting::Keep => self.side_by_side(chains(puts), &doubts, states).await,
        }
    }

    /// Sends some parts of the batch at once. After a failure no further one begins; what becomes of those under way is
    /// worth knowing.
    async fn side_by_side(
        &self,
        parts: Vec<Vec<Put>>,
        doubts: &[bool],
        states: &mut [State],
    ) -> Result<(), ConnectorError> {
        let stopped = AtomicBool::new(false);
        let sent = parts.into_iter().map(|puts| self.part(puts, doubts, &stopped));
        let mut answers = stream::iter(sent).buffer_unordered(self.concurrency);
        let mut failed = None;
        while let Some(told) = answers.next().await {
            failed = failed.or(told.note(states));
        }
        failed.map_or(Ok(()), Err)
    }

    async fn part(&self, puts: Vec<Put>, doubts: &[bool], stopped: &AtomicBool) -> Told {
        if stopped.load(Ordering::Relaxed) {
            return Told::default();
        }
        let told = match self.on_existing {
            OnExisting::Replace => self.send(puts).await,
            OnExisting::Keep => self.put_first(puts, doubts).await,
        };
        stopped.fetch_or(told.failed.is_some(), Ordering::Relaxed);
        told
    }

    /// Sends one request, and again what DynamoDB gave back.
    async fn send(&self, puts: Vec<Put>) -> Told {
        let mut told = Told::default();
        let mut patience = Patience::new();
        // Parts of the request, the next one last.
        let mut parts = vec![puts];
        while let Some(puts) = parts.pop() {
            let count = puts.len();
            match self.once(puts, &mut told.known).await {
                Ok(Sent::All) => patience.progress(),
                Ok(Sent::Halves(left, right)) => parts.extend([right, left]),
                Ok(Sent::Back(puts)) => {
                    if puts.len() < count {
                        patience.progress();
                    }
                    if let Err(error) = patience.wait(puts.len()).await {
                        told.failed = Some(error);
                        return told;
                    }
                    parts.push(puts);
                }
                Err(error) => {
                    told.failed = Some(error);
                    return told;
                }
            }
        }
        told
    }

    async fn once(&self, mut puts: Vec<Put>, known: &mut Vec<(usize, RowOutcome)>) -> Result<Sent, ConnectorError> {
        let mut requests = Vec::with_capacity(puts.len());
        for put in &puts {
            let attributes = item::attributes(self.records[put.at].content());
            let request = PutRequest::builder().set_item(Some(attributes)).build();
            let request = request.map_err(|_| ConnectorError::new(ErrorKind::Internal, "an item has no attributes"))?;
            requests.push(WriteRequest::builder().put_request(request).build());
        }
        let output = match self.client.batch_write_item().request_items(self.table, requests).send().await {
            Ok(output) => output,
            Err(error) => {
                return match Refusal::of(&error) {
                    Some(Refusal::Busy) => Ok(Sent::Back(puts)),
                    Some(Refusal::Item) if puts.len() > 1 => {
                        let right = puts.split_off(puts.len() / 2);
                        Ok(Sent::Halves(puts, right))
                    }
                    Some(Refusal::Item) => {
                        known.extend(puts.iter().map(|put| (put.at, refused(&error))));
                        Ok(Sent::All)
                    }
                    None => Err(failed(&error)),
                };
            }
        };
        let mut back = HashSet::new();
        for request in output.unprocessed_items().into_iter().flat_map(HashMap::values).flatten() {
            let identity = request.put_request().and_then(|put| item::identity(put.item(), self.schema));
            back.insert(identity.ok_or_else(foreign)?);
        }
        let (again, done): (Vec<_>, Vec<_>) = puts.into_iter().partition(|put| back.contains(&put.identity));
        if again.len() != back.len() {
            return Err(foreign());
        }
        known.extend(done.iter().map(|put| (put.at, RowOutcome::Delivered)));
        Ok(if again.is_empty() { Sent::All } else { Sent::Back(again) })
    }

    /// Puts the first record of a key that DynamoDB takes; those after it find an item.
    async fn put_first(&self, puts: Vec<Put>, doubts: &[bool]) -> Told {
        let mut told = Told::default();
        let mut is_there = false;
        for put in puts {
            if is_there {
                told.known.push((put.at, RowOutcome::Duplicate));
                continue;
            }
            let mut patience = Patience::new();
            let outcome = loop {
                match self.put(&put, doubts[put.at]).await {
                    Ok(Some(outcome)) => break outcome,
                    Ok(None) => {
                        if let Err(error) = patience.wait(1).await {
                            told.failed = Some(error);
                            return told;
                        }
                    }
                    Err((error, answered)) => {
                        told.failed = Some(error);
                        if !answered {
                            told.doubt.push(put.at);
                        }
                        return told;
                    }
                }
            };
            is_there |= !matches!(outcome, RowOutcome::Dead(_));
            told.known.push((put.at, outcome));
        }
        told
    }

    /// One conditional put: its outcome, or `None` when DynamoDB has no room now. An error says whether it is an answer.
    async fn put(&self, put: &Put, in_doubt: bool) -> Result<Option<RowOutcome>, (ConnectorError, bool)> {
        let content = self.records[put.at].content();
        let mut call = self
            .client
            .put_item()
            .table_name(self.table)
            .set_item(Some(item::attributes(content)))
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", &self.schema.partition.name);
        if in_doubt {
            call = call.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        }
        let error = match call.send().await {
            Ok(_) => return Ok(Some(RowOutcome::Delivered)),
            Err(error) => error,
        };
        if let SdkError::ServiceError(refused) = &error
            && let PutItemError::ConditionalCheckFailedException(found) = refused.err()
        {
            let is_ours = in_doubt && found.item().is_some_and(|kept| item::holds(kept, content));
            return Ok(Some(if is_ours { RowOutcome::Delivered } else { RowOutcome::Duplicate }));
        }
        match Refusal::of(&error) {
            Some(Refusal::Busy) => Ok(None),
            Some(Refusal::Item) => Ok(Some(refused(&error))),
            None => Err((failed(&error), is_answered(&error))),
        }
    }
}

/// How sending a request ended.
enum Sent {
    All,
    /// DynamoDB gave these back: there is no capacity for them now.
    Back(Vec<Put>),
    /// DynamoDB refuses one of them, and does not say which.
    Halves(Vec<Put>, Vec<Put>),
}

/// Refusals that are not the end of the batch.
enum Refusal {
    /// Later.
    Busy,
    /// It is about an item.
    Item,
}

impl Refusal {
    fn of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<Self> {
        match code(error) {
            "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "ThrottlingException"
            | "Throttling"
            | "TransactionConflictException"
            | "ReplicatedWriteConflictException" => Some(Self::Busy),
            "ValidationException" | "ItemCollectionSizeLimitExceededException" => Some(Self::Item),
            _ if is_too_large(error) => Some(Self::Item),
            _ => None,
        }
    }
}

/// The server's words quote keys and values: only the code is told.
fn refused<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> RowOutcome {
    let kind = RecordErrorKind::Database;
    RowOutcome::Dead(match code(error) {
        _ if is_too_large(error) => {
            RecordError::new(RecordErrorKind::TooLarge, "the server takes no request of that size (413)")
        }
        "ItemCollectionSizeLimitExceededException" => RecordError::new(
            kind,
            "the items of its partition key have 10 GB already, the most beside a local index \
             (ItemCollectionSizeLimitExceededException)",
        ),
        _ => RecordError::new(
            kind,
            "ValidationException: an attribute does not fit an index of the table, or a limit of DynamoDB",
        ),
    })
}

fn is_too_large<E>(error: &SdkError<E, HttpResponse>) -> bool {
    status(error) == Some(413)
}

fn foreign() -> ConnectorError {
    ConnectorError::new(ErrorKind::Corrupt, "DynamoDB gave back items that it was not sent")
}

/// Waits while there is progress, and not much longer.
struct Patience {
    backoff: Backoff,
    since: Instant,
}

impl Patience {
    fn new() -> Self {
        Self { backoff: Backoff::new(BUSY), since: Instant::now() }
    }

    fn progress(&mut self) {
        self.since = Instant::now();
    }

    async fn wait(&mut self, count: usize) -> Result<(), ConnectorError> {
        let busy = ConnectorError::unavailable(format!(
            "DynamoDB has no capacity for {count} items: the table is provisioned for less, or one key takes most of it"
        ));
        if self.since.elapsed() > PATIENCE {
            return Err(busy);
        }
        tokio::time::sleep(self.backoff.after(busy)?).await;
        Ok(())
    }
}

/// The records of each key, in order.
fn chains(puts: Vec<Put>) -> Vec<Vec<Put>> {
    let mut places: HashMap<Identity, usize> = HashMap::with_capacity(puts.len());
    let mut chains: Vec<Vec<Put>> = Vec::new();
    for put in puts {
        let place = *places.entry(put.identity.clone()).or_insert(chains.len());
        match chains.get_mut(place) {
            Some(chain) => chain.push(put),
            None => chains.push(vec![put]),
        }
    }
    chains
}

/// As many items in a request as it has room for.
fn requests(round: Vec<Put>) -> Vec<Vec<Put>> {
    let mut requests: Vec<Vec<Put>> = Vec::new();
    let mut bytes = 0;
    for put in round {
        bytes += put.wire;
        match requests.last_mut() {
            Some(request) if request.len() < MOST_ITEMS && bytes <= MOST_BYTES => request.push(put),
            _ => {
                bytes = put.wire;
                requests.push(vec![put]);
            }
        }
    }
    requests
}
