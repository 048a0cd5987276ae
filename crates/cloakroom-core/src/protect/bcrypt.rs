//! `bcrypt`: a slow hash with a salt of its own, by which a value can be checked later and never read, as systems keep
//! passwords and, where they must not, card codes.
//!
//! A hash takes a quarter of a second, several at once less each: a policy that has this works on whole batches, see
//! [`Cloak::process_batch`](crate::Cloak::process_batch).

use std::borrow::Cow;

use cloakroom_crypto::bcrypt::{self, BcryptError, HASH_LEN, MAX_COST, MIN_COST};
use compact_str::CompactString;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Applied, BuildContext, Entry, FieldContext, OnProtected, ProtectError, Protection, SlowHash, options, scalar_text,
    schema_of,
};
use crate::error::RecordErrorKind;
use crate::value::Value;

pub(super) const ENTRY: Entry = Entry {
    name: "bcrypt",
    doc: "bcrypt as `$2b$12$…`, to check a value later and never read it; slow by design; refused unless \
          `allow_reversible: true`.",
    main_option: Some("cost"),
    example: "{ bcrypt: { cost: 4 }, allow_reversible: true }",
    build,
    schema: schema_of::<Options>,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// 2^cost rounds, 4 to 16: each step more takes twice as long (12: a quarter of a second).
    #[serde(default = "default_cost")]
    #[schemars(range(min = 4, max = 16))]
    cost: u32,
    /// Says that you know that values of which there are few, as card codes, are found by trying all of them, and that card
    /// codes must not be stored after authorisation, not even hashed (PCI DSS 3.3.1).
    #[serde(default)]
    allow_reversible: bool,
    /// What is done to a value that is a ck1 envelope or token, or a bcrypt hash, already.
    #[serde(default)]
    on_protected: OnProtected,
}

fn default_cost() -> u32 {
    12
}

fn build(given: serde_json::Value, _: &BuildContext<'_>) -> Result<Box<dyn Protection>, String> {
    let Options { cost, allow_reversible, on_protected } = options(given)?;
    if !(MIN_COST..=MAX_COST).contains(&cost) {
        return Err(BcryptError::Cost.to_string());
    }
    if !allow_reversible {
        return Err(
            "a card code of three digits is found by trying 1,000 values, minutes at cost 12, and PCI DSS 3.3.1 \
                    forbids to store one after authorisation, even hashed; drop the field, or write \
                    `allow_reversible: true` beside it when another system must check values against this"
                .to_owned(),
        );
    }
    Ok(Box::new(Bcrypt { cost, on_protected }))
}

struct Bcrypt {
    cost: u32,
    on_protected: OnProtected,
}

impl Protection for Bcrypt {
    fn protect(&self, value: Value, _: &FieldContext<'_>) -> Result<Applied, ProtectError> {
        let Some(text) = self.prepare(&value)? else { return Ok(Applied::Value(value)) };
        let hash = self.hash_all(&[&text]).pop().unwrap_or_else(|| Err(failed(BcryptError::Random)))?;
        Ok(Applied::Value(Value::String(hash)))
    }

    fn fixed_length(&self) -> Option<u32> {
        if self.on_protected == OnProtected::Keep { None } else { u32::try_from(HASH_LEN).ok() }
    }

    fn slow(&self) -> Option<&dyn SlowHash> {
        Some(self)
    }
}

impl SlowHash for Bcrypt {
    fn prepare<'v>(&self, value: &'v Value) -> Result<Option<Cow<'v, str>>, ProtectError> {
        let is_hash = value.as_str().is_some_and(bcrypt::is_hash);
        if self.on_protected.passes(value)? || (is_hash && self.on_protected == OnProtected::Keep) {
            return Ok(None);
        }
        if is_hash {
            return Err(ProtectError::cannot(
                "it is a bcrypt hash already and is not hashed twice; take the field out of the policy, or let hashes pass \
                 with `on_protected: keep`",
            ));
        }
        let text = scalar_text(value)?;
        if let Some(text) = &text {
            bcrypt::check(text.as_bytes()).map_err(failed)?;
        }
        Ok(text)
    }

    fn hash_all(&self, texts: &[&str]) -> Vec<Result<CompactString, ProtectError>> {
        let bytes: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        match bcrypt::hash_all(&bytes, self.cost) {
            Ok(hashes) => hashes.into_iter().map(|hash| Ok(hash.into())).collect(),
            Err(error) => texts.iter().map(|_| Err(failed(error))).collect(),
        }
    }
}

fn failed(error: BcryptError) -> ProtectError {
    let kind = if error == BcryptError::Random { RecordErrorKind::Key } else { RecordErrorKind::Protection };
    ProtectError { kind, detail: error.to_string().into() }
}

#[cfg(test)]
mod tests {
    use super::super::tests::apply;

    const YAML: &str = "{ bcrypt: 4, allow_reversible: true }";

    #[test]
    fn hashes_check_and_never_join() {
        let hash = |json: &str| apply(YAML, json).unwrap().trim_matches('"').to_owned();
        for (json, text) in [("\"123\"", "123"), ("123", "123"), ("\"\"", ""), ("true", "true")] {
            let one = hash(json);
            assert!(one.starts_with("$2b$04$") && one.len() == 60);
            assert_ne!(hash(json), one, "a salt of its own");
            assert_eq!(cloakroom_crypto::bcrypt::verify(text.as_bytes(), &one), Ok(true));
        }
        assert_eq!(apply(YAML, "null").as_deref(), Ok("null"));
    }

    #[test]
    fn what_cannot_be_hashed_or_is_a_hash_is_refused() {
        let long = format!("\"{}\"", "1".repeat(73));
        for (json, message) in [(long.as_str(), "72 bytes"), ("\"1\\u00002\"", "zero byte"), ("[1]", "single values")] {
            let error = apply(YAML, json).unwrap_err();
            assert!(error.starts_with("protection failed") && error.contains(message), "{error}");
        }
        let hash = apply(YAML, "\"123\"").unwrap();
        assert!(apply(YAML, &hash).unwrap_err().contains("on_protected: keep"));
        let keep = "{ bcrypt: 4, allow_reversible: true, on_protected: keep }";
        assert_eq!(apply(keep, &hash), Ok(hash));
    }

    #[test]
    fn it_needs_consent_and_a_cost() {
        for yaml in ["bcrypt", "bcrypt: 12", "bcrypt: { cost: 4, allow_reversible: false }"] {
            let error = apply(yaml, "1").unwrap_err();
            assert!(error.contains("allow_reversible: true") && error.contains("PCI DSS 3.3.1"), "{error}");
        }
        for cost in ["3", "17", "31"] {
            let yaml = format!("{{ bcrypt: {cost}, allow_reversible: true }}");
            assert!(apply(&yaml, "1").unwrap_err().contains("4 to 16"));
        }
    }
}
