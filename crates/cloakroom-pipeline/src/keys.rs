//! The local key ring: a file that only its owner can read, or an environment variable.

pub mod receipt;
pub mod shards;
pub mod subjects;
pub mod table;
mod when_needed;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloakroom_core::keys::{KeyProvider, LocalKeys};
use cloakroom_crypto::{KeyFile, KeyRing, RootKey, Zeroizing, keyring_from_env_value};
use schemars::JsonSchema;
use serde::Deserialize;

use subjects::SubjectFiles;
use when_needed::WhenNeeded;

use crate::config::Template;
use crate::error::{ConnectorError, ErrorKind};
use crate::private;

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
        Ok(Self { ring, provider, origin, subjects })
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
/// When a key was named and is not there, others can read the file, or it is damaged.
pub fn load(config: &KeysConfig) -> Result<Option<Keys>, ConnectorError> {
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
                return Keys::new(ring, format!("variable {name}"), subjects).map(Some);
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
            let subjects = subjects.unwrap_or_else(|| SubjectFiles::beside(&path));
            read(&path).and_then(|ring| Keys::new(ring, path.display().to_string(), Some(subjects))).map(Some)
        }
    }
}

/// Reads a key file.
///
/// # Errors
/// When it is not there, others than its owner can read it, or it is damaged.
pub fn read(path: &Path) -> Result<KeyRing, ConnectorError> {
    let text = read_private(path, "key file")?;
    let name = path.display();
    KeyFile::parse(&text).map_err(|error| ConnectorError::new(ErrorKind::Corrupt, format!("key file {name}: {error}")))
}

/// Reads a file that holds a secret. `what` names it in messages.
///
/// # Errors
/// When it is not there, others than its owner can read it, or it is too large to be one.
pub fn read_private(path: &Path, what: &str) -> Result<Zeroizing<String>, ConnectorError> {
    let name = path.display();
    let metadata = fs::metadata(path).map_err(|error| ConnectorError::io(format!("{what} {name}"), &error))?;
    private::check(path, &metadata, what)?;
    if !metadata.is_file() || metadata.len() > 1024 * 1024 {
        return Err(ConnectorError::configuration(format!("{what} {name}: not a key file")));
    }
    let text = fs::read_to_string(path).map_err(|error| ConnectorError::io(format!("{what} {name}"), &error))?;
    Ok(Zeroizing::new(text))
}

/// Makes a new key ring and writes it to a file that did not exist, readable by its owner only.
///
/// # Errors
/// When there is a file already, or it cannot be written.
pub fn init(path: &Path, created: &str) -> Result<KeyRing, ConnectorError> {
    let ring = KeyRing::new(vec![RootKey::generate(created)?])?;
    let text = KeyFile::to_json(&ring)?;
    write_new(path, "key file", text.as_bytes())?;
    Ok(ring)
}

/// Writes a file that holds a secret and did not exist, readable by its owner only. `what` names it in messages.
///
/// # Errors
/// When there is a file already, or it cannot be written.
pub fn write_new(path: &Path, what: &str, text: &[u8]) -> Result<(), ConnectorError> {
    let name = path.display();
    private::folder_of(path)?;
    let made = private::owned(fs::OpenOptions::new().write(true).create_new(true)).open(path);
    let mut file = made.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => ConnectorError::configuration(format!(
            "{name} is there already; what was made with its key needs it, so it is not replaced"
        )),
        _ => ConnectorError::io(format!("{what} {name}"), &error),
    })?;
    let written = file.write_all(text).and_then(|()| file.sync_all());
    written.map_err(|error| ConnectorError::io(format!("{what} {name}"), &error))
}

/// Writes a key ring in the place of the one in a file, whole or not at all.
///
/// # Errors
/// When it cannot be written; then the old one is there.
pub fn replace(path: &Path, ring: &KeyRing) -> Result<(), ConnectorError> {
    let failed = |error: std::io::Error| ConnectorError::io(format!("key file {}", path.display()), &error);
    let text = KeyFile::to_json(ring)?;
    private::replace(path, text.as_bytes()).and_then(|()| private::sync_folder(path)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_private_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inner/keys.json");
        let ring = init(&path, "2026-01-01T00:00:00Z").unwrap();
        assert_eq!(read(&path).unwrap().active_kid(), ring.active_kid());
        assert!(init(&path, "2026-01-01T00:00:00Z").unwrap_err().message.contains("is there already"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            let error = read(&path).err().unwrap();
            assert_eq!(error.kind, ErrorKind::Denied);
            assert!(error.message.contains("chmod 600"));
        }
    }

    #[test]
    fn damaged_key_files_are_refused_without_their_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        init(&path, "2026-01-01T00:00:00Z").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"key\"", "\"kee\"")).unwrap();
        let error = read(&path).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Corrupt);
        let secret = text.split('"').max_by_key(|part| part.len()).unwrap();
        assert!(!error.message.contains(secret));
    }
}
