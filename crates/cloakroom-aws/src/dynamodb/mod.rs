//! Items into a table of Amazon DynamoDB.
//!
//! - `table`: the table's key, held against the policy before the first record; made on wish
//! - `item`: records in DynamoDB's types, within its limits
//! - `write`: batches as requests, an outcome for each record
//! - `ledger`: what was delivered, as items of another table
//! - `lookup`: records by a value, for the way back
//!
//! ```text
//! write    BatchWriteItem or PutItem: every item under its key, so that writing it again changes nothing
//! commit   the ledger's item moves; if it moved under somebody else's hand, the run stops
//! ```
//!
//! DynamoDB has transactions of 100 items, too few for a batch. So what a run wrote before it died is there, and the next
//! run writes it again under the same keys. A batch that failed in the middle goes on where it was.

mod item;
mod ledger;
mod lookup;
pub(crate) mod table;
mod write;

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use cloakroom_core::{Object, Policy, Value};
use cloakroom_pipeline::apart::{Apart, Begun, State};
use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::context::SinkContext;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::sink::{Ledger, RowOutcome, Sink, SinkBatch};
use schemars::JsonSchema;
use serde::Deserialize;

use self::ledger::DynamoLedger;
use self::table::{Schema, Table};
use self::write::Writer;
use crate::client::{ClientConfig, is_emulator, sdk_config};
use crate::error::failure;

/// A table of Amazon DynamoDB.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The table's name or ARN.
    pub table: Template,
    /// The field that is the partition key (default: the table says it).
    pub key: Option<String>,
    /// The field that is the sort key (default: the table says it).
    pub sort_key: Option<String>,
    /// The region (default: `AWS_REGION`, else the profile's).
    pub region: Option<Template>,
    /// Another address of the service: a VPC endpoint, an emulator. For one on this machine region and credentials may be left
    /// out.
    pub endpoint: Option<Template>,
    /// The profile of credentials (default: `AWS_PROFILE`, else `default`).
    pub profile: Option<Template>,
    /// What is done when there is an item with this key.
    #[serde(default)]
    pub on_existing: OnExisting,
    /// Make the table when it is not there, paid by request. Keys have the types that the policy says, else they are
    /// strings.
    #[serde(default)]
    pub create_table: bool,
    /// Requests under way at once (default 4), of 25 items each, or of one with `on_existing: keep`.
    #[serde(default = "four")]
    pub concurrency: usize,
    /// The table that remembers what was delivered (default `cloakroom_ledger`). It is made when there is none.
    #[serde(default = "ledger_table")]
    pub ledger_table: String,
}

fn four() -> usize {
    4
}

fn ledger_table() -> String {
    "cloakroom_ledger".to_owned()
}

/// What is done when there is an item with this key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnExisting {
    /// The record takes its place, as a whole.
    #[default]
    Replace,
    /// It stays; the record counts as a duplicate.
    Keep,
}

/// Builds the sink.
///
/// # Errors
/// When the configuration does not make sense, by itself or with the policy.
pub fn build(config: &Config, context: &SinkContext) -> Result<Box<dyn Sink>, ConnectorError> {
    sink(config, context).map_err(|error| error.context("dynamodb"))
}

