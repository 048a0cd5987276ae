//! What the policy knows about fields, as a mapping: what is encrypted is stored and neither searched nor sorted by, what is
//! pseudonymised is compared as a whole. What the policy does not know is left to the server.

use cloakroom_core::Policy;
use cloakroom_core::error::did_you_mean;
use cloakroom_core::policy::{Column, ColumnSource, FieldType, Unlisted};
use cloakroom_pipeline::error::ConnectorError;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::server::Server;
use super::{Config, Create};

/// Characters of a text that are compared as a whole: 32,766 bytes are the most that the server can, four for a character.
const LONGEST_KEYWORD: u32 = 8191;

/// Moments as the policy's type `timestamp` takes them: ISO 8601 with `T` or a space, up to nine digits of a second's
/// fraction, `Z`, an offset or none of both, in small letters, too. The first format is the one that the server writes.
const TIMESTAMP: &str = "strict_date_optional_time||uuuu-MM-dd['T']['t'][' ']HH:mm:ss[.SSSSSSSSS][.SSSSSSSS][.SSSSSSS]\
                         [.SSSSSS][.SSSSS][.SSSS][.SSS][.SS][.S][XXX]['z']";

/// Refuses an id that no record has.
pub(super) fn check_id(id: &str, policy: &Policy) -> Result<(), ConnectorError> {
    let delivered = policy.columns().iter().filter(|column| column.source != ColumnSource::Dropped);
    let names: Vec<&str> = delivered.map(|column| column.name.as_str()).collect();
    let dropped = policy.columns().iter().any(|column| column.name == id && !names.contains(&id));
    if names.contains(&id) || (policy.unlisted() == Unlisted::Keep && !dropped && !id.is_empty()) {
        return Ok(());
    }
    let near = did_you_mean(id, names);
    Err(ConnectorError::configuration(format!("`id` names `{id}`, which no record of this policy has{near}")))
}

pub(super) fn missing(index: &str) -> ConnectorError {
    ConnectorError::configuration(format!("there is no index {index}; make it, or set `create: index`"))
}

/// Makes what is to be made, and adds fields that an index lacks.
pub(super) async fn prepare(server: &Server, config: &Config, policy: &Policy) -> Result<(), ConnectorError> {
    let index = &config.index;
    let mappings = mappings(policy);
    match (config.create, server.mapping(index).await?) {
        (Create::None, Some(_)) => Ok(()),
        (Create::None, None) => Err(missing(index)),
        (Create::Template, _) => {
            let template = json!({
                "index_patterns": [index, format!("{index}-*")],
                "priority": 200,
                "template": { "settings": settings(config), "mappings": mappings },
            });
            let path = format!("_index_template/cloakroom-{index}");
            let answer = server.json(Method::PUT, &path, Some(&template)).await?;
            answer.status.is_success().then_some(()).ok_or_else(|| answer.refusal("the index template"))
        }
        (Create::Index, None) => {
            let body = json!({ "settings": settings(config), "mappings": mappings });
            let answer = server.json(Method::PUT, index, Some(&body)).await?;
            let is_there = answer.status == StatusCode::BAD_REQUEST
                && answer.error_type().as_deref() == Some("resource_already_exists_exception");
            // Another run may have been faster.
            (answer.status.is_success() || is_there).then_some(()).ok_or_else(|| answer.refusal("making the index"))
        }
        (Create::Index, Some(existing)) => {
            let lacking = lacking(&mappings, &existing);
            if lacking.is_empty() {
                return Ok(());
            }
            let body = json!({ "properties": lacking });
            let answer = server.json(Method::PUT, &format!("{index}/_mapping"), Some(&body)).await?;
            answer.status.is_success().then_some(()).ok_or_else(|| answer.refusal("adding fields to the index"))
        }
    }
}

fn settings(config: &Config) -> Value {
    let mut settings = Map::new();
    for (name, number) in [("number_of_shards", config.shards), ("number_of_replicas", config.replicas)] {
        if let Some(number) = number {
            settings.insert(name.to_owned(), number.into());
        }
    }
    Value::Object(settings)
}

/// The fields that the policy determines.
fn mappings(policy: &Policy) -> Value {
    let mut properties = Map::new();
    for column in policy.columns() {
        if let Some(field) = field(column) {
            properties.insert(column.name.clone(), field);
        }
    }
    let mut templates = Vec::new();
    for (path, how) in policy.protected_places() {
        let field = protected(how);
        match path.contains('*') {
            true => templates
                .push(json!({ format!("protected {}", templates.len()): { "path_match": path, "mapping": field } })),
            false => insert(&mut properties, path, field),
        }
    }
    // Otherwise texts beyond 256 characters could not be found as a whole.
    let text =
        json!({ "type": "text", "fields": { "keyword": { "type": "keyword", "ignore_above": LONGEST_KEYWORD } } });
    templates.push(json!({ "texts": { "match_mapping_type": "string", "mapping": text } }));
    json!({ "properties": properties, "dynamic_templates": templates })
}

