//! One data key for each person: made when they are first seen, kept wrapped in the key table, forgotten when they are erased.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cloakroom_core::keys::{KeyBatch, KeyProvider, LocalKeys, PersistError};
use cloakroom_crypto::{
    CryptoError, DataKey, KeyId, KeyRing, KeyState, PseudonymKey, SecretKey, WrappedKey, WrappingKey,
};

use super::shards::{ShardFile, ShardVersion};
use super::table::{Erasure, KeyTable, Known, Owner, Refused, ShardRoll, StoredKey, shard_of};
use crate::error::{ConnectorError, ErrorKind};

/// Data keys in memory at most; each takes about a kilobyte.
const CACHED: usize = 100_000;
/// How long a key in memory is used without asking the table again.
const FRESH: Duration = Duration::from_millis(100);

/// Keys for each person, from a key table and a shard file.
pub struct SubjectKeys {
    ring: Arc<KeyRing>,
    local: LocalKeys,
    lookup: PseudonymKey,
    shards: ShardFile,
    table: Mutex<KeyTable>,
    cache: Mutex<Cache>,
    /// Made since [`KeyProvider::persist`], not stored yet.
    pending: Mutex<Vec<StoredKey>>,
    /// Counts calls that failed, and keys that were made and could not be stored: whatever was sealed meanwhile is not to be
    /// delivered.
    lost: AtomicU64,
    now: fn() -> String,
}

