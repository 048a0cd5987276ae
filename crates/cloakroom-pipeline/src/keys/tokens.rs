//! The vault of random tokens: an SQLite file that has a token for each value of a domain, and the value, sealed.
//!
//! ```text
//! root key ─ wraps ─► seal key    seals each value into a ck1 envelope, bound to domain and token
//!                 └─► owner key   HMAC of tenant and subject: whose value it is
//! ```
//!
//! The two keys are random, stand in the file and never change; a new root key wraps them anew and touches no row. Values are
//! found by a keyed hash that the policy makes (label `ck1/vault/<domain>`). A new token is in memory until the batch that
//! has it is done; [`TokenVault::persist`] stores it before the batch leaves the program. Of two processes that have drawn a
//! token for one value, the second one finds the value taken, forgets its own and protects its batch anew.

mod table;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use cloakroom_core::keys::PersistError;
use cloakroom_core::tokens::{Draw, Lookup, Original, TokenBatch, TokenVault, VaultError};
use cloakroom_core::{CompactString, Number, Value};
use cloakroom_crypto::envelope::{Place, ValueType, open_any_type, seal};
use cloakroom_crypto::{CryptoError, DataKey, KeyId, KeyRing, KeyState, PseudonymKey, SecretKey};

use super::table::Owner;
use crate::error::{ConnectorError, ErrorKind};
use table::{Change, NewToken, StoredKey, TokenTable};

/// Tokens in memory at most, in each of two halves: about 30 MB together.
const CACHED: usize = 100_000;
/// Times that a token is drawn which is taken already: with nine tenths taken, one value in 40,000 finds none.
const DRAWS: usize = 100;
/// What the root wraps the vault's keys for.
const PURPOSE: &str = "tokens";
const SEAL: &str = "seal";
const OWNER: &str = "owner";
/// The collection in the additional data of sealed values.
const COLLECTION: &str = "cloakroom.tokens";

/// The vault's file beside a key file: `keys.json` has `keys.tokens.db`.
#[must_use]
pub fn beside(key_file: &Path) -> PathBuf {
    key_file.with_extension("tokens.db")
}

/// A vault of random tokens. Its file is opened, or made, when the first token is asked for.
pub struct Vault {
    ring: Arc<KeyRing>,
    path: PathBuf,
    opened: OnceLock<Result<Opened, ConnectorError>>,
}

struct Opened {
    seal: DataKey,
    owner: PseudonymKey,
    /// Apart, so that nobody waits for a disk who only looks up.
    reader: Mutex<TokenTable>,
    writer: Mutex<TokenTable>,
    memory: Mutex<Memory>,
}

/// What is known without asking the file.
#[derive(Default)]
struct Memory {
    /// Counts what has made tokens in memory void: whatever a batch got before is not to be delivered.
    generation: u64,
    /// Erasures of which the file told.
    epoch: u64,
    /// Drawn and not stored yet.
    fresh: HashMap<Lookup, Fresh>,
    /// Values that turned out to be not of one person alone, not stored yet.
    shared: HashSet<Lookup>,
    /// Stored ones that were asked for lately, and before that.
    recent: HashMap<Lookup, table::Stored>,
    older: HashMap<Lookup, table::Stored>,
}

struct Fresh {
    token: Arc<NewToken>,
    owner: Option<Owner>,
}

impl Memory {
    /// The token of a value. One that is now of another person, too, is nobody's.
    fn known(&mut self, lookup: &Lookup, owner: Option<Owner>) -> Option<CompactString> {
        if let Some(fresh) = self.fresh.get_mut(lookup) {
            fresh.owner = fresh.owner.filter(|of| owner == Some(*of));
            return Some(fresh.token.token.clone());
        }
        if !self.recent.contains_key(lookup) {
            let stored = self.older.remove(lookup)?;
            self.keep(*lookup, stored);
        }
        let stored = self.recent.get_mut(lookup)?;
        if stored.owner.is_some() && stored.owner != owner {
            stored.owner = None;
            self.shared.insert(*lookup);
        }
        Some(stored.token.clone())
    }