/// Puts a field below its parents.
fn insert(properties: &mut Map<String, Value>, path: &str, field: Value) {
    match path.split_once('.') {
        None => {
            properties.entry(path).or_insert(field);
        }
        Some((parent, rest)) => {
            let parent = properties.entry(parent).or_insert_with(|| json!({ "properties": {} }));
            if let Some(Value::Object(inner)) = parent.get_mut("properties") {
                insert(inner, rest, field);
            }
        }
    }
}

/// The type of one field; `None` where the policy says nothing about it.
fn field(column: &Column) -> Option<Value> {
    if let ColumnSource::Protected(how) = &column.source {
        return Some(protected(how));
    }
    if column.source == ColumnSource::Dropped {
        return None;
    }
    Some(match column.column_type? {
        FieldType::String => {
            json!({ "type": "text", "fields": { "keyword": { "type": "keyword", "ignore_above": LONGEST_KEYWORD } } })
        }
        FieldType::Integer => json!({ "type": "long" }),
        FieldType::Number => json!({ "type": "double" }),
        FieldType::Boolean => json!({ "type": "boolean" }),
        // The policy has seen that they are dates. The few that the server does not read, leap seconds, are kept and cannot be
        // searched; the document is worth more.
        FieldType::Date => json!({ "type": "date", "format": "strict_date", "ignore_malformed": true }),
        FieldType::Timestamp => json!({ "type": "date", "format": TIMESTAMP, "ignore_malformed": true }),
        FieldType::Object | FieldType::Array => return None,
    })
}

/// What was made of a value by a protection, described as in a [`Column`].
fn protected(how: &str) -> Value {
    // Every envelope is another one: there is nothing to search for, and as terms they would only take room.
    let is_random = (how.starts_with("encrypt") && !how.contains("deterministic")) || how.starts_with("eax-scrypt");
    match is_random {
        true => json!({ "type": "keyword", "index": false, "doc_values": false }),
        false => json!({ "type": "keyword", "ignore_above": LONGEST_KEYWORD }),
    }
}

/// The fields at the top that one of the indices behind a name lacks.
fn lacking(mappings: &Value, existing: &Value) -> Map<String, Value> {
    let Some(wanted) = mappings["properties"].as_object() else { return Map::new() };
    let indices: Vec<&Value> = existing.as_object().map(|map| map.values().collect()).unwrap_or_default();
    let has = |name: &String| indices.iter().all(|index| index["mappings"]["properties"].get(name).is_some());
    wanted.iter().filter(|(name, _)| !has(name)).map(|(name, field)| (name.clone(), field.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cloakroom_core::keys::{KeyProvider, LocalKeys};
    use cloakroom_core::located::OrderedMap;
    use cloakroom_core::policy::{FieldConfig, PolicyConfig};

    use super::*;

    fn policy(yaml: &str) -> Policy {
        let fields: OrderedMap<FieldConfig> = serde_saphyr::from_str(yaml).unwrap();
        let ring = cloakroom_crypto::keyring_from_env_value(&"0123456789abcdef".repeat(4)).unwrap();
        let keys: Arc<dyn KeyProvider> = Arc::new(LocalKeys::new(Arc::new(ring)).unwrap());
        Policy::compile(&PolicyConfig { fields, ..PolicyConfig::default() }, Some(&keys)).unwrap()
    }

    #[test]
    fn what_is_encrypted_is_not_searched() {
        let policy = policy(
            "id: {}\ncard: { protect: encrypt, index: card_index }\nip: { protect: hmac }\nn: { type: integer }\nname: { type: string }\n\
             gone: { protect: drop }\ncode: { protect: { encrypt: deterministic } }\na.street: { protect: encrypt, as: s }\n\
             'cards[*].number': { protect: encrypt }\n'*.ssn': { protect: encrypt }\nday: { type: date }\n",
        );
        let mappings = mappings(&policy);
        let closed = json!({ "type": "keyword", "index": false, "doc_values": false });
        let whole = json!({ "type": "keyword", "ignore_above": 8191 });
        let properties = &mappings["properties"];
        assert_eq!(properties["card"], closed);
        assert_eq!((&properties["card_index"], &properties["ip"], &properties["code"]), (&whole, &whole, &whole));
        assert_eq!((&properties["n"]["type"], &properties["day"]["type"]), (&"long".into(), &"date".into()));
        assert_eq!(properties["name"]["fields"]["keyword"], whole);
        assert_eq!(properties["a"]["properties"]["s"], closed);
        assert_eq!(properties["cards"]["properties"]["number"], closed);
        assert!(["gone", "ssn", "id"].iter().all(|name| properties.get(*name).is_none()), "{properties}");
        let templates = mappings["dynamic_templates"].as_array().unwrap();
        assert!(templates.iter().any(|template| template.to_string().contains("\"path_match\":\"*.ssn\"")));
        let existing = json!({ "users-1": { "mappings": { "properties": { "card": {}, "ip": {} } } } });
        let lacking = lacking(&mappings, &existing);
        assert!(lacking.contains_key("n") && !lacking.contains_key("card"));
    }

    #[test]
    fn ids_are_fields_of_records() {
        let policy = policy("id: { as: user_id }\ngone: { protect: drop }");
        assert!(check_id("user_id", &policy).is_ok() && check_id("other", &policy).is_ok());
        assert!(check_id("gone", &policy).is_err() && check_id("", &policy).is_err());
    }
}
