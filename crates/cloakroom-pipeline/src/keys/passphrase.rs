//! Root keys wrapped under a passphrase: scrypt, then AES-256-GCM.

use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_crypto::{KeyId, PassphraseKdf, Protection, SecretKey, SecretString, WrappingKey};
use serde_json::Value;

use super::protect::{Access, Provider, RootProtector, settings};
use crate::error::{ConnectorError, ErrorKind};

const NAME: &str = "passphrase";

/// `protected_by: { passphrase: … }`: the settings are how the passphrase becomes a key ([`PassphraseKdf`]).
pub struct Passphrase;

#[async_trait]
impl Provider for Passphrase {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn prepare(&self, given: &Value, access: &Access) -> Result<Arc<dyn RootProtector>, ConnectorError> {
        let kdf: PassphraseKdf = settings(given)?;
        let source = access.passphrase.clone();
        derive(kdf, move || source.get()).await
    }
}

/// For a key file that gets a new passphrase.
///
/// # Errors
/// Those of `passphrase`; when no salt can be drawn.
pub async fn with_new_passphrase(
    passphrase: impl FnOnce() -> Result<SecretString, ConnectorError> + Send + 'static,
) -> Result<Arc<dyn RootProtector>, ConnectorError> {
    derive(PassphraseKdf::generate()?, passphrase).await
}

async fn derive(
    kdf: PassphraseKdf,
    passphrase: impl FnOnce() -> Result<SecretString, ConnectorError> + Send + 'static,
) -> Result<Arc<dyn RootProtector>, ConnectorError> {
    // Half a second of work, or a person who types.
    let task = tokio::task::spawn_blocking(move || {
        let key = kdf.derive(&passphrase()?)?;
        Ok(Arc::new(Derived { kdf, key }) as Arc<dyn RootProtector>)
    });
    task.await.map_err(|_| ConnectorError::new(ErrorKind::Internal, "the key of the passphrase was not derived"))?
}

/// A passphrase that was given.
struct Derived {
    kdf: PassphraseKdf,
    key: WrappingKey,
}

#[async_trait]
impl RootProtector for Derived {
    fn protection(&self) -> Protection {
        Protection { provider: NAME.to_owned(), settings: serde_json::to_value(&self.kdf).unwrap_or(Value::Null) }
    }

    fn describe(&self) -> String {
        "a passphrase".to_owned()
    }

    async fn wrap(&self, key: &SecretKey) -> Result<String, ConnectorError> {
        Ok(self.key.wrap_root(key)?)
    }

    async fn unwrap(&self, kid: &KeyId, wrapped: &str) -> Result<SecretKey, ConnectorError> {
        self.key.unwrap_root(kid, wrapped).map_err(|_| {
            ConnectorError::new(
                ErrorKind::Denied,
                "the passphrase does not open this key file: it is another one, or the file was changed",
            )
        })
    }
}
