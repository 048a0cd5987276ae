//! Where protections get their keys. The core asks through this joint and never reads files, the
//! environment or the network; whoever builds the policy brings the provider.

use std::cell::OnceCell;
use std::sync::Arc;

use cloakroom_crypto::{CryptoError, DataKey, DeterministicKey, FormatKey, KeyId, KeyRing, PseudonymKey};

/// Gives keys by purpose.
pub trait KeyProvider: Send + Sync {
    /// What the keys of domains are derived from: those that all people share.
    fn ring(&self) -> &KeyRing;

    /// The key for pseudonyms of one domain. Equal values get equal pseudonyms inside a domain and
    /// unrelated ones across domains.
    ///
    /// # Errors
    /// When the provider has no such key.
    fn pseudonym_key(&self, domain: &str) -> Result<Arc<PseudonymKey>, CryptoError> {
        self.ring().pseudonym_key(domain).map(Arc::new)
    }

    /// The key of blind indexes of one domain.
    ///
    /// # Errors
    /// When the provider has no such key.
    fn index_key(&self, domain: &str) -> Result<Arc<PseudonymKey>, CryptoError> {
        self.ring().index_key(domain).map(Arc::new)
    }

    /// The key that encrypts equal values of one domain to equal envelopes.
    ///
    /// # Errors
    /// When the provider has no such key.
    fn deterministic_key(&self, domain: &str) -> Result<Arc<DeterministicKey>, CryptoError> {
        self.ring().deterministic_key(domain).map(Arc::new)
    }

    /// The key that encrypts numbers to numbers of the same length in one domain.
    ///
    /// # Errors
    /// When the provider has no such key.
    fn format_key(&self, domain: &str) -> Result<Arc<FormatKey>, CryptoError> {
        self.ring().format_key(domain).map(Arc::new)
    }

    /// The key that encrypts values of one subject (a person) of a tenant; the empty subject is nobody in particular. What it
    /// seals may leave the program only after [`KeyProvider::persist`].
    ///
    /// # Errors
    /// When the provider has no such key, for example because it was erased.
    fn data_key(&self, tenant: &str, subject: &str) -> Result<Arc<DataKey>, CryptoError>;

    /// Looks for the keys of the subjects of many records at once, which may be much faster than one by one; makes none. `None` when
    /// it is not: ask for each by [`KeyProvider::data_key`].
    fn of_subjects<'k>(&'k self, tenant: &str, subjects: &[&str]) -> Option<Box<dyn KeysOfBatch + 'k>> {
        let _ = (tenant, subjects);
        None
    }

    /// The key that opens what was sealed for a subject with the key of this id.
    ///
    /// # Errors
    /// When there is no such key, or no longer.
    fn opening_key(&self, tenant: &str, subject: &str, kid: &KeyId) -> Result<Arc<DataKey>, CryptoError>;

    /// The same for many at once, subject and id; the results are in that order.
    fn opening_keys(&self, tenant: &str, wanted: &[(&str, KeyId)]) -> Vec<Result<Arc<DataKey>, CryptoError>> {
        wanted.iter().map(|(subject, kid)| self.opening_key(tenant, subject, kid)).collect()
    }

    /// Before the first key is asked for that will seal a batch of records.
    fn begin(&self) -> KeyBatch {
        KeyBatch::default()
    }

    /// Makes sure that the keys which sealed a batch will be there to open it.
    ///
    /// # Errors
    /// When they will not: then nothing of the batch may leave the program.
    fn persist(&self, batch: KeyBatch) -> Result<(), PersistError> {
        let _ = batch;
        Ok(())
    }
}

/// The keys of the subjects of some records.
pub trait KeysOfBatch {
    /// As [`KeyProvider::data_key`] for the subject at this index.
    ///
    /// # Errors
    /// When the provider has no such key, for example because it was erased.
    fn data_key(&self, index: usize) -> Result<Arc<DataKey>, CryptoError>;
}

/// The data key of one record's subject: asked for when a first value needs it, and kept for the others.
pub struct SubjectKey<'k> {
    batch: Option<(&'k dyn KeysOfBatch, usize)>,
    key: OnceCell<Arc<DataKey>>,
}

impl<'k> SubjectKey<'k> {
    /// Of a record that is not part of a batch: whoever needs it asks the provider.
    pub(crate) fn alone() -> Self {
        Self { batch: None, key: OnceCell::new() }
    }

    /// Of the record at this index.
    pub(crate) fn in_batch(batch: &'k dyn KeysOfBatch, index: usize) -> Self {
        Self { batch: Some((batch, index)), key: OnceCell::new() }
    }

    /// The key; `ask` is called at most once, where it was not looked for with those of other records.
    ///
    /// # Errors
    /// As [`KeyProvider::data_key`].
    pub fn get(&self, ask: impl FnOnce() -> Result<Arc<DataKey>, CryptoError>) -> Result<&DataKey, CryptoError> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let key = self.batch.map_or_else(ask, |(batch, index)| batch.data_key(index))?;
        Ok(self.key.get_or_init(|| key))
    }
}

/// When a batch was begun, for its provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyBatch(pub u64);

/// Why a batch must not leave the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PersistError {
    /// Something has changed meanwhile: protect the records once more, from the beginning.
    Again,
    /// The keys cannot be stored; what happened, without values.
    Failed(String),
}

/// A local key ring: one data key for all subjects, derived from the active root key.
pub struct LocalKeys {
    ring: Arc<KeyRing>,
    data_key: Arc<DataKey>,
}

/// What the data key of [`LocalKeys`] is derived for.
pub const VALUE_PURPOSE: &str = "value";

impl LocalKeys {
    /// Derives the data key once.
    ///
    /// # Errors
    /// When the ring has no active key.
    pub fn new(ring: Arc<KeyRing>) -> Result<Self, CryptoError> {
        let data_key = Arc::new(ring.data_key(VALUE_PURPOSE)?);
        Ok(Self { ring, data_key })
    }
}

impl KeyProvider for LocalKeys {
    fn ring(&self) -> &KeyRing {
        &self.ring
    }

    fn data_key(&self, _tenant: &str, _subject: &str) -> Result<Arc<DataKey>, CryptoError> {
        Ok(Arc::clone(&self.data_key))
    }

    fn opening_key(&self, _tenant: &str, _subject: &str, kid: &KeyId) -> Result<Arc<DataKey>, CryptoError> {
        if kid == self.data_key.kid() {
            return Ok(Arc::clone(&self.data_key));
        }
        self.ring.data_key_for(kid, VALUE_PURPOSE).map(Arc::new)
    }
}