    fn keep(&mut self, lookup: Lookup, stored: table::Stored) {
        if self.recent.len() >= CACHED {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(lookup, stored);
    }

    /// Makes everything void: those who have something of it will protect anew.
    fn forget(&mut self) {
        *self = Self { generation: self.generation + 1, epoch: self.epoch, ..Self::default() };
    }
}

impl Vault {
    /// A vault in this file. Nothing is opened yet.
    #[must_use]
    pub fn new(ring: Arc<KeyRing>, path: PathBuf) -> Self {
        Self { ring, path, opened: OnceLock::new() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value that a token of a domain stands for, with its type; `None` when the domain has no such token, or no longer.
    ///
    /// # Errors
    /// When the vault cannot be read, or what it holds was changed or does not belong to these keys.
    pub fn detokenise(&self, domain: &str, token: &str) -> Result<Option<Value>, ConnectorError> {
        let Some(opened) = self.existing()? else { return Ok(None) };
        let Some(sealed) = locked(&opened.reader).sealed(domain, token)? else { return Ok(None) };
        let (value_type, text) = open_any_type(&opened.seal, &place(domain, token), &sealed)
            .map_err(|_| self.corrupt("a value does not open: it was changed"))?;
        let text = std::str::from_utf8(&text).map_err(|_| self.corrupt("a value is not text"))?;
        let value = match value_type {
            ValueType::String => Some(Value::string(text)),
            ValueType::Number => Number::parse(text).map(Value::Number),
            ValueType::Boolean => Some(Value::Bool(text == "true")),
            _ => None,
        };
        value.map(Some).ok_or_else(|| self.corrupt("a value has a type that has no tokens"))
    }

    /// Deletes the tokens of values that only the records of this person have had, and says how many. Other copies of the
    /// file keep them.
    ///
    /// # Errors
    /// When the vault cannot be read or written.
    pub fn erase(&self, tenant: &str, subject: &str) -> Result<u64, ConnectorError> {
        let Some(opened) = self.existing()? else { return Ok(0) };
        let Some(owner) = opened.owner(tenant, subject) else { return Ok(0) };
        let mut writer = locked(&opened.writer);
        let deleted = writer.erase(&owner)?;
        if deleted > 0 {
            let mut memory = locked(&opened.memory);
            memory.forget();
            memory.epoch = writer.epoch()?;
        }
        Ok(deleted)
    }

    /// How many tokens each domain has; none when there is no file yet.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn counts(&self) -> Result<Vec<(String, u64)>, ConnectorError> {
        self.existing()?.map_or(Ok(Vec::new()), |opened| locked(&opened.reader).counts())
    }

    /// Wraps the vault's keys under the active root key and says how many there are; none when there is no file yet.
    ///
    /// # Errors
    /// When the vault cannot be read or written, or the ring does not have the root key that wraps it.
    pub fn rewrap(&self) -> Result<u64, ConnectorError> {
        if !self.path.exists() {
            return Ok(0);
        }
        TokenTable::open(&self.path, false)?.rewrap(|name, stored| self.wrap(name, &self.unwrap(name, stored)?))
    }

    /// The root key that wraps the vault's keys; `None` when there is no file yet.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn root_kid(&self) -> Result<Option<KeyId>, ConnectorError> {
        if !self.path.exists() {
            return Ok(None);
        }
        Ok(TokenTable::open(&self.path, false)?.known_key(SEAL)?.map(|stored| stored.root))
    }

    /// The vault, when its file is there.
    fn existing(&self) -> Result<Option<&Opened>, ConnectorError> {
        if self.opened.get().is_none() && !self.path.exists() {
            return Ok(None);
        }
        self.opened.get_or_init(|| self.open()).as_ref().map(Some).map_err(Clone::clone)
    }

    fn opened(&self) -> Result<&Opened, VaultError> {
        self.opened.get_or_init(|| self.open()).as_ref().map_err(|error| {
            tracing::error!(error = %error.message, "the token vault cannot be opened");
            VaultError::Failed
        })
    }

    fn open(&self) -> Result<Opened, ConnectorError> {
        let mut writer = TokenTable::open(&self.path, true)?;
        let seal = self.key(&mut writer, SEAL)?;
        let owner = self.key(&mut writer, OWNER)?;
        let epoch = writer.epoch()?;
        Ok(Opened {
            seal: DataKey::from_secret(KeyId::of(&seal), &seal, KeyState::Active)?,
            owner: PseudonymKey::from_raw(KeyId::of(&owner), owner.expose())?,
            reader: Mutex::new(TokenTable::open(&self.path, false)?),
            writer: Mutex::new(writer),
            memory: Mutex::new(Memory { epoch, ..Memory::default() }),
        })
    }

