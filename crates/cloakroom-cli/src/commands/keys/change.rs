//! The commands that write a key file: `init`, `rotate`, `rewrap`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloakroom_crypto::{KeyRing, RootKey};
use cloakroom_pipeline::audit::{Action, Outcome};
use cloakroom_pipeline::keys;
use cloakroom_pipeline::keys::protect::RootProtector;
use cloakroom_pipeline::keys::shards::ShardFile;
use cloakroom_pipeline::keys::subjects::SubjectFiles;
use cloakroom_pipeline::keys::tokens::{self, Vault};
use serde_json::json;

use super::{crypto, key_file, now};
use crate::args::{KeyFileOptions, Output, ProtectionOptions};
use crate::error::Failure;
use crate::output;
use crate::protectors::{access_with, first_passphrase, next_passphrase, protector};
use crate::trail::Trail;

pub(super) async fn init(options: KeyFileOptions, protection: ProtectionOptions) -> Result<u8, Failure> {
    let path = key_file(options.file)?;
    keys::must_not_exist(&path)?;
    let passphrase = first_passphrase(options.passphrase_file);
    let protector = protector(protection, &access_with(None), passphrase).await?;
    let ring = keys::init(&path, &now(), protector.as_deref()).await?;
    let recorded =
        Trail::of(&ring, Some(&path)).and_then(|trail| trail.put(Action::KeysInit, Outcome::Allowed, |event| event));
    output::line(&format!("made {} with key {}", path.display(), ring.active_kid()));
    if let Err(failure) = recorded {
        // A log of an earlier ring that was lost: the new ring is of use all the same.
        output::note(&format!("not on record: {}", failure.message()));
    }
    match &protector {
        None => output::line("whoever can read the file has the key; `cloakroom keys rewrap --protect …` changes that"),
        Some(protector) => {
            output::line(&format!("protected by {}: without it the file opens nothing", protector.describe()));
        }
    }
    output::line("keep a copy in a safe place: what is encrypted with it cannot be read without it");
    Ok(0)
}

pub(super) async fn rotate(options: KeyFileOptions, pseudonyms: bool, output: Output) -> Result<u8, Failure> {
    let path = key_file(options.file)?;
    let (ring, file) = keys::read(&path, &access_with(options.passphrase_file)).await?;
    let old = *ring.active_kid();
    let mut ring = ring.rotated(RootKey::generate(now()).map_err(crypto)?).map_err(crypto)?;
    if pseudonyms {
        let active = *ring.active_kid();
        ring = ring.with_pseudonyms_of(&active).map_err(crypto)?;
    }
    // The ring first: it has both keys, so whatever happens now, everything opens.
    file.replace(&ring).await?;
    Trail::of(&ring, Some(&path))?.put(Action::Rotate, Outcome::Allowed, |event| event.count(1))?;
    let ring = Arc::new(ring);
    let rewrapped = rewrap_under(Arc::clone(&ring), &path)?;
    if output == Output::Json {
        output::json(
            &json!({ "active": ring.active_kid().as_str(), "retired": old.as_str(), "rewrapped": rewrapped }),
        )?;
    } else {
        output::line(&format!("key {} is active, key {old} is retired", ring.active_kid()));
        output::line(&format!("{} keys were wrapped anew; no data was touched", output::grouped(rewrapped)));
        output::line("keep a copy of the key file, and start programs that run again");
    }
    Ok(0)
}

pub(super) async fn rewrap(
    options: KeyFileOptions,
    protection: ProtectionOptions,
    new_passphrase_file: Option<PathBuf>,
    output: Output,
) -> Result<u8, Failure> {
    let path = key_file(options.file)?;
    let access = access_with(options.passphrase_file);
    let (ring, file) = keys::read(&path, &access).await?;
    let trail = Trail::of(&ring, Some(&path))?;
    let mut by = None;
    if protection.protect.is_some() {
        let mut passphrase = next_passphrase(new_passphrase_file);
        if !passphrase.is_given() && file.protector().is_none() && access.passphrase.is_given() {
            // Nothing needed it so far, so it can only be meant for now.
            passphrase = first_passphrase(access.passphrase.file.clone());
        }
        let protector = protector(protection, &access, passphrase).await?;
        // In the log: `key_file.protected_by.passphrase`.
        let provider = protector.as_ref().map_or_else(|| "none".to_owned(), |it| it.protection().provider);
        let place = format!("key_file.protected_by.{provider}");
        let put = |outcome| {
            trail.put(Action::Rewrap, outcome, |event| event.count(ring.kids().count() as u64).paths([&place]))
        };
        put(Outcome::Allowed)?;
        if let Err(error) = file.protect(&ring, protector.as_deref()).await {
            put(Outcome::Failed)?;
            return Err(error.into());
        }
        by = Some((provider, protector));
    } else {
        trail.put(Action::Rewrap, Outcome::Allowed, |event| event)?;
    }
    let rewrapped = rewrap_under(Arc::new(ring), &path)?;
    if output == Output::Json {
        let provider = by.as_ref().map(|(provider, _)| provider);
        output::json(&json!({ "rewrapped": rewrapped, "protected_by": provider }))?;
        return Ok(0);
    }
    if let Some((_, protector)) = &by {
        output::line(&changed(&path, protector.as_deref()));
    }
    output::line(&format!("{} keys were wrapped anew", output::grouped(rewrapped)));
    Ok(0)
}

/// What became of a key file, and what its owner has to do.
fn changed(path: &Path, protector: Option<&dyn RootProtector>) -> String {
    let path = path.display();
    match protector {
        None => format!("the root keys lie in {path} in clear now: whoever can read the file has them"),
        Some(protector) => format!(
            "{path} is protected by {} now; copies made before open as they did: make a new one and destroy them",
            protector.describe()
        ),
    }
}

/// Wraps the shard file and the token vault's keys beside a key file under the active root key.
fn rewrap_under(ring: Arc<KeyRing>, key_file: &Path) -> Result<u64, Failure> {
    let of_vault = Vault::new(Arc::clone(&ring), tokens::beside(key_file)).rewrap()?;
    let files = SubjectFiles::beside(key_file);
    if !files.shards.exists() {
        return Ok(of_vault);
    }
    let shards = ShardFile::open(&files.shards, Arc::clone(&ring), false)?;
    Ok(of_vault + u64::from(shards.rewrap(&ring)?))
}
