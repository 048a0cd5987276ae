//! `redact`: a placeholder stands in the value's place.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Applied, BuildContext, Entry, FieldContext, ProtectError, Protection, options, schema_of};
use crate::value::Value;

pub(super) const ENTRY: Entry = Entry {
    name: "redact",
    doc: "Replaces the value by a placeholder: [REDACTED], or the entity type where a detector found it.",
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
}

fn build(given: serde_json::Value, _: &BuildContext<'_>) -> Result<Box<dyn Protection>, String> {
    let Options { with } = options(given)?;
    Ok(Box::new(Redact { with }))
}

struct Redact {
    with: Option<String>,
}

impl Protection for Redact {
    fn protect(&self, value: Value, context: &FieldContext<'_>) -> Result<Applied, ProtectError> {
        let text = match (value, &self.with, context.entity) {
            (Value::Null, _, _) => return Ok(Applied::Value(Value::Null)),
            (_, Some(with), _) => Value::string(with),
            (_, None, Some(entity)) => Value::String(compact_str::format_compact!("[{entity}]")),
            (_, None, None) => Value::string("[REDACTED]"),
        };
        Ok(Applied::Value(text))
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
}