    fn key(&self, table: &mut TokenTable, name: &str) -> Result<SecretKey, ConnectorError> {
        let stored = match table.known_key(name)? {
            Some(stored) => stored,
            None => table.key(name, &self.wrap(name, &SecretKey::generate()?)?)?,
        };
        self.unwrap(name, &stored)
    }

    fn wrap(&self, name: &str, key: &SecretKey) -> Result<StoredKey, ConnectorError> {
        let wrapped = self.ring.wrapping_key(PURPOSE)?.wrap(key, &[name.as_bytes()])?;
        Ok(StoredKey { root: *self.ring.active_kid(), wrapped })
    }

    fn unwrap(&self, name: &str, StoredKey { root, wrapped }: &StoredKey) -> Result<SecretKey, ConnectorError> {
        let root = self.ring.wrapping_key_for(root, PURPOSE);
        let key = root.and_then(|root| root.unwrap(wrapped, &[name.as_bytes()]));
        key.map_err(|error| self.corrupt(&error.to_string()))
    }

    fn corrupt(&self, what: &str) -> ConnectorError {
        ConnectorError::new(ErrorKind::Corrupt, format!("token vault {}: {what}", self.path.display()))
    }
}

impl Opened {
    /// A person of a tenant, as the vault knows them.
    fn owner(&self, tenant: &str, subject: &str) -> Option<Owner> {
        if subject.is_empty() {
            return None;
        }
        let mut owner = [0; 16];
        owner.copy_from_slice(&self.owner.tag_parts(&[tenant.as_bytes(), subject.as_bytes()])[..16]);
        Some(owner)
    }

    /// Says that the file failed, so that [`TokenVault::persist`] stops the batch.
    fn failed(&self, error: &ConnectorError) -> VaultError {
        locked(&self.memory).forget();
        tracing::error!(error = %error.message, "the token vault failed");
        VaultError::Failed
    }

    fn token(&self, original: &Original<'_>, draw: &Draw<'_>) -> Result<CompactString, VaultError> {
        let Original { domain, lookup, value_type, text, tenant, subject } = *original;
        let owner = self.owner(tenant, subject);
        let generation = {
            let mut memory = locked(&self.memory);
            if let Some(token) = memory.known(lookup, owner) {
                return Ok(token);
            }
            memory.generation
        };
        let stored = locked(&self.reader).find(lookup).map_err(|error| self.failed(&error))?;
        if let Some(stored) = stored {
            let token = stored.token.clone();
            let mut memory = locked(&self.memory);
            // What was read before somebody was erased is of no use; the batch will not pass either.
            if memory.generation == generation && !memory.recent.contains_key(lookup) {
                memory.keep(*lookup, stored);
            }
            memory.known(lookup, owner);
            return Ok(token);
        }
        for _ in 0..DRAWS {
            let token = (draw.one)()?;
            if draw.few && self.is_taken(domain, &token)? {
                continue;
            }
            let mut sealed = String::new();
            seal(&self.seal, &place(domain, &token).with_type(value_type), text.as_bytes(), &mut sealed)?;
            let mut memory = locked(&self.memory);
            // Another thread may have had the same value.
            if let Some(token) = memory.known(lookup, owner) {
                return Ok(token);
            }
            let new = Arc::new(NewToken { domain: domain.into(), token: token.clone(), sealed });
            memory.fresh.insert(*lookup, Fresh { token: new, owner });
            return Ok(token);
        }
        Err(VaultError::Full)
    }

    /// Whether a token stands in the file. One that another batch has drawn at the same time is found when it is stored.
    fn is_taken(&self, domain: &str, token: &str) -> Result<bool, VaultError> {
        let sealed = locked(&self.reader).sealed(domain, token).map_err(|error| self.failed(&error))?;
        Ok(sealed.is_some())
    }

