//! What was delivered: one document for each partition, in an index of its own.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use reqwest::{Method, StatusCode};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::server::Server;

/// The index of all ledgers on a server.
const INDEX: &str = "cloakroom_ledger";

pub(super) struct EsLedger {
    pipeline: String,
    index: String,
    /// What the server is known to hold.
    known: HashMap<String, Stand>,
}

#[derive(Clone, Default)]
struct Stand {
    position: Option<String>,
    /// The version of the document: whoever writes it in between changes it.
    version: Option<(u64, u64)>,
}

impl EsLedger {
    pub(super) fn new(pipeline: &str, index: &str) -> Self {
        Self { pipeline: pipeline.to_owned(), index: index.to_owned(), known: HashMap::new() }
    }

    /// What was known may be wrong.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// The position of a partition, from memory where it is certain.
    pub(super) async fn position(
        &mut self,
        server: &Server,
        partition: &str,
    ) -> Result<Option<String>, ConnectorError> {
        match self.known.get(partition) {
            Some(stand) => Ok(stand.position.clone()),
            None => self.read(server, partition).await,
        }
    }

    /// The position as the server has it now. Reading by id needs no refresh.
    pub(super) async fn read(&mut self, server: &Server, partition: &str) -> Result<Option<String>, ConnectorError> {
        let answer = server.json(Method::GET, &format!("{INDEX}/_doc/{}", self.id(partition)), None).await?;
        let stand = match answer.status {
            StatusCode::NOT_FOUND => Stand::default(),
            status if status.is_success() => {
                let document = answer.json()?;
                let position = document["_source"]["position"].as_str().map(str::to_owned);
                Stand { position, version: version(&document) }
            }
            _ => return Err(answer.refusal("the ledger")),
        };
        let position = stand.position.clone();
        self.known.insert(partition.to_owned(), stand);
        Ok(position)
    }

    /// Moves the position on.
    pub(super) async fn advance(
        &mut self,
        server: &Server,
        partition: &str,
        position: &str,
    ) -> Result<(), ConnectorError> {
        if !self.known.contains_key(partition) {
            self.read(server, partition).await?;
        }
        let stand = self.known.get(partition).cloned().unwrap_or_default();
        if stand.position.as_deref() == Some(position) {
            return Ok(());
        }
        let condition = match stand.version {
            Some((number, term)) => format!("if_seq_no={number}&if_primary_term={term}"),
            None => "op_type=create".to_owned(),
        };
        let body = json!({
            "pipeline": self.pipeline, "index": self.index, "part": partition, "position": position,
            "updated_at": cloakroom_pipeline::run::now().timestamp(),
        });
        let path = format!("{INDEX}/_doc/{}?{condition}", self.id(partition));
        let answer = server.json(Method::PUT, &path, Some(&body)).await?;
        match answer.status {
            StatusCode::CONFLICT => Err(ConnectorError::new(
                ErrorKind::Conflict,
                format!("another run of pipeline {} moves the same ledger; let one of them end", self.pipeline),
            )),
            status if status.is_success() => {
                let stand = Stand { position: Some(position.to_owned()), version: version(&answer.json()?) };
                self.known.insert(partition.to_owned(), stand);
                Ok(())
            }
            _ => Err(answer.refusal("the ledger")),
        }
    }

    /// Partitions may be long, and ids must be short.
    fn id(&self, partition: &str) -> String {
        let mut hash = Sha256::new();
        for part in [&self.pipeline, &self.index, partition] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(hash.finalize())
    }
}

fn version(document: &serde_json::Value) -> Option<(u64, u64)> {
    Some((document["_seq_no"].as_u64()?, document["_primary_term"].as_u64()?))
}
