//! Protections: what can be done to a sensitive value.
//!
//! A protection is one file here and one line in [`PROTECTIONS`]. It is built once, when the policy is
//! compiled, with its options checked and its keys at hand; then it is a pure function of the value and
//! its context. An error rejects the whole record.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use cloakroom_crypto::CryptoError;
use compact_str::{CompactString, ToCompactString};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use crate::error::{RecordErrorKind, did_you_mean};
use crate::keys::{KeyProvider, SubjectKey};
use crate::tokens::TokenVault;
use crate::value::Value;

mod bcrypt;
mod block;
mod bucket;
mod date_shift;
mod drop;
mod encrypt;
mod hash;
mod hmac;
mod mask;
mod null;
mod on_protected;
mod redact;
mod spec;
mod token;

pub(crate) use encrypt::open_envelope;
pub(crate) use mask::for_display;
use on_protected::OnProtected;
pub(crate) use on_protected::is_protected;
pub use spec::ProtectSpec;

/// What becomes of a protected value.
pub enum Applied {
    /// This stands in its place.
    Value(Value),
    /// The field disappears.
    Drop,
}

/// Why a value cannot be protected. The cloak adds the field's path.
pub struct ProtectError {
    /// The reason.
    pub kind: RecordErrorKind,
    /// More about it; never the value.
    pub detail: Cow<'static, str>,
}

impl ProtectError {
    /// A value that this protection cannot work on.
    fn cannot(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: RecordErrorKind::Protection, detail: detail.into() }
    }
}

/// A key that refuses, or is not there.
pub(crate) fn key_error(error: CryptoError) -> ProtectError {
    ProtectError { kind: RecordErrorKind::Key, detail: error.to_string().into() }
}

/// Where a value stands and whose it is.
#[derive(Clone, Copy)]
pub struct FieldContext<'a> {
    /// The tenant of the policy.
    pub tenant: &'a str,
    /// The collection of the policy: what kind of records these are.
    pub collection: &'a str,
    /// The person whose record it is; empty when the policy names no subject.
    pub subject: &'a str,
    /// The field's path in the protected record.
    pub path: &'a str,
    /// What a detector found, when the value is a span of a text.
    pub entity: Option<&'a str>,
    /// The subject's data key, once it was asked for; `None` outside of a record.
    pub subject_key: Option<&'a SubjectKey<'a>>,
}

/// One way to protect a value.
pub trait Protection: Send + Sync {
    /// Protects one value.
    ///
    /// # Errors
    /// When the value is not of a kind that this protection can work on, or its key is not available.
    fn protect(&self, value: Value, context: &FieldContext<'_>) -> Result<Applied, ProtectError>;

    /// Gives back what [`Protection::protect`] was given; `None` where that cannot be, or the value is none of its own.
    ///
    /// # Errors
    /// When the key is gone, or the value was changed or belongs elsewhere.
    fn reveal(&self, value: &Value, context: &FieldContext<'_>) -> Result<Option<Value>, CryptoError> {
        let _ = (value, context);
        Ok(None)
    }

    /// True when [`Protection::reveal`] gives values back that do not look like envelopes.
    fn has_tokens(&self) -> bool {
        false
    }

    /// The length in characters of every result, where it does not depend on the value: a column that
    /// is too short for it is found before the first record.
    fn fixed_length(&self) -> Option<u32> {
        None
    }

    /// The protection as one that takes long for a value and less for each of many.
    fn slow(&self) -> Option<&dyn SlowHash> {
        None
    }

    /// True when every result is a text, whatever the value was.
    fn gives_text(&self) -> bool {
        false
    }

    /// Whether a value is the result of this protection already, where its form alone does not say it.
    ///
    /// # Errors
    /// When what would tell cannot be asked.
    fn is_token(&self, _value: &Value) -> Result<bool, ProtectError> {
        Ok(false)
    }
}

/// A protection that takes long for one value, and less for each when many are done at once.
pub trait SlowHash: Send + Sync {
    /// The text that is to be hashed; `None` for a value that stays as it is.
    ///
    /// # Errors
    /// When the value is not of a kind that this protection can work on.
    fn prepare<'v>(&self, value: &'v Value) -> Result<Option<Cow<'v, str>>, ProtectError>;

