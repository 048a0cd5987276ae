//! The pipeline file.
//!
//! The sections `source`, `sink` and `metrics` are types of the program that registers connectors, so this crate
//! knows none of them: [`PipelineFile`] is generic over all three.

mod error;
mod template;

use std::path::PathBuf;
use std::sync::Arc;

use cloakroom_core::located::{Located, OrderedMap};
use cloakroom_core::policy::config::present;
use cloakroom_core::policy::{DetectConfig, EnvelopeConfig, FieldConfig, PolicyConfig, RecordConfig, RevealConfig};
use cloakroom_crypto::ExposeSecret;
use cloakroom_crypto::eax_scrypt::MasterKey;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::ConnectorError;
use crate::keys::KeysConfig;
use crate::retry::RetryConfig;

pub use error::ConfigError;
pub use template::Template;

/// A pipeline: where records come from, what happens to them, where they go.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineFile<S, K, M> {
    /// Names the pipeline in ledgers and dead letters (default: the file's name).
    pub name: Option<String>,
    /// Whose data it is; encrypted values are bound to it (default: `default`).
    pub tenant: Option<String>,
    /// What kind of records; encrypted values are bound to it (default: the pipeline's name).
    pub collection: Option<String>,
    /// The field that names the person whom a record is about.
    pub subject: Option<Located<String>>,
    /// Where records come from.
    pub source: Option<S>,
    /// How records look.
    #[serde(default)]
    pub record: RecordConfig,
    /// What happens to each field, by path.
    #[serde(default)]
    pub fields: OrderedMap<FieldConfig>,
    /// What happens to sensitive values in fields that are not named.
    #[serde(default, deserialize_with = "present")]
    pub detect: Option<DetectConfig>,
    /// Who may see what again, what for, and how much of it. Without it nobody may.
    #[serde(default, deserialize_with = "present")]
    pub reveal: Option<RevealConfig>,
    /// The form that whole records get after all other rules.
    #[serde(default, deserialize_with = "present")]
    pub envelope: Option<EnvelopeConfig<Template>>,
    /// Where records go.
    pub sink: Option<K>,
    /// Where numbers of a run are published while it goes on.
    pub metrics: Option<M>,
    /// How many records travel together.
    #[serde(default)]
    pub batch: BatchConfig,
    /// How long failing dependencies are tried again.
    #[serde(default)]
    pub retry: RetryConfig,
    /// Where the keys are.
    #[serde(default)]
    pub keys: KeysConfig,
    /// Where dead letters are kept.
    #[serde(default)]
    pub state: StateConfig,
}

/// How many records travel together.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// The most records of a batch.
    pub records: usize,
    /// The most bytes of a batch; one larger record travels alone.
    pub bytes: usize,
    /// Milliseconds that the first record of a batch waits for others, where records come one by one (queues, streams).
    pub wait_ms: u64,
}

impl Default for BatchConfig {
    fn default() -> Self {
        // Enough rows that a commit's fsync is small change, few enough that several batches fit in memory.
        Self { records: 5_000, bytes: 2 * 1024 * 1024, wait_ms: 200 }
    }
}

/// Where dead letters are kept.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateConfig {
    /// The SQLite file (default: `state.db` in Cloakroom's home).
    pub path: Option<Template>,
}

impl StateConfig {
    /// The file.
    ///
    /// # Errors
    /// When its name needs a variable that is not set.
    pub fn file(&self) -> Result<PathBuf, ConnectorError> {
        match &self.path {
            Some(path) => path.resolve_plain().map(PathBuf::from),
            None => Ok(crate::keys::home().join("state.db")),
        }
    }
}

impl<S: DeserializeOwned, K: DeserializeOwned, M: DeserializeOwned> PipelineFile<S, K, M> {
    /// Reads a pipeline file's text. `file` is its name, for messages.
    ///
    /// # Errors
    /// File, line, column, reason and nearest valid word.
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        let parsed: Self = serde_saphyr::from_str(text).map_err(|error| ConfigError::from_yaml(file, &error))?;
        if parsed.batch.records == 0 || parsed.batch.bytes == 0 {
            return Err(ConfigError::new(file, None, "`batch.records` and `batch.bytes` must be at least 1"));
        }
        Ok(parsed)
    }
}

impl<S, K, M> PipelineFile<S, K, M> {
    /// The pipeline's name: its own, or its file's without the ending.
    #[must_use]
    pub fn name_or(&self, file: &str) -> String {
        let stem = std::path::Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        self.name.clone().or(stem).unwrap_or_else(|| "pipeline".to_owned())
    }

    /// The policy sections, with the key that they need.
    ///
    /// # Errors
    /// When a variable for the key is not set.
    pub fn policy(&self, name: &str) -> Result<PolicyConfig, ConnectorError> {
        let master_key = |text: &Template| {
            let key = MasterKey::new(text.resolve()?.expose_secret());
            let wrong = |error| ConnectorError::configuration(format!("envelope.eax_scrypt.master_key: {error}"));
            key.map(Arc::new).map_err(wrong)
        };
        Ok(PolicyConfig {
            tenant: self.tenant.clone().unwrap_or_else(|| "default".to_owned()),
            collection: self.collection.clone().unwrap_or_else(|| name.to_owned()),
            subject: self.subject.clone(),
            record: self.record.clone(),
            fields: self.fields.clone(),
            detect: self.detect.clone(),
            reveal: self.reveal.clone(),
            envelope: self.envelope.as_ref().map(|section| section.with_key(master_key)).transpose()?,
            tokens: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Source {
        #[allow(dead_code)]
        File(Empty),
    }

    #[derive(Clone, Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Empty {
        #[allow(dead_code)]
        path: String,
    }

    fn error(text: &str) -> String {
        PipelineFile::<Source, Source, Source>::parse(text, "p.yaml").err().unwrap().to_string()
    }

    #[test]
    fn mistakes_name_file_line_column_and_the_nearest_word() {
        for (text, expected) in [
            ("surce: {}\n", "p.yaml:1:1: unknown field `surce`; did you mean `source`?"),
            ("source:\n  fil: { path: a }\n", "p.yaml:2:3: unknown variant `fil`; did you mean `file`?"),
            ("source:\n  file:\n    pth: a\n", "p.yaml:3:5: unknown field `pth`; did you mean `path`?"),
            ("fields:\n  ip: { protct: hmac }\n", "p.yaml:2:9: unknown field `protct`; did you mean `protect`?"),
            ("fields:\n  ip: { protect: hmca }\n", "did you mean `hmac`?"),
            ("fields:\n  ip: { type: strnig }\n", "p.yaml:2:15: unknown variant `strnig`; did you mean `string`?"),
            ("fields:\n  ip: {}\n  ip: {}\n", "p.yaml:3:3: duplicate"),
            ("batch: { records: 0 }\n", "must be at least 1"),
            ("detect:\n", "p.yaml:"),
            ("record: [\n", "p.yaml:"),
        ] {
            let message = error(text);
            assert!(message.contains(expected), "{message}");
            assert!(message.starts_with("p.yaml:"), "{message}");
        }
    }

    #[test]
    fn mistakes_do_not_show_values() {
        for text in ["batch: { records: \"s3cret\" }\n", "retry: { base_ms: s3cret }\n", "source: \"s3cret\"\n"] {
            assert!(!error(text).contains("s3cret"), "{}", error(text));
        }
    }
}
