//! Documents into an index of Elasticsearch (7, 8) or OpenSearch (2, 3).
//!
//! - `server`: requests, credentials, what a status means
//! - `mapping`: what the policy knows about fields, as the server's mapping: what is encrypted is kept and not searched
//! - `target`: what stands behind the name that is written to: an index, an alias, a data stream
//! - `bulk`: batches as requests of bounded size, records of one `_id` in their order
//! - `answer`: what the server says about each document
//! - `room`: how large requests may be, by what the server takes
//! - `ledger`: what was delivered, as documents beside the index
//!
//! ```text
//! write    _bulk: every document under an `_id` of its own, so that writing it again changes nothing
//! commit   the ledger's document moves; if it moved under somebody else's hand, the run stops
//! ```
//!
//! The server has no transactions: what a run wrote before it died is there, and the next run writes it again under the same
//! ids. A batch that failed in the middle goes on where it was.

mod answer;
mod bulk;
mod ledger;
mod mapping;
mod room;
mod server;
mod target;

use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_core::{Object, Policy, Value};
use cloakroom_pipeline::apart::{Apart, Begun, State};
use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::error::ConnectorError;
use cloakroom_pipeline::sink::{Ledger, RowOutcome, Sink, SinkBatch};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::tls::TlsConfig;
use bulk::Bulk;
use cloakroom_pipeline::context::SinkContext;
use ledger::EsLedger;
use server::Server;

/// An index of Elasticsearch or OpenSearch.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the server is: `https://search.example:9200`.
    pub url: Template,
    /// The index, or an alias with one index that is written to, or a data stream, with `on_existing: keep`.
    pub index: String,
    /// The field of protected records whose value becomes the document's `_id`. Records without one get a field with
    /// `set: uuid`, which is the same when a record comes again.
    pub id: String,
    /// What is done when there is a document with this `_id`.
    #[serde(default)]
    pub on_existing: OnExisting,
    /// What is made before the first document (default: the index).
    #[serde(default)]
    pub create: Create,
    /// Primary shards of an index that is made (default: as the server decides).
    pub shards: Option<u32>,
    /// Copies of each shard of an index that is made (default: as the server decides).
    pub replicas: Option<u32>,
    /// How to prove who writes. Not in clear to another machine: then `url` begins with `https://`.
    pub auth: Option<Auth>,
    /// Bodies of requests are compressed with gzip.
    #[serde(default)]
    pub compress: bool,
    /// The most bytes of one request before compression (default 5 MiB). The server's own limit is 100 MB, and less with
    /// some providers.
    #[serde(default = "five_mebibytes")]
    pub max_request_bytes: usize,
    /// Requests under way at once (default 2).
    #[serde(default = "two")]
    pub concurrency: usize,
    /// Seconds to wait for a connection, and for each next part of an answer.
    #[serde(default = "thirty")]
    pub timeout_s: u64,
    /// Which certificates are trusted.
    #[serde(default)]
    pub tls: TlsConfig,
}

fn five_mebibytes() -> usize {
    5 * 1024 * 1024
}

fn two() -> usize {
    2
}

fn thirty() -> u64 {
    30
}

/// What is done when there is a document with this `_id`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnExisting {
    /// The record takes its place.
    #[default]
    Replace,
    /// It stays; the record counts as a duplicate.
    Keep,
}

/// What is made before the first document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Create {
    /// The index, with a mapping for the fields that the policy names; to an index that is there, fields that it lacks.
    #[default]
    Index,
    /// An index template for `index` and all names that begin with it and a hyphen: for rollover. The template of a data
    /// stream is yours to make.
    Template,
    /// Nothing.
    None,
}

/// How to prove who writes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// User and password.
    Basic(Basic),
    /// An API key as Elasticsearch gives it in `encoded`.
    ApiKey(Template),
    /// A bearer token.
    Bearer(Template),
}

/// User and password.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The user.
    pub user: Template,
    /// The password.
    pub password: Template,
}

/// Builds the sink.
///
/// # Errors
/// When the configuration does not make sense, by itself or with the policy.
pub fn build(config: &Config, context: &SinkContext) -> Result<Box<dyn Sink>, ConnectorError> {
    sink(config, context).map_err(|error| error.context("elasticsearch"))
}

