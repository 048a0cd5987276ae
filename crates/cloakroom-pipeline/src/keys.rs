//! The local key ring: a file that only its owner can read, or an environment variable.

mod file;
pub mod passphrase;
pub mod protect;
pub mod receipt;
mod rows;
pub mod shards;
mod stored;
pub mod subjects;
pub mod table;
pub mod tokens;
mod when_needed;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloakroom_core::keys::{KeyProvider, LocalKeys};
use cloakroom_core::tokens::TokenVault;
use cloakroom_crypto::{KeyRing, Zeroizing, keyring_from_env_value};
use schemars::JsonSchema;
use serde::Deserialize;

pub use file::{KeyFileOnDisk, init, must_not_exist, read, read_private, write_new};
use protect::{Access, RootProtector, VaultConfig};
use subjects::SubjectFiles;
use tokens::Vault;
use when_needed::WhenNeeded;

use crate::config::Template;
use crate::error::ConnectorError;

/// The variable that holds a root key: 64 hexadecimal characters, or base64 of 32 bytes.
pub const KEY_VARIABLE: &str = "CLOAKROOM_KEY";

/// Where the keys are.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeysConfig {
    /// A key file made by `cloakroom keys init` (default: `keys.json` in Cloakroom's home).
    pub file: Option<Template>,
    /// An environment variable that holds the root key (default: CLOAKROOM_KEY, when it is set).
    pub env: Option<String>,
    /// Where the keys of single people are kept (default: beside the key file; with a key from the environment one key encrypts
    /// for everybody).
    pub subjects: Option<SubjectsConfig>,
    /// The passphrase of a key file that is protected by one (default: the variable CLOAKROOM_PASSPHRASE).
    pub passphrase: Option<Template>,
    /// How the Vault is spoken to that protects the key file.
    pub vault: Option<VaultConfig>,
    /// The vault of random tokens, an SQLite file (default: beside the key file; with a key from the environment there is none).
    pub tokens: Option<Template>,
}

/// Where the keys of single people are kept.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectsConfig {
    /// The key table, an SQLite file.
    pub table: Template,
    /// The shard file. Not to be backed up with the key table: an erased person would come back with the two.
    pub shards: Template,
}

/// Cloakroom's own folder for keys and state: `CLOAKROOM_HOME`, else `cloakroom` in `XDG_DATA_HOME`,
/// else `~/.local/share/cloakroom`.
#[must_use]
pub fn home() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("CLOAKROOM_HOME")
        .or_else(|| variable("XDG_DATA_HOME").map(|folder| folder.join("cloakroom")))
        .or_else(|| variable("HOME").map(|folder| folder.join(".local/share/cloakroom")))
        .unwrap_or_else(|| PathBuf::from(".cloakroom"))
}

/// A loaded key ring, and what it was loaded from.
#[derive(Clone)]
pub struct Keys {
    /// All key versions.
    pub ring: Arc<KeyRing>,
    /// The same for protections.
    pub provider: Arc<dyn KeyProvider>,
    /// For people: a file's name or a variable's.
    pub origin: String,
    /// Where the keys of single people are; `None` when there is one for all.
    pub subjects: Option<SubjectFiles>,
    /// Who wraps the root keys in their file; `None` when they lie there, or in a variable, in clear.
    pub protector: Option<Arc<dyn RootProtector>>,
    /// The vault of random tokens; `None` when it has no place.
    pub tokens: Option<Arc<Vault>>,
}

impl Keys {
    /// Wraps a ring. With `subjects` each person has a key of their own, without it there is one for all.
    ///
    /// # Errors
    /// When the ring cannot give a data key.
    pub fn new(ring: KeyRing, origin: String, subjects: Option<SubjectFiles>) -> Result<Self, ConnectorError> {
        let ring = Arc::new(ring);
        let provider: Arc<dyn KeyProvider> = match &subjects {
            Some(files) => Arc::new(WhenNeeded::new(Arc::clone(&ring), files.clone())?),
            None => Arc::new(LocalKeys::new(Arc::clone(&ring))?),
        };
        Ok(Self { ring, provider, origin, subjects, protector: None, tokens: None })
    }

