//! How every service is reached.
//!
//! Credentials and profile come from where AWS tools look for them: environment, `~/.aws`, web identity, containers,
//! instances; not from IAM Identity Center (`sso`). Trusted are the machine's certificate authorities (`SSL_CERT_FILE` names
//! others).

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::error::ConnectorError;

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(5);
/// Until the answer to one attempt is complete.
const ATTEMPT: Duration = Duration::from_secs(20);
/// For all attempts of a call with the pauses between them.
const CALL: Duration = Duration::from_secs(60);
/// Attempts, the first one included. Throttling and failures of the service are tried again, refusals are not.
const ATTEMPTS: u32 = 5;
/// The first pause, which doubles, at most.
const PAUSE: Duration = Duration::from_millis(300);
/// Any pause, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What differs between one use of AWS and another.
#[derive(Clone, Debug, Default)]
pub struct ClientConfig {
    /// The region (default: `AWS_REGION`, else the profile's).
    pub region: Option<String>,
    /// Another address of the service: a VPC endpoint, an emulator.
    pub endpoint: Option<String>,
    /// The profile of credentials (default: `AWS_PROFILE`, else `default`).
    pub profile: Option<String>,
    /// The address is an emulator's on this machine, which takes any region and any credentials. Where the environment names
    /// none, they are [`EMULATED_REGION`] and a key called `test`, and nobody else is asked for them.
    pub emulated: bool,
}

impl ClientConfig {
    /// From what a pipeline file says.
    ///
    /// # Errors
    /// When a setting names a variable that is not set.
    pub(crate) fn resolve(
        region: &Option<Template>,
        endpoint: &Option<Template>,
        profile: &Option<Template>,
    ) -> Result<Self, ConnectorError> {
        let endpoint = plain(endpoint)?;
        let emulated = endpoint.as_deref().is_some_and(is_emulator);
        Ok(Self { region: plain(region)?, endpoint, profile: plain(profile)?, emulated })
    }
}

/// The region that an emulator is told when none is known.
pub const EMULATED_REGION: &str = "us-east-1";
/// Its key, and the secret of it.
const EMULATED_KEY: &str = "test";

/// Timeouts for calls whose answer the service may hold back for so long: long polls. No longer for all attempts than for one:
/// whoever stops waits for them.
#[must_use]
pub(crate) fn patient(wait: Duration) -> TimeoutConfig {
    let attempt = wait + Duration::from_secs(10);
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt)
        .build()
}

/// What the client of any service is made of. Calls nothing, but may ask the machine for its region.
///
/// # Errors
/// When the address cannot be one, would send what is secret in clear, or no region is known.
pub async fn sdk_config(config: &ClientConfig) -> Result<SdkConfig, ConnectorError> {
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(CALL)
        .build();
    let retry =
        RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(PAUSE).with_max_backoff(LONGEST_PAUSE);
    let mut loader =
        aws_config::defaults(BehaviorVersion::latest()).http_client(http).timeout_config(timeouts).retry_config(retry);
    if let Some(endpoint) = &config.endpoint {
        check(endpoint)?;
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(region) = &config.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &config.profile {
        loader = loader.profile_name(profile);
    }
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if config.emulated && config.profile.is_none() && !set("AWS_PROFILE") {
        if !set("AWS_ACCESS_KEY_ID") {
            loader = loader.credentials_provider(Credentials::new(EMULATED_KEY, EMULATED_KEY, None, None, "emulator"));
        }
        if config.region.is_none() && !set("AWS_REGION") && !set("AWS_DEFAULT_REGION") {
            loader = loader.region(Region::from_static(EMULATED_REGION));
        }
    }
    let sdk = loader.load().await;
    if sdk.region().is_none() {
        return Err(ConnectorError::configuration(
            "no AWS region is known: write `region: eu-west-1`, or whichever it is, or set AWS_REGION",
        ));
    }
    Ok(sdk)
}

/// In clear only to this machine.
fn check(endpoint: &str) -> Result<(), ConnectorError> {
    let rest = match endpoint.split_once("://") {
        Some(("https", rest)) => rest,
        Some(("http", rest)) if is_here(rest) => rest,
        Some(("http", _)) => {
            return Err(ConnectorError::configuration(
                "the address of an AWS service must begin with https://, unless it is on this machine",
            ));
        }
        _ => "",
    };
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() || rest.contains(['@', '?', '#']) {
        return Err(ConnectorError::configuration(
            "the address of an AWS service has a scheme, a host, perhaps a port and a path, and nothing else",
        ));
    }
    Ok(())
}

/// A setting that may be left out.
pub(crate) fn plain(text: &Option<Template>) -> Result<Option<String>, ConnectorError> {
    text.as_ref().map(Template::resolve_plain).transpose()
}

/// True for the address of an emulator: in clear, on this machine.
pub(crate) fn is_emulator(endpoint: &str) -> bool {
    endpoint.strip_prefix("http://").is_some_and(is_here)
}

/// True for `host[:port][/path]` on this machine.
pub(crate) fn is_here(rest: &str) -> bool {
    ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|host| rest.strip_prefix(host).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_clear_lead_nowhere_but_here() {
        for good in
            ["https://kms.eu-west-1.amazonaws.com", "http://127.0.0.1:4566", "http://localhost/", "http://[::1]:1/x"]
        {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "http://kms.eu-west-1.amazonaws.com",
            "http://localhost.example",
            "http://127.0.0.1.example:1",
            "http://127.0.0.1@example",
            "https://user:s3cret@example",
            "https://",
            "kms.example",
            "ftp://localhost",
            "https://example?x",
            "",
        ] {
            let error = check(bad).unwrap_err();
            assert!(!error.message.contains("s3cret"), "{bad}");
        }
    }
}
