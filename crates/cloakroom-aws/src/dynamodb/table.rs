//! The table: its key held against the policy before the first record; made on wish.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType as KeyRole, ScalarAttributeType, TableDescription,
    TableStatus,
};
use cloakroom_core::Policy;
use cloakroom_core::error::did_you_mean;
use cloakroom_core::policy::{ColumnSource, FieldType, Unlisted};
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};

use super::{code, failed};

/// Between two looks at a table that is being made.
const LOOK: Duration = Duration::from_millis(500);
/// Looks until it should have been there: two minutes.
const LOOKS: usize = 240;

/// What the key of a table is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schema {
    pub(crate) partition: KeyAttribute,
    pub(crate) sort: Option<KeyAttribute>,
}

/// One attribute of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyAttribute {
    pub(crate) name: String,
    pub(super) kind: KeyType,
    pub(super) role: Role,
}

/// What an attribute is in the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Partition,
    Sort,
}

/// The types of keys that records can have: they hold no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyType {
    Text,
    Number,
}

impl KeyType {
    /// As a policy says it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Number => "number",
        }
    }

    fn scalar(self) -> ScalarAttributeType {
        match self {
            Self::Text => ScalarAttributeType::S,
            Self::Number => ScalarAttributeType::N,
        }
    }
}

impl KeyAttribute {
    pub(crate) fn new(name: &str, kind: KeyType, role: Role) -> Self {
        Self { name: name.to_owned(), kind, role }
    }

    /// The word for it.
    pub(super) fn what(&self) -> &'static str {
        match self.role {
            Role::Partition => "partition key",
            Role::Sort => "sort key",
        }
    }

    /// The most bytes of its value.
    pub(super) fn longest(&self) -> usize {
        match self.role {
            Role::Partition => 2048,
            Role::Sort => 1024,
        }
    }

    fn element(&self) -> Result<(KeySchemaElement, AttributeDefinition), ConnectorError> {
        let role = match self.role {
            Role::Partition => KeyRole::Hash,
            Role::Sort => KeyRole::Range,
        };
        let element = KeySchemaElement::builder().attribute_name(&self.name).key_type(role).build();
        let definition =
            AttributeDefinition::builder().attribute_name(&self.name).attribute_type(self.kind.scalar()).build();
        Ok((element.map_err(|_| incomplete())?, definition.map_err(|_| incomplete())?))
    }
}

/// A table as DynamoDB describes it.
pub(crate) struct Table {
    pub(crate) schema: Schema,
    on_demand: bool,
    status: TableStatus,
}

impl Table {
    /// What there is, for people.
    pub(super) fn describe(&self, name: &str) -> String {
        let kind = |attribute: &KeyAttribute| format!("{} ({})", attribute.name, attribute.kind.name());
        let sort = self.schema.sort.as_ref().map_or_else(String::new, |sort| format!(" and {}", kind(sort)));
        let billing = if self.on_demand { "on demand" } else { "provisioned" };
        format!("table {name} is there, key {}{sort}, {billing}", kind(&self.schema.partition))
    }
}