    /// Those of a key file.
    ///
    /// # Errors
    /// Those of [`read`] and [`Keys::new`].
    pub async fn of_file(path: &Path, subjects: Option<SubjectFiles>, access: &Access) -> Result<Self, ConnectorError> {
        let (ring, file) = read(path, access).await?;
        let subjects = subjects.unwrap_or_else(|| SubjectFiles::beside(path));
        Ok(Self {
            protector: file.protector().cloned(),
            ..Self::new(ring, path.display().to_string(), Some(subjects))?.with_tokens(Some(tokens::beside(path)))
        })
    }

    /// The same with a vault of random tokens in this file.
    #[must_use]
    pub fn with_tokens(self, file: Option<PathBuf>) -> Self {
        let tokens = file.map(|file| Arc::new(Vault::new(Arc::clone(&self.ring), file)));
        Self { tokens, ..self }
    }

    /// The vault, for policies.
    #[must_use]
    pub fn vault(&self) -> Option<Arc<dyn TokenVault>> {
        self.tokens.clone().map(|vault| vault as Arc<dyn TokenVault>)
    }
}

/// The key file that a configuration means.
///
/// # Errors
/// When its name needs a variable that is not set.
pub fn key_file(config: &KeysConfig) -> Result<PathBuf, ConnectorError> {
    match &config.file {
        Some(file) => Ok(PathBuf::from(file.resolve_plain()?)),
        None => Ok(home().join("keys.json")),
    }
}

/// Loads the key ring; `None` when there is none at the default places.
///
/// # Errors
/// When a key was named and is not there, others can read the file, it is damaged, or its keys cannot be unwrapped.
pub async fn load(config: &KeysConfig, access: &Access) -> Result<Option<Keys>, ConnectorError> {
    if config.file.is_some() && config.env.is_some() {
        return Err(ConnectorError::configuration("`keys` takes a `file` or an `env`, not both"));
    }
    let named = config.env.as_deref();
    let subjects = match &config.subjects {
        Some(SubjectsConfig { table, shards }) => Some(SubjectFiles {
            table: PathBuf::from(table.resolve_plain()?),
            shards: PathBuf::from(shards.resolve_plain()?),
        }),
        None => None,
    };
    let tokens = config.tokens.as_ref().map(|file| file.resolve_plain().map(PathBuf::from)).transpose()?;
    let is_name = |name: &str| {
        name.len() <= 40
            && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    if named.is_some_and(|name| !is_name(name)) {
        // Somebody may have put the key itself here: it is not repeated.
        return Err(ConnectorError::configuration("`keys.env` takes the name of a variable, such as CLOAKROOM_KEY"));
    }
    if config.file.is_none() {
        let name = named.unwrap_or(KEY_VARIABLE);
        match std::env::var(name) {
            Ok(value) => {
                let ring = keyring_from_env_value(&Zeroizing::new(value));
                let ring = ring.map_err(|error| ConnectorError::configuration(format!("{name}: {error}")))?;
                let keys = Keys::new(ring, format!("variable {name}"), subjects)?;
                return Ok(Some(keys.with_tokens(tokens)));
            }
            Err(_) if named.is_some() => {
                return Err(ConnectorError::configuration(format!("`keys.env` names {name}, which is not set")));
            }
            Err(_) => {}
        }
    }
    let path = key_file(config)?;
    match path.try_exists() {
        Ok(false) if config.file.is_none() => Ok(None),
        _ => {
            let mut access = access.clone();
            access.passphrase.text.clone_from(&config.passphrase);
            access.vault = config.vault.clone().unwrap_or_default();
            let keys = Keys::of_file(&path, subjects, &access).await?;
            Ok(Some(match tokens {
                Some(file) => keys.with_tokens(Some(file)),
                None => keys,
            }))
        }
    }
}

#[cfg(test)]
mod tests;
