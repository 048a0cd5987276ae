//! Random tokens: drawn, not computed, so nothing but the vault leads back to the value.
//!
//! A value is found in the vault by the first 16 bytes of HMAC-SHA-256(key `ck1/vault/<domain>`, name of the format,
//! name of the value's type, text), each with its length in 64 bits. So a domain is one vault for each format, and `7` and
//! `"7"` are two values.

use std::sync::Arc;

use cloakroom_crypto::envelope::ValueType;
use cloakroom_crypto::ff1::MAX_DIGITS;
use cloakroom_crypto::random::{self, BASE32_LEN, UUID_LEN};
use cloakroom_crypto::{CryptoError, PseudonymKey};
use compact_str::CompactString;

use super::super::{Applied, BuildContext, FieldContext, OnProtected, ProtectError, Protection, build_text};
use super::SEPARATORS;
use crate::detect::luhn;
use crate::error::RecordErrorKind;
use crate::tokens::{Draw, Lookup, Original, TokenVault, VaultError};
use crate::value::{Number, Value};

/// What stands before the random characters of `token: random`.
const PREFIX: &str = "tok_";
/// Digits of the shortest number: of seven, nine tenths have a wrong check digit, which is still more than a million.
const MIN_DIGITS: usize = 7;

/// What random tokens look like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Uuid,
    Digits,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "random",
            Self::Uuid => "uuid",
            Self::Digits => "random-digits",
        }
    }

    /// Whether a text may be such a token. Of digits the form says nothing.
    fn may_be(self, text: &str) -> bool {
        match self {
            Self::Text => text.strip_prefix(PREFIX).is_some_and(random::is_base32),
            Self::Uuid => random::is_uuid(text),
            Self::Digits => false,
        }
    }
}

pub(super) fn build(
    shape: Shape,
    domain: String,
    on_protected: OnProtected,
    context: &BuildContext<'_>,
) -> Result<Box<dyn Protection>, String> {
    let key = context.keys()?.ring().vault_key(&domain).map_err(|error| error.to_string())?;
    let vault = context.tokens.cloned().ok_or_else(|| {
        "random tokens are kept in a vault, and with a key from the environment it has no place of its own: give it one \
         with `keys: { tokens: tokens.db }`"
            .to_owned()
    })?;
    Ok(Box::new(Vaulted { shape, key, domain, vault, on_protected }))
}

struct Vaulted {
    shape: Shape,
    key: PseudonymKey,
    domain: String,
    vault: Arc<dyn TokenVault>,
    on_protected: OnProtected,
}

impl Protection for Vaulted {
    fn protect(&self, value: Value, context: &FieldContext<'_>) -> Result<Applied, ProtectError> {
        if self.on_protected.passes(&value)? {
            return Ok(Applied::Value(value));
        }
        if self.is_token(&value)? {
            return match self.on_protected {
                OnProtected::Keep => Ok(Applied::Value(value)),
                OnProtected::Reject => Err(ProtectError::cannot(
                    "it is a token of this domain already and is not protected twice; take the field out of the policy, \
                     or let tokens pass with `on_protected: keep`",
                )),
            };
        }
        let (value_type, text) = match &value {
            Value::Null => return Ok(Applied::Value(Value::Null)),
            Value::String(text) => (ValueType::String, text.as_str()),
            Value::Number(number) => (ValueType::Number, number.as_str()),
            Value::Bool(true) => (ValueType::Boolean, "true"),
            Value::Bool(false) => (ValueType::Boolean, "false"),
            Value::Array(_) | Value::Object(_) => {
                return Err(ProtectError::cannot(
                    "tokens stand for single values; name the members, or use `encrypt`, `redact` or `drop`",
                ));
            }
        };
        if self.shape != Shape::Digits {
            return self.token(value_type, text, context).map(|token| Applied::Value(Value::String(token)));
        }
        check_digits(value_type, text)?;
        let token = self.token(value_type, text, context)?;
        let result = match value_type {
            ValueType::Number => Number::parse(&token).map(Value::Number),
            _ => Some(Value::String(token)),
        };
        result.map(Applied::Value).ok_or_else(|| ProtectError::cannot("not a number any more"))
    }

