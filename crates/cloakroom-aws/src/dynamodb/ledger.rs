//! What was delivered: one item for each partition, in a table of its own.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use cloakroom_pipeline::apart::{Entries, Entry, Stand};
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};

use super::table::{self, KeyAttribute, KeyType, Role, Schema};
use super::{Clients, code, failed};

const ID: &str = "id";

pub(super) struct DynamoLedger<'a> {
    pub(super) clients: &'a Clients,
    /// The table of ledgers.
    pub(super) name: &'a str,
}

#[async_trait]
impl Entries for DynamoLedger<'_> {
    /// Counts the moves.
    type Version = u64;

    /// The table is made when there is none: before the first record is written, so that a role that may not make it is told
    /// so in time.
    async fn read(&self, id: &str) -> Result<Option<Stand<u64>>, ConnectorError> {
        let Self { clients, name } = *self;
        let call =
            clients.reading.get_item().table_name(name).key(ID, AttributeValue::S(id.to_owned())).consistent_read(true);
        let item = match call.send().await {
            Ok(answer) => answer.item,
            Err(error) if code(&error) == "ResourceNotFoundException" => {
                let partition = KeyAttribute::new(ID, KeyType::Text, Role::Partition);
                let schema = Schema { partition, sort: None };
                table::made(&clients.reading, name, &schema).await?;
                None
            }
            Err(error) if code(&error) == "ValidationException" => {
                return Err(ConnectorError::configuration(format!(
                    "the table {name} is no ledger; its key must be `{ID}` of type S: name another in `ledger_table`"
                )));
            }
            Err(error) => return Err(failed(&error).context(format!("the ledger {name}"))),
        };
        let Some(item) = item else { return Ok(None) };
        let position = item.get("position").and_then(|value| value.as_s().ok()).cloned();
        let version = item.get("version").and_then(|value| value.as_n().ok()?.parse().ok());
        let run = item.get("run").and_then(|value| value.as_s().ok()).cloned();
        let stand = position.zip(version).map(|(position, version)| Stand { position, version, run });
        stand.map(Some).ok_or_else(|| {
            ConnectorError::new(ErrorKind::Corrupt, format!("an item of the ledger {name} has no position or version"))
        })
    }

    async fn write(&self, entry: &Entry<'_>, before: Option<&Stand<u64>>) -> Result<Option<u64>, ConnectorError> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let version = before.map_or(1, |before| before.version + 1);
        let mut call = self
            .clients
            .writing
            .put_item()
            .table_name(self.name)
            .item(ID, text(&entry.id))
            .item("pipeline", text(entry.pipeline))
            .item("table", text(entry.target))
            .item("part", text(entry.partition))
            .item("position", text(entry.position))
            .item("run", text(entry.run))
            .item("version", AttributeValue::N(version.to_string()))
            .item("updated_at", text(&cloakroom_pipeline::run::now().timestamp()));
        call = match before {
            None => call.condition_expression("attribute_not_exists(#id)").expression_attribute_names("#id", ID),
            Some(Stand { position, version, .. }) => call
                .condition_expression("#position = :position AND #version = :version")
                .expression_attribute_names("#position", "position")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":position", text(position))
                .expression_attribute_values(":version", AttributeValue::N(version.to_string())),
        };
        match call.send().await {
            Ok(_) => Ok(Some(version)),
            Err(error) if code(&error) == "ConditionalCheckFailedException" => Ok(None),
            Err(error) => Err(failed(&error).context(format!("the ledger {}", self.name))),
        }
    }
}
