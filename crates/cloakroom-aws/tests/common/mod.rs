//! LocalStack, where it can be had.
#![allow(dead_code, reason = "each test file uses its part")]

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;

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