    /// What stands in the place of each text, in order.
    fn hash_all(&self, texts: &[&str]) -> Vec<Result<CompactString, ProtectError>>;
}

/// What a protection may ask for while it is built.
pub struct BuildContext<'a> {
    /// The keys, when there are any.
    pub keys: Option<&'a Arc<dyn KeyProvider>>,
    /// Where random tokens are kept, when there is such a place.
    pub tokens: Option<&'a Arc<dyn TokenVault>>,
    /// True when the policy says which field names the person.
    pub has_subject: bool,
    seals_for_subjects: Cell<bool>,
}

impl<'a> BuildContext<'a> {
    /// What a policy has to offer.
    pub(crate) fn new(
        keys: Option<&'a Arc<dyn KeyProvider>>,
        tokens: Option<&'a Arc<dyn TokenVault>>,
        has_subject: bool,
    ) -> Self {
        Self { keys, tokens, has_subject, seals_for_subjects: Cell::new(false) }
    }

    /// The keys, for values that are sealed with those of single subjects: where there are subjects, their keys are looked for many
    /// records at a time.
    fn subject_keys(&self) -> Result<Arc<dyn KeyProvider>, String> {
        self.seals_for_subjects.set(self.has_subject);
        self.keys()
    }

    /// True when a protection was built that seals with the keys of subjects.
    pub(crate) fn seals_for_subjects(&self) -> bool {
        self.seals_for_subjects.get()
    }

    pub(crate) fn keys(&self) -> Result<Arc<dyn KeyProvider>, String> {
        self.keys.cloned().ok_or_else(|| {
            "needs a key and there is none; make one with `cloakroom keys init`, or set CLOAKROOM_KEY".to_owned()
        })
    }
}

