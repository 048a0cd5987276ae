//! `hmac`: the default pseudonym. Equal values get equal tokens, so tables still join; without the key
//! nobody can try values against them.

use std::sync::Arc;

use cloakroom_crypto::PseudonymKey;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Applied, BuildContext, Entry, FieldContext, OnProtected, ProtectError, Protection, build_text, map_text, options,
    schema_of,
};
use crate::value::Value;

pub(super) const ENTRY: Entry = Entry {
    name: "hmac",
    doc: "Keyed hash (HMAC-SHA-256) as `ck1.t.<key id>.<tag>`: equal values give equal tokens within a domain.",
    main_option: Some("domain"),
    example: "hmac: { domain: devices }",
    build,
    schema: schema_of::<Options>,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Values are joinable within a domain and not across domains.
    #[serde(default = "default_domain")]
    domain: String,
    /// What is done to a value that is a ck1 envelope or token already.
    #[serde(default)]
    on_protected: OnProtected,
}

fn default_domain() -> String {
    "default".to_owned()
}

fn build(given: serde_json::Value, context: &BuildContext<'_>) -> Result<Box<dyn Protection>, String> {
    let Options { domain, on_protected } = options(given)?;
    let key = context.keys()?.pseudonym_key(&domain).map_err(|error| error.to_string())?;
    Ok(Box::new(Hmac { key, on_protected }))
}

struct Hmac {
    key: Arc<PseudonymKey>,
    on_protected: OnProtected,
}

impl Protection for Hmac {
    fn protect(&self, value: Value, _: &FieldContext<'_>) -> Result<Applied, ProtectError> {
        if self.on_protected.passes(&value)? {
            return Ok(Applied::Value(value));
        }
        map_text(value, |text| {
            build_text(|out| {
                self.key.token(text.as_bytes(), out);
                Ok(())
            })
        })
    }

    fn fixed_length(&self) -> Option<u32> {
        if self.on_protected == OnProtected::Keep {
            return None;
        }
        // `ck1.t.`, a key id of 8, a dot, and base64url of 32 bytes.
        Some(58)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::apply;

    #[test]
    fn tokens_join_within_a_domain_only() {
        let token = |domain: &str, value: &str| apply(&format!("hmac: {domain}"), value).unwrap();
        assert_eq!(token("a", "\"192.0.2.1\""), token("a", "\"192.0.2.1\""));
        assert_ne!(token("a", "\"192.0.2.1\""), token("a", "\"192.0.2.2\""));
        assert_ne!(token("a", "\"192.0.2.1\""), token("b", "\"192.0.2.1\""));
        assert_eq!(apply("hmac", "7").unwrap(), apply("hmac", "\"7\"").unwrap(), "numbers join with their text");
        assert!(token("a", "1").starts_with("\"ck1.t."));
    }
}