fn sink(config: &Config, context: &SinkContext) -> Result<Box<dyn Sink>, ConnectorError> {
    // https://www.elastic.co/guide/en/elasticsearch/reference/current/indices-create-index.html
    let is_name = !config.index.is_empty()
        && config.index.len() <= 255
        && !config.index.starts_with(['-', '_', '+', '.'])
        && config
            .index
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'));
    if !is_name {
        return Err(ConnectorError::configuration(
            "`index` takes small letters, digits, `-`, `_` and `.`, and begins with a letter or digit",
        ));
    }
    if config.max_request_bytes < 1024 || config.concurrency == 0 {
        return Err(ConnectorError::configuration("`max_request_bytes` is at least 1024, `concurrency` at least 1"));
    }
    mapping::check_id(&config.id, &context.policy)?;
    let server = Arc::new(Server::new(config)?);
    Ok(Box::new(ElasticsearchSink {
        bulk: Bulk::new(config, Arc::clone(&server)),
        apart: Apart::new(&context.pipeline, &config.index),
        ledger: EsLedger(Arc::clone(&server)),
        config: config.clone(),
        policy: Arc::clone(&context.policy),
        server,
    }))
}

struct ElasticsearchSink {
    config: Config,
    policy: Arc<Policy>,
    server: Arc<Server>,
    bulk: Bulk,
    ledger: EsLedger,
    apart: Apart<ledger::Version, State>,
}

impl ElasticsearchSink {
    async fn write_all(&mut self, batch: &SinkBatch) -> Result<Vec<RowOutcome>, ConnectorError> {
        let mut states = match self.apart.begin(&self.ledger, batch).await? {
            Begun::Known(outcomes) => return Ok(outcomes),
            Begun::Open(states) => states,
        };
        let result = self.bulk.write(&batch.records, &mut states).await;
        self.apart.end(batch, states, result, |state| state.outcome.clone())
    }

    async fn look(&self) -> Result<String, ConnectorError> {
        let name = self.server.greet().await?;
        target::check(&self.server, &self.config).await?;
        let index = &self.config.index;
        Ok(match (self.server.mapping(index).await?, self.config.create) {
            (Some(_), _) => format!("{name}: index {index} is there"),
            (None, Create::Index) => format!("{name}: index {index} will be made"),
            (None, Create::Template) => format!("{name}: a template for {index} will be made"),
            (None, Create::None) => return Err(mapping::missing(index)),
        })
    }
}

#[async_trait]
impl Ledger for ElasticsearchSink {
    async fn position(&mut self, partition: &str) -> Result<Option<String>, ConnectorError> {
        let position = self.apart.position(&self.ledger, partition).await;
        position.map_err(|error| error.context("elasticsearch"))
    }
}

#[async_trait]
impl Sink for ElasticsearchSink {
    async fn open(&mut self) -> Result<(), ConnectorError> {
        let Self { server, config, policy, .. } = self;
        let opened = async {
            server.greet().await?;
            target::check(server, config).await?;
            mapping::prepare(server, config, policy).await
        };
        opened.await.map_err(|error| error.context("elasticsearch"))?;
        self.apart.forget();
        Ok(())
    }

    fn is_transactional(&self) -> bool {
        false
    }

    async fn write(&mut self, batch: &SinkBatch) -> Result<Vec<RowOutcome>, ConnectorError> {
        self.write_all(batch).await.map_err(|error| error.context("elasticsearch"))
    }

    async fn commit(&mut self) -> Result<(), ConnectorError> {
        self.apart.commit(&self.ledger).await.map_err(|error| error.context("elasticsearch"))
    }

    async fn close(&mut self) -> Result<(), ConnectorError> {
        self.apart.unstage();
        // Whoever looks after the run sees what it wrote. All of it is there without this, too.
        if let Err(error) = self.server.refresh(&self.config.index).await {
            tracing::warn!("elasticsearch: what was written shows in searches at the index's next refresh: {error}");
        }
        Ok(())
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        self.look().await.map_err(|error| error.context("elasticsearch"))
    }

    async fn find(&mut self, member: &str, values: &[Value], limit: usize) -> Result<Vec<Object>, ConnectorError> {
        let found = self.server.search(&self.config.index, member, values, limit).await;
        found.map_err(|error| error.context("elasticsearch"))
    }
}
