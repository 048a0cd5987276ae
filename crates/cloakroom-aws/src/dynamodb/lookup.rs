//! Records of the table by a value: with its key by a query, else by reading the table up to a limit.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom_core::{CompactString, Number, Object, Value};
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};

use super::failed;
use super::item::{Attributes, canonical};
use super::table::{KeyType, Schema};

/// Pages of 1 MB that are read in search of a record.
const MOST_PAGES: usize = 1_000;
/// Values that a filter compares with.
const MOST_VALUES: usize = 100;

/// Items that have one of the values in an attribute, at most `limit` of them.
pub(super) async fn find(
    client: &Client,
    table: &str,
    schema: &Schema,
    member: &str,
    values: &[Value],
    limit: usize,
) -> Result<Vec<Object>, ConnectorError> {
    let wanted = wanted(values);
    let mut found = Vec::new();
    if member == schema.partition.name {
        for value in wanted.into_iter().filter(|value| value.is_s() == (schema.partition.kind == KeyType::Text)) {
            let mut pages = client
                .query()
                .table_name(table)
                .consistent_read(true)
                .key_condition_expression("#member = :value")
                .expression_attribute_names("#member", member)
                .expression_attribute_values(":value", value)
                .into_paginator()
                .items()
                .send();
            while let Some(item) = pages.next().await.filter(|_| found.len() < limit) {
                found.push(object(item.map_err(|error| failed(&error))?)?);
            }
        }
        return Ok(found);
    }
    if wanted.is_empty() || wanted.len() > MOST_VALUES {
        return Err(ConnectorError::configuration(format!("at most {MOST_VALUES} values can be looked up at once")));
    }
    let names: Vec<String> = (0..wanted.len()).map(|number| format!(":value{number}")).collect();
    let mut call = client
        .scan()
        .table_name(table)
        .filter_expression(format!("#member IN ({})", names.join(", ")))
        .expression_attribute_names("#member", member);
    for (name, value) in names.into_iter().zip(wanted) {
        call = call.expression_attribute_values(name, value);
    }
    let mut pages = call.into_paginator().send();
    let mut read = 0;
    while let Some(page) = pages.next().await {
        for item in page.map_err(|error| failed(&error))?.items.unwrap_or_default() {
            found.push(object(item)?);
            if found.len() == limit {
                return Ok(found);
            }
        }
        read += 1;
        if read == MOST_PAGES {
            return Err(ConnectorError::configuration(format!(
                "`{member}` is not the table's partition key, and the table is longer than the {MOST_PAGES} MB that are \
                 read in search of it; look records up by `{}`, or export them and give them with --jsonl",
                schema.partition.name
            )));
        }
    }
    Ok(found)
}

/// The values as the table may hold them, each once: what is given as text may be a number there.
fn wanted(values: &[Value]) -> Vec<AttributeValue> {
    let mut wanted = Vec::new();
    let mut add = |value| {
        if !wanted.contains(&value) {
            wanted.push(value);
        }
    };
    for value in values {
        let (text, number) = match value {
            Value::String(text) => (text.as_str(), Number::parse(text)),
            Value::Number(number) => (number.as_str(), Some(number.clone())),
            _ => continue,
        };
        if !text.is_empty() {
            add(AttributeValue::S(text.to_owned()));
        }
        if let Some(number) = number.and_then(|number| canonical(&number).ok()) {
            add(AttributeValue::N(number));
        }
    }
    wanted
}

/// An item as a record, its members by name: DynamoDB keeps no order.
fn object(item: Attributes) -> Result<Object, ConnectorError> {
    let mut members: Vec<_> = item.into_iter().collect();
    members.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let mut object = Object::with_capacity(members.len());
    for (name, attribute) in members {
        object.push(CompactString::new(name), value(attribute)?);
    }
    Ok(object)
}

fn value(attribute: AttributeValue) -> Result<Value, ConnectorError> {
    let damaged = || ConnectorError::new(ErrorKind::Corrupt, "DynamoDB gave a value of a type that is not known");
    let number = |text: &str| Number::parse(text).map(Value::Number).ok_or_else(damaged);
    let bytes = |blob: &[u8]| Value::string(STANDARD.encode(blob));
    Ok(match attribute {
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::Bool(truth) => Value::Bool(truth),
        AttributeValue::N(text) => number(&text)?,
        AttributeValue::S(text) => Value::string(text),
        AttributeValue::L(elements) => Value::Array(elements.into_iter().map(value).collect::<Result<_, _>>()?),
        AttributeValue::M(members) => Value::Object(object(members)?),
        // Other programs write these.
        AttributeValue::B(blob) => bytes(blob.as_ref()),
        AttributeValue::Ss(texts) => Value::Array(texts.into_iter().map(Value::string).collect()),
        AttributeValue::Ns(texts) => Value::Array(texts.iter().map(|text| number(text)).collect::<Result<_, _>>()?),
        AttributeValue::Bs(blobs) => Value::Array(blobs.iter().map(|blob| bytes(blob.as_ref())).collect()),
        _ => return Err(damaged()),
    })
}