    fn fixed_length(&self) -> Option<u32> {
        let length = match self.shape {
            _ if self.on_protected == OnProtected::Keep => return None,
            Shape::Text => PREFIX.len() + BASE32_LEN,
            Shape::Uuid => UUID_LEN,
            Shape::Digits => return None,
        };
        u32::try_from(length).ok()
    }

    fn gives_text(&self) -> bool {
        self.shape != Shape::Digits
    }

    fn reveal(&self, value: &Value, _: &FieldContext<'_>) -> Result<Option<Value>, CryptoError> {
        let token = match value {
            Value::String(text) if self.shape == Shape::Digits || self.shape.may_be(text) => text.as_str(),
            Value::Number(number) if self.shape == Shape::Digits => number.as_str(),
            _ => return Ok(None),
        };
        self.vault.original(&self.domain, token).map_err(|error| match error {
            VaultError::Crypto(error) => error,
            VaultError::Failed | VaultError::Full => CryptoError::KeyTable,
        })
    }

    fn has_tokens(&self) -> bool {
        true
    }

    fn is_token(&self, value: &Value) -> Result<bool, ProtectError> {
        match value.as_str() {
            Some(text) if self.shape.may_be(text) => self.vault.is_token(&self.domain, text).map_err(vault_error),
            _ => Ok(false),
        }
    }
}

impl Vaulted {
    fn token(
        &self,
        value_type: ValueType,
        text: &str,
        context: &FieldContext<'_>,
    ) -> Result<CompactString, ProtectError> {
        let parts = [self.shape.name(), value_type.name(), text].map(str::as_bytes);
        let mut lookup: Lookup = [0; 16];
        lookup.copy_from_slice(&self.key.tag_parts(&parts)[..16]);
        let original = Original {
            domain: &self.domain,
            lookup: &lookup,
            value_type,
            text,
            tenant: context.tenant,
            subject: context.subject,
        };
        let draw = || match self.shape {
            Shape::Text => build_text(|out| {
                out.push_str(PREFIX);
                random::push_base32(out)
            }),
            Shape::Uuid => build_text(random::push_uuid),
            Shape::Digits => other_digits(text, value_type),
        };
        self.vault.token(&original, &Draw { one: &draw, few: self.shape == Shape::Digits }).map_err(vault_error)
    }
}

fn vault_error(error: VaultError) -> ProtectError {
    let kind = if error == VaultError::Full { RecordErrorKind::Protection } else { RecordErrorKind::Key };
    ProtectError { kind, detail: error.to_string().into() }
}

fn check_digits(value_type: ValueType, text: &str) -> Result<(), ProtectError> {
    let is_number = value_type == ValueType::Number;
    let others = |byte: u8| !byte.is_ascii_digit() && (is_number || !SEPARATORS.contains(&byte));
    if value_type == ValueType::Boolean || text.bytes().any(others) {
        return Err(ProtectError::cannot(
            "`token: random-digits` takes digits with spaces and `- . / ( ) + _` between them, or a JSON number without \
             sign, fraction or exponent",
        ));
    }
    let count = text.bytes().filter(u8::is_ascii_digit).count();
    // A JSON number does not begin with a zero, nor does its token: a tenth fewer.
    if !(MIN_DIGITS + usize::from(is_number)..=MAX_DIGITS).contains(&count) {
        return Err(ProtectError::cannot(
            "`token: random-digits` takes 7 to 36 digits, of a JSON number at least 8: fewer make less than a million \
             tokens; take `token: random`",
        ));
    }
    Ok(())
}

