//! One data key for each person: made when they are first seen, kept wrapped in the key table, forgotten when they are erased.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloakroom_core::IngestTime;
use cloakroom_core::keys::{KeyBatch, KeyProvider, KeysOfBatch, LocalKeys, PersistError};
use cloakroom_crypto::{
    CryptoError, DataKey, KeyId, KeyRing, KeyState, PseudonymKey, SecretKey, WrappedKey, WrappingKey,
};

use super::shards::{ShardFile, ShardVersion};
use super::table::{Erasure, KeyTable, Known, Owner, Refused, ShardRoll, StoredKey, shard_of};
use crate::error::{ConnectorError, ErrorKind};
use batch::Batch;
use cache::{Cache, Epoch};

mod batch;
mod cache;

/// Keys for each person, from a key table and a shard file.
pub struct SubjectKeys {
    ring: Arc<KeyRing>,
    local: LocalKeys,
    lookup: PseudonymKey,
    shards: ShardFile,
    path: PathBuf,
    /// Writes, and reads while it has nothing else to do.
    table: Mutex<KeyTable>,
    /// Read while the first one is at work: one for each thread that ever had to.
    readers: Mutex<Vec<KeyTable>>,
    cache: Mutex<Cache>,
    /// Held while keys are stored: whoever has it knows that nothing is on its way.
    storing: Mutex<()>,
    /// Counts calls that failed, and keys that were made and could not be stored: whatever was sealed meanwhile is not to be
    /// delivered.
    lost: AtomicU64,
    now: fn() -> IngestTime,
}

/// Where the keys of people are.
#[derive(Clone, Debug)]
pub struct SubjectFiles {
    /// The key table.
    pub table: PathBuf,
    /// The shard file.
    pub shards: PathBuf,
}

impl SubjectFiles {
    /// Beside a key file: `keys.json` has `keys.subjects.db` and `keys.shards`.
    #[must_use]
    pub fn beside(key_file: &Path) -> Self {
        Self { table: key_file.with_extension("subjects.db"), shards: key_file.with_extension("shards") }
    }
}

/// What a check of a key table found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCheck {
    /// Keys that open.
    pub open: u64,
    /// Keys whose shard's key was destroyed: they belong to an older copy of the table.
    pub destroyed: u64,
    /// Keys that do not open, or are not the ones they say they are.
    pub damaged: u64,
}

impl SubjectKeys {
    /// Opens key table and shard file; makes both where there are none and `create` says so. `now` gives the time.
    ///
    /// # Errors
    /// When they cannot be opened or made, or do not belong together.
    pub fn open(
        ring: Arc<KeyRing>,
        files: &SubjectFiles,
        create: bool,
        now: fn() -> IngestTime,
    ) -> Result<Self, ConnectorError> {
        let (table_is, shards_are) = (files.table.exists(), files.shards.exists());
        if table_is != shards_are {
            let (is, is_not) = if table_is { (&files.table, &files.shards) } else { (&files.shards, &files.table) };
            return Err(ConnectorError::configuration(format!(
                "{} is there and {} is not; the two belong together: restore it",
                is.display(),
                is_not.display()
            )));
        }
        let shards = ShardFile::open(&files.shards, Arc::clone(&ring), create)?;
        let lookup = shards.lookup_key()?;
        let mut table = KeyTable::open(&files.table, create)?;
        table.belongs_to(lookup.kid())?;
        let stand = table.stand()?;
        Ok(Self {
            local: LocalKeys::new(Arc::clone(&ring))?,
            ring,
            lookup,
            shards,
            path: files.table.clone(),
            table: Mutex::new(table),
            readers: Mutex::default(),
            cache: Mutex::new(Cache::new(stand)),
            storing: Mutex::default(),
            lost: AtomicU64::new(0),
            now,
        })
    }

    /// A person of a tenant, as the key table knows them.
    #[must_use]
    pub fn owner(&self, tenant: &str, subject: &str) -> Owner {
        let tag = self.lookup.tag_parts(&[tenant.as_bytes(), subject.as_bytes()]);
        let mut owner = [0; 16];
        owner.copy_from_slice(&tag[..16]);
        owner
    }

