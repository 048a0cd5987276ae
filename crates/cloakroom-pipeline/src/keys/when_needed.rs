//! Opens the key table when the first key of a person is asked for: most policies encrypt nothing, and make no key table.

use std::sync::{Arc, OnceLock};

use cloakroom_core::keys::{KeyBatch, KeyProvider, KeysOfBatch, LocalKeys, PersistError};
use cloakroom_crypto::{CryptoError, DataKey, KeyId, KeyRing};

use super::subjects::{SubjectFiles, SubjectKeys};
use crate::error::ConnectorError;

/// [`SubjectKeys`] that are not opened yet.
pub(super) struct WhenNeeded {
    ring: Arc<KeyRing>,
    local: LocalKeys,
    files: SubjectFiles,
    opened: OnceLock<Result<SubjectKeys, ConnectorError>>,
}

impl WhenNeeded {
    pub(super) fn new(ring: Arc<KeyRing>, files: SubjectFiles) -> Result<Self, ConnectorError> {
        Ok(Self { local: LocalKeys::new(Arc::clone(&ring))?, ring, files, opened: OnceLock::new() })
    }

    fn subjects(&self, create: bool) -> Result<&SubjectKeys, CryptoError> {
        let open = || SubjectKeys::open(Arc::clone(&self.ring), &self.files, create, crate::run::now);
        self.opened.get_or_init(open).as_ref().map_err(|error| {
            tracing::error!(error = %error.message, "the key table cannot be opened");
            CryptoError::KeyTable
        })
    }
}

impl KeyProvider for WhenNeeded {
    fn ring(&self) -> &KeyRing {
        &self.ring
    }

    fn data_key(&self, tenant: &str, subject: &str) -> Result<Arc<DataKey>, CryptoError> {
        match subject {
            "" => self.local.data_key(tenant, subject),
            _ => self.subjects(true)?.data_key(tenant, subject),
        }
    }

    fn opening_key(&self, tenant: &str, subject: &str, kid: &KeyId) -> Result<Arc<DataKey>, CryptoError> {
        if self.ring.kids().any(|(known, _, _)| known == kid) {
            return self.local.opening_key(tenant, subject, kid);
        }
        self.subjects(false)?.opening_key(tenant, subject, kid)
    }

    fn opening_keys(&self, tenant: &str, wanted: &[(&str, KeyId)]) -> Vec<Result<Arc<DataKey>, CryptoError>> {
        let of_ring = |kid: &KeyId| self.ring.kids().any(|(known, _, _)| known == kid);
        if wanted.iter().all(|(_, kid)| of_ring(kid)) {
            return wanted.iter().map(|(subject, kid)| self.local.opening_key(tenant, subject, kid)).collect();
        }
        match self.subjects(false) {
            Ok(subjects) => subjects.opening_keys(tenant, wanted),
            Err(_) => wanted.iter().map(|(subject, kid)| self.opening_key(tenant, subject, kid)).collect(),
        }
    }

    fn of_subjects<'k>(&'k self, tenant: &str, subjects: &[&str]) -> Option<Box<dyn KeysOfBatch + 'k>> {
        self.subjects(true).ok()?.of_subjects(tenant, subjects)
    }

    fn begin(&self) -> KeyBatch {
        match self.opened.get() {
            Some(Ok(subjects)) => subjects.begin(),
            _ => KeyBatch::default(),
        }
    }

    fn persist(&self, batch: KeyBatch) -> Result<(), PersistError> {
        match self.opened.get() {
            Some(Ok(subjects)) => subjects.persist(batch),
            Some(Err(error)) => Err(PersistError::Failed(error.message.clone())),
            None => Ok(()),
        }
    }
}