/// Random digits in the place of a text's: other ones, with a wrong Luhn check digit, of a JSON number not beginning with a
/// zero.
fn other_digits(text: &str, value_type: ValueType) -> Result<CompactString, CryptoError> {
    let mut drawn = [0; MAX_DIGITS];
    let count = text.bytes().filter(u8::is_ascii_digit).count().min(MAX_DIGITS);
    let drawn = &mut drawn[..count];
    let same = |drawn: &[u8]| text.bytes().filter(u8::is_ascii_digit).eq(drawn.iter().map(|digit| digit + b'0'));
    loop {
        random::digits(drawn)?;
        let begins = value_type != ValueType::Number || drawn.first() != Some(&0);
        if begins && !luhn(drawn) && !same(drawn) {
            break;
        }
    }
    let mut drawn = drawn.iter().map(|digit| char::from(digit + b'0'));
    Ok(text.chars().map(|c| if c.is_ascii_digit() { drawn.next().unwrap_or(c) } else { c }).collect())
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::CONTEXT;
    use super::super::super::{BuildContext, ProtectSpec};
    use super::*;
    use crate::encode::to_json_string;
    use crate::keys::{KeyProvider, LocalKeys, PersistError};
    use crate::tokens::TokenBatch;
    use std::collections::HashMap;
    use std::sync::Mutex;

    /// A vault in memory. The real one is tested where it is.
    #[derive(Debug, Default)]
    struct Memory(Mutex<HashMap<Lookup, (String, CompactString)>>);

    impl TokenVault for Memory {
        fn token(&self, original: &Original<'_>, draw: &Draw<'_>) -> Result<CompactString, VaultError> {
            let mut known = self.0.lock().unwrap();
            let new = || ("".to_owned(), CompactString::default());
            let (domain, token) = known.entry(*original.lookup).or_insert_with(new);
            if token.is_empty() {
                (*domain, *token) = (original.domain.to_owned(), (draw.one)()?);
            }
            Ok(token.clone())
        }

        fn is_token(&self, domain: &str, token: &str) -> Result<bool, VaultError> {
            Ok(self.0.lock().unwrap().values().any(|(of, known)| of == domain && known == token))
        }

        fn original(&self, _: &str, _: &str) -> Result<Option<Value>, VaultError> {
            Ok(None)
        }

        fn begin(&self) -> TokenBatch {
            TokenBatch::default()
        }

        fn persist(&self, _: TokenBatch) -> Result<(), PersistError> {
            Ok(())
        }
    }

    struct Room {
        keys: Arc<dyn KeyProvider>,
        vault: Arc<dyn TokenVault>,
    }

    impl Room {
        fn new() -> Self {
            let ring = cloakroom_crypto::keyring_from_env_value(&"0123456789abcdef".repeat(4)).unwrap();
            Self { keys: Arc::new(LocalKeys::new(Arc::new(ring)).unwrap()), vault: Arc::new(Memory::default()) }
        }

        fn built(&self, yaml: &str) -> Result<Box<dyn Protection>, String> {
            let spec: ProtectSpec = serde_saphyr::from_str(yaml).map_err(|e| e.without_snippet().to_string())?;
            spec.build(&BuildContext::new(Some(&self.keys), Some(&self.vault), true))
        }

        fn apply(&self, yaml: &str, json: &str) -> Result<String, String> {
            let wrapped = crate::decode::parse_json_object(format!("{{\"v\":{json}}}").as_bytes(), 9).unwrap();
            match self.built(yaml)?.protect(wrapped.get("v").unwrap().clone(), &CONTEXT) {
                Ok(Applied::Value(value)) => Ok(to_json_string(&value)),
                Ok(Applied::Drop) => Ok("dropped".to_owned()),
                Err(error) => Err(format!("{}: {}", error.kind, error.detail)),
            }
        }
    }

    #[test]
    fn equal_values_of_a_domain_have_one_token() {
        let room = Room::new();
        for (yaml, form) in [("token: random", "tok_"), ("token: uuid", "")] {
            let token = |json: &str| room.apply(yaml, json).unwrap();
            for json in ["\"4111\"", "7", "\"7\"", "true", "\"\"", "0.10"] {
                let one = token(json);
                assert_eq!(token(json), one);
                let length = room.built(yaml).unwrap().fixed_length().unwrap() as usize;
                assert!(one.starts_with(&format!("\"{form}")) && one.len() == length + 2, "{one}");
            }
            assert_ne!(token("7"), token("\"7\""), "another type is another value");
            assert_ne!(
                token("7"),
                room.apply(
                    &yaml
                        .replace("token:", "token: { format:")
                        .replace("random", "random, domain: d }")
                        .replace("uuid", "uuid, domain: d }"),
                    "7"
                )
                .unwrap()
            );
            assert_eq!(token("null"), "null");
            assert!(room.apply(yaml, "[1]").unwrap_err().contains("single values"));
            assert!(room.built(yaml).unwrap().gives_text());
        }
        assert_ne!(room.apply("token: random", "7"), room.apply("token: uuid", "7"));
    }

    #[test]
    fn digits_are_others_of_the_same_form() {
        let room = Room::new();
        let token = |json: &str| room.apply("token: random-digits", json);
        for number in 0..200 {
            let json = format!("\"+34 600-{:06}\"", number * 997);
            let one = token(&json).unwrap();
            let shape = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "9");
            assert!(shape(&one) == shape(&json) && one != json);
            assert_eq!(token(&json).unwrap(), one);
            let digits: Vec<u8> = one.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect();
            assert!(!luhn(&digits), "{one} could be taken for a card number");
            let number = token(&format!("{}", 40_000_000 + number)).unwrap();
            assert!(number.len() == 8 && !number.starts_with(['0', '"']), "{number}");
        }
        for json in ["\"123456\"", "1234567", "\"\"", &format!("\"{}\"", "1".repeat(37))] {
            assert!(token(json).unwrap_err().contains("7 to 36 digits"), "{json}");
        }
        for json in ["\"ES1234567\"", "true", "-12345678", "1.2345678", "1e9"] {
            assert!(token(json).unwrap_err().contains("takes digits"), "{json}");
        }
    }

    #[test]
    fn what_is_a_token_already_is_not_protected_twice() {
        let room = Room::new();
        for format in ["random", "uuid"] {
            let one = room.apply(&format!("token: {format}"), "\"4111\"").unwrap();
            let error = room.apply(&format!("token: {format}"), &one).unwrap_err();
            assert!(error.starts_with("protection failed") && error.contains("on_protected: keep"), "{error}");
            let keep = format!("token: {{ format: {format}, on_protected: keep }}");
            assert_eq!(room.apply(&keep, &one), Ok(one.clone()));
            // Of another domain, or only of the form: a value like any other.
            let elsewhere = format!("token: {{ format: {format}, domain: d, on_protected: keep }}");
            assert_ne!(room.apply(&elsewhere, &one), Ok(one.clone()));
            assert!(room.built(&keep).unwrap().fixed_length().is_none());
            let sealed = room.apply("encrypt", "\"4111\"").unwrap();
            assert_eq!(room.apply(&keep, &sealed), Ok(sealed));
        }
        let made_up = format!("\"tok_{}\"", "a".repeat(26));
        assert_ne!(room.apply("token: { format: random, on_protected: keep }", &made_up), Ok(made_up.clone()));
    }

    #[test]
    fn without_a_vault_the_policy_says_what_is_missing() {
        let room = Room::new();
        let spec: ProtectSpec = serde_saphyr::from_str("token: random").unwrap();
        let build = |keys| spec.build(&BuildContext::new(keys, None, true)).err().unwrap();
        assert!(build(Some(&room.keys)).contains("keys: { tokens:"));
        assert!(build(None).contains("keys init"));
        assert!(room.apply("token: { format: random, keep: { last: 4 } }", "1").unwrap_err().contains("`keep`"));
        assert!(room.apply("token: { format: random, domain: '' }", "1").unwrap_err().contains("domain"));
    }
}
