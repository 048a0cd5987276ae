//! Records that arrive as documents of the format `eax-scrypt`, opened on their way.
//!
//! [`Documents`] stands between a source and whoever takes its records. Keys are derived for a batch at once, on all cores,
//! a few batches ahead; plain records are in memory only.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cloakroom_core::eax_scrypt::Opener;
use cloakroom_core::encode::write_object;
use cloakroom_core::{Limits, Object, Payload, RecordError, RecordErrorKind, RecordId};
use cloakroom_crypto::Zeroizing;
use cloakroom_crypto::eax_scrypt::MasterKey;
use tokio::task::JoinHandle;

use crate::config::BatchConfig;
use crate::error::{ConnectorError, ErrorKind};
use crate::keys;
use crate::sink::Ledger;
use crate::source::{Batch, Delivery, Outcome, Progress, Source};

/// The variable that holds the master key of documents.
pub const MASTER_KEY_VARIABLE: &str = "CLOAKROOM_MASTER_KEY";

/// How many documents travel together: full lanes for every kernel, and an answer every fraction of a second.
pub const BATCH: BatchConfig = BatchConfig { records: 64, bytes: 1024 * 1024, wait_ms: 0 };

/// The master key: from a file that only its owner can read, else from the variable.
///
/// # Errors
/// When there is none, it is empty, or others can read the file.
pub fn master_key(file: Option<&Path>) -> Result<MasterKey, ConnectorError> {
    let (text, origin) = match file {
        Some(path) => {
            let mut text = keys::read_private(path, "master key file")?;
            // The line end that editors put there is not part of it.
            let length =
                text.strip_suffix('\n').map_or(text.len(), |text| text.strip_suffix('\r').unwrap_or(text).len());
            text.truncate(length);
            (text, path.display().to_string())
        }
        None => match std::env::var(MASTER_KEY_VARIABLE) {
            Ok(text) => (Zeroizing::new(text), MASTER_KEY_VARIABLE.to_owned()),
            Err(_) => {
                return Err(ConnectorError::configuration(format!(
                    "there is no master key; set {MASTER_KEY_VARIABLE}, or name a file with --master-key-file"
                )));
            }
        },
    };
    MasterKey::new(&text).map_err(|error| ConnectorError::configuration(format!("{origin}: {error}")))
}

/// Documents of a batch, opened: plain records, or the reasons for which there is none.
pub struct Opened {
    /// How to recognise the batch.
    pub progress: Progress,
    /// The records in the order of their documents.
    pub records: Vec<(RecordId, Result<Object, RecordError>)>,
}

/// Opens the documents that a source gives.
pub struct Documents {
    source: Box<dyn Source>,
    opener: Arc<Opener>,
    limits: Limits,
    parallel: usize,
    working: VecDeque<JoinHandle<Opened>>,
    ended: bool,
    failed: Option<ConnectorError>,
    /// A document's key has opened, so the master key is the right one.
    proven: bool,
}

impl Documents {
    /// `parallel` batches are worked on at the same time.
    #[must_use]
    pub fn new(source: Box<dyn Source>, master: MasterKey, limits: Limits, parallel: usize) -> Self {
        Self {
            source,
            opener: Arc::new(Opener::new(master)),
            limits,
            parallel: parallel.max(1),
            working: VecDeque::new(),
            ended: false,
            failed: None,
            proven: false,
        }
    }

    /// The next documents, opened; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// When the source fails; when the master key has opened no document so far and does not open one of this batch.
    pub async fn next(&mut self, ledger: &mut dyn Ledger) -> Result<Option<Opened>, ConnectorError> {
        loop {
            let may_take = !self.ended && self.failed.is_none() && self.working.len() < self.parallel;
            if !may_take && self.working.is_empty() {
                return self.failed.take().map_or(Ok(None), Err);
            }
            tokio::select! {
                biased;
                batch = self.source.next_batch(ledger), if may_take => match batch {
                    Ok(Some(batch)) => {
                        let (opener, limits) = (Arc::clone(&self.opener), self.limits);
                        self.working.push_back(tokio::task::spawn_blocking(move || open(&opener, batch, limits)));
                    }
                    Ok(None) => self.ended = true,
                    // What was taken before is given out first.
                    Err(error) => self.failed = Some(error),
                },
                opened = oldest(&mut self.working), if !self.working.is_empty() => {
                    let opened = opened?;
                    self.working.pop_front();
                    self.check_key(&opened)?;
                    return Ok(Some(opened));
                }
            }
        }
    }

