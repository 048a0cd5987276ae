//! `redact`: a placeholder stands in the value's place, the same for all, or one that says which values are equal.

use std::sync::Arc;

use cloakroom_crypto::PseudonymKey;
use compact_str::{CompactString, format_compact};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Applied, BuildContext, Entry, FieldContext, ProtectError, Protection, options, scalar_text, schema_of};
use crate::value::Value;

pub(super) const ENTRY: Entry = Entry {
    name: "redact",
    doc: "Replaces the value by a placeholder: [REDACTED], or the entity type where a detector found it. With \
          `pseudonym: true` equal values get equal placeholders within a domain: [EMAIL_ADDRESS_7f3k2m9qa4].",
    main_option: Some("with"),
    example: "redact: \"[REMOVED]\"",
    build,
    schema: schema_of::<Options>,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The placeholder.
    with: Option<String>,
    /// Ten characters of a keyed hash follow the placeholder's word, so that equal values stay recognisable. They are
    /// 50 bits: of a million different values, two share a pseudonym with a chance of 1 in 2,000; of 40 million, with
    /// an even one. Where two must never meet, take `hmac`.
    pseudonym: Option<bool>,
    /// Pseudonyms are joinable within a domain and not across domains (default: `default`). Alone it means
    /// `pseudonym: true`.
    domain: Option<String>,
}

fn build(given: serde_json::Value, context: &BuildContext<'_>) -> Result<Box<dyn Protection>, String> {
    let Options { with, pseudonym, domain } = options(given)?;
    if !pseudonym.unwrap_or(domain.is_some()) {
        return match domain {
            Some(_) => Err("`domain` belongs to pseudonyms: it does not go with `pseudonym: false`".to_owned()),
            None => Ok(Box::new(Redact { with })),
        };
    }
    if with.is_some() {
        return Err("`with` is a placeholder of your own, and a pseudonym makes its own: write one of them".to_owned());
    }
    let domain = domain.as_deref().unwrap_or("default");
    let key = context.keys()?.pseudonym_key(domain).map_err(|error| error.to_string())?;
    Ok(Box::new(Pseudonym { key }))
}

/// The word of a placeholder.
fn word<'a>(context: &FieldContext<'a>) -> &'a str {
    context.entity.unwrap_or("REDACTED")
}

struct Redact {
    with: Option<String>,
}

impl Protection for Redact {
    fn protect(&self, value: Value, context: &FieldContext<'_>) -> Result<Applied, ProtectError> {
        let text = match (value, &self.with) {
            (Value::Null, _) => return Ok(Applied::Value(Value::Null)),
            (_, Some(with)) => CompactString::new(with),
            (_, None) => format_compact!("[{}]", word(context)),
        };
        Ok(Applied::Value(Value::String(text)))
    }
}

/// `[EMAIL_ADDRESS_7f3k2m9qa4]`: readable, typed, and equal for equal values.
struct Pseudonym {
    key: Arc<PseudonymKey>,
}

/// Crockford's base32 in small letters: no `i`, `l`, `o`, `u`, which people misread.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const CHARACTERS: usize = 10;

impl Protection for Pseudonym {
    fn protect(&self, value: Value, context: &FieldContext<'_>) -> Result<Applied, ProtectError> {
        let Some(text) = scalar_text(&value)? else { return Ok(Applied::Value(Value::Null)) };
        // The bytes of the value and nothing else: neither case nor separators are evened out.
        let tag = self.key.tag(text.as_bytes());
        let bits = tag[..8].iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let mut out = format_compact!("[{}_", word(context));
        for at in 0..CHARACTERS {
            out.push(char::from(ALPHABET[(bits >> (59 - 5 * at) & 31) as usize]));
        }
        out.push(']');
        Ok(Applied::Value(Value::String(out)))
    }

    fn fixed_length(&self) -> Option<u32> {
        // Of a whole field: `[REDACTED_`, ten characters, `]`.
        Some(21)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{CONTEXT, apply, apply_in};
    use super::*;

    #[test]
    fn a_placeholder_stands_in_its_place() {
        assert_eq!(apply("redact", "\"secret\"").as_deref(), Ok("\"[REDACTED]\""));
        assert_eq!(apply("redact: gone", "{\"a\":1}").as_deref(), Ok("\"gone\""));
        let found = FieldContext { entity: Some("EMAIL_ADDRESS"), ..CONTEXT };
        assert_eq!(apply_in(&found, "redact", "\"x\"").as_deref(), Ok("\"[EMAIL_ADDRESS]\""));
    }

    #[test]
    fn pseudonyms_are_typed_and_equal_for_equal_values() {
        let found = FieldContext { entity: Some("EMAIL_ADDRESS"), ..CONTEXT };
        let of = |yaml: &str, value: &str| apply_in(&found, yaml, &format!("\"{value}\"")).unwrap();
        let one = of("redact: { pseudonym: true }", "a@example.com");
        assert!(one.starts_with("\"[EMAIL_ADDRESS_") && one.len() == 28, "{one}");
        assert_eq!(of("redact: { domain: default }", "a@example.com"), one);
        assert_ne!(of("redact: { pseudonym: true }", "A@example.com"), one, "nothing is evened out");
        assert_ne!(of("redact: { domain: other }", "a@example.com"), one);
        let whole = apply("redact: { pseudonym: true }", "7").unwrap();
        assert!(whole.starts_with("\"[REDACTED_") && whole.len() == 23, "{whole}");
        assert_eq!(apply("redact: { pseudonym: true }", "\"7\"").unwrap(), whole, "numbers join with their text");
        assert_eq!(apply("redact: { pseudonym: true }", "null").as_deref(), Ok("null"));
        assert!(apply("redact: { pseudonym: true }", "[1]").unwrap_err().starts_with("protection failed"));
        assert!(apply("redact: { pseudonym: true, with: x }", "1").unwrap_err().contains("one of them"));
        assert!(apply("redact: { pseudonym: false, domain: x }", "1").unwrap_err().contains("does not go with"));
    }
}
