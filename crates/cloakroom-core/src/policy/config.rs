//! The policy as people write it: the sections `record`, `fields` and the names around them; `detect` has a file of
//! its own.

use std::sync::Arc;

use cloakroom_crypto::eax_scrypt::MasterKey;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::decode::{Format, Limits};
use crate::located::{Located, OrderedMap};
use crate::protect::ProtectSpec;
use crate::tokens::TokenVault;

use super::{DetectConfig, EnvelopeConfig, FieldDetect, IndexSpec, RevealConfig};

/// The policy sections of a pipeline file.
#[derive(Clone, Debug, Default)]
pub struct PolicyConfig {
    /// Whose data it is; part of what ciphertexts are bound to.
    pub tenant: String,
    /// What kind of records; part of what ciphertexts are bound to.
    pub collection: String,
    /// The field that names the person.
    pub subject: Option<Located<String>>,
    /// How records look.
    pub record: RecordConfig,
    /// What happens to each field.
    pub fields: OrderedMap<FieldConfig>,
    /// What happens to sensitive values in fields that are not named.
    pub detect: Option<DetectConfig>,
    /// Who may see what again.
    pub reveal: Option<RevealConfig>,
    /// The form that whole records get at the end.
    pub envelope: Option<EnvelopeConfig<Arc<MasterKey>>>,
    /// Where random tokens are kept, when there is such a place.
    pub tokens: Option<Arc<dyn TokenVault>>,
}

/// How records look before the policy.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RecordConfig {
    /// How the bytes of a record are written.
    pub format: Format,
    /// Fields that every record must have (null counts as there).
    pub require: Vec<Located<String>>,
    /// Fields that `fields:` does not name: keep them (detection still applies), drop them, or reject the record.
    pub unlisted: Unlisted,
    /// Lifts members of nested objects to the top, names joined with this text: `address_city`.
    pub flatten: Option<String>,
    /// The most bytes that one record may have.
    pub max_bytes: usize,
    /// How deep arrays and objects may be nested.
    pub max_depth: usize,
}

impl Default for RecordConfig {
    fn default() -> Self {
        let Limits { max_bytes, max_depth } = Limits::default();
        Self {
            format: Format::Json,
            require: Vec::new(),
            unlisted: Unlisted::Keep,
            flatten: None,
            max_bytes,
            max_depth,
        }
    }
}

/// What happens to fields that the policy does not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unlisted {
    /// They stay; `detect` looks into them.
    #[default]
    Keep,
    /// They are removed.
    Drop,
    /// The record is rejected.
    Reject,
}

/// What happens to one field.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FieldConfig {
    /// The type that its value must have; null is allowed unless the field is required and `nullable: false`.
    #[serde(rename = "type")]
    pub field_type: Option<FieldType>,
    /// The field must be there.
    pub required: bool,
    /// Whether its value may be null (default true).
    pub nullable: Option<bool>,
    /// The most characters that its text may have.
    pub max_length: Option<u32>,
    /// Its name in the protected record.
    #[serde(rename = "as")]
    pub rename: Option<Located<String>>,
    /// A value that is set instead of one that arrives.
    #[serde(deserialize_with = "present")]
    pub set: Option<Located<SetValue>>,
    /// Reads dates in several formats and writes one.
    #[serde(deserialize_with = "present")]
    pub date: Option<Located<DateConfig>>,
    /// What is done to its value.
    #[serde(deserialize_with = "present")]
    pub protect: Option<Located<ProtectSpec>>,
    /// A blind index of its value as it arrived, in a field of its own: what is encrypted can be searched for.
    #[serde(deserialize_with = "present")]
    pub index: Option<Located<IndexSpec>>,
    /// Whether detection looks into it, and what is done to what it finds: `true` (as `detect:` says), `false`, or
    /// actions of its own (default: only where no rule names the field).
    #[serde(deserialize_with = "present")]
    pub detect: Option<Located<FieldDetect>>,
    /// Lifts the members of this object to its parent, names joined with this text.
    pub flatten: Option<String>,
    /// What kind of data it is, for the rules of `reveal:`, which can speak of many fields by one word.
    pub class: Option<String>,
}

/// A key that is there means something, also when its value is YAML's null: `protect: null` is a
/// protection, and an empty `detect:` is a mistake. Without this both would silently mean "nothing".
///
/// # Errors
/// What is wrong with the value.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Types that a policy can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// Text.
    String,
    /// A whole number, of any size.
    Integer,
    /// A number, kept to the last digit.
    Number,
    /// true or false.
    Boolean,
    /// A date: 2024-02-29.
    Date,
    /// A moment in ISO 8601: 2024-02-29T12:00:00Z.
    Timestamp,
    /// An object.
    Object,
    /// An array.
    Array,
}

impl FieldType {
    /// The word in a policy.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Object => "object",
            Self::Array => "array",
        }
    }
}

/// Values that a policy can set.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SetValue {
    /// The day of ingest in UTC: 2024-02-29.
    IngestDate,
    /// The moment of ingest in UTC: 2024-02-29T12:00:00Z.
    IngestTime,
    /// A UUID made from the record's id: the same when the record is delivered again.
    Uuid,
    /// A fixed value.
    #[serde(untagged)]
    Constant {
        /// The value: text, a number, true, false or null.
        constant: serde_json::Value,
    },
}

/// Formats of a date field.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DateConfig {
    /// Formats to try in order: iso8601, date, timestamp, or a strftime pattern such as %d/%m/%Y.
    pub from: Vec<String>,
    /// The format to write (default timestamp: 2024-02-29 12:00:00).
    pub to: Option<String>,
}
