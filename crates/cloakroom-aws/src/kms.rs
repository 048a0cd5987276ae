//! Root keys wrapped by a symmetric key of AWS KMS (`Encrypt`, `Decrypt`).
//!
//! The encryption context (<https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html>) names the purpose and
//! the key: KMS binds both, and policies and CloudTrail see them. A role needs `kms:Decrypt` to work, and
//! `kms:Encrypt` too to make, rotate and rewrap.
//!
//! AWS' client keeps copies of what it sends and gets, which are not wiped.

use std::sync::Arc;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::EncryptionAlgorithmSpec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom_crypto::{KeyId, Protection, SecretKey, Zeroizing};
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::keys::protect::{Access, Provider, RootProtector, settings};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{ClientConfig, sdk_config};
use crate::error::failure;

const NAME: &str = "aws_kms";

/// The members of the encryption context.
const PURPOSE: (&str, &str) = ("purpose", "cloakroom-root-key");
const KID: &str = "kid";

/// KMS takes no larger ciphertext.
const LONGEST_WRAPPED: usize = 6144;

/// `protected_by: { aws_kms: { key, region, endpoint? } }`
pub struct AwsKms;

/// What the key file keeps.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
}

#[async_trait]
impl Provider for AwsKms {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn prepare(&self, given: &Value, _: &Access) -> Result<Arc<dyn RootProtector>, ConnectorError> {
        let mut settings: Settings = settings(given)?;
        let key_ids = |byte: u8| byte.is_ascii_alphanumeric() || b":/_-".contains(&byte);
        if settings.key.is_empty() || settings.key.len() > 2048 || !settings.key.bytes().all(key_ids) {
            return Err(ConnectorError::configuration("a KMS key is named by its id, its ARN or alias/NAME"));
        }
        let Settings { region, endpoint, .. } = settings.clone();
        let sdk = sdk_config(&ClientConfig { region, endpoint, ..ClientConfig::default() }).await?;
        // The key is in this region, wherever the next program runs.
        settings.region = sdk.region().map(ToString::to_string);
        Ok(Arc::new(Kms::new(settings, &sdk)))
    }
}

/// One KMS key.
struct Kms {
    settings: Settings,
    client: Client,
}

impl Kms {
    fn new(settings: Settings, sdk: &SdkConfig) -> Self {
        Self { settings, client: Client::new(sdk) }
    }
}

#[async_trait]
impl RootProtector for Kms {
    fn protection(&self) -> Protection {
        let settings = serde_json::to_value(&self.settings).unwrap_or(Value::Null);
        Protection { provider: NAME.to_owned(), settings }
    }

    fn describe(&self) -> String {
        let region = self.settings.region.as_deref().unwrap_or("an unknown region");
        format!("the KMS key {} in {region}", self.settings.key)
    }

    async fn wrap(&self, key: &SecretKey) -> Result<String, ConnectorError> {
        let call = self
            .client
            .encrypt()
            .key_id(&self.settings.key)
            .plaintext(Blob::new(key.expose().as_slice()))
            .encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault)
            .encryption_context(PURPOSE.0, PURPOSE.1)
            .encryption_context(KID, KeyId::of(key).as_str());
        let answer = call.send().await.map_err(|error| failure(&error, known))?;
        let wrapped = answer.ciphertext_blob.ok_or_else(foreign)?;
        Ok(STANDARD.encode(wrapped.as_ref()))
    }

    async fn unwrap(&self, kid: &KeyId, wrapped: &str) -> Result<SecretKey, ConnectorError> {
        let bytes = STANDARD.decode(wrapped).ok().filter(|bytes| (1..=LONGEST_WRAPPED).contains(&bytes.len()));
        let call = self
            .client
            .decrypt()
            // Named, so that no other key that the role may use is taken.
            .key_id(&self.settings.key)
            .ciphertext_blob(Blob::new(bytes.ok_or_else(|| corrupt("the wrapped key is not one that KMS made"))?))
            .encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault)
            .encryption_context(PURPOSE.0, PURPOSE.1)
            .encryption_context(KID, kid.as_str());
        let answer = call.send().await.map_err(|error| failure(&error, known))?;
        let plaintext = Zeroizing::new(answer.plaintext.ok_or_else(foreign)?.into_inner());
        SecretKey::from_slice(&plaintext).ok_or_else(foreign)
    }
}

/// The codes of KMS (<https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html>).
fn known(code: &str) -> Option<ConnectorError> {
    let denied = |text: &str| ConnectorError::new(ErrorKind::Denied, text.to_owned());
    Some(match code {
        "NotFoundException" => {
            ConnectorError::configuration("there is no such KMS key; check key and region, or it was deleted")
        }
        "DisabledException" => denied("the KMS key is disabled; enable it to go on"),
        "KMSInvalidStateException" => denied(
            "the KMS key cannot be used in its state: it is disabled, or waits to be deleted, which can be cancelled",
        ),
        "InvalidCiphertextException" | "IncorrectKeyException" => corrupt(
            "the wrapped key does not open: another KMS key wrapped it, it belongs to another name, or it was changed",
        ),
        "InvalidKeyUsageException" => {
            ConnectorError::configuration("the KMS key is not for encryption; take a symmetric one (SYMMETRIC_DEFAULT)")
        }
        "KeyUnavailableException" | "DependencyTimeoutException" | "KMSInternalException" => {
            ConnectorError::unavailable(format!("KMS cannot use the key now ({code})"))
        }
        _ => return None,
    })
}

fn corrupt(text: &str) -> ConnectorError {
    ConnectorError::new(ErrorKind::Corrupt, text.to_owned())
}

fn foreign() -> ConnectorError {
    corrupt("KMS gave something else than a key")
}
