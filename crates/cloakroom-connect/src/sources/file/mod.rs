//! Files and standard input: JSON lines, a JSON array, CSV with a header, `key=value` blocks; plain,
//! gzip or zstd.
//!
//! A record's id is its byte offset in the (decompressed) file. The position that the sink's ledger keeps
//! names the end of the last record and a keyed fingerprint of it: a file that has grown goes on where it
//! stopped, a file that was replaced begins anew.

mod frame;
mod position;
mod reader;

use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_core::{Place, RecordId};
use cloakroom_pipeline::config::{BatchConfig, Template};
use cloakroom_pipeline::error::ConnectorError;
use cloakroom_pipeline::sink::Ledger;
use cloakroom_pipeline::source::{Batch, Delivery, Outcome, Progress, Source};
use schemars::JsonSchema;
use serde::Deserialize;

use self::frame::{Framed, Receive, frame};
use self::position::Position;
use self::reader::{Input, Origin, absolute};
use crate::context::SourceContext;
use crate::prefetch::{Prefetch, Producer, gone};

/// A file, or standard input.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file's name; `-` is standard input. A named pipe is read once, like standard input. gzip and zstd are recognised by their first bytes.
    pub path: Template,
}

/// Builds the source.
///
/// # Errors
/// When the name needs a variable that is not set.
pub fn build(config: &Config, context: &SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
    let path = config.path.resolve_plain()?;
    let origin = Origin::of(&path);
    let partition = match &origin {
        Origin::File(path) => absolute(path)?,
        // A stream cannot be read twice: each run is a partition of its own.
        Origin::Stream(_) => format!("stream/{:016x}", rand_partition()),
    };
    Ok(Box::new(FileSource {
        origin,
        partition: partition.into(),
        context: context.clone(),
        batches: None,
        total: None,
    }))
}

/// Any number that no earlier run had.
fn rand_partition() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

struct FileSource {
    origin: Origin,
    partition: Arc<str>,
    context: SourceContext,
    batches: Option<Prefetch>,
    total: Option<u64>,
}

#[async_trait]
impl Source for FileSource {
    async fn open(&mut self, ledger: &mut dyn Ledger) -> Result<(), ConnectorError> {
        let (context, partition, origin) = (self.context.clone(), Arc::clone(&self.partition), self.origin.clone());
        self.batches = Some(match &origin {
            Origin::File(_) => {
                let known = ledger.position(&self.partition).await?.as_deref().and_then(Position::parse);
                let input = Input::open(origin)?;
                self.total = input.plain_length();
                Prefetch::blocking(move |producer| produce(input, known, &context, partition, producer))
            }
            // Even the first look at a stream may wait, so it belongs to the thread that may.
            Origin::Stream(_) => {
                Prefetch::blocking(move |producer| produce(Input::open(origin)?, None, &context, partition, producer))
            }
        });
        Ok(())
    }

    async fn next_batch(&mut self) -> Result<Option<Batch>, ConnectorError> {
        match &mut self.batches {
            Some(batches) => batches.next().await,
            None => Ok(None),
        }
    }

    async fn settle(&mut self, _: &Progress, _: &[Outcome]) -> Result<(), ConnectorError> {
        // The position is in the sink's ledger; the file stays as it is.
        Ok(())
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        match &self.origin {
            Origin::Stream(None) => Ok("standard input".to_owned()),
            Origin::Stream(Some(path)) => Ok(format!("{}, a stream", path.display())),
            Origin::File(path) => Ok(format!("{}, {}", path.display(), Input::open(self.origin.clone())?.describe())),
        }
    }

    fn total_bytes(&self) -> Option<u64> {
        self.total
    }

    fn is_repeatable(&self) -> bool {
        matches!(self.origin, Origin::File(_))
    }
}

/// Reads, frames and sends batches, on a thread of its own.
fn produce(
    input: Input,
    known: Option<Position>,
    context: &SourceContext,
    partition: Arc<str>,
    producer: &Producer,
) -> Result<(), ConnectorError> {
    let (policy, key) = (&context.policy, &context.fingerprint);
    let start = match known {
        Some(position) if position.still_holds(&input, key)? => position,
        Some(_) => {
            tracing::info!(file = %partition, "the file was replaced since the last run; reading it from its beginning");
            Position::start()
        }
        None => Position::start(),
    };
    let mut batcher = Batcher {
        config: context.batch,
        partition,
        key: Arc::clone(key),
        producer,
        deliveries: Vec::new(),
        bytes: 0,
        number: start.number,
        last: None,
    };
    frame(&input, policy.format(), policy.limits(), &start, &mut batcher)?;
    batcher.send()
}

/// Collects records until a batch is full.
struct Batcher<'a> {
    config: BatchConfig,
    partition: Arc<str>,
    key: Arc<cloakroom_crypto::PseudonymKey>,
    producer: &'a Producer,
    deliveries: Vec<Delivery>,
    bytes: usize,
    /// How many records there were before.
    number: u64,
    /// Where the last record ends, and a sample of it.
    last: Option<(u64, (u64, bytes::Bytes))>,
}

impl Receive for Batcher<'_> {
    fn record(&mut self, framed: Framed) -> Result<(), ConnectorError> {
        let size = framed.payload.len();
        if !self.deliveries.is_empty()
            && (self.bytes + size > self.config.bytes || self.deliveries.len() >= self.config.records)
        {
            self.send()?;
        }
        self.number = framed.number;
        self.bytes += size;
        self.last = Some((framed.end, framed.sample));
        let position = Place::Offset { byte: framed.start, number: framed.number };
        self.deliveries.push(Delivery {
            id: RecordId { partition: Arc::clone(&self.partition), position },
            payload: framed.payload,
        });
        Ok(())
    }

    fn idle(&mut self) -> Result<(), ConnectorError> {
        self.send()
    }
}

impl Batcher<'_> {
    fn send(&mut self) -> Result<(), ConnectorError> {
        let Some((end, (start, sample))) = self.last.take() else { return Ok(()) };
        let position = Position::after(end, self.number, start, &sample, &self.key).to_string();
        let capacity = self.deliveries.len();
        let deliveries = std::mem::replace(&mut self.deliveries, Vec::with_capacity(capacity));
        self.bytes = 0;
        let progress = Progress::Position { partition: Arc::clone(&self.partition), position };
        self.producer.blocking_send(Ok(Batch { progress, deliveries })).map_err(|_| gone())
    }
}