fn sink(config: &Config, context: &SinkContext) -> Result<Box<dyn Sink>, ConnectorError> {
    let resolved = |setting: &str, template: &Template| {
        template.resolve_plain().map_err(|error| error.context(format!("`{setting}`")))
    };
    let optional = |setting: &str, template: &Option<Template>| {
        template.as_ref().map(|template| resolved(setting, template)).transpose()
    };
    let table = resolved("table", &config.table)?;
    for (setting, name) in [("table", &table), ("ledger_table", &config.ledger_table)] {
        let is_name = (3..=1024).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':' | b'/'));
        if !is_name {
            return Err(ConnectorError::configuration(format!(
                "`{setting}` is a name of at least three letters, digits, `_`, `-` and `.`, or an ARN"
            )));
        }
    }
    if table == config.ledger_table {
        return Err(ConnectorError::configuration("`ledger_table` is another table than `table`"));
    }
    if !(1..=256).contains(&config.concurrency) {
        return Err(ConnectorError::configuration("`concurrency` is 1 to 256"));
    }
    let (key, sort_key) = (config.key.clone(), config.sort_key.clone());
    if key.is_some() && key == sort_key {
        return Err(ConnectorError::configuration("`key` and `sort_key` are two fields"));
    }
    let planned = match &key {
        Some(key) => Some(table::planned(key, sort_key.as_deref(), &context.policy)?),
        None if config.create_table => {
            return Err(ConnectorError::configuration(
                "`create_table` needs `key`: the field that is the partition key",
            ));
        }
        None => None,
    };
    let endpoint = optional("endpoint", &config.endpoint)?;
    Ok(Box::new(DynamoSink {
        apart: Apart::new(&context.pipeline, &table),
        aws: ClientConfig {
            region: optional("region", &config.region)?,
            emulated: endpoint.as_deref().is_some_and(is_emulator),
            endpoint,
            profile: optional("profile", &config.profile)?,
        },
        settings: Settings {
            table,
            ledger_table: config.ledger_table.clone(),
            key,
            sort_key,
            planned: planned.filter(|_| config.create_table),
            on_existing: config.on_existing,
            concurrency: config.concurrency,
        },
        policy: Arc::clone(&context.policy),
        clients: None,
        schema: None,
    }))
}

/// The clients of one service.
#[derive(Clone)]
struct Clients {
    /// Tries again by itself.
    reading: Client,
    /// Does not: a condition that fails at a second try says nothing about the first.
    writing: Client,
}

struct Settings {
    table: String,
    ledger_table: String,
    key: Option<String>,
    sort_key: Option<String>,
    /// The key of the table that is made when there is none.
    planned: Option<Schema>,
    on_existing: OnExisting,
    concurrency: usize,
}

struct DynamoSink {
    settings: Settings,
    aws: ClientConfig,
    policy: Arc<Policy>,
    clients: Option<Clients>,
    /// The key of the table, once it is open.
    schema: Option<Schema>,
    apart: Apart<u64, State>,
}

impl DynamoSink {
    async fn clients(&mut self) -> Result<Clients, ConnectorError> {
        if let Some(clients) = &self.clients {
            return Ok(clients.clone());
        }
        let sdk = sdk_config(&self.aws).await?;
        let once = aws_sdk_dynamodb::config::Builder::from(&sdk).retry_config(RetryConfig::disabled()).build();
        let clients = Clients { reading: Client::new(&sdk), writing: Client::from_conf(once) };
        self.clients = Some(clients.clone());
        Ok(clients)
    }

    fn check_key(&self, table: &Table) -> Result<(), ConnectorError> {
        let Settings { table: name, key, sort_key, .. } = &self.settings;
        table::check(name, &table.schema, key.as_deref(), sort_key.as_deref(), &self.policy)
    }

    async fn prepare(&mut self) -> Result<(), ConnectorError> {
        let client = self.clients().await?.reading;
        let Settings { table: name, planned, .. } = &self.settings;
        let table = match (table::ready(&client, name).await?, planned) {
            (Some(table), _) => table,
            (None, Some(planned)) => table::made(&client, name, planned).await?,
            (None, None) => return Err(table::missing(name)),
        };
        self.check_key(&table)?;
        self.schema = Some(table.schema);
        Ok(())
    }

    async fn look(&mut self) -> Result<String, ConnectorError> {
        let client = self.clients().await?.reading;
        let name = &self.settings.table;
        match (table::describe(&client, name).await?, &self.settings.planned) {
            (Some(table), _) => {
                self.check_key(&table)?;
                Ok(table.describe(name))
            }
            (None, Some(planned)) => Ok(format!("table {name} will be made, key {}", planned.partition.name)),
            (None, None) => Err(table::missing(name)),
        }
    }

