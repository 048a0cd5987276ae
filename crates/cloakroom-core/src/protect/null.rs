//! `null`: the field stays, its value goes.

use super::{Applied, BuildContext, Entry, FieldContext, NoOptions, ProtectError, Protection, options, schema_of};
use crate::value::Value;

pub(super) const ENTRY: Entry = Entry {
    name: "null",
    doc: "Replaces the value by null, so that the field stays.",
    main_option: None,
    example: "null",
    build,
    schema: schema_of::<NoOptions>,
};

fn build(given: serde_json::Value, _: &BuildContext<'_>) -> Result<Box<dyn Protection>, String> {
    options::<NoOptions>(given).map(|_| Box::new(Null) as _)
}

struct Null;

impl Protection for Null {
    fn protect(&self, _: Value, _: &FieldContext<'_>) -> Result<Applied, ProtectError> {
        Ok(Applied::Value(Value::Null))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::apply;

    #[test]
    fn any_value_becomes_null_in_both_spellings() {
        assert_eq!(apply("null", "{\"a\":1}").as_deref(), Ok("null"));
        assert_eq!(apply("\"null\"", "7").as_deref(), Ok("null"));
    }
}
