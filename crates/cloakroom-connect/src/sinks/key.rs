//! The `key` of a database sink: the columns that identify a row, one name or a list of names.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

/// A column's name, or a list of names.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a column's name or a list of names")]
pub(crate) enum OneOrMany {
    /// A single column.
    One(String),
    /// Several columns together.
    Many(Vec<String>),
}

pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    Ok(Option::<OneOrMany>::deserialize(deserializer)?.map(|names| match names {
        OneOrMany::One(name) => vec![name],
        OneOrMany::Many(names) => names,
    }))
}
