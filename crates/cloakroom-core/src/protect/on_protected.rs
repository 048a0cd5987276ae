//! Values that are protected already: an envelope in an envelope cannot be told from one that was sealed once, and
//! opening it once gives no value.

use cloakroom_crypto::envelope::{looks_sealed, parse};
use schemars::JsonSchema;
use serde::Deserialize;

use super::ProtectError;
use crate::value::Value;

/// What is done to a value that is a `ck1` envelope or token already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnProtected {
    /// The record is rejected.
    #[default]
    Reject,
    /// It passes as it is. Only its form is looked at, not whether it opens: for sources that are trusted to send no
    /// made-up ones.
    Keep,
}

impl OnProtected {
    /// True when the value passes as it is.
    pub(super) fn passes(self, value: &Value) -> Result<bool, ProtectError> {
        match self {
            _ if !is_protected(value) => Ok(false),
            Self::Keep => Ok(true),
            Self::Reject => Err(ProtectError::cannot(
                "it is a ck1 envelope or token already and is not protected twice; take the field out of the policy, \
                 or let such values pass with `on_protected: keep`",
            )),
        }
    }
}

/// Whether a value has the form of a `ck1` envelope or token.
pub(crate) fn is_protected(value: &Value) -> bool {
    value.as_str().is_some_and(|text| looks_sealed(text) && parse(text).is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::tests::apply;

    #[test]
    fn nothing_is_protected_twice() {
        let others = ["encrypt", "encrypt: deterministic", "encrypt: { algorithm: aes-256-gcm-siv }", "hmac"];
        let sealed: Vec<_> = others.iter().map(|yaml| apply(yaml, "\"4111\"").unwrap()).collect();
        for yaml in others.iter().chain(&["token: digits"]) {
            for value in &sealed {
                let error = apply(yaml, value).unwrap_err();
                assert!(error.starts_with("protection failed") && error.contains("on_protected: keep"), "{error}");
                let kept = match yaml.split_once(": ") {
                    None => format!("{yaml}: {{ on_protected: keep }}"),
                    Some((name, rest)) => format!("{name}: {rest}\non_protected: keep"),
                };
                let kept = apply(&kept.replace(" }\non_protected: keep", ", on_protected: keep }"), value);
                assert_eq!(kept.as_ref(), Ok(value), "{yaml}");
            }
        }
        assert!(apply("encrypt: { on_protected: kept }", "1").unwrap_err().contains("keep"));
    }

    #[test]
    fn what_only_looks_like_an_envelope_is_protected() {
        for yaml in ["encrypt", "hmac", "hmac: { on_protected: keep }", "encrypt: { on_protected: keep }"] {
            for json in ["\"ck1.a.\"", "\"ck1.a.abcd2345.secret\"", "\"x ck1.t.\"", "7", "true"] {
                let protected = apply(yaml, json).unwrap();
                assert!(protected.len() > 50 && protected != json, "{yaml}: {json}");
            }
        }
    }
}
