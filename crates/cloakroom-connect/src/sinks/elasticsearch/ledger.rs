//! What was delivered: one document for each partition, in an index of its own.

use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_pipeline::apart::{Entries, Entry, Stand};
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::server::Server;

/// The index of all ledgers on a server.
const INDEX: &str = "cloakroom_ledger";

pub(super) struct EsLedger(pub(super) Arc<Server>);

/// Number and term of a document's last change
/// (<https://www.elastic.co/guide/en/elasticsearch/reference/current/optimistic-concurrency-control.html>).
pub(super) type Version = (u64, u64);

#[async_trait]
impl Entries for EsLedger {
    type Version = Version;

    /// Reading by id needs no refresh.
    async fn read(&self, id: &str) -> Result<Option<Stand<Version>>, ConnectorError> {
        let answer = self.0.json(Method::GET, &format!("{INDEX}/_doc/{id}"), None).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => {
                let document = answer.json()?;
                let position = document["_source"]["position"].as_str();
                let position = position.ok_or_else(|| {
                    ConnectorError::new(ErrorKind::Corrupt, format!("a document of {INDEX} has no position"))
                })?;
                let run = document["_source"]["run"].as_str().map(str::to_owned);
                Ok(Some(Stand { position: position.to_owned(), version: version(&document)?, run }))
            }
            _ => Err(answer.refusal("the ledger")),
        }
    }

    async fn write(
        &self,
        entry: &Entry<'_>,
        before: Option<&Stand<Version>>,
    ) -> Result<Option<Version>, ConnectorError> {
        let condition = match before {
            Some(Stand { version: (number, term), .. }) => format!("if_seq_no={number}&if_primary_term={term}"),
            None => "op_type=create".to_owned(),
        };
        let body = json!({
            "pipeline": entry.pipeline, "index": entry.target, "part": entry.partition, "position": entry.position,
            "run": entry.run, "updated_at": cloakroom_pipeline::run::now().timestamp(),
        });
        let path = format!("{INDEX}/_doc/{}?{condition}", entry.id);
        let answer = self.0.json(Method::PUT, &path, Some(&body)).await?;
        match answer.status {
            StatusCode::CONFLICT => Ok(None),
            status if status.is_success() => version(&answer.json()?).map(Some),
            _ => Err(answer.refusal("the ledger")),
        }
    }
}

fn version(document: &serde_json::Value) -> Result<Version, ConnectorError> {
    let version = || Some((document["_seq_no"].as_u64()?, document["_primary_term"].as_u64()?));
    version().ok_or_else(|| ConnectorError::new(ErrorKind::Corrupt, format!("a document of {INDEX} has no version")))
}
