//! A policy: what happens to every field of a record. Read once ([`config`]), compiled once
//! ([`Policy::compile`]), then only applied ([`crate::Cloak`]).

mod compile;
pub mod config;
mod node;

use std::sync::Arc;

use cloakroom_crypto::PseudonymKey;

pub use compile::{Column, ColumnSource};
pub use config::{DetectConfig, FieldConfig, FieldType, PolicyConfig, RecordConfig, SetValue, Unlisted};
pub(crate) use node::{FieldRule, Node};

use crate::decode::{Format, Limits};
use crate::error::PolicyError;
use crate::keys::KeyProvider;
use crate::path::FieldPath;
use crate::protect::Protection;

/// A compiled policy.
pub struct Policy {
    pub(crate) tenant: String,
    pub(crate) collection: String,
    pub(crate) subject: Option<FieldPath>,
    pub(crate) format: Format,
    pub(crate) limits: Limits,
    pub(crate) unlisted: Unlisted,
    pub(crate) flatten: Option<String>,
    pub(crate) required: Vec<FieldPath>,
    pub(crate) root: Node,
    /// For `set: uuid`, when a field asks for it.
    pub(crate) uuid_key: Option<Arc<PseudonymKey>>,
    pub(crate) detect: Option<DetectPolicy>,
    columns: Vec<Column>,
}

/// What happens to findings.
pub(crate) struct DetectPolicy {
    /// Unless an entity has its own.
    pub(crate) everywhere: Arc<dyn Protection>,
    /// By entity type.
    pub(crate) entities: Vec<(String, Arc<dyn Protection>)>,
    /// What finds them.
    pub(crate) detector: crate::detect::Detector,
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

    /// What happens to fields that the policy does not name.
    #[must_use]
    pub fn unlisted(&self) -> Unlisted {
        self.unlisted
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
