//! Files and standard input: JSON lines, a JSON array, CSV with a header, `key=value` blocks; plain,
//! gzip or zstd.
//!
//! A record's id is its byte offset in the (decompressed) file. The position that the sink's ledger keeps
//! names the end of the last record and a keyed fingerprint of it: a file that has grown goes on where it
//! stopped, a file that was replaced begins anew.

mod origin;

use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::error::ConnectorError;
use cloakroom_pipeline::framing::{self, Input, Position};
use cloakroom_pipeline::sink::Ledger;
use cloakroom_pipeline::source::{Batch, Outcome, Progress, Source};
use schemars::JsonSchema;
use serde::Deserialize;

use cloakroom_pipeline::context::SourceContext;
use cloakroom_pipeline::prefetch::{Prefetch, Producer, gone};

use self::origin::{Origin, absolute};

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
                let input = origin.clone().open()?;
                self.total = input.plain_length();
                Prefetch::blocking(move |producer| produce(&input, known, &context, &partition, producer))
            }
            // Even the first look at a stream may wait, so it belongs to the thread that may.
            Origin::Stream(_) => {
                Prefetch::blocking(move |producer| produce(&origin.open()?, None, &context, &partition, producer))
            }
        });
        Ok(())
    }

    async fn next_batch(&mut self, _: &mut dyn Ledger) -> Result<Option<Batch>, ConnectorError> {
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
            Origin::File(path) => Ok(format!("{}, {}", path.display(), self.origin.clone().open()?.describe())),
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
    input: &Input,
    known: Option<Position>,
    context: &SourceContext,
    partition: &Arc<str>,
    producer: &Producer,
) -> Result<(), ConnectorError> {
    let start = match known {
        Some(position) if position.still_holds(input, &context.fingerprint)? => position,
        Some(_) => {
            tracing::info!(file = %partition, "the file was replaced since the last run; reading it from its beginning");
            Position::start()
        }
        None => Position::start(),
    };
    framing::read(input, &start, context, partition, &mut |batch| producer.blocking_send(Ok(batch)).map_err(|_| gone()))
}
