//! `cloakroom reveal`: plain text, on purpose and for a reason.

mod ck1;
mod eax_scrypt;

use std::sync::Arc;

use cloakroom_connect::sources;
use cloakroom_core::decode::Limits;
use cloakroom_core::{Policy, PolicyConfig};
use cloakroom_crypto::{KeyRing, RootKey};
use cloakroom_pipeline::audit::{Action, AuditText, Outcome, Refusal};
use cloakroom_pipeline::config::{BatchConfig, ConfigError, Template};
use cloakroom_pipeline::context::SourceContext;
use cloakroom_pipeline::retry::RetryConfig;
use cloakroom_pipeline::sink::NoLedger;
use cloakroom_pipeline::{ConnectorError, Source};

use crate::args::{DocumentFormat, RevealOptions};
use crate::error::Failure;
use crate::load::load;
use crate::trail::Trail;

pub(crate) async fn reveal(options: RevealOptions) -> Result<u8, Failure> {
    match (options.format, &options.policy) {
        (Some(DocumentFormat::EaxScrypt), _) => {
            let trail = Trail::open().await?;
            let reason = reason(options.reason.as_deref(), &trail)?;
            let jsonl = options.jsonl.as_deref().unwrap_or("-");
            eax_scrypt::reveal(jsonl, options.master_key_file.as_deref(), &trail, &reason).await
        }
        (None, Some(policy)) => {
            let RevealOptions { jsonl, subject, record, request, .. } = &options;
            if jsonl.is_none() && subject.is_none() && record.is_none() && request.is_none() {
                return Err(Failure::new(2, "say which records: --subject, --record FIELD=VALUE or --jsonl FILE"));
            }
            let loaded = load(policy).await?;
            let keys = loaded.keys()?;
            let trail = Trail::of_file(&keys.ring, &loaded.file.keys)?;
            let reason = reason(options.reason.as_deref(), &trail)?;
            let purpose = said(options.purpose.as_deref(), &trail, Refusal::NoPurpose, "purpose")?;
            ck1::reveal(&loaded, trail, purpose, reason, options).await
        }
        (None, None) => Err(Failure::new(2, "name the policy that protected the records with --policy")),
    }
}

fn reason(given: Option<&str>, trail: &Trail) -> Result<AuditText, Failure> {
    said(given, trail, Refusal::NoReason, "reason")
}

/// What must be said, or the attempt is refused and on record.
fn said(given: Option<&str>, trail: &Trail, why: Refusal, what: &str) -> Result<AuditText, Failure> {
    if let Some(text) = given.filter(|text| !text.trim().is_empty()) {
        return Ok(AuditText::new(what, text)?);
    }
    trail.put(Action::Reveal, Outcome::Refused(why), |event| event)?;
    let text = format!("there is no --{what}: say why the values are opened; the attempt is on record");
    Err(Failure::new(4, text))
}

/// Opens JSON lines that hold no record to protect: they are read from their beginning and nothing is remembered of them.
async fn open_lines(jsonl: &str, batch: BatchConfig) -> Result<(Box<dyn Source>, Limits), Failure> {
    let policy = Policy::compile(&PolicyConfig::default(), None)
        .map_err(|error| Failure::from(ConfigError::from_policy("reveal", error)))?;
    // Positions are kept nowhere: the key that fingerprints them is of this run only.
    let ring = RootKey::generate("").and_then(|root| KeyRing::new(vec![root])).map_err(ConnectorError::from)?;
    let fingerprint = ring.fingerprint_key("source").map_err(ConnectorError::from)?;
    let limits = policy.limits();
    let context = SourceContext {
        pipeline: "reveal".to_owned(),
        policy: Arc::new(policy),
        batch,
        retry: RetryConfig::default(),
        fingerprint: Arc::new(fingerprint),
        once: true,
    };
    let mut source = sources::file::build(&sources::file::Config { path: Template::literal(jsonl) }, &context)?;
    source.open(&mut NoLedger).await?;
    Ok((source, limits))
}
