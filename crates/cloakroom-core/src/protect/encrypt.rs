//! `encrypt`: AES-256-GCM in the `ck1` envelope. Bound to tenant, collection, path, subject and value
//! type, so that a ciphertext moved to another field, record or person does not open.

use std::sync::Arc;

use cloakroom_crypto::envelope::{AdditionalData, ValueType, seal};
use compact_str::CompactString;

use super::{
    Applied, BuildContext, Entry, FieldContext, NoOptions, ProtectError, Protection, build_text, options, schema_of,
};
use crate::encode::write_json;
use crate::error::RecordErrorKind;
use crate::keys::KeyProvider;
use crate::value::Value;

pub(super) const ENTRY: Entry = Entry {
    name: "encrypt",
    doc: "AES-256-GCM in the ck1 envelope; whoever may reveal it gets the original back, with its type.",
    main_option: None,
    example: "encrypt",
    build,
    schema: schema_of::<NoOptions>,
};

fn build(given: serde_json::Value, context: &BuildContext<'_>) -> Result<Box<dyn Protection>, String> {
    let NoOptions {} = options(given)?;
    Ok(Box::new(Encrypt { keys: context.keys()? }))
}

struct Encrypt {
    keys: Arc<dyn KeyProvider>,
}

impl Protection for Encrypt {
    fn protect(&self, value: Value, context: &FieldContext<'_>) -> Result<Applied, ProtectError> {
        let key = self.keys.data_key(context.tenant, context.subject).map_err(key_error)?;
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
        let data = AdditionalData {
            tenant: context.tenant,
            collection: context.collection,
            path: context.path,
            subject: context.subject,
            value_type,
        };
        let envelope: CompactString = build_text(|out| seal(&key, &data, plaintext, out).map_err(key_error))?;
        Ok(Applied::Value(Value::String(envelope)))
    }
}

fn key_error(error: cloakroom_crypto::CryptoError) -> ProtectError {
    ProtectError { kind: RecordErrorKind::Key, detail: error.to_string().into() }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{CONTEXT, apply};
    use crate::keys::VALUE_PURPOSE;
    use cloakroom_crypto::envelope::{Place, ValueType, open_any_type};
    use cloakroom_crypto::keyring_from_env_value;

    #[test]
    fn every_type_comes_back_and_only_in_its_place() {
        let key = keyring_from_env_value(&"0123456789abcdef".repeat(4)).unwrap().data_key(VALUE_PURPOSE).unwrap();
        for (json, value_type, plain) in [
            ("\"4111\"", ValueType::String, "4111"),
            ("7", ValueType::Number, "7"),
            ("null", ValueType::Null, "null"),
            ("true", ValueType::Boolean, "true"),
            ("{\"a\":[1]}", ValueType::Object, "{\"a\":[1]}"),
            ("[\"x\"]", ValueType::Array, "[\"x\"]"),
        ] {
            let sealed = apply("encrypt", json).unwrap();
            let sealed = sealed.trim_matches('"');
            let place =
                |path| Place { tenant: CONTEXT.tenant, collection: CONTEXT.collection, path, subject: CONTEXT.subject };
            let open = |path| open_any_type(&key, &place(path), sealed);
            let (found, opened) = open("field").unwrap();
            assert_eq!((found, opened.as_slice()), (value_type, plain.as_bytes()));
            assert!(open("other").is_err());
            assert_ne!(apply("encrypt", json).unwrap().trim_matches('"'), sealed, "a fresh nonce each time");
        }
    }
}