    async fn write_all(&mut self, batch: &SinkBatch) -> Result<Vec<RowOutcome>, ConnectorError> {
        let clients = self.clients().await?;
        let ledger = DynamoLedger { clients: &clients, name: &self.settings.ledger_table };
        let mut states = match self.apart.begin(&ledger, batch).await? {
            Begun::Known(outcomes) => return Ok(outcomes),
            Begun::Open(states) => states,
        };
        let not_open = || ConnectorError::new(ErrorKind::Internal, "the sink is not open");
        let writer = Writer {
            client: &clients.writing,
            table: &self.settings.table,
            schema: self.schema.as_ref().ok_or_else(not_open)?,
            on_existing: self.settings.on_existing,
            concurrency: self.settings.concurrency,
            records: &batch.records,
        };
        let result = writer.write(&mut states).await;
        self.apart.end(batch, states, result, |state| state.outcome.clone())
    }
}

#[async_trait]
impl Ledger for DynamoSink {
    async fn position(&mut self, partition: &str) -> Result<Option<String>, ConnectorError> {
        let clients = self.clients().await?;
        let ledger = DynamoLedger { clients: &clients, name: &self.settings.ledger_table };
        self.apart.position(&ledger, partition).await.map_err(|error| error.context("dynamodb"))
    }
}

#[async_trait]
impl Sink for DynamoSink {
    async fn open(&mut self) -> Result<(), ConnectorError> {
        self.prepare().await.map_err(|error| error.context("dynamodb"))?;
        self.apart.forget();
        Ok(())
    }

    fn is_transactional(&self) -> bool {
        false
    }

    async fn write(&mut self, batch: &SinkBatch) -> Result<Vec<RowOutcome>, ConnectorError> {
        self.write_all(batch).await.map_err(|error| error.context("dynamodb"))
    }

    async fn commit(&mut self) -> Result<(), ConnectorError> {
        let clients = self.clients().await?;
        let ledger = DynamoLedger { clients: &clients, name: &self.settings.ledger_table };
        self.apart.commit(&ledger).await.map_err(|error| error.context("dynamodb"))
    }

    async fn close(&mut self) -> Result<(), ConnectorError> {
        self.apart.unstage();
        Ok(())
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        self.look().await.map_err(|error| error.context("dynamodb"))
    }

    async fn find(&mut self, member: &str, values: &[Value], limit: usize) -> Result<Vec<Object>, ConnectorError> {
        let found = async {
            let client = self.clients().await?.reading;
            let name = &self.settings.table;
            let schema = table::describe(&client, name).await?.ok_or_else(|| table::missing(name))?.schema;
            lookup::find(&client, name, &schema, member, values, limit).await
        };
        found.await.map_err(|error| error.context("dynamodb"))
    }
}

/// The code of an answer, or nothing when there is none.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> &str {
    error.code().unwrap_or_default()
}

/// The status of an answer.
fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    match error {
        SdkError::ServiceError(refused) => Some(refused.raw().status().as_u16()),
        _ => None,
    }
}

/// Whether the service said what became of a call, or it was never made.
fn is_answered<E>(error: &SdkError<E, HttpResponse>) -> bool {
    match error {
        SdkError::ConstructionFailure(_) => true,
        _ => status(error).is_some_and(|status| status < 500),
    }
}

pub(crate) fn failed<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E, HttpResponse>) -> ConnectorError {
    failure(error, known)
}

/// The codes of DynamoDB
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>).
fn known(code: &str) -> Option<ConnectorError> {
    Some(match code {
        "ProvisionedThroughputExceededException" | "RequestLimitExceeded" | "ThrottlingException" => {
            ConnectorError::unavailable(format!("the table has not the capacity for more calls ({code})"))
        }
        "ResourceNotFoundException" => ConnectorError::configuration(
            "there is no such table; check its name, region and account, or it was deleted",
        ),
        "ResourceInUseException" | "LimitExceededException" | "TransactionConflictException" => {
            ConnectorError::unavailable(format!("the table is being made or changed ({code})"))
        }
        "ValidationException" => ConnectorError::configuration(
            "DynamoDB refuses the call (ValidationException): table, key and settings do not fit each other",
        ),
        _ => return None,
    })
}
