//! Root keys that do not lie in clear in their file: the joint between the key file and whoever wraps its keys.
//!
//! A [`Provider`] is found by the word under `protected_by` in the file and makes a [`RootProtector`] of the settings
//! there. It is called when keys are loaded, made, rotated or wrapped anew, never for a record or a person. A new provider
//! is one file and one line in the program's list.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_crypto::{ExposeSecret, KeyId, Protection, SecretKey, SecretString};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::Template;
use crate::error::{ConnectorError, ErrorKind};

/// The variable that holds the passphrase of a key file.
pub const PASSPHRASE_VARIABLE: &str = "CLOAKROOM_PASSPHRASE";

/// The variable that holds the passphrase that a key file is to have from now on.
pub const NEW_PASSPHRASE_VARIABLE: &str = "CLOAKROOM_NEW_PASSPHRASE";

/// Characters that a new passphrase has at least.
const SHORTEST: usize = 12;

/// Wraps root keys and unwraps them.
#[async_trait]
pub trait RootProtector: Send + Sync {
    /// What the key file says about it: no secret.
    fn protection(&self) -> Protection;

    /// The same for people.
    fn describe(&self) -> String;

    /// Wraps a key, bound to its name: what comes back opens as this key only.
    ///
    /// # Errors
    /// When the provider cannot be reached, or refuses.
    async fn wrap(&self, key: &SecretKey) -> Result<String, ConnectorError>;

    /// Unwraps a key. That it belongs to its name is checked by the key file, too.
    ///
    /// # Errors
    /// When the provider cannot be reached, or refuses, or the text was changed or belongs to another name.
    async fn unwrap(&self, kid: &KeyId, wrapped: &str) -> Result<SecretKey, ConnectorError>;
}

/// Makes a [`RootProtector`] of the settings in a key file.
#[async_trait]
pub trait Provider: Sync {
    /// The word under `protected_by`.
    fn name(&self) -> &'static str;

    /// Gets ready; may ask for a passphrase.
    ///
    /// # Errors
    /// When the settings are wrong, or what opens them is missing.
    async fn prepare(&self, settings: &Value, access: &Access) -> Result<Arc<dyn RootProtector>, ConnectorError>;
}

/// All providers that a program has.
pub type Providers = &'static [&'static dyn Provider];

/// What opens a protected key file and does not stand in it.
#[derive(Clone)]
pub struct Access {
    /// The providers that a key file may name.
    pub providers: Providers,
    /// Where a passphrase comes from.
    pub passphrase: PassphraseSource,
    /// How a Vault is spoken to.
    pub vault: VaultConfig,
}

impl Access {
    /// With the passphrase of [`PASSPHRASE_VARIABLE`], and nobody to ask.
    #[must_use]
    pub fn new(providers: Providers) -> Self {
        let passphrase = PassphraseSource { file: None, text: None, variable: PASSPHRASE_VARIABLE, ask: None };
        Self { providers, passphrase, vault: VaultConfig::default() }
    }

    /// The provider that a key file names, ready.
    ///
    /// # Errors
    /// When there is no such provider, and those of [`Provider::prepare`].
    pub async fn prepare(&self, protection: &Protection) -> Result<Arc<dyn RootProtector>, ConnectorError> {
        let Some(provider) = self.providers.iter().find(|provider| provider.name() == protection.provider) else {
            let known: Vec<_> = self.providers.iter().map(|provider| provider.name()).collect();
            return Err(ConnectorError::configuration(format!(
                "its keys are protected by a provider that this program does not have; it has {}",
                known.join(", ")
            )));
        };
        let prepared = provider.prepare(&protection.settings, self).await;
        prepared.map_err(|error| error.context(provider.name()))
    }
}

/// Asks a person for a passphrase. Blocks.
pub type Ask = fn() -> Result<SecretString, ConnectorError>;

/// Where a passphrase comes from: the first of these that is there.
#[derive(Clone)]
pub struct PassphraseSource {
    /// A file that only its owner can read.
    pub file: Option<PathBuf>,
    /// A text of a pipeline file.
    pub text: Option<Template>,
    /// A variable's name.
    pub variable: &'static str,
    /// A person, where there is one.
    pub ask: Option<Ask>,
}

impl PassphraseSource {
    /// True when somebody named a file or set the variable.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.file.is_some() || self.text.is_some() || std::env::var_os(self.variable).is_some()
    }

    /// The passphrase, without the line end that editors put at the end of a file. May block.
    ///
    /// # Errors
    /// When there is none, it is empty, or others can read its file.
    pub fn get(&self) -> Result<SecretString, ConnectorError> {
        let passphrase = if let Some(file) = &self.file {
            let text = super::file::read_private(file, "passphrase file")?;
            let line = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
            SecretString::from(line)
        } else if let Some(text) = &self.text {
            text.resolve().map_err(|error| error.context("`keys.passphrase`"))?
        } else if let Ok(text) = std::env::var(self.variable) {
            SecretString::from(text)
        } else if let Some(ask) = self.ask {
            ask()?
        } else {
            return Err(ConnectorError::configuration(format!(
                "a passphrase is needed: set {}, name a file with --passphrase-file, or run this on a terminal",
                self.variable
            )));
        };
        if passphrase.expose_secret().is_empty() {
            return Err(ConnectorError::configuration("the passphrase is empty"));
        }
        Ok(passphrase)
    }

    /// The same for a key file that does not have it yet.
    ///
    /// # Errors
    /// As [`Self::get`], and when it is short.
    pub fn get_new(&self) -> Result<SecretString, ConnectorError> {
        let passphrase = self.get()?;
        if passphrase.expose_secret().chars().count() < SHORTEST {
            return Err(ConnectorError::configuration(format!(
                "the passphrase is too short: take {SHORTEST} characters or more, for example six random words"
            )));
        }
        Ok(passphrase)
    }
}

/// How a Vault is spoken to that wraps the keys of the key file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VaultConfig {
    /// The token (default: the variable VAULT_TOKEN).
    pub token: Option<Template>,
    /// A file with the token that only its owner can read, as Vault Agent writes it (default: `.vault-token` in the home
    /// folder, where `vault login` puts it).
    pub token_file: Option<Template>,
    /// A PEM file of the authorities to trust instead of the public ones (default: the variable VAULT_CACERT).
    pub ca_file: Option<Template>,
}

/// Reads a provider's settings. The parser's own message would quote them.
///
/// # Errors
/// When they are not of this shape.
pub fn settings<T: DeserializeOwned>(settings: &Value) -> Result<T, ConnectorError> {
    T::deserialize(settings).map_err(|_| {
        ConnectorError::new(
            ErrorKind::Corrupt,
            "the settings in the key file are not as this program writes them; restore it from a backup",
        )
    })
}

impl fmt::Debug for dyn RootProtector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.describe())
    }
}
