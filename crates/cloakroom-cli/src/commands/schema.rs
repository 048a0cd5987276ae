//! `cloakroom schema`: the JSON Schema of pipeline files, for editors and other programs.

use schemars::schema_for;

use crate::error::Failure;
use crate::output;
use crate::registry::File;

pub(crate) fn schema() -> Result<u8, Failure> {
    let mut schema = schema_for!(File);
    schema.insert("title".to_owned(), "Cloakroom pipeline".into());
    output::json(&schema)?;
    Ok(0)
}