/// The table, or `None` when there is none.
pub(crate) async fn describe(client: &Client, name: &str) -> Result<Option<Table>, ConnectorError> {
    match client.describe_table().table_name(name).send().await {
        Ok(answer) => answer.table.ok_or_else(incomplete).and_then(|table| read(name, table)).map(Some),
        Err(error) if code(&error) == "ResourceNotFoundException" => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

fn read(name: &str, table: TableDescription) -> Result<Table, ConnectorError> {
    let kind = |attribute: &str| {
        let definition = table.attribute_definitions().iter().find(|of| of.attribute_name() == attribute);
        match definition.map(AttributeDefinition::attribute_type) {
            Some(ScalarAttributeType::S) => Ok(KeyType::Text),
            Some(ScalarAttributeType::N) => Ok(KeyType::Number),
            Some(ScalarAttributeType::B) => Err(ConnectorError::configuration(format!(
                "the key `{attribute}` of table {name} is binary, and records hold no bytes; take a table with a key \
                 of type S or N"
            ))),
            _ => Err(incomplete()),
        }
    };
    let attribute = |role: &KeyRole| table.key_schema().iter().find(|of| of.key_type() == role);
    let partition = attribute(&KeyRole::Hash).ok_or_else(incomplete)?.attribute_name();
    let partition = KeyAttribute::new(partition, kind(partition)?, Role::Partition);
    let sort = match attribute(&KeyRole::Range) {
        Some(sort) => Some(KeyAttribute::new(sort.attribute_name(), kind(sort.attribute_name())?, Role::Sort)),
        None => None,
    };
    let billing = table.billing_mode_summary().and_then(|billing| billing.billing_mode());
    Ok(Table {
        schema: Schema { partition, sort },
        on_demand: billing == Some(&BillingMode::PayPerRequest),
        status: table.table_status().cloned().ok_or_else(incomplete)?,
    })
}

fn incomplete() -> ConnectorError {
    ConnectorError::new(ErrorKind::Corrupt, "DynamoDB described a table without its key")
}

pub(super) fn missing(name: &str) -> ConnectorError {
    ConnectorError::configuration(format!(
        "there is no table {name}; make it, set `create_table: true`, or check `region` and account"
    ))
}

/// Begins to make a table that is paid by request. Another run may be faster.
async fn create(client: &Client, name: &str, schema: &Schema) -> Result<(), ConnectorError> {
    let mut call = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for attribute in std::iter::once(&schema.partition).chain(&schema.sort) {
        let (element, definition) = attribute.element()?;
        call = call.key_schema(element).attribute_definitions(definition);
    }
    match call.send().await {
        Ok(_) => Ok(()),
        Err(error) if code(&error) == "ResourceInUseException" => Ok(()),
        Err(error) => Err(failed(&error).context(format!("making the table {name}"))),
    }
}

/// Makes a table, and gives it as soon as it can be used.
pub(crate) async fn made(client: &Client, name: &str, schema: &Schema) -> Result<Table, ConnectorError> {
    create(client, name, schema).await?;
    // One that was made just now may not be seen yet.
    let unseen = || ConnectorError::unavailable(format!("the table {name} is still being made"));
    ready(client, name).await?.ok_or_else(unseen)
}

/// The table as soon as it can be used, or `None` when there is none.
pub(crate) async fn ready(client: &Client, name: &str) -> Result<Option<Table>, ConnectorError> {
    for _ in 0..LOOKS {
        let Some(table) = describe(client, name).await? else { return Ok(None) };
        match &table.status {
            TableStatus::Active | TableStatus::Updating => return Ok(Some(table)),
            TableStatus::Creating => tokio::time::sleep(LOOK).await,
            TableStatus::Deleting => {
                return Err(ConnectorError::unavailable(format!("the table {name} is being deleted")));
            }
            TableStatus::InaccessibleEncryptionCredentials => {
                return Err(ConnectorError::new(
                    ErrorKind::Denied,
                    format!("DynamoDB may not use the key of table {name}"),
                ));
            }
            _ => return Err(ConnectorError::configuration(format!("the table {name} is archived or cannot be used"))),
        }
    }
    Err(ConnectorError::unavailable(format!("the table {name} is still being made")))
}

/// The key that a table gets which is made for this policy.
pub(super) fn planned(key: &str, sort_key: Option<&str>, policy: &Policy) -> Result<Schema, ConnectorError> {
    let attribute = |name: &str, role| {
        let attribute = KeyAttribute::new(name, KeyType::Text, role);
        let kind = key_type(&attribute, policy)?.unwrap_or(KeyType::Text);
        Ok::<_, ConnectorError>(KeyAttribute { kind, ..attribute })
    };
    Ok(Schema {
        partition: attribute(key, Role::Partition)?,
        sort: sort_key.map(|name| attribute(name, Role::Sort)).transpose()?,
    })
}

/// Holds the table's key against what the pipeline says and what its records have.
pub(super) fn check(
    name: &str,
    schema: &Schema,
    key: Option<&str>,
    sort_key: Option<&str>,
    policy: &Policy,
) -> Result<(), ConnectorError> {
    let mismatch = |setting: &str, said: &str, is: &str| {
        Err(ConnectorError::configuration(format!("`{setting}` says `{said}`, and {is}; leave it out or correct it")))
    };
    let is = |attribute: &KeyAttribute| format!("the {} of table {name} is `{}`", attribute.what(), attribute.name);
    if let Some(said) = key.filter(|said| *said != schema.partition.name) {
        return mismatch("key", said, &is(&schema.partition));
    }
    match (sort_key, &schema.sort) {
        (Some(said), None) => return mismatch("sort_key", said, &format!("table {name} has no sort key")),
        (Some(said), Some(sort)) if said != sort.name => return mismatch("sort_key", said, &is(sort)),
        _ => {}
    }
    for attribute in std::iter::once(&schema.partition).chain(&schema.sort) {
        match key_type(attribute, policy)? {
            Some(kind) if kind != attribute.kind => {
                return Err(ConnectorError::configuration(format!(
                    "{} of type {}, and the policy makes it a {}",
                    is(attribute),
                    attribute.kind.name(),
                    kind.name()
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The type of a field that is to be a key, where the policy determines it.
fn key_type(attribute: &KeyAttribute, policy: &Policy) -> Result<Option<KeyType>, ConnectorError> {
    let name = attribute.name.as_str();
    let delivered = || policy.columns().iter().filter(|column| column.source != ColumnSource::Dropped);
    let dropped = policy.columns().iter().any(|column| column.name == name);
    let Some(column) = delivered().find(|column| column.name == name) else {
        if policy.unlisted() == Unlisted::Keep && !dropped && !name.is_empty() {
            return Ok(None);
        }
        let near = did_you_mean(name, delivered().map(|column| column.name.as_str()));
        return Err(ConnectorError::configuration(format!(
            "the {} `{name}` is in no record of this policy{near}",
            attribute.what()
        )));
    };
    match column.column_type {
        None => Ok(None),
        Some(FieldType::String | FieldType::Date | FieldType::Timestamp) => Ok(Some(KeyType::Text)),
        Some(FieldType::Integer | FieldType::Number) => Ok(Some(KeyType::Number)),
        Some(other) => Err(ConnectorError::configuration(format!(
            "a key is a string or a number, and the policy makes `{name}` a {}",
            other.name()
        ))),
    }
}
