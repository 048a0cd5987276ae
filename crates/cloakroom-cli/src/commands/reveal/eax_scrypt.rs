//! Documents of the format `eax-scrypt` to plain JSON lines.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_connect::context::SourceContext;
use cloakroom_connect::sources;
use cloakroom_core::encode::{write_object, write_string};
use cloakroom_core::{Policy, PolicyConfig};
use cloakroom_crypto::{KeyRing, RootKey};
use cloakroom_pipeline::config::{ConfigError, Template};
use cloakroom_pipeline::documents::{BATCH, Documents, Opened, master_key};
use cloakroom_pipeline::retry::RetryConfig;
use cloakroom_pipeline::{ConnectorError, Ledger, Source};

use crate::error::Failure;
use crate::load::parallel;

pub(super) async fn reveal(jsonl: &str, master_key_file: Option<&Path>) -> Result<u8, Failure> {
    let master = master_key(master_key_file)?;
    let mut documents = open(jsonl, master).await?;
    let mut refused = 0;
    let mut text = Vec::new();
    while let Some(opened) = documents.next().await? {
        text.clear();
        refused += lines(&opened, &mut text);
        let mut out = io::stdout().lock();
        match out.write_all(&text).and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => return Err(ConnectorError::io("standard output", &error).into()),
        }
    }
    Ok(u8::from(refused > 0))
}

async fn open(jsonl: &str, master: cloakroom_crypto::eax_scrypt::MasterKey) -> Result<Documents, Failure> {
    let policy = Policy::compile(&PolicyConfig::default(), None)
        .map_err(|error| Failure::from(ConfigError::from_policy("reveal", error)))?;
    // Positions are kept nowhere: the key that fingerprints them is of this run only.
    let ring = RootKey::generate("").and_then(|root| KeyRing::new(vec![root])).map_err(ConnectorError::from)?;
    let fingerprint = ring.fingerprint_key("source").map_err(ConnectorError::from)?;
    let limits = policy.limits();
    let context = SourceContext {
        policy: Arc::new(policy),
        batch: BATCH,
        retry: RetryConfig::default(),
        fingerprint: Arc::new(fingerprint),
    };
    let source = sources::file::build(&sources::file::Config { path: Template::literal(jsonl) }, &context)?;
    let mut documents = Documents::new(source, master, limits, parallel());
    documents.open(&mut Forgetful).await?;
    Ok(documents)
}

/// Adds the line of each document, and counts those that were refused.
fn lines(opened: &Opened, text: &mut Vec<u8>) -> u64 {
    let mut refused = 0;
    for (_, record) in &opened.records {
        match record {
            Ok(plain) => write_object(plain, text),
            Err(error) => {
                refused += 1;
                text.extend_from_slice(b"{\"error\":");
                write_string(&error.to_string(), text);
                text.push(b'}');
            }
        }
        text.push(b'\n');
    }
    refused
}

/// Reads every file from its beginning.
struct Forgetful;

#[async_trait]
impl Ledger for Forgetful {
    async fn position(&mut self, _: &str) -> Result<Option<String>, ConnectorError> {
        Ok(None)
    }
}
