//! What was delivered: one item for each partition, in a table of its own.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use sha2::{Digest as _, Sha256};

use super::table::{self, KeyAttribute, KeyType, Role, Schema};
use super::{Clients, code, failed};

const ID: &str = "id";

pub(super) struct DynamoLedger {
    pipeline: String,
    /// The table of records.
    table: String,
    /// The table of ledgers.
    name: String,
    /// What the server is known to hold.
    known: HashMap<String, Stand>,
}

#[derive(Clone, Default)]
struct Stand {
    position: Option<String>,
    /// Counts the moves: whoever moves it in between changes it.
    version: u64,
}

impl DynamoLedger {
    pub(super) fn new(pipeline: &str, table: &str, name: &str) -> Self {
        let (pipeline, table, name) = (pipeline.to_owned(), table.to_owned(), name.to_owned());
        Self { pipeline, table, name, known: HashMap::new() }
    }

    /// What was known may be wrong.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// The position of a partition, from memory where it is certain.
    pub(super) async fn position(
        &mut self,
        clients: &Clients,
        partition: &str,
    ) -> Result<Option<String>, ConnectorError> {
        match self.known.get(partition) {
            Some(stand) => Ok(stand.position.clone()),
            None => self.read(clients, partition).await,
        }
    }

    /// The position as the server has it now. The table is made when there is none: before the first record is written, so
    /// that a role that may not make it is told so in time.
    pub(super) async fn read(&mut self, clients: &Clients, partition: &str) -> Result<Option<String>, ConnectorError> {
        let call = clients
            .reading
            .get_item()
            .table_name(&self.name)
            .key(ID, AttributeValue::S(self.id(partition)))
            .consistent_read(true);
        let item = match call.send().await {
            Ok(answer) => answer.item,
            Err(error) if code(&error) == "ResourceNotFoundException" => {
                let partition = KeyAttribute::new(ID, KeyType::Text, Role::Partition);
                let schema = Schema { partition, sort: None };
                table::create(&clients.reading, &self.name, &schema).await?;
                table::ready(&clients.reading, &self.name).await?.ok_or_else(|| table::missing(&self.name))?;
                None
            }
            Err(error) if code(&error) == "ValidationException" => {
                return Err(ConnectorError::configuration(format!(
                    "the table {} is no ledger; its key must be `{ID}` of type S: name another in `ledger_table`",
                    self.name
                )));
            }
            Err(error) => return Err(failed(&error).context(format!("the ledger {}", self.name))),
        };
        let stand = match item {
            None => Stand::default(),
            Some(item) => {
                let position = item.get("position").and_then(|value| value.as_s().ok()).cloned();
                let version = item.get("version").and_then(|value| value.as_n().ok()?.parse().ok());
                let (Some(position), Some(version)) = (position, version) else {
                    return Err(ConnectorError::new(
                        ErrorKind::Corrupt,
                        format!("an item of the ledger {} has no position or version", self.name),
                    ));
                };
                Stand { position: Some(position), version }
            }
        };
        let position = stand.position.clone();
        self.known.insert(partition.to_owned(), stand);
        Ok(position)
    }

    /// Moves the position on, if nobody else did meanwhile.
    pub(super) async fn advance(
        &mut self,
        clients: &Clients,
        partition: &str,
        position: &str,
    ) -> Result<(), ConnectorError> {
        if !self.known.contains_key(partition) {
            self.read(clients, partition).await?;
        }
        let stand = self.known.get(partition).cloned().unwrap_or_default();
        if stand.position.as_deref() == Some(position) {
            return Ok(());
        }
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let version = stand.version + 1;
        let mut call = clients
            .writing
            .put_item()
            .table_name(&self.name)
            .item(ID, AttributeValue::S(self.id(partition)))
            .item("pipeline", text(&self.pipeline))
            .item("table", text(&self.table))
            .item("part", text(partition))
            .item("position", text(position))
            .item("version", AttributeValue::N(version.to_string()))
            .item("updated_at", text(&cloakroom_pipeline::run::now().timestamp()));
        call = match &stand.position {
            None => call.condition_expression("attribute_not_exists(#id)").expression_attribute_names("#id", ID),
            Some(old) => call
                .condition_expression("#position = :position AND #version = :version")
                .expression_attribute_names("#position", "position")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":position", text(old))
                .expression_attribute_values(":version", AttributeValue::N(stand.version.to_string())),
        };
        match call.send().await {
            Ok(_) => {
                self.known.insert(partition.to_owned(), Stand { position: Some(position.to_owned()), version });
                Ok(())
            }
            Err(error) if code(&error) == "ConditionalCheckFailedException" => Err(ConnectorError::new(
                ErrorKind::Conflict,
                format!("another run of pipeline {} moves the same ledger; let one of them end", self.pipeline),
            )),
            Err(error) => Err(failed(&error).context(format!("the ledger {}", self.name))),
        }
    }

    /// Partitions may be long, and keys must be short.
    fn id(&self, partition: &str) -> String {
        let mut hash = Sha256::new();
        for part in [&self.pipeline, &self.table, partition] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(hash.finalize())
    }
}
