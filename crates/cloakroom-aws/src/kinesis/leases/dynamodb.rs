//! Leases in a table of Amazon DynamoDB: one item for each shard.
//!
//! The partition key `stream` is the pipeline's name and the stream's, with `/` between them, the sort key `shard` the
//! shard's. `counter` is a number, `owner` and `wanted_by` are texts or not there, `updated_at` is for people alone.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};

use super::{Lease, Store};
use crate::client::{ClientConfig, sdk_config};
use crate::dynamodb::table::{self, KeyAttribute, KeyType, Role, Schema};
use crate::dynamodb::{code, failed};
use crate::kinesis::config;

const STREAM: &str = "stream";
const SHARD: &str = "shard";
const COUNTER: &str = "counter";
const OWNER: &str = "owner";
const WANTED_BY: &str = "wanted_by";

/// A call has an end before the lease has.
const LONGEST_CALL: Duration = Duration::from_secs(5);

/// The table with its calls.
pub(in crate::kinesis) struct Table {
    client: Client,
    name: String,
    /// The partition key: of which pipeline and stream.
    stream: String,
}

impl Table {
    /// `region` is that of the stream.
    pub(in crate::kinesis) async fn connect(
        config: &config::Leases,
        region: Option<String>,
        pipeline: &str,
        stream: &str,
    ) -> Result<Self, ConnectorError> {
        let mut aws = ClientConfig::resolve(&config.region, &config.endpoint, &config.profile)?;
        aws.region = aws.region.or(region);
        let sdk = sdk_config(&aws).await?;
        // The keeper tries again by itself: what it wants may be another thing by then.
        let call = (config.duration() / 3).min(LONGEST_CALL);
        let timeouts = TimeoutConfig::builder().connect_timeout(call).operation_timeout(call).build();
        let client = aws_sdk_dynamodb::config::Builder::from(&sdk)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        let name = config.table.resolve_plain()?;
        Ok(Self { client: Client::from_conf(client), name, stream: format!("{pipeline}/{stream}") })
    }

    fn schema() -> Schema {
        Schema {
            partition: KeyAttribute::new(STREAM, KeyType::Text, Role::Partition),
            sort: Some(KeyAttribute::new(SHARD, KeyType::Text, Role::Sort)),
        }
    }

    fn check(&self, schema: &Schema) -> Result<(), ConnectorError> {
        match *schema == Self::schema() {
            true => Ok(()),
            false => Err(ConnectorError::configuration(format!(
                "the table {} is not for leases; its keys must be `{STREAM}` and `{SHARD}`, both of type S: name another, \
                 which is made when it is not there",
                self.name
            ))),
        }
    }

    /// What there is, in words. Makes nothing.
    pub(in crate::kinesis) async fn describe(&self) -> Result<String, ConnectorError> {
        match table::describe(&self.client, &self.name).await? {
            Some(table) => {
                self.check(&table.schema)?;
                let held = self.list().await?.into_iter().filter(|lease| lease.owner.is_some()).count();
                Ok(format!("{held} leases held in table {}", self.name))
            }
            None => Ok(format!("table {} for leases will be made", self.name)),
        }
    }

    /// What a failed call means. Whoever does not know then whether a lease was written is told by the next look.
    fn failed<E>(&self, error: &SdkError<E, HttpResponse>) -> ConnectorError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        failed(error).context(format!("table {}", self.name))
    }

    fn strange(&self) -> ConnectorError {
        ConnectorError::new(ErrorKind::Corrupt, format!("an item of table {} is no lease", self.name))
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

#[async_trait]
impl Store for Table {
    async fn open(&self) -> Result<(), ConnectorError> {
        let table = match table::ready(&self.client, &self.name).await? {
            Some(table) => table,
            None => table::made(&self.client, &self.name, &Self::schema()).await?,
        };
        self.check(&table.schema)
    }

    async fn list(&self) -> Result<Vec<Lease>, ConnectorError> {
        let (mut leases, mut from) = (Vec::new(), None);
        loop {
            let call = self
                .client
                .query()
                .table_name(&self.name)
                .consistent_read(true)
                .key_condition_expression("#stream = :stream")
                .expression_attribute_names("#stream", STREAM)
                .expression_attribute_values(":stream", text(&self.stream))
                .set_exclusive_start_key(from.take());
            let answer = call.send().await.map_err(|error| self.failed(&error))?;
            for item in answer.items() {
                let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
                let counter = item.get(COUNTER).and_then(|value| value.as_n().ok()?.parse().ok());
                leases.push(Lease {
                    shard: text(SHARD).ok_or_else(|| self.strange())?,
                    counter: counter.ok_or_else(|| self.strange())?,
                    owner: text(OWNER),
                    wanted_by: text(WANTED_BY),
                });
            }
            match answer.last_evaluated_key {
                Some(key) => from = Some(key),
                None => return Ok(leases),
            }
        }
    }

    async fn put(&self, old: Option<&Lease>, new: &Lease) -> Result<bool, ConnectorError> {
        let mut call = self
            .client
            .put_item()
            .table_name(&self.name)
            .item(STREAM, text(&self.stream))
            .item(SHARD, text(&new.shard))
            .item(COUNTER, number(new.counter))
            .item("updated_at", text(&cloakroom_pipeline::run::now().timestamp()));
        for (name, value) in [(OWNER, &new.owner), (WANTED_BY, &new.wanted_by)] {
            if let Some(value) = value {
                call = call.item(name, text(value));
            }
        }
        call = match old {
            None => {
                call.condition_expression("attribute_not_exists(#shard)").expression_attribute_names("#shard", SHARD)
            }
            Some(old) => call
                .condition_expression("#counter = :counter")
                .expression_attribute_names("#counter", COUNTER)
                .expression_attribute_values(":counter", number(old.counter)),
        };
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error) if code(&error) == "ConditionalCheckFailedException" => Ok(false),
            Err(error) => Err(self.failed(&error)),
        }
    }

    async fn remove(&self, old: &Lease) -> Result<(), ConnectorError> {
        let call = self
            .client
            .delete_item()
            .table_name(&self.name)
            .key(STREAM, text(&self.stream))
            .key(SHARD, text(&old.shard))
            .condition_expression("#counter = :counter")
            .expression_attribute_names("#counter", COUNTER)
            .expression_attribute_values(":counter", number(old.counter));
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == "ConditionalCheckFailedException" => Ok(()),
            Err(error) => Err(self.failed(&error)),
        }
    }
}
