//! What stands behind the name that is written to. A name that takes no documents is found out before the first one.

use cloakroom_pipeline::error::ConnectorError;
use reqwest::Method;
use serde_json::Value;

use super::server::Server;
use super::{Config, Create, OnExisting};

/// Refuses an alias without a write index, and a data stream that would be written to in a way that it does not take.
///
/// A role that may not ask is asked nothing: what is wrong then shows at the first document, and ends the run there.
pub(super) async fn check(server: &Server, config: &Config) -> Result<(), ConnectorError> {
    let index = &config.index;
    let aliases = ask(server, &format!("_alias/{index}")).await?.unwrap_or_default();
    let target = write_index(index, &aliases)?;
    let streams = ask(server, &format!("_data_stream/{target}")).await?.unwrap_or_default();
    if streams["data_streams"].as_array().is_none_or(Vec::is_empty) {
        return Ok(());
    }
    if config.create == Create::Template {
        return Err(ConnectorError::configuration(format!(
            "{index} is a data stream, whose template must say so; make that one yourself, and set `create: none`"
        )));
    }
    match config.on_existing {
        OnExisting::Keep => Ok(()),
        OnExisting::Replace => Err(ConnectorError::configuration(format!(
            "{index} is a data stream, in which nothing is replaced; set `on_existing: keep`"
        ))),
    }
}

/// The index that documents for a name go to, by what is known of the name as an alias.
fn write_index<'a>(name: &'a str, aliases: &'a Value) -> Result<&'a str, ConnectorError> {
    let mut members = Vec::new();
    for (index, about) in aliases.as_object().into_iter().flatten() {
        if let Some(alias) = about["aliases"].get(name) {
            members.push((index.as_str(), alias["is_write_index"].as_bool()));
        }
    }
    let mut writing = members.iter().filter(|(_, is_write_index)| *is_write_index == Some(true));
    match (members.as_slice(), writing.next()) {
        ([], _) => Ok(name),
        (_, Some((index, _))) | ([(index, None)], None) => Ok(index),
        (members, None) => Err(ConnectorError::configuration(format!(
            "{name} is an alias of {} indices, none of which is written to; set `is_write_index` for one of them",
            members.len()
        ))),
    }
}

/// An answer, if there is one: not for names that are none, roles that may not ask, servers without data streams.
async fn ask(server: &Server, path: &str) -> Result<Option<Value>, ConnectorError> {
    let answer = server.json(Method::GET, path, None).await?;
    match answer.status.as_u16() {
        400..=405 => Ok(None),
        _ if answer.status.is_success() => answer.json().map(Some),
        _ => Err(answer.refusal("what the name of the index stands for")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_alias_has_one_index_that_is_written_to() {
        let found = |aliases: Value| write_index("users", &aliases).map(str::to_owned).map_err(|error| error.message);
        let of = |alias: Value| json!({ "aliases": { "users": alias, "other": { "is_write_index": true } } });
        assert_eq!(found(Value::Null).unwrap(), "users");
        assert_eq!(found(json!({ "error": "alias [users] missing", "status": 404 })).unwrap(), "users");
        assert_eq!(found(json!({ "users-1": of(json!({})) })).unwrap(), "users-1");
        let two = json!({ "users-1": of(json!({})), "users-2": of(json!({ "is_write_index": true })) });
        assert_eq!(found(two).unwrap(), "users-2");
        let none = json!({ "users-1": of(json!({ "is_write_index": false })) });
        assert!(found(none).unwrap_err().contains("alias of 1 indices"));
        let none = json!({ "users-1": of(json!({})), "users-2": of(json!({})) });
        assert!(found(none).unwrap_err().contains("`is_write_index`"));
    }
}
