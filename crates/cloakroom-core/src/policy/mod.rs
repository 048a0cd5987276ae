//! A policy: what happens to every field of a record. Read once ([`config`]), compiled once
//! ([`Policy::compile`]), then only applied ([`crate::Cloak`]).

mod compile;
pub mod config;
mod detect_config;
mod detection;
mod envelope;
mod index;
mod node;
mod reveal;

use std::sync::Arc;

use cloakroom_crypto::PseudonymKey;

pub use compile::{Column, ColumnSource};
pub use config::{FieldConfig, FieldType, PolicyConfig, RecordConfig, SetValue, Unlisted};
pub use detect_config::{ActionSpec, DetectConfig, FieldActions, FieldDetect};
pub(crate) use detection::{Actions, Detection, FieldDetection};
pub use envelope::{EaxScryptConfig, EnvelopeConfig};
pub use index::{IndexConfig, IndexSpec, Normalize};
pub(crate) use node::{FieldRule, Node};
pub use reveal::{AllowConfig, ApprovalConfig, LimitsConfig, RevealConfig, RevealLevel, RevealRules, path_fits};

use crate::decode::{Format, Limits};
use crate::eax_scrypt::Sealer;
use crate::error::PolicyError;
use crate::keys::KeyProvider;
use crate::path::FieldPath;
use crate::tokens::TokenVault;

/// A compiled policy.
pub struct Policy {
    pub(crate) keys: Option<Arc<dyn KeyProvider>>,
    pub(crate) tokens: Option<Arc<dyn TokenVault>>,
    pub(crate) tenant: String,
    pub(crate) collection: String,
    pub(crate) subject: Option<FieldPath>,
    /// Some values are sealed with keys of their subjects.
    pub(crate) seals_for_subjects: bool,
    pub(crate) format: Format,
    pub(crate) limits: Limits,
    pub(crate) unlisted: Unlisted,
    pub(crate) flatten: Option<String>,
    pub(crate) required: Vec<FieldPath>,
    pub(crate) root: Node,
    /// For `set: uuid`, when a field asks for it.
    pub(crate) uuid_key: Option<Arc<PseudonymKey>>,
    /// `None` where nothing is looked for.
    pub(crate) detection: Option<Detection>,
    pub(crate) reveal: RevealRules,
    /// The last step, on whole records.
    pub(crate) envelope: Option<Sealer>,
    /// True when a rule hashes slowly: better many records at once.
    pub(crate) hashes_slowly: bool,
    columns: Vec<Column>,
    protected_places: Vec<(String, String)>,
}

impl Policy {
    /// Checks and compiles a policy. Nothing can be wrong with it afterwards.
    ///
    /// # Errors
    /// Every mistake names its place in the file and what to write instead.
    pub fn compile(config: &PolicyConfig, keys: Option<&Arc<dyn KeyProvider>>) -> Result<Self, PolicyError> {
        compile::compile(config, keys)
    }

    /// The fields that protected records will have, as far as the policy names them: what a created
    /// table gets as columns, and what an existing table is checked against.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Where protected values stand in protected records, in dotted form with `*` for any name, and how they were protected:
    /// `cards.number` for `cards[*].number`.
    #[must_use]
    pub fn protected_places(&self) -> &[(String, String)] {
        &self.protected_places
    }

    /// What happens to fields that the policy does not name.
    #[must_use]
    pub fn unlisted(&self) -> Unlisted {
        self.unlisted
    }

    /// Who may see what again.
    #[must_use]
    pub fn reveal_rules(&self) -> &RevealRules {
        &self.reveal
    }

    /// Whose data it is: what keys of people and envelopes are bound to.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// What kind of records: what envelopes are bound to.
    #[must_use]
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// True when the policy says which field names the person.
    #[must_use]
    pub fn has_subject(&self) -> bool {
        self.subject.is_some()
    }

    /// True when each record takes milliseconds, because it is sealed whole or hashed slowly: batches should be small.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.envelope.is_some() || self.hashes_slowly
    }

    /// How the envelope seals the member of this name in the protected record; `None` when it does not.
    pub(crate) fn sealed_as(&self, name: &str) -> Option<&str> {
        self.envelope.as_ref()?;
        self.columns.iter().find_map(|column| match &column.source {
            ColumnSource::Protected(description) if column.name == name => Some(description.as_str()),
            _ => None,
        })
    }

    /// The format of its records.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The limits on one record.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }
}
