//! The key file on disk: read, made, replaced.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloakroom_crypto::{KeyFile, KeyId, KeyRing, RootKey, WrappedKeys, Zeroizing};

use super::protect::{Access, RootProtector};
use crate::error::{ConnectorError, ErrorKind};
use crate::private;

/// A key file whose ring was read, with what it takes to write it again.
pub struct KeyFileOnDisk {
    path: PathBuf,
    protector: Option<Arc<dyn RootProtector>>,
    /// What stands in it, so that an old key needs not be wrapped again.
    wrapped: BTreeMap<KeyId, String>,
}

/// Reads a key file and has its keys unwrapped: one call to the provider for each.
///
/// # Errors
/// When it is not there, others than its owner can read it, it is damaged, or its keys cannot be unwrapped.
pub async fn read(path: &Path, access: &Access) -> Result<(KeyRing, KeyFileOnDisk), ConnectorError> {
    let text = read_private(path, "key file")?;
    let shown = || format!("key file {}", path.display());
    let damaged = |error| ConnectorError::from(error).context(shown());
    let path = path.to_owned();
    let keys = match KeyFile::parse(&text).map_err(damaged)? {
        KeyFile::Clear(ring) => return Ok((ring, KeyFileOnDisk { path, protector: None, wrapped: BTreeMap::new() })),
        KeyFile::Wrapped(keys) => keys,
    };
    let protector = access.prepare(keys.protection()).await.map_err(|error| error.context(shown()))?;
    let mut secrets = Vec::new();
    for (kid, wrapped) in keys.wrapped() {
        let secret = protector.unwrap(kid, wrapped).await;
        secrets.push(secret.map_err(|error| error.context(format!("{}: key {kid}", shown())))?);
    }
    let ring = keys.open(secrets).map_err(damaged)?;
    let wrapped = keys.wrapped().map(|(kid, wrapped)| (*kid, wrapped.to_owned())).collect();
    Ok((ring, KeyFileOnDisk { path, protector: Some(protector), wrapped }))
}

impl KeyFileOnDisk {
    /// Who wraps its keys; `None` when they lie in it in clear.
    #[must_use]
    pub fn protector(&self) -> Option<&Arc<dyn RootProtector>> {
        self.protector.as_ref()
    }

    /// Writes another ring in its place, whole or not at all. Only keys that are new are wrapped.
    ///
    /// # Errors
    /// When a key cannot be wrapped or the file cannot be written; then the old one is there.
    pub async fn replace(&self, ring: &KeyRing) -> Result<(), ConnectorError> {
        write(&self.path, &text(ring, self.protector.as_deref(), &self.wrapped).await?)
    }

    /// Writes a ring under another protector, every key wrapped anew; `None` puts them there in clear.
    ///
    /// # Errors
    /// As [`Self::replace`].
    pub async fn protect(&self, ring: &KeyRing, protector: Option<&dyn RootProtector>) -> Result<(), ConnectorError> {
        write(&self.path, &text(ring, protector, &BTreeMap::new()).await?)
    }
}

/// Makes a new key ring and writes it to a file that did not exist, readable by its owner only.
///
/// # Errors
/// When there is a file already, its key cannot be wrapped, or it cannot be written.
pub async fn init(
    path: &Path,
    created: &str,
    protector: Option<&dyn RootProtector>,
) -> Result<KeyRing, ConnectorError> {
    // Before a provider is asked for anything.
    must_not_exist(path)?;
    let ring = KeyRing::new(vec![RootKey::generate(created)?])?;
    let text = text(&ring, protector, &BTreeMap::new()).await?;
    write_new(path, "key file", text.as_bytes())?;
    Ok(ring)
}

/// Writes a file that holds a secret and did not exist, readable by its owner only. `what` names it in messages.
///
/// # Errors
/// When there is a file already, or it cannot be written.
pub fn write_new(path: &Path, what: &str, text: &[u8]) -> Result<(), ConnectorError> {
    let failed = |error: &std::io::Error| ConnectorError::io(format!("{what} {}", path.display()), error);
    private::folder_of(path)?;
    let made = private::owned(fs::OpenOptions::new().write(true).create_new(true)).open(path);
    let mut file = made.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => is_there(path),
        _ => failed(&error),
    })?;
    file.write_all(text).and_then(|()| file.sync_all()).map_err(|error| failed(&error))
}

/// Refuses a place where a key file is, or could be.
///
/// # Errors
/// When something is there.
pub fn must_not_exist(path: &Path) -> Result<(), ConnectorError> {
    if path.try_exists().unwrap_or(true) { Err(is_there(path)) } else { Ok(()) }
}

fn is_there(path: &Path) -> ConnectorError {
    ConnectorError::configuration(format!(
        "{} is there already; what was made with its key needs it, so it is not replaced",
        path.display()
    ))
}

fn write(path: &Path, text: &str) -> Result<(), ConnectorError> {
    let failed = |error: std::io::Error| ConnectorError::io(format!("key file {}", path.display()), &error);
    private::replace(path, text.as_bytes()).and_then(|()| private::sync_folder(path)).map_err(failed)
}

/// The text of a key file. What is not among the `known` is wrapped.
async fn text(
    ring: &KeyRing,
    protector: Option<&dyn RootProtector>,
    known: &BTreeMap<KeyId, String>,
) -> Result<Zeroizing<String>, ConnectorError> {
    let Some(protector) = protector else {
        return Ok(KeyFile::to_json(ring)?);
    };
    let mut wrapped = Vec::new();
    for key in ring.roots() {
        let kid = KeyId::of(key);
        if let Some(text) = known.get(&kid) {
            wrapped.push(text.clone());
            continue;
        }
        let text = protector.wrap(key).await?;
        // Whoever may wrap may not always unwrap, and would find out when it is too late.
        let opened = protector.unwrap(&kid, &text).await;
        let opened =
            opened.map_err(|error| error.context("what was wrapped does not open again, nothing was written"))?;
        if KeyId::of(&opened) != kid {
            return Err(ConnectorError::new(
                ErrorKind::Corrupt,
                format!("{} gave another key back than it was given; nothing was written", protector.describe()),
            ));
        }
        wrapped.push(text);
    }
    Ok(Zeroizing::new(WrappedKeys::new(ring, protector.protection(), wrapped)?.to_json()?))
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
