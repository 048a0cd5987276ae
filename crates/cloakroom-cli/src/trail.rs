//! What commands put on record in the audit log, before they do it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloakroom_crypto::KeyRing;
use cloakroom_pipeline::audit::{Action, AuditLog, AuditText, Event, Outcome, default_file};
use cloakroom_pipeline::keys::{self, KeysConfig};

use crate::error::Failure;
use crate::output;
use crate::principal::principal;
use crate::protectors::access;

/// The audit log, and who is writing.
pub(crate) struct Trail {
    log: AuditLog,
    principal: AuditText,
}

impl Trail {
    /// The log beside a key file, or the default one.
    pub(crate) fn of(ring: &KeyRing, key_file: Option<&Path>) -> Result<Self, Failure> {
        let path = key_file.map_or_else(default_file, |file| file.with_file_name("audit.jsonl"));
        Ok(Self { log: AuditLog::open(path, ring, cloakroom_pipeline::run::now)?, principal: principal()? })
    }

    /// The log beside the key file that a pipeline file names, or the default one.
    pub(crate) fn of_file(ring: &KeyRing, config: &KeysConfig) -> Result<Self, Failure> {
        let key_file = config.file.is_some().then(|| keys::key_file(config)).transpose()?;
        Self::of(ring, key_file.as_deref())
    }

    /// Who writes, and the log.
    pub(crate) fn into_parts(self) -> (AuditText, AuditLog) {
        (self.principal, self.log)
    }

    /// The default log under the default key ring. Where there is none it is made: what is done must be on record.
    pub(crate) async fn open() -> Result<Self, Failure> {
        if let Some(keys) = keys::load(&KeysConfig::default(), &access()).await? {
            return Self::of(&keys.ring, None);
        }
        let path: PathBuf = keys::key_file(&KeysConfig::default())?;
        let ring: Arc<KeyRing> = keys::init(&path, &cloakroom_pipeline::run::now().timestamp(), None).await?.into();
        output::note(&format!("made {}: the audit log needs a key", path.display()));
        Self::of(&ring, None)
    }

    /// Puts one event on record. When it returns, the line is on disk.
    pub(crate) fn put(
        &self,
        action: Action,
        outcome: Outcome,
        fill: impl FnOnce(Event) -> Event,
    ) -> Result<(), Failure> {
        self.log.append(&fill(self.event(action, outcome)))?;
        Ok(())
    }

    /// An event of this principal, for [`Trail::put_all`].
    pub(crate) fn event(&self, action: Action, outcome: Outcome) -> Event {
        Event::new(self.principal.clone(), action, outcome)
    }

    /// Puts several events on record at once.
    pub(crate) fn put_all(&self, events: &[Event]) -> Result<(), Failure> {
        self.log.append_all(events)?;
        Ok(())
    }

    /// The log, for pseudonyms of subjects.
    pub(crate) fn log(&self) -> &AuditLog {
        &self.log
    }
}
