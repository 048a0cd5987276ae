//! `encrypt`: AES-256 in the `ck1` envelope. Bound to tenant, collection, path, subject and value
//! type, so that a ciphertext moved to another field, record or person does not open.
//!
//! `mode: deterministic` leaves the subject out, so that equal values of a field give equal envelopes whoever they
//! belong to; all else stays bound.

use std::sync::Arc;

use cloakroom_crypto::envelope::{
    AdditionalData, Algorithm, Padding, Place, SealingKey, ValueType, open_any_type, parse, seal_padded,
};
use cloakroom_crypto::{CryptoError, DeterministicKey};
use compact_str::CompactString;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Applied, BuildContext, Entry, FieldContext, OnProtected, ProtectError, Protection, build_text, key_error, options,
    schema_of,
};
use crate::decode::parse_json_within;
use crate::encode::write_json;
use crate::keys::KeyProvider;
use crate::value::{Number, Value};

pub(super) const ENTRY: Entry = Entry {
    name: "encrypt",
    doc: "AES-256-GCM in the ck1 envelope; whoever may reveal it gets the original back, with its type. `deterministic` \
          gives equal values of a field equal envelopes.",
    main_option: Some("mode"),
    example: "encrypt: { mode: deterministic, pad: 32 }",
    build,
    schema: schema_of::<Options>,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Whether equal values look equal.
    #[serde(default)]
    mode: Mode,
    /// The cipher of `mode: random` (default: aes-256-gcm). `mode: deterministic` has AES-256-SIV and no choice.
    algorithm: Option<Cipher>,
    /// Hides the length: values are padded to a multiple of so many bytes, 16, 32 or 64.
    #[schemars(extend("enum" = [16, 32, 64, null]))]
    pad: Option<u8>,
    /// For `mode: deterministic`: which key it is (default: `default`).
    domain: Option<String>,
    /// What is done to a value that is a ck1 envelope or token already.
    #[serde(default)]
    on_protected: OnProtected,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// Every envelope is another one.
    #[default]
    Random,
    /// Equal values of a field give equal envelopes: they can be joined and searched for, and counted.
    Deterministic,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
enum Cipher {
    /// NIST SP 800-38D. At most 2^32 values for one root key.
    #[serde(rename = "aes-256-gcm")]
    AesGcm,
    /// RFC 8452: a nonce that comes twice does no more than show that two values are equal.
    #[serde(rename = "aes-256-gcm-siv")]
    AesGcmSiv,
}

fn build(given: serde_json::Value, context: &BuildContext<'_>) -> Result<Box<dyn Protection>, String> {
    let Options { mode, algorithm, pad, domain, on_protected } = options(given)?;
    let padding = match pad {
        None => Padding::None,
        Some(16) => Padding::To16,
        Some(32) => Padding::To32,
        Some(64) => Padding::To64,
        Some(_) => return Err("`pad` is 16, 32 or 64".to_owned()),
    };
    let keys = context.keys()?;
    let opening = Opening { keys: Arc::clone(&keys), domain: domain.clone().unwrap_or_else(default_domain) };
    let cipher = match mode {
        Mode::Deterministic if algorithm.is_some() => {
            return Err("`mode: deterministic` is always AES-256-SIV: leave `algorithm` out".to_owned());
        }
        Mode::Deterministic => {
            let key = keys.deterministic_key(&opening.domain);
            Keys::Deterministic(key.map_err(|error| error.to_string())?)
        }
        Mode::Random if domain.is_some() => {
            return Err("`domain` belongs to `mode: deterministic`".to_owned());
        }
        Mode::Random => Keys::Random { keys: context.subject_keys()?, siv: algorithm == Some(Cipher::AesGcmSiv) },
    };
    Ok(Box::new(Encrypt { keys: cipher, padding, on_protected, opening }))
}

fn default_domain() -> String {
    "default".to_owned()
}

enum Keys {
    Random { keys: Arc<dyn KeyProvider>, siv: bool },
    Deterministic(Arc<DeterministicKey>),
}

struct Encrypt {
    keys: Keys,
    padding: Padding,
    on_protected: OnProtected,
    opening: Opening,
}

/// What opens envelopes of a field, those included that were sealed in another mode.
struct Opening {
    keys: Arc<dyn KeyProvider>,
    domain: String,
}

/// Opens an envelope where it stands; `None` for anything else. `domain` names the key of deterministic ones.
///
/// # Errors
/// When the key is gone, or the envelope was changed or belongs elsewhere.
pub(crate) fn open_envelope(
    keys: &dyn KeyProvider,
    domain: &str,
    text: &str,
    context: &FieldContext<'_>,
) -> Result<Option<Value>, CryptoError> {
    let Ok(envelope) = parse(text) else { return Ok(None) };
    let FieldContext { tenant, collection, path, subject, .. } = *context;
    let mut place = Place { tenant, collection, path, subject };
    let (value_type, plain) = match envelope.alg {
        Algorithm::Token => return Ok(None),
        Algorithm::AesSiv => {
            place.subject = "";
            let key = keys.ring().deterministic_key_for(&envelope.kid, domain)?;
            open_any_type(&key, &place, text)?
        }
        Algorithm::AesGcm | Algorithm::AesGcmSiv => {
            let key = keys.opening_key(tenant, subject, &envelope.kid)?;
            open_any_type(&*key, &place, text)?
        }
    };
    // The tag says that this program wrote it: what does not read is a mistake of its own.
    let text = std::str::from_utf8(&plain).map_err(|_| CryptoError::Internal)?;
    let value = match value_type {
        ValueType::String => Value::string(text),
        ValueType::Number => Value::Number(Number::parse(text).ok_or(CryptoError::Internal)?),
        ValueType::Null => Value::Null,
        ValueType::Boolean => Value::Bool(text == "true"),
        ValueType::Array | ValueType::Object => parse_json_within(text, MAX_DEPTH).ok_or(CryptoError::Internal)?,
    };
    Ok(Some(value))
}

/// How deep a sealed array or object may be nested: deeper than any record may.
const MAX_DEPTH: usize = 1_000;

impl Protection for Encrypt {
    fn protect(&self, value: Value, context: &FieldContext<'_>) -> Result<Applied, ProtectError> {
        if self.on_protected.passes(&value)? {
            return Ok(Applied::Value(value));
        }
        let mut json = Vec::new();
        // A string is encrypted as its text, anything else as JSON; the type in the additional data
        // brings 7, "7" and null back as what they were.
        let (value_type, plaintext): (ValueType, &[u8]) = match &value {
            Value::String(text) => (ValueType::String, text.as_bytes()),
            Value::Number(number) => (ValueType::Number, number.as_str().as_bytes()),
            Value::Null => (ValueType::Null, b"null"),
            other => {
                write_json(other, &mut json);
                let value_type = match other {
                    Value::Array(_) => ValueType::Array,
                    Value::Object(_) => ValueType::Object,
                    _ => ValueType::Boolean,
                };
                (value_type, &json)
            }
        };
        let mut data = AdditionalData {
            tenant: context.tenant,
            collection: context.collection,
            path: context.path,
            subject: context.subject,
            value_type,
        };
        let (random, alone);
        let key = match &self.keys {
            Keys::Random { keys, siv } => {
                let ask = || keys.data_key(context.tenant, context.subject);
                random = match context.subject_key {
                    Some(kept) => kept.get(ask),
                    None => {
                        alone = ask().map_err(key_error)?;
                        Ok(&*alone)
                    }
                }
                .map_err(key_error)?;
                if *siv { SealingKey::AesGcmSiv(random) } else { SealingKey::AesGcm(random) }
            }
            Keys::Deterministic(key) => {
                data.subject = "";
                SealingKey::AesSiv(key)
            }
        };
        let envelope: CompactString =
            build_text(|out| seal_padded(key, &data, plaintext, self.padding, out).map_err(key_error))?;
        Ok(Applied::Value(Value::String(envelope)))
    }

    fn reveal(&self, value: &Value, context: &FieldContext<'_>) -> Result<Option<Value>, CryptoError> {
        let Value::String(text) = value else { return Ok(None) };
        open_envelope(&*self.opening.keys, &self.opening.domain, text, context)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{CONTEXT, apply, apply_in};
    use super::*;
    use crate::keys::VALUE_PURPOSE;
    use cloakroom_crypto::envelope::{OpeningKey, Place, open_any_type};
    use cloakroom_crypto::{CryptoError, KeyRing, keyring_from_env_value};

    fn ring() -> KeyRing {
        keyring_from_env_value(&"0123456789abcdef".repeat(4)).unwrap()
    }

    /// Ways to encrypt, with the letter of the envelope.
    const WAYS: [(&str, char); 6] = [
        ("encrypt", 'a'),
        ("encrypt: { mode: random, algorithm: aes-256-gcm, pad: 16 }", 'a'),
        ("encrypt: { algorithm: aes-256-gcm-siv }", 's'),
        ("encrypt: { algorithm: aes-256-gcm-siv, pad: 64 }", 's'),
        ("encrypt: deterministic", 'd'),
        ("encrypt: { mode: deterministic, pad: 32 }", 'd'),
    ];

    #[test]
    fn every_type_comes_back_and_only_in_its_place() {
        let ring = ring();
        let (data, default) = (ring.data_key(VALUE_PURPOSE).unwrap(), ring.deterministic_key("default").unwrap());
        for (yaml, letter) in WAYS {
            let key: OpeningKey<'_> = if letter == 'd' { (&default).into() } else { (&data).into() };
            let subject = if letter == 'd' { "" } else { CONTEXT.subject };
            for (json, value_type, plain) in [
                ("\"4111\"", ValueType::String, "4111"),
                ("\"7\"", ValueType::String, "7"),
                ("7", ValueType::Number, "7"),
                ("0.10", ValueType::Number, "0.10"),
                ("null", ValueType::Null, "null"),
                ("\"null\"", ValueType::String, "null"),
                ("\"\"", ValueType::String, ""),
                ("true", ValueType::Boolean, "true"),
                ("{\"a\":[1]}", ValueType::Object, "{\"a\":[1]}"),
                ("[\"x\"]", ValueType::Array, "[\"x\"]"),
            ] {
                let sealed = apply(yaml, json).unwrap();
                let sealed = sealed.trim_matches('"');
                assert!(sealed.starts_with(&format!("ck1.{letter}.")), "{yaml}");
                let place = |path| Place { tenant: CONTEXT.tenant, collection: CONTEXT.collection, path, subject };
                let open = |path| open_any_type(key, &place(path), sealed);
                let (found, opened) = open("field").unwrap();
                assert_eq!((found, opened.as_slice()), (value_type, plain.as_bytes()), "{yaml}");
                assert_eq!(open("other").unwrap_err(), CryptoError::Authentication, "{yaml}");
                let again = apply(yaml, json).unwrap();
                assert_eq!(again.trim_matches('"') == sealed, letter == 'd', "{yaml}");
            }
        }
    }

    #[test]
    fn deterministic_envelopes_join_people_and_nothing_else() {
        let of = |context: &FieldContext<'_>, yaml: &str, json: &str| apply_in(context, yaml, json).unwrap();
        let one = of(&CONTEXT, "encrypt: deterministic", "7");
        let other = |context: FieldContext<'_>| of(&context, "encrypt: deterministic", "7");
        assert_eq!(other(FieldContext { subject: "person-2", ..CONTEXT }), one);
        assert_ne!(other(FieldContext { path: "field2", ..CONTEXT }), one);
        assert_ne!(other(FieldContext { collection: "c2", ..CONTEXT }), one);
        assert_ne!(other(FieldContext { tenant: "t2", ..CONTEXT }), one);
        assert_ne!(of(&CONTEXT, "encrypt: deterministic", "\"7\""), one, "another type");
        assert_ne!(of(&CONTEXT, "encrypt: { mode: deterministic, domain: d }", "7"), one);
        assert_ne!(of(&CONTEXT, "encrypt: { mode: deterministic, pad: 16 }", "7"), one);
    }

    #[test]
    fn padding_hides_the_length() {
        let len = |yaml: &str, digits: usize| apply(yaml, &format!("\"{}\"", "7".repeat(digits))).unwrap().len();
        assert_ne!(len("encrypt", 3), len("encrypt", 4));
        assert_eq!(len("encrypt: { pad: 16 }", 3), len("encrypt: { pad: 16 }", 15));
        assert_ne!(len("encrypt: { pad: 16 }", 15), len("encrypt: { pad: 16 }", 16));
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        for (yaml, expected) in [
            ("encrypt: { mode: deterministic, algorithm: aes-256-gcm }", "leave `algorithm` out"),
            ("encrypt: { domain: d }", "belongs to `mode: deterministic`"),
            ("encrypt: { mode: deterministic, domain: '' }", "domain"),
            ("encrypt: { pad: 8 }", "16, 32 or 64"),
            ("encrypt: determinstic", "deterministic"),
            ("encrypt: { algorithm: aes-128-gcm }", "aes-256-gcm"),
        ] {
            let error = apply(yaml, "1").unwrap_err();
            assert!(error.contains(expected), "{yaml}: {error}");
        }
    }
}
