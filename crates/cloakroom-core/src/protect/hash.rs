//! `hash`: MD5 and SHA-256 without a key, as older systems stored them.
//!
//! Anyone can reverse them by trying all values: every IPv4 address takes minutes on one core. They are
//! here to read and join with what exists, and only behind `allow_reversible: true`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Applied, BuildContext, Entry, FieldContext, ProtectError, Protection, build_text, map_text, options, schema_of,
};
use crate::value::Value;

pub(super) const ENTRY: Entry = Entry {
    name: "hash",
    doc: "MD5 or SHA-256 without a key, in hexadecimal, for compatibility; refused unless `allow_reversible: true`.",
    main_option: Some("algorithm"),
    example: "{ hash: md5, allow_reversible: true }",
    build,
    schema: schema_of::<Options>,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The hash function.
    algorithm: Algorithm,
    /// Says that you know that such a hash can be reversed by trying all values.
    #[serde(default)]
    allow_reversible: bool,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Algorithm {
    Md5,
    Sha256,
}

fn build(given: serde_json::Value, _: &BuildContext<'_>) -> Result<Box<dyn Protection>, String> {
    let Options { algorithm, allow_reversible } = options(given)?;
    if !allow_reversible {
        return Err("a hash without a key is reversed by trying all values (every IPv4 address takes minutes); \
                    use `hmac`, or write `allow_reversible: true` beside it when you must match what another system stored"
            .to_owned());
    }
    Ok(Box::new(Hash { algorithm }))
}

struct Hash {
    algorithm: Algorithm,
}

impl Protection for Hash {
    fn protect(&self, value: Value, _: &FieldContext<'_>) -> Result<Applied, ProtectError> {
        map_text(value, |text| {
            build_text(|out| {
                match self.algorithm {
                    Algorithm::Md5 => cloakroom_crypto::digest::md5_hex(text.as_bytes(), out),
                    Algorithm::Sha256 => cloakroom_crypto::digest::sha256_hex(text.as_bytes(), out),
                }
                Ok(())
            })
        })
    }

    fn fixed_length(&self) -> Option<u32> {
        Some(match self.algorithm {
            Algorithm::Md5 => 32,
            Algorithm::Sha256 => 64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::apply;

    #[test]
    fn hashes_are_the_published_ones_and_need_consent() {
        // RFC 1321 appendix A.5 and FIPS 180-4's example "abc".
        assert_eq!(
            apply("{hash: md5, allow_reversible: true}", "\"abc\"").as_deref(),
            Ok("\"900150983cd24fb0d6963f7d28e17f72\"")
        );
        let sha256 = "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"";
        assert_eq!(apply("{hash: {algorithm: sha256}, allow_reversible: true}", "\"abc\"").as_deref(), Ok(sha256));
        assert!(apply("hash: md5", "\"abc\"").unwrap_err().contains("allow_reversible"));
        assert!(apply("hash", "\"abc\"").unwrap_err().contains("algorithm"));
    }
}
