//! `drop`: the field disappears.

use super::{Applied, BuildContext, Entry, FieldContext, NoOptions, ProtectError, Protection, options, schema_of};
use crate::value::Value;

pub(super) const ENTRY: Entry = Entry {
    name: "drop",
    doc: "Removes the field. The right choice for a card's verification code.",
    main_option: None,
    example: "drop",
    build,
    schema: schema_of::<NoOptions>,
};

fn build(given: serde_json::Value, _: &BuildContext<'_>) -> Result<Box<dyn Protection>, String> {
    options::<NoOptions>(given).map(|_| Box::new(DropField) as _)
}

struct DropField;

impl Protection for DropField {
    fn protect(&self, _: Value, _: &FieldContext<'_>) -> Result<Applied, ProtectError> {
        Ok(Applied::Drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::apply;

    #[test]
    fn any_value_is_dropped() {
        for value in ["1", "null", "{\"a\":[]}"] {
            assert_eq!(apply("drop", value).as_deref(), Ok("dropped"));
        }
    }
}