    /// The key table, for counting.
    pub fn table(&self) -> MutexGuard<'_, KeyTable> {
        locked(&self.table)
    }

    /// The shard file.
    #[must_use]
    pub fn shards(&self) -> &ShardFile {
        &self.shards
    }

    /// Destroys all keys of a person, in this table and in every copy of it. `receipt` makes the text that is kept of it. `None`
    /// when the person has no key.
    ///
    /// # Errors
    /// When key table or shard file fail. It is done then, or not at all; what it may leave behind in the shard file opens nothing
    /// that the table still needs, and is destroyed by the next erasure in the shard.
    pub fn erase(
        &self,
        tenant: &str,
        subject: &str,
        receipt: &dyn Fn(&Erasure) -> Result<String, ConnectorError>,
    ) -> Result<Option<String>, ConnectorError> {
        let owner = self.owner(tenant, subject);
        let now = (self.now)().timestamp();
        let done = locked(&self.table).erase(&owner, &now, &Roll { shards: &self.shards, receipt })?;
        let Some((from, receipt)) = done else { return Ok(None) };
        locked(&self.cache).forget();
        self.shards.destroy(shard_of(&owner), |version| version == from)?;
        Ok(Some(receipt))
    }

    /// Tries every key of the table.
    ///
    /// # Errors
    /// When key table or shard file cannot be read.
    pub fn check(&self) -> Result<TableCheck, ConnectorError> {
        let mut check = TableCheck::default();
        let mut table = locked(&self.table);
        let epoch = Epoch::new(table.stand()?);
        table.for_each(|stored| {
            match self.open_stored(&epoch, stored) {
                Ok(_) => check.open += 1,
                Err(CryptoError::UnknownSubjectKey(_)) => check.destroyed += 1,
                Err(CryptoError::KeyTable) => return Err(ConnectorError::unavailable("the shard file cannot be read")),
                Err(_) => check.damaged += 1,
            }
            Ok(())
        })?;
        Ok(check)
    }

    /// Makes a key; `None` when somebody was erased meanwhile, and the shard's key may be another one.
    fn make(&self, epoch: &Epoch, owner: Owner) -> Result<Option<Arc<DataKey>>, CryptoError> {
        let shard = shard_of(&owner);
        let shard_version = version_of(epoch, shard)?;
        let wrapping = match self.shard_key(epoch, shard) {
            Err(CryptoError::UnknownSubjectKey(_)) => {
                self.shards.make(shard, shard_version).map_err(|error| self.failed(&error))?;
                self.shard_key(epoch, shard)?
            }
            result => result?,
        };
        let secret = SecretKey::generate()?;
        let kid = KeyId::of(&secret);
        let key = DataKey::from_secret(kid, &secret, KeyState::Active)?;
        let wrapped = wrapping.wrap(&secret, &place(&owner, &kid))?;
        let created = (self.now)().unix_seconds().unsigned_abs();
        let stored = StoredKey { owner, kid, shard_version, created, wrapped, commitment: *key.commitment() };
        Ok(locked(&self.cache).made(epoch, stored, Arc::new(key)))
    }

    fn open_stored(&self, epoch: &Epoch, stored: &StoredKey) -> Result<DataKey, CryptoError> {
        let shard = shard_of(&stored.owner);
        let old;
        let wrapping = if stored.shard_version == version_of(epoch, shard)? {
            self.shard_key(epoch, shard)
        } else {
            old = self.read_shard_key(shard, stored.shard_version);
            old.as_ref().map_err(CryptoError::clone)
        };
        let wrapping = wrapping.map_err(|error| match error {
            CryptoError::UnknownSubjectKey(_) => CryptoError::UnknownSubjectKey(stored.kid),
            other => other,
        })?;
        let secret = unwrap(wrapping, stored)?;
        let key = DataKey::from_secret(stored.kid, &secret, KeyState::Active)?;
        key.check_commitment(&stored.commitment)?;
        Ok(key)
    }

    /// The key of a shard, in the version that is in use.
    fn shard_key<'e>(&self, epoch: &'e Epoch, shard: u16) -> Result<&'e WrappingKey, CryptoError> {
        let kept = epoch.shard_keys.get(usize::from(shard)).ok_or(CryptoError::Internal)?;
        if let Some(key) = kept.get() {
            return Ok(key);
        }
        let key = self.read_shard_key(shard, version_of(epoch, shard)?)?;
        Ok(kept.get_or_init(|| key))
    }

    fn read_shard_key(&self, shard: u16, version: ShardVersion) -> Result<WrappingKey, CryptoError> {
        let key = self.shards.key(shard, version).map_err(|error| self.failed(&error))?;
        // The id is not known here; the caller puts in the one it was asked for.
        key.ok_or(CryptoError::UnknownSubjectKey(*self.lookup.kid()))
    }

    /// Reads the table on a connection that is free.
    fn reading<T>(&self, work: impl FnOnce(&mut KeyTable) -> Result<T, ConnectorError>) -> Result<T, CryptoError> {
        let result = match self.table.try_lock() {
            Ok(mut table) => work(&mut table),
            Err(_) => {
                let free = locked(&self.readers).pop();
                free.map_or_else(|| KeyTable::reader(&self.path), Ok).and_then(|mut reader| {
                    let result = work(&mut reader);
                    locked(&self.readers).push(reader);
                    result
                })
            }
        };
        result.map_err(|error| self.failed(&error))
    }

    /// Remembers that the table failed, so that [`KeyProvider::persist`] stops the batch.
    fn failed(&self, error: &ConnectorError) -> CryptoError {
        self.lost.fetch_add(1, Ordering::SeqCst);
        tracing::error!(error = %error.message, "the key table failed");
        CryptoError::KeyTable
    }
}

impl KeyProvider for SubjectKeys {
    fn ring(&self) -> &KeyRing {
        &self.ring
    }

