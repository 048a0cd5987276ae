//! `index:`: a blind index beside a protected value, by which equal values are found without being read.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use cloakroom_crypto::PseudonymKey;
use compact_str::CompactString;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::protect::{BuildContext, ProtectError, build_text, key_error, scalar_text};
use crate::value::Value;

/// A blind index: HMAC-SHA-256 of the value under a key of its own, shortened.
#[derive(Clone, Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "IndexOptions")]
pub struct IndexConfig {
    /// The field that holds the index, beside the protected one.
    #[serde(rename = "as")]
    pub name: String,
    /// Its length in bits, 32 to 256. Fewer say less about rare values, and find more than was asked for.
    #[serde(default = "default_bits")]
    #[schemars(range(min = 32, max = 256))]
    pub bits: u16,
    /// What is evened out before hashing, in this order.
    #[serde(default)]
    pub normalize: Vec<Normalize>,
    /// Values have equal indexes within a domain and not across domains (default: the field's path).
    pub domain: Option<String>,
}

fn default_bits() -> u16 {
    128
}

/// What is evened out before a value is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Normalize {
    /// Letters become small, as Unicode says.
    Lowercase,
    /// Space at both ends goes.
    Trim,
    /// All but ASCII digits goes.
    Digits,
}

impl Normalize {
    fn apply(self, text: &str) -> String {
        match self {
            Self::Lowercase => text.to_lowercase(),
            Self::Trim => text.trim().to_owned(),
            Self::Digits => text.chars().filter(char::is_ascii_digit).collect(),
        }
    }
}

impl IndexConfig {
    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), bits: default_bits(), normalize: Vec::new(), domain: None }
    }

    /// Characters of every index.
    pub(super) fn length(&self) -> u32 {
        (u32::from(self.bits).div_ceil(8) * 4).div_ceil(3)
    }
}

impl<'de> Deserialize<'de> for IndexSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IndexVisitor;
        impl<'de> Visitor<'de> for IndexVisitor {
            type Value = IndexSpec;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the name of the index's field, or a mapping with `as`")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<IndexSpec, E> {
                Ok(IndexSpec(IndexConfig::named(name)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<IndexSpec, A::Error> {
                IndexConfig::deserialize(MapAccessDeserializer::new(map)).map(IndexSpec)
            }
        }
        deserializer.deserialize_any(IndexVisitor)
    }
}

/// `index:` as people write it: a name, or options.
#[derive(Clone, Debug)]
pub struct IndexSpec(pub IndexConfig);

impl JsonSchema for IndexSpec {
    fn schema_name() -> Cow<'static, str> {
        "Index".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let options = generator.subschema_for::<IndexConfig>();
        json_schema!({
            "description": "A blind index: the name of its field, or options.",
            "anyOf": [{ "type": "string", "minLength": 1 }, options]
        })
    }
}

/// A blind index, ready to run.
pub(crate) struct BlindIndex {
    pub(crate) name: CompactString,
    bits: u16,
    normalize: Vec<Normalize>,
    key: Arc<PseudonymKey>,
}

impl BlindIndex {
    pub(super) fn compile(config: &IndexConfig, path: &str, context: &BuildContext<'_>) -> Result<Self, String> {
        let IndexConfig { name, bits, normalize, domain } = config;
        if name.is_empty() {
            return Err("`as` must not be empty".to_owned());
        }
        if !(32..=256).contains(bits) {
            return Err("`bits` is 32 to 256".to_owned());
        }
        let key = context.keys()?.index_key(domain.as_deref().unwrap_or(path)).map_err(|error| error.to_string())?;
        Ok(Self { name: CompactString::new(name), bits: *bits, normalize: normalize.clone(), key })
    }

    /// The index of a value. Null, and what nothing is left of, have none: they would all be equal.
    pub(crate) fn of(&self, value: &Value) -> Result<Value, ProtectError> {
        let Some(mut text) = scalar_text(value)? else { return Ok(Value::Null) };
        for step in &self.normalize {
            text = step.apply(&text).into();
        }
        if text.is_empty() {
            return Ok(Value::Null);
        }
        let index = build_text(|out| self.key.index(text.as_bytes(), self.bits, out).map_err(key_error))?;
        Ok(Value::String(index))
    }
}
