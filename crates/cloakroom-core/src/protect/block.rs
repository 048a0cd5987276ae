//! `block`: the record must not pass.

use super::{Applied, BuildContext, Entry, FieldContext, NoOptions, ProtectError, Protection, options, schema_of};
use crate::error::RecordErrorKind;
use crate::value::Value;

pub(super) const ENTRY: Entry = Entry {
    name: "block",
    doc: "Rejects the whole record when the field has a value; it becomes a sealed dead letter.",
    main_option: None,
    example: "block",
    build,
    schema: schema_of::<NoOptions>,
};

fn build(given: serde_json::Value, _: &BuildContext<'_>) -> Result<Box<dyn Protection>, String> {
    options::<NoOptions>(given).map(|_| Box::new(Block) as _)
}

struct Block;

impl Protection for Block {
    fn protect(&self, value: Value, _: &FieldContext<'_>) -> Result<Applied, ProtectError> {
        match value {
            Value::Null => Ok(Applied::Value(Value::Null)),
            _ => Err(ProtectError { kind: RecordErrorKind::Blocked, detail: "".into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::apply;

    #[test]
    fn a_value_blocks_the_record() {
        assert_eq!(apply("block", "\"x\"").unwrap_err(), "blocked by policy: ");
        assert_eq!(apply("block", "null").as_deref(), Ok("null"));
    }
}