#[derive(Default)]
struct Cache {
    /// The newest key of each person.
    keys: HashMap<Owner, Arc<DataKey>>,
    shard_keys: HashMap<(u16, ShardVersion), Arc<WrappingKey>>,
    /// When the table's epoch was last looked at, and what it was.
    looked: Option<Instant>,
    epoch: u64,
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
    /// Opens key table and shard file; makes both where there are none and `create` says so. `now` gives the time, RFC 3339.
    ///
    /// # Errors
    /// When they cannot be opened or made, or do not belong together.
    pub fn open(
        ring: Arc<KeyRing>,
        files: &SubjectFiles,
        create: bool,
        now: fn() -> String,
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
        Ok(Self {
            local: LocalKeys::new(Arc::clone(&ring))?,
            ring,
            lookup,
            shards,
            table: Mutex::new(table),
            cache: Mutex::default(),
            pending: Mutex::default(),
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
        let done = locked(&self.table).erase(&owner, &(self.now)(), &Roll { shards: &self.shards, receipt })?;
        let Some((from, receipt)) = done else { return Ok(None) };
        self.shards.destroy(shard_of(&owner), |version| version == from)?;
        *locked(&self.cache) = Cache::default();
        Ok(Some(receipt))
    }

    /// Tries every key of the table.
    ///
    /// # Errors
    /// When key table or shard file cannot be read.
    pub fn check(&self) -> Result<TableCheck, ConnectorError> {
        let mut check = TableCheck::default();
        locked(&self.table).for_each(|stored| {
            match self.open_stored(stored) {
                Ok(_) => check.open += 1,
                Err(CryptoError::UnknownSubjectKey(_)) => check.destroyed += 1,
                Err(CryptoError::KeyTable) => return Err(ConnectorError::unavailable("the shard file cannot be read")),
                Err(_) => check.damaged += 1,
            }
            Ok(())
        })?;
        Ok(check)
    }

    /// Forgets what is in memory when somebody was erased.
    fn refresh(&self, at_once: bool) -> Result<(), CryptoError> {
        let looked = locked(&self.cache).looked;
        if !at_once && looked.is_some_and(|looked| looked.elapsed() < FRESH) {
            return Ok(());
        }
        let epoch = locked(&self.table).epoch().map_err(|error| self.failed(&error))?;
        let mut cache = locked(&self.cache);
        if epoch != cache.epoch {
            (cache.keys, cache.shard_keys) = Default::default();
        }
        (cache.epoch, cache.looked) = (epoch, Some(Instant::now()));
        Ok(())
    }

    fn make(&self, owner: Owner) -> Result<DataKey, CryptoError> {
        let shard = shard_of(&owner);
        let shard_version = locked(&self.table).shard_version(shard).map_err(|error| self.failed(&error))?;
        let wrapping = match self.shard_key(shard, shard_version) {
            Err(CryptoError::UnknownSubjectKey(_)) => {
                self.shards.make(shard, shard_version).map_err(|error| self.failed(&error))?;
                self.shard_key(shard, shard_version)?
            }
            result => result?,
        };
        let secret = SecretKey::generate()?;
        let kid = KeyId::of(&secret);
        let key = DataKey::from_secret(kid, &secret, KeyState::Active)?;
        let wrapped = wrapping.wrap(&secret, &place(&owner, &kid))?;
        let created = (self.now)();
        locked(&self.pending).push(StoredKey {
            owner,
            kid,
            shard_version,
            wrapped,
            commitment: *key.commitment(),
            created,
        });
        Ok(key)
    }

    fn open_stored(&self, stored: &StoredKey) -> Result<DataKey, CryptoError> {
        let wrapping = self.shard_key(shard_of(&stored.owner), stored.shard_version).map_err(|error| match error {
            CryptoError::UnknownSubjectKey(_) => CryptoError::UnknownSubjectKey(stored.kid),
            other => other,
        })?;
        let secret = unwrap(&wrapping, stored)?;
        let key = DataKey::from_secret(stored.kid, &secret, KeyState::Active)?;
        key.check_commitment(&stored.commitment)?;
        Ok(key)
    }

    fn shard_key(&self, shard: u16, version: ShardVersion) -> Result<Arc<WrappingKey>, CryptoError> {
        if let Some(key) = locked(&self.cache).shard_keys.get(&(shard, version)) {
            return Ok(Arc::clone(key));
        }
        let key = self.shards.key(shard, version).map_err(|error| self.failed(&error))?;
        // The id is not known here; the caller puts in the one it was asked for.
        let key = Arc::new(key.ok_or(CryptoError::UnknownSubjectKey(*self.lookup.kid()))?);
        locked(&self.cache).shard_keys.insert((shard, version), Arc::clone(&key));
        Ok(key)
    }

    fn keep(&self, owner: Owner, key: &Arc<DataKey>) {
        let mut cache = locked(&self.cache);
        if cache.keys.len() >= CACHED {
            // Rarely, and any half will do.
            let mut count = 0;
            cache.keys.retain(|_, _| {
                count += 1;
                count % 2 == 0
            });
        }
        cache.keys.insert(owner, Arc::clone(key));
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
        self.refresh(false)?;
        let owner = self.owner(tenant, subject);
        if let Some(key) = locked(&self.cache).keys.get(&owner) {
            return Ok(Arc::clone(key));
        }
        let known = locked(&self.table).find(&owner).map_err(|error| self.failed(&error))?;
        let key = match known {
            Known::Erased => return Err(CryptoError::Erased),
            Known::Keys(keys) => match keys.last() {
                Some(stored) => self.open_stored(stored)?,
                None => self.make(owner)?,
            },
        };
        let key = Arc::new(key);
        self.keep(owner, &key);
        Ok(key)
    }

    fn opening_key(&self, tenant: &str, subject: &str, kid: &KeyId) -> Result<Arc<DataKey>, CryptoError> {
        if self.ring.kids().any(|(known, _, _)| known == kid) {
            return self.local.opening_key(tenant, subject, kid);
        }
        self.refresh(true)?;
        let owner = self.owner(tenant, subject);
        if let Some(key) = locked(&self.cache).keys.get(&owner)
            && key.kid() == kid
        {
            return Ok(Arc::clone(key));
        }
        let known = locked(&self.table).find(&owner).map_err(|error| self.failed(&error))?;
        let Known::Keys(keys) = known else { return Err(CryptoError::Erased) };
        let stored = keys.iter().find(|stored| stored.kid == *kid).ok_or(CryptoError::UnknownSubjectKey(*kid))?;
        let key = Arc::new(self.open_stored(stored)?);
        self.keep(owner, &key);
        Ok(key)
    }

    fn begin(&self) -> KeyBatch {
        KeyBatch(self.lost.load(Ordering::SeqCst))
    }

    fn persist(&self, batch: KeyBatch) -> Result<(), PersistError> {
        // The keys of other batches at work are stored with those of this one.
        let mut pending = locked(&self.pending);
        if self.begin() != batch {
            return Err(PersistError::Again);
        }
        if pending.is_empty() {
            return Ok(());
        }
        // In the table's order: neighbours share a page.
        pending.sort_unstable_by_key(|key| key.owner);
        let result = locked(&self.table).insert(&pending);
        if result.is_err() {
            self.lost.fetch_add(1, Ordering::SeqCst);
            *locked(&self.cache) = Cache::default();
        }
        pending.clear();
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
    let secret = wrapping.unwrap(&stored.wrapped, &place(&stored.owner, &stored.kid))?;
    if KeyId::of(&secret) == stored.kid { Ok(secret) } else { Err(CryptoError::Wrapped) }
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