    fn data_key(&self, tenant: &str, subject: &str) -> Result<Arc<DataKey>, CryptoError> {
        if subject.is_empty() {
            return self.local.data_key(tenant, subject);
        }
        self.key_of(self.owner(tenant, subject))
    }

    fn opening_key(&self, tenant: &str, subject: &str, kid: &KeyId) -> Result<Arc<DataKey>, CryptoError> {
        if self.ring.kids().any(|(known, _, _)| known == kid) {
            return self.local.opening_key(tenant, subject, kid);
        }
        self.opening_key_of(self.owner(tenant, subject), kid)
    }

    fn opening_keys(&self, tenant: &str, wanted: &[(&str, KeyId)]) -> Vec<Result<Arc<DataKey>, CryptoError>> {
        let owners: Vec<Owner> = wanted.iter().map(|(subject, _)| self.owner(tenant, subject)).collect();
        let batch = match Batch::look(self, &owners, true) {
            Ok(batch) => batch,
            Err(error) => return wanted.iter().map(|_| Err(error.clone())).collect(),
        };
        let key_of = |(index, (_, kid)): (usize, &(&str, KeyId))| {
            if self.ring.kids().any(|(known, _, _)| known == kid) {
                return self.local.opening_key("", "", kid);
            }
            batch.opening_key(index, kid)
        };
        wanted.iter().enumerate().map(key_of).collect()
    }

    fn of_subjects<'k>(&'k self, tenant: &str, subjects: &[&str]) -> Option<Box<dyn KeysOfBatch + 'k>> {
        if subjects.contains(&"") {
            return None;
        }
        let owners: Vec<Owner> = subjects.iter().map(|subject| self.owner(tenant, subject)).collect();
        // What fails here fails again, and is told, when a key is asked for.
        Batch::look(self, &owners, false).ok().map(|batch| Box::new(batch) as Box<dyn KeysOfBatch>)
    }

    fn begin(&self) -> KeyBatch {
        KeyBatch(self.lost.load(Ordering::SeqCst))
    }

    fn persist(&self, batch: KeyBatch) -> Result<(), PersistError> {
        // The keys of other batches at work are stored with those of this one, or were: then this waits for it.
        let _storing = locked(&self.storing);
        if self.begin() != batch {
            return Err(PersistError::Again);
        }
        let (mut keys, made_at) = locked(&self.cache).take_pending();
        if keys.is_empty() {
            return Ok(());
        }
        // In the index's order: neighbours share a page.
        keys.sort_unstable_by_key(|key| key.owner);
        let result = locked(&self.table).insert(&keys, made_at);
        if result.is_err() {
            // All batches that may have used them begin anew; those that begin from now on find nothing of them in memory.
            let mut cache = locked(&self.cache);
            self.lost.fetch_add(1, Ordering::SeqCst);
            cache.take_pending();
            cache.forget();
        }
        match result {
            Ok(()) => Ok(()),
            Err(Refused::Changed) => Err(PersistError::Again),
            Err(Refused::Failed(error)) => Err(PersistError::Failed(error.message)),
        }
    }
}

/// An erasure's work in the shard file.
struct Roll<'r> {
    shards: &'r ShardFile,
    receipt: &'r dyn Fn(&Erasure) -> Result<String, ConnectorError>,
}

impl ShardRoll for Roll<'_> {
    fn roll(
        &self,
        shard: u16,
        from: ShardVersion,
        to: ShardVersion,
        rest: &[StoredKey],
    ) -> Result<Vec<WrappedKey>, ConnectorError> {
        // What an interrupted erasure has left.
        self.shards.destroy(shard, |version| version != from)?;
        self.shards.make(shard, to)?;
        let key = |version| {
            self.shards.key(shard, version)?.ok_or_else(|| {
                let text = format!("shard {shard} has no key of version {version}; restore the shard file");
                ConnectorError::new(ErrorKind::Corrupt, text)
            })
        };
        if rest.is_empty() {
            return Ok(Vec::new());
        }
        let (old, new) = (key(from)?, key(to)?);
        let rewrap = |stored: &StoredKey| {
            let secret = unwrap(&old, stored)?;
            new.wrap(&secret, &place(&stored.owner, &stored.kid))
        };
        Ok(rest.iter().map(rewrap).collect::<Result<_, _>>()?)
    }

    fn receipt(&self, erasure: &Erasure) -> Result<String, ConnectorError> {
        (self.receipt)(erasure)
    }
}

fn unwrap(wrapping: &WrappingKey, stored: &StoredKey) -> Result<SecretKey, CryptoError> {
    // The tag covers whose key it is and its id.
    wrapping.unwrap(&stored.wrapped, &place(&stored.owner, &stored.kid))
}

fn version_of(epoch: &Epoch, shard: u16) -> Result<ShardVersion, CryptoError> {
    epoch.stand.versions.get(usize::from(shard)).copied().ok_or(CryptoError::Internal)
}

/// What a wrapped key is bound to.
fn place<'p>(owner: &'p Owner, kid: &'p KeyId) -> [&'p [u8]; 3] {
    [b"subject", owner, kid.as_str().as_bytes()]
}

/// A panic elsewhere leaves these maps whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
