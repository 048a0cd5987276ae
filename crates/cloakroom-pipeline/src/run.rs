//! The run loop: one straight line, one batch after the other, with the CPU work of the next batches
//! going on beside it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use cloakroom_core::keys::PersistError;
use cloakroom_core::{Cloak, IngestTime, ProtectedRecord, RecordError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::accounts::Accounts;
use crate::dead_letter::DeadLetters;
use crate::error::{ConnectorError, ErrorKind};
use crate::metrics::{Meter, Metrics};
use crate::retry::{Backoff, RetryConfig};
use crate::sink::{RowOutcome, Sink, SinkBatch};
use crate::source::{Batch, Delivery, Outcome, Source};
use crate::summary::{Counters, End, Summary};

/// Everything that a run needs, built and checked.
pub struct Pipeline {
    /// Names it in the ledger and in the dead-letter store.
    pub name: String,
    /// Where records come from.
    pub source: Box<dyn Source>,
    /// What happens to them.
    pub cloak: Cloak,
    /// Where they go.
    pub sink: Box<dyn Sink>,
    /// What becomes of those that cannot be delivered.
    pub rejected: Rejected,
    /// Where what goes through is counted for good, if it is.
    pub accounts: Option<Accounts>,
    /// Where its numbers are published while it goes on, if anywhere.
    pub metrics: Option<Metrics>,
    /// How long to try again.
    pub retry: RetryConfig,
    /// Batches that may be decoded and protected at the same time: the bound on memory and the use of cores.
    pub parallel: usize,
    /// Half of the result is of no use: a stop before the end is an error, and the sink is not closed in
    /// good order.
    pub whole: bool,
}

/// Told about each record that is rejected.
pub type Report = Box<dyn FnMut(&Delivery, &RecordError) + Send>;

/// What becomes of records that cannot be delivered.
pub enum Rejected {
    /// They are sealed and stored.
    Sealed(DeadLetters),
    /// Each is reported, and stays where it came from: for `protect`, whose input remains with the user.
    Reported(Report),
}

/// Runs a pipeline until its source ends or `stop` is cancelled.
///
/// A stop takes no new batches and finishes those that were taken; when the sink fails meanwhile, they
/// stay at the source.
///
/// # Errors
/// When source, sink or dead-letter store fail for good. Whatever was not settled comes again.
pub async fn run(
    mut pipeline: Pipeline,
    counters: &Counters,
    stop: &CancellationToken,
) -> Result<Summary, ConnectorError> {
    let began = Instant::now();
    let mut summary = Summary::new(&pipeline.name);
    let meter = Arc::new(Meter::default());
    let reporter = pipeline.metrics.take().map(|metrics| metrics.start(&pipeline.name, Arc::clone(&meter)));
    let result = drive(&mut pipeline, counters, &meter, stop, &mut summary).await;
    let closed = pipeline.source.close().await;
    if let Err(error) = closed {
        // Nothing is lost by it: what was not given back comes again by itself.
        tracing::warn!(pipeline = %pipeline.name, "closing the source failed: {error}");
    }
    summary.took(began.elapsed());
    let result = match result {
        Ok(()) => finish(&mut pipeline, &summary).await,
        failed => failed,
    };
    if let Some(accounts) = pipeline.accounts.take() {
        accounts.end(&summary, result.as_ref().err()).await;
    }
    if let Some(reporter) = reporter {
        let published = reporter.end(result.is_err()).await;
        // There is a summary that says it, where the run did not fail.
        if result.is_err() && published.lost > 0 {
            tracing::warn!(pipeline = %pipeline.name, "metrics: {published}");
        }
        summary.metrics = Some(published);
    }
    result.map(|()| summary)
}

/// Whether a source and a sink may be the ends of one pipeline. A source that forgets what was delivered needs a sink that
/// keeps it from each commit on: where it is there only at the end of a run, one that fails loses what both had.
///
/// # Errors
/// A configuration error that says what to do, when they do not go together.
pub fn check_together(source: &dyn Source, sink: &dyn Sink) -> Result<(), ConnectorError> {
    match sink.only_at_end() {
        Some(why) if source.forgets() => Err(ConnectorError::configuration(format!(
            "this source forgets what was delivered, batch by batch, and this sink does not keep it so: {why}"
        ))),
        _ => Ok(()),
    }
}

/// Closes the sink of a run that came to its end, and holds its counts against each other.
async fn finish(pipeline: &mut Pipeline, summary: &Summary) -> Result<(), ConnectorError> {
    if pipeline.whole && summary.end == End::Stopped {
        return Err(ConnectorError::unavailable("stopped before the end; the incomplete result was not kept"));
    }
    pipeline.sink.close().await?;
    if summary.is_reconciled() {
        return Ok(());
    }
    let Summary { received, delivered, duplicate, filtered, dead, returned, .. } = summary;
    Err(ConnectorError::new(
        ErrorKind::Internal,
        format!(
            "{received} records received, and {delivered} delivered + {duplicate} duplicate + {filtered} filtered + {dead} dead + {returned} returned do not add up"
        ),
    ))
}

async fn drive(
    pipeline: &mut Pipeline,
    counters: &Counters,
    meter: &Meter,
    stop: &CancellationToken,
    summary: &mut Summary,
) -> Result<(), ConnectorError> {
    check_together(&*pipeline.source, &*pipeline.sink)?;
    let tries = Backoff::new(pipeline.retry).telling(format!("{}: the sink is not ready", pipeline.name));
    retrying(tries, stop, meter, summary, async || pipeline.sink.open().await).await?;
    // It asks the sink's ledger where to go on, and the sink may be away again.
    let tries = Backoff::new(pipeline.retry).telling(format!("{}: the source is not ready", pipeline.name));
    retrying(tries, stop, meter, summary, async || pipeline.source.open(&mut pipeline.sink).await).await?;
    if let Some(total) = pipeline.source.total_bytes() {
        Counters::add(&counters.total_bytes, total);
    }
    let mut working: VecDeque<Working> = VecDeque::new();
    let (mut ended, mut failed) = (false, None::<ConnectorError>);
    loop {
        let may_take = !ended && failed.is_none() && !stop.is_cancelled() && working.len() < pipeline.parallel.max(1);
        tokio::select! {
            // In this order: first keep the CPU pool busy, then write.
            biased;
            () = stop.cancelled(), if may_take => {}
            batch = pipeline.source.next_batch(&mut pipeline.sink), if may_take => match batch {
                Ok(Some(batch)) => {
                    let received = batch.deliveries.len() as u64;
                    let bytes = batch.deliveries.iter().map(|delivery| delivery.payload.len() as u64).sum();
                    Counters::add(&counters.received, received);
                    Counters::add(&counters.bytes, bytes);
                    summary.received += received;
                    meter.received(received, bytes);
                    if let Some(accounts) = &mut pipeline.accounts {
                        accounts.received(&batch.deliveries);
                    }
                    summary.bytes += bytes;
                    let cloak = pipeline.cloak.clone();
                    let taken = Instant::now();
                    working.push_back(tokio::task::spawn_blocking(move || process(&cloak, batch, taken, now())));
                }
                Ok(None) => ended = true,
                // What was taken before is delivered first: a file that is damaged at its end has a beginning.
                Err(error) => failed = Some(error),
            },
            processed = oldest(&mut working), if !working.is_empty() => {
                let processed = processed?;
                working.pop_front();
                let count = processed.deliveries.len() as u64;
                match deliver(pipeline, processed, counters, meter, stop, summary).await? {
                    Delivered::Settled => {}
                    Delivered::Left => {
                        summary.returned += count;
                        meter.returned(count);
                    }
                    Delivered::Stopped => {
                        summary.returned += count;
                        break;
                    }
                }
            }
            else => break,
        }
    }
    if let Some(mut error) = failed {
        let Summary { received, delivered, .. } = summary;
        error.message = format!("{} ({received} records were received before, {delivered} delivered)", error.message);
        return Err(error);
    }
    if stop.is_cancelled() && !ended {
        summary.end = End::Stopped;
    }
    // Only after a stop in the middle of a failing write: the rest stays at the source too.
    for task in working {
        if let Ok(Ok(processed)) = task.await {
            summary.returned += processed.deliveries.len() as u64;
        }
    }
    Ok(())
}

/// A batch on the CPU pool.
type Working = JoinHandle<Result<Processed, ConnectorError>>;

async fn oldest(working: &mut VecDeque<Working>) -> Result<Processed, ConnectorError> {
    match working.front_mut() {
        Some(task) => task
            .await
            .map_err(|_| ConnectorError::new(ErrorKind::Internal, "a worker thread ended while it applied the policy"))
            .flatten(),
        None => std::future::pending().await,
    }
}

/// A batch after its policy.
struct Processed {
    batch: SinkBatch,
    deliveries: Vec<Delivery>,
    /// Why deliveries were rejected, by their index, in order.
    rejected: Vec<(usize, RecordError)>,
    /// When the source gave it.
    taken: Instant,
    now: IngestTime,
}

/// Times that a batch is protected anew because keys changed under it.
const ATTEMPTS: usize = 5;

/// Decodes and protects a batch, and makes sure that its keys are kept. Runs on the CPU pool.
fn process(cloak: &Cloak, batch: Batch, taken: Instant, now: IngestTime) -> Result<Processed, ConnectorError> {
    let Batch { progress, deliveries } = batch;
    for _ in 0..ATTEMPTS {
        let keys = cloak.begin_keys();
        let (records, rejected) = protect(cloak, &deliveries, now);
        match cloak.persist_keys(keys) {
            Ok(()) => {
                let batch = SinkBatch { progress, records: Arc::new(records) };
                return Ok(Processed { batch, deliveries, rejected, taken, now });
            }
            Err(PersistError::Again) => {}
            Err(PersistError::Failed(message)) => return Err(ConnectorError::unavailable(message)),
        }
    }
    Err(ConnectorError::unavailable(
        "key table or token vault change again and again while records are protected; try later",
    ))
}

fn protect(
    cloak: &Cloak,
    deliveries: &[Delivery],
    now: IngestTime,
) -> (Vec<ProtectedRecord>, Vec<(usize, RecordError)>) {
    let mut records: Vec<ProtectedRecord> = Vec::with_capacity(deliveries.len());
    let mut rejected = Vec::new();
    let cloaked = cloak.process_batch(deliveries.iter().map(|delivery| (&delivery.id, &delivery.payload)), now);
    for (index, cloaked) in cloaked.into_iter().enumerate() {
        match cloaked {
            Ok(record) => records.push(record),
            Err(error) => rejected.push((index, error)),
        }
    }
    (records, rejected)
}

/// What became of a batch.
enum Delivered {
    /// All of its records have outcomes.
    Settled,
    /// Another run works on its partition, and the source left it to that one.
    Left,
    /// A stop came while the sink failed: nothing was settled.
    Stopped,
}

/// Brings one batch to the sink, rejected records to the dead letters, and settles it.
async fn deliver(
    pipeline: &mut Pipeline,
    processed: Processed,
    counters: &Counters,
    meter: &Meter,
    stop: &CancellationToken,
    summary: &mut Summary,
) -> Result<Delivered, ConnectorError> {
    let Processed { batch, deliveries, rejected, taken, now } = processed;
    let mut backoff = Backoff::new(pipeline.retry);
    let outcomes = loop {
        let began = Instant::now();
        match write_once(pipeline, &batch, &deliveries, &rejected, now).await {
            Ok(outcomes) => {
                meter.wrote(began.elapsed());
                break outcomes;
            }
            Err(error) if error.kind == ErrorKind::Conflict => {
                return match pipeline.source.yield_to_other(&batch.progress).await? {
                    true => Ok(Delivered::Left),
                    false => Err(error),
                };
            }
            Err(error) => {
                let kind = error.kind;
                tracing::warn!(pipeline = %pipeline.name, kind = ?kind, tries = backoff.tries(), "writing a batch failed: {error}");
                if !pause(&mut backoff, error, stop, meter, summary).await? {
                    return Ok(Delivered::Stopped);
                }
            }
        }
    };
    for (record, outcome) in batch.records.iter().zip(outcomes.iter().filter(|outcome| outcome.1)) {
        if matches!(outcome.0, Outcome::Delivered) {
            for finding in record.findings() {
                *summary.findings.entry(finding.entity.to_string()).or_default() += 1;
            }
        }
    }
    let outcomes: Vec<Outcome> = outcomes.into_iter().map(|(outcome, _)| outcome).collect();
    let dead_before = summary.dead;
    for outcome in &outcomes {
        match outcome {
            Outcome::Delivered => summary.delivered += 1,
            Outcome::Duplicate => summary.duplicate += 1,
            Outcome::Filtered => summary.filtered += 1,
            Outcome::Dead(kind) => summary.count_dead(kind.as_str()),
        }
    }
    Counters::add(&counters.dead, summary.dead - dead_before);
    Counters::add(&counters.delivered, outcomes.len() as u64 - (summary.dead - dead_before));
    meter.settled(&outcomes);
    if let Some(accounts) = &mut pipeline.accounts {
        accounts.settled(&batch.progress, &deliveries, &outcomes);
        accounts.tick().await;
    }
    pipeline.source.settle(&batch.progress, &outcomes).await?;
    meter.finished(taken.elapsed());
    Ok(Delivered::Settled)
}

/// Write, store what is dead, commit. Gives the outcome of every delivery, and whether it reached the sink.
async fn write_once(
    pipeline: &mut Pipeline,
    batch: &SinkBatch,
    deliveries: &[Delivery],
    rejected: &[(usize, RecordError)],
    now: IngestTime,
) -> Result<Vec<(Outcome, bool)>, ConnectorError> {
    let rows = pipeline.sink.write(batch).await?;
    if rows.len() != batch.records.len() {
        return Err(ConnectorError::new(ErrorKind::Internal, "the sink did not answer for every record"));
    }
    let mut rows = rows.into_iter();
    let mut by_policy = rejected.iter().peekable();
    let mut outcomes = Vec::with_capacity(deliveries.len());
    let mut dead: Vec<(usize, RecordError)> = Vec::new();
    for index in 0..deliveries.len() {
        let refused = match by_policy.next_if(|(at, _)| *at == index) {
            Some((_, error)) => Some((error.clone(), false)),
            None => match rows.next() {
                Some(RowOutcome::Delivered) => {
                    outcomes.push((Outcome::Delivered, true));
                    None
                }
                Some(RowOutcome::Duplicate) => {
                    outcomes.push((Outcome::Duplicate, true));
                    None
                }
                Some(RowOutcome::Filtered) => {
                    outcomes.push((Outcome::Filtered, true));
                    None
                }
                Some(RowOutcome::Dead(error)) => Some((error, true)),
                None => return Err(ConnectorError::new(ErrorKind::Internal, "a record has no outcome")),
            },
        };
        if let Some((error, at_sink)) = refused {
            outcomes.push((Outcome::Dead(error.kind), at_sink));
            dead.push((index, error));
        }
    }
    // Dead letters first: once the ledger has moved, the source may forget these records.
    match &mut pipeline.rejected {
        Rejected::Sealed(letters) => {
            let sealed = dead.into_iter().map(|(index, error)| {
                let Delivery { id, payload } = &deliveries[index];
                (id.clone(), payload.clone(), error)
            });
            letters.store(&pipeline.name, sealed.collect(), now).await?;
            pipeline.sink.commit().await?;
        }
        Rejected::Reported(report) => {
            pipeline.sink.commit().await?;
            dead.iter().for_each(|(index, error)| report(&deliveries[*index], error));
        }
    }
    Ok(outcomes)
}

/// Calls an operation until it succeeds, fails for good, or the run is stopped.
async fn retrying<T>(
    mut backoff: Backoff,
    stop: &CancellationToken,
    meter: &Meter,
    summary: &mut Summary,
    mut operation: impl AsyncFnMut() -> Result<T, ConnectorError>,
) -> Result<T, ConnectorError> {
    loop {
        match operation().await {
            Ok(done) => return Ok(done),
            Err(error) => {
                let message = error.message.clone();
                if !pause(&mut backoff, error, stop, meter, summary).await? {
                    return Err(ConnectorError::unavailable(format!("stopped while trying again: {message}")));
                }
            }
        }
    }
}

/// Waits before the next try; false when the run is to stop.
async fn pause(
    backoff: &mut Backoff,
    error: ConnectorError,
    stop: &CancellationToken,
    meter: &Meter,
    summary: &mut Summary,
) -> Result<bool, ConnectorError> {
    let pause = backoff.after(error)?;
    summary.retries += 1;
    meter.retried();
    tokio::select! {
        () = tokio::time::sleep(pause) => Ok(!stop.is_cancelled()),
        () = stop.cancelled() => Ok(false),
    }
}

/// The present moment.
#[must_use]
pub fn now() -> IngestTime {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    IngestTime::from_unix_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
}