/// Checks a protection's options and builds it.
pub type Build = fn(serde_json::Value, &BuildContext<'_>) -> Result<Box<dyn Protection>, String>;

/// One line of the registry.
pub struct Entry {
    /// The word in a policy.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub doc: &'static str,
    /// The option that a single word after the name sets: `hash: md5` is `hash: { algorithm: md5 }`.
    pub main_option: Option<&'static str>,
    /// An example for documentation and tests: YAML of the `protect:` value.
    pub example: &'static str,
    /// Checks the options and builds the protection.
    pub build: Build,
    /// JSON Schema of the options.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

/// Every protection there is.
pub const PROTECTIONS: &[Entry] = &[
    bcrypt::ENTRY,
    block::ENTRY,
    bucket::ENTRY,
    date_shift::ENTRY,
    drop::ENTRY,
    encrypt::ENTRY,
    hash::ENTRY,
    hmac::ENTRY,
    mask::ENTRY,
    null::ENTRY,
    redact::ENTRY,
    token::ENTRY,
];

/// Reads a protection's options into their type; serde's text names the option and what it may be.
fn options<T: DeserializeOwned>(options: serde_json::Value) -> Result<T, String> {
    serde_json::from_value(options).map_err(|error| {
        let text = error.to_string();
        // serde: "unknown field `frist`, expected one of `first`, `last`": offer the nearest.
        let mut words = text.split('`').skip(1).step_by(2);
        let hint = if text.starts_with("unknown ") {
            words.next().map_or_else(String::new, |wrong| did_you_mean(wrong, words))
        } else {
            String::new()
        };
        format!("{text}{hint}")
    })
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The options of a protection that has none.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

/// The text of a scalar: what keyed hashes and masks work on. `None` for null, which stays null: the
/// absence of a value is not hidden.
pub(crate) fn scalar_text(value: &Value) -> Result<Option<Cow<'_, str>>, ProtectError> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(true) => Ok(Some("true".into())),
        Value::Bool(false) => Ok(Some("false".into())),
        Value::Number(number) => Ok(Some(number.as_str().into())),
        Value::String(text) => Ok(Some(text.as_str().into())),
        Value::Array(_) | Value::Object(_) => Err(ProtectError::cannot(
            "this protection works on single values; name the members, or use `encrypt`, `redact` or `drop`",
        )),
    }
}

/// Applies a text-to-text function to a scalar; null stays null.
fn map_text<T: ToCompactString>(
    value: Value,
    change: impl FnOnce(&str) -> Result<T, ProtectError>,
) -> Result<Applied, ProtectError> {
    match scalar_text(&value)? {
        None => Ok(Applied::Value(Value::Null)),
        Some(text) => Ok(Applied::Value(Value::String(change(&text)?.to_compact_string()))),
    }
}

thread_local! {
    /// Text is built here first, so that a protection allocates only its result.
    static SCRATCH: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

/// Builds a text in a buffer that is used again and again.
pub(crate) fn build_text<E>(write: impl FnOnce(&mut String) -> Result<(), E>) -> Result<CompactString, E> {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        write(scratch)?;
        Ok(CompactString::new(&*scratch))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::encode::to_json_string;

    pub(crate) const CONTEXT: FieldContext<'_> = FieldContext {
        tenant: "t",
        collection: "c",
        subject: "person-1",
        path: "field",
        entity: None,
        subject_key: None,
    };

    /// Builds a protection from YAML and applies it to a JSON value; errors come back as their text.
    pub(crate) fn apply(yaml: &str, json: &str) -> Result<String, String> {
        apply_in(&CONTEXT, yaml, json)
    }

    pub(crate) fn apply_in(context: &FieldContext<'_>, yaml: &str, json: &str) -> Result<String, String> {
        let ring = cloakroom_crypto::keyring_from_env_value(&"0123456789abcdef".repeat(4)).unwrap();
        let keys: Arc<dyn KeyProvider> = Arc::new(crate::keys::LocalKeys::new(Arc::new(ring)).unwrap());
        let spec: ProtectSpec = serde_saphyr::from_str(yaml).map_err(|e| e.without_snippet().to_string())?;
        let built = spec.build(&BuildContext::new(Some(&keys), None, true))?;
        let wrapped = crate::decode::parse_json_object(format!("{{\"v\":{json}}}").as_bytes(), 9).unwrap();
        match built.protect(wrapped.get("v").unwrap().clone(), context) {
            Ok(Applied::Value(value)) => Ok(to_json_string(&value)),
            Ok(Applied::Drop) => Ok("dropped".to_owned()),
            Err(error) => Err(format!("{}: {}", error.kind, error.detail)),
        }
    }

    #[test]
    fn every_entry_has_a_unique_name_a_doc_and_an_example_that_builds() {
        for (index, entry) in PROTECTIONS.iter().enumerate() {
            assert!(
                PROTECTIONS[..index].iter().all(|earlier| earlier.name < entry.name),
                "sorted and unique: {}",
                entry.name
            );
            assert!(entry.doc.len() > 20, "{}", entry.name);
            assert!(entry.example.contains(entry.name));
            let result = apply(entry.example, "\"2024-02-29\"");
            assert!(
                result.is_ok() || entry.name == "block" || entry.example.contains("ip"),
                "{}: {result:?}",
                entry.name
            );
        }
    }

    #[test]
    fn null_stays_null_and_containers_are_refused() {
        for protection in ["hmac", "mask: { last: 4 }", "hash: md5\nallow_reversible: true", "redact"] {
            assert_eq!(apply(protection, "null").as_deref(), Ok("null"), "{protection}");
        }
        for protection in ["hmac", "mask: { last: 4 }", "bucket: 10"] {
            assert!(apply(protection, "{\"a\":1}").unwrap_err().starts_with("protection failed"), "{protection}");
        }
    }

    #[test]
    fn a_wrong_word_gets_the_nearest_valid_one() {
        assert!(apply("hmca", "1").unwrap_err().contains("`hmac`"));
        assert!(apply("mask: { frist: 1 }", "1").unwrap_err().contains("did you mean `first`"));
        assert!(apply("hash: md55\nallow_reversible: true", "1").unwrap_err().contains("md5"));
        assert!(apply("{}", "1").is_err());
        assert!(apply("mask: 7\nhmac: {}", "1").is_err());
    }
}