    fn persist(&self, batch: TokenBatch) -> Result<(), PersistError> {
        let mut writer = locked(&self.writer);
        // The tokens of other batches at work are stored with those of this one.
        let (mut tokens, shared, epoch) = {
            let memory = locked(&self.memory);
            if memory.generation != batch.0 {
                return Err(PersistError::Again);
            }
            let tokens: Vec<_> =
                memory.fresh.iter().map(|(at, new)| (*at, Arc::clone(&new.token), new.owner)).collect();
            (tokens, memory.shared.iter().copied().collect::<Vec<_>>(), memory.epoch)
        };
        // In the table's order: neighbours share a page.
        tokens.sort_unstable_by_key(|(lookup, _, _)| *lookup);
        let rows: Vec<_> = tokens.iter().map(|(lookup, token, owner)| (*lookup, &**token, *owner)).collect();
        let stored = writer.store(&Change { epoch, tokens: &rows, shared: &shared });
        let stored = stored.and_then(|all| if all { Ok(None) } else { writer.epoch().map(Some) });
        let mut memory = locked(&self.memory);
        match stored {
            Ok(None) => {
                if memory.generation == batch.0 {
                    memory.settle(&tokens, &shared);
                }
                Ok(())
            }
            Ok(Some(epoch)) => {
                memory.forget();
                memory.epoch = epoch;
                Err(PersistError::Again)
            }
            Err(error) => {
                memory.forget();
                Err(PersistError::Failed(error.message))
            }
        }
    }
}

impl Memory {
    /// What was written is stored now. Not to be called when all was forgotten meanwhile: other tokens may have been drawn.
    fn settle(&mut self, tokens: &[(Lookup, Arc<NewToken>, Option<Owner>)], shared: &[Lookup]) {
        for lookup in shared {
            self.shared.remove(lookup);
        }
        for (lookup, token, owner) in tokens {
            let Some(fresh) = self.fresh.remove(lookup) else { continue };
            if fresh.owner != *owner {
                self.shared.insert(*lookup);
            }
            self.keep(*lookup, table::Stored { token: token.token.clone(), owner: fresh.owner });
        }
    }
}

impl TokenVault for Vault {
    fn token(&self, original: &Original<'_>, draw: &Draw<'_>) -> Result<CompactString, VaultError> {
        self.opened()?.token(original, draw)
    }

    fn is_token(&self, domain: &str, token: &str) -> Result<bool, VaultError> {
        self.opened()?.is_taken(domain, token)
    }

    fn original(&self, domain: &str, token: &str) -> Result<Option<Value>, VaultError> {
        self.detokenise(domain, token).map_err(|error| match error.kind {
            ErrorKind::Corrupt => VaultError::Crypto(CryptoError::Authentication),
            _ => {
                tracing::error!(error = %error.message, "the token vault failed");
                VaultError::Failed
            }
        })
    }

    fn begin(&self) -> TokenBatch {
        match self.opened.get() {
            Some(Ok(opened)) => TokenBatch(locked(&opened.memory).generation),
            _ => TokenBatch::default(),
        }
    }

    fn persist(&self, batch: TokenBatch) -> Result<(), PersistError> {
        match self.opened.get() {
            Some(Ok(opened)) => opened.persist(batch),
            Some(Err(error)) => Err(PersistError::Failed(error.message.clone())),
            None => Ok(()),
        }
    }
}

/// A vault that keeps nothing, for telling what a policy would do: every value gets a token, none twice the same.
#[derive(Debug)]
pub struct Rehearsal;

impl TokenVault for Rehearsal {
    fn token(&self, _: &Original<'_>, draw: &Draw<'_>) -> Result<CompactString, VaultError> {
        Ok((draw.one)()?)
    }

    fn is_token(&self, _: &str, _: &str) -> Result<bool, VaultError> {
        Ok(false)
    }

    fn original(&self, _: &str, _: &str) -> Result<Option<Value>, VaultError> {
        Ok(None)
    }

    fn begin(&self) -> TokenBatch {
        TokenBatch::default()
    }

    /// Nothing of it may leave the program.
    fn persist(&self, _: TokenBatch) -> Result<(), PersistError> {
        Err(PersistError::Failed("a rehearsal delivers nothing".to_owned()))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.path.display())
    }
}

/// What a sealed value is bound to.
fn place<'p>(domain: &'p str, token: &'p str) -> Place<'p> {
    Place { tenant: "", collection: COLLECTION, path: domain, subject: token }
}

/// A panic elsewhere leaves these maps whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
