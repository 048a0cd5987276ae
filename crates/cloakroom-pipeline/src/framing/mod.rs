//! Bytes of files and objects to batches of records: JSON lines, a JSON array, CSV with a header, `key=value` blocks,
//! Parquet; plain, gzip or zstd. In bounded memory, from any position on, without decoding.
//!
//! - `input`: where bytes come from, seen through their compression
//! - `frame`, `parquet`: cut into records
//! - `position`: where a file was read to, and whether it still is that file
//! - here: records collected into batches

mod frame;
mod input;
mod parquet;
mod position;

use std::sync::Arc;

use cloakroom_core::{Place, RecordId};
use cloakroom_crypto::PseudonymKey;

use crate::config::BatchConfig;
use crate::context::SourceContext;
use crate::error::ConnectorError;
use crate::source::{Batch, Delivery, Progress};

use frame::{Framed, Receive};
pub use input::{Content, Input, Reader};
pub use position::Position;

/// Cuts an input into records from a position on, and hands them out in batches, each with the position after it. Blocks.
///
/// # Errors
/// When the input cannot be read or cut, with what was cut before handed out; what `send` fails with.
pub fn read(
    input: &Input,
    from: &Position,
    context: &SourceContext,
    partition: &Arc<str>,
    send: &mut dyn FnMut(Batch) -> Result<(), ConnectorError>,
) -> Result<(), ConnectorError> {
    let mut batcher = Batcher {
        config: context.batch,
        partition: Arc::clone(partition),
        key: Arc::clone(&context.fingerprint),
        send,
        deliveries: Vec::new(),
        bytes: 0,
        number: from.number,
        last: None,
    };
    let policy = &context.policy;
    let cut = frame::frame(input, policy.format(), policy.limits(), from, &mut batcher);
    // Also when it failed: whoever reads may never come back to what was cut.
    let sent = batcher.send();
    cut.and(sent)
}

/// Collects records until a batch is full.
struct Batcher<'a> {
    config: BatchConfig,
    partition: Arc<str>,
    key: Arc<PseudonymKey>,
    send: &'a mut dyn FnMut(Batch) -> Result<(), ConnectorError>,
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
        (self.send)(Batch { progress, deliveries })
    }
}
