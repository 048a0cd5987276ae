//! Where protections get their keys. The core asks through this joint and never reads files, the
//! environment or the network; whoever builds the policy brings the provider.

use std::sync::Arc;

use cloakroom_crypto::{CryptoError, DataKey, KeyRing, PseudonymKey};

/// Gives keys by purpose. Later providers keep one data key per subject in a key table; the subject is
/// part of the question already.
pub trait KeyProvider: Send + Sync {
    /// The key for pseudonyms of one domain. Equal values get equal pseudonyms inside a domain and
    /// unrelated ones across domains.
    ///
    /// # Errors
    /// When the provider has no such key.
    fn pseudonym_key(&self, domain: &str) -> Result<Arc<PseudonymKey>, CryptoError>;

    /// The key that encrypts values of one subject (a person); the empty subject is nobody in particular.
    ///
    /// # Errors
    /// When the provider has no such key, for example because it was erased.
    fn data_key(&self, subject: &str) -> Result<Arc<DataKey>, CryptoError>;
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
    fn pseudonym_key(&self, domain: &str) -> Result<Arc<PseudonymKey>, CryptoError> {
        self.ring.pseudonym_key(domain).map(Arc::new)
    }

    fn data_key(&self, _subject: &str) -> Result<Arc<DataKey>, CryptoError> {
        Ok(Arc::clone(&self.data_key))
    }
}
