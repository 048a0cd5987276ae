//! What a connector is given besides its own section of the pipeline file.

use std::sync::Arc;

use crate::config::BatchConfig;
use crate::retry::RetryConfig;
use cloakroom_core::Policy;
use cloakroom_crypto::PseudonymKey;

/// For building a source.
#[derive(Clone)]
pub struct SourceContext {
    /// The pipeline's name: what several runs of it share is kept under it.
    pub pipeline: String,
    /// The policy: format of records and limits.
    pub policy: Arc<Policy>,
    /// How many records travel together.
    pub batch: BatchConfig,
    /// How long to try again.
    pub retry: RetryConfig,
    /// Makes keyed fingerprints of content, where a source has no ids of its own. Keyed, because a plain
    /// hash of a short record could be reversed by trying.
    pub fingerprint: Arc<PseudonymKey>,
    /// Take what is there now and end: for sources that never end by themselves.
    pub once: bool,
}

/// For building a sink.
#[derive(Clone)]
pub struct SinkContext {
    /// The pipeline's name, for the ledger.
    pub pipeline: String,
    /// The policy: names and types of what will arrive.
    pub policy: Arc<Policy>,
}
