//! LocalStack, where it can be had, and what sources get from a run.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use cloakroom_core::policy::{PolicyConfig, RecordConfig};
use cloakroom_core::{Format, Policy};
use cloakroom_crypto::{KeyId, PseudonymKey};
use cloakroom_pipeline::config::BatchConfig;
use cloakroom_pipeline::context::SourceContext;
use cloakroom_pipeline::retry::RetryConfig;

/// Its address; empty where there is none.
pub(crate) fn address() -> String {
    std::env::var("CLOAKROOM_TEST_LOCALSTACK_URL").unwrap_or_default()
}

/// What the client of any of its services is made of. `None` where there is no LocalStack: it needs a Python that not every
/// machine has.
pub(crate) async fn localstack() -> Option<SdkConfig> {
    if address().is_empty() {
        eprintln!(
            "not run: CLOAKROOM_TEST_LOCALSTACK_URL; run the tests with `make test`, which need Python 3.13 for it"
        );
        return None;
    }
    Some(sdk(&address()).await)
}

/// What the client of any service of an emulator is made of.
pub(crate) async fn sdk(address: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(address)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .load()
        .await
}

/// Small batches, short pauses, until everything was read once.
pub(crate) fn context(format: Format) -> SourceContext {
    let record = RecordConfig { format, ..RecordConfig::default() };
    let policy = PolicyConfig { record, ..PolicyConfig::default() };
    SourceContext {
        pipeline: "test".to_owned(),
        policy: Arc::new(Policy::compile(&policy, None).unwrap()),
        batch: BatchConfig { records: 7, bytes: 1 << 20, wait_ms: 0 },
        retry: RetryConfig { base_ms: 10, max_ms: 100, give_up_after_s: 10 },
        fingerprint: Arc::new(PseudonymKey::from_raw(KeyId::parse("aaaaaaaa").unwrap(), b"key").unwrap()),
        once: true,
    }
}