    /// A wrong master key opens nothing: better one clear refusal than a million.
    fn check_key(&mut self, opened: &Opened) -> Result<(), ConnectorError> {
        if self.proven {
            return Ok(());
        }
        let count =
            |test: fn(&Result<Object, RecordError>) -> bool| opened.records.iter().filter(|(_, it)| test(it)).count();
        let refused = count(|record| matches!(record, Err(error) if error.kind == RecordErrorKind::Key));
        // Behind the document's key come only its fields.
        self.proven = count(|record| match record {
            Ok(_) => true,
            Err(error) => matches!(error.kind, RecordErrorKind::NotAuthentic),
        }) > 0;
        if !self.proven && refused > 0 {
            return Err(ConnectorError::new(
                ErrorKind::Denied,
                format!(
                    "the master key opens none of the first documents ({refused} tried): it is not the one that they were \
                     written with; nothing was written"
                ),
            ));
        }
        Ok(())
    }
}

async fn oldest(working: &mut VecDeque<JoinHandle<Opened>>) -> Result<Opened, ConnectorError> {
    match working.front_mut() {
        Some(task) => task
            .await
            .map_err(|_| ConnectorError::new(ErrorKind::Internal, "a worker thread ended while it opened documents")),
        None => std::future::pending().await,
    }
}

/// Decodes and opens a batch. Runs on the CPU pool.
fn open(opener: &Opener, batch: Batch, limits: Limits) -> Opened {
    let Batch { progress, deliveries } = batch;
    let mut documents = Vec::with_capacity(deliveries.len());
    let decoded: Vec<(RecordId, Result<(), RecordError>)> = deliveries
        .into_iter()
        .map(|Delivery { id, payload }| (id, payload.decode(limits).map(|document| documents.push(document))))
        .collect();
    let mut opened = opener.open(documents).into_iter();
    let internal = || RecordError::new(RecordErrorKind::Internal, "a document has no outcome");
    let records = decoded
        .into_iter()
        .map(|(id, decoded)| (id, decoded.and_then(|()| opened.next().unwrap_or_else(|| Err(internal())))))
        .collect();
    Opened { progress, records }
}

/// As a source, the plain records stand in the place of their documents, for a policy to work on.
#[async_trait]
impl Source for Documents {
    async fn open(&mut self, ledger: &mut dyn Ledger) -> Result<(), ConnectorError> {
        self.source.open(ledger).await
    }

    async fn next_batch(&mut self, ledger: &mut dyn Ledger) -> Result<Option<Batch>, ConnectorError> {
        let Some(Opened { progress, records }) = self.next(ledger).await? else { return Ok(None) };
        let delivery = |(id, record): (RecordId, Result<Object, RecordError>)| {
            let payload = match record {
                Ok(plain) => {
                    let mut bytes = Vec::new();
                    write_object(&plain, &mut bytes);
                    Payload::Json(bytes.into())
                }
                Err(error) => Payload::Unusable { bytes: Bytes::new(), error },
            };
            Delivery { id, payload }
        };
        Ok(Some(Batch { progress, deliveries: records.into_iter().map(delivery).collect() }))
    }

    async fn settle(&mut self, progress: &Progress, outcomes: &[Outcome]) -> Result<(), ConnectorError> {
        self.source.settle(progress, outcomes).await
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        self.source.check().await
    }

    fn is_repeatable(&self) -> bool {
        self.source.is_repeatable()
    }

    fn forgets(&self) -> bool {
        self.source.forgets()
    }
}
