//! Texts of a pipeline file that may take values from the environment: `${NAME}`, `${NAME:-default}`.

use std::borrow::Cow;
use std::fmt;

use cloakroom_crypto::{ExposeSecret, SecretString};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::error::{ConnectorError, ErrorKind};

/// A text with variables, resolved when a connector is built. It may be a password or hold one, so it
/// is a secret from here on and does not print.
#[derive(Clone)]
pub struct Template {
    text: SecretString,
    /// `${` is no variable in it.
    is_literal: bool,
}

impl Template {
    /// A text without or with variables.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: SecretString::from(text), is_literal: false }
    }

    /// A text that is taken as it is.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        Self { text: SecretString::from(text), is_literal: true }
    }

    /// The text with its variables' values.
    ///
    /// # Errors
    /// When a variable is not set and has no default.
    pub fn resolve(&self) -> Result<SecretString, ConnectorError> {
        if self.is_literal {
            return Ok(self.text.clone());
        }
        let mut rest = self.text.expose_secret();
        let mut resolved = String::with_capacity(rest.len());
        while let Some(start) = rest.find("${") {
            let length =
                rest[start..].find('}').ok_or_else(|| ConnectorError::configuration("a text has `${` without `}`"))?;
            let name = &rest[start + 2..start + length];
            let (name, default) = name.split_once(":-").map_or((name, None), |(name, default)| (name, Some(default)));
            resolved.push_str(&rest[..start]);
            match (std::env::var(name), default) {
                (Ok(value), _) => resolved.push_str(&value),
                (Err(_), Some(default)) => resolved.push_str(default),
                (Err(_), None) => {
                    let message = format!("the environment variable {name} is not set");
                    return Err(ConnectorError::new(ErrorKind::Unset, message));
                }
            }
            rest = &rest[start + length + 1..];
        }
        resolved.push_str(rest);
        Ok(SecretString::from(resolved))
    }

    /// The same for what is no secret: file names, tables.
    ///
    /// # Errors
    /// When a variable is not set and has no default.
    pub fn resolve_plain(&self) -> Result<String, ConnectorError> {
        match self.resolve() {
            Ok(text) => Ok(text.expose_secret().to_owned()),
            // Not said of passwords: they have no place in the file.
            Err(mut error) if error.kind == ErrorKind::Unset => {
                error.message.push_str("; set it, or write `${NAME:-default}`");
                Err(error)
            }
            Err(error) => Err(error),
        }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Template")
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::new(&text))
    }
}

impl JsonSchema for Template {
    fn schema_name() -> Cow<'static, str> {
        "Template".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "Text; ${NAME} and ${NAME:-default} take values from the environment." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in() {
        let resolve = |text: &str| Template::new(text).resolve_plain();
        assert_eq!(resolve("plain $ {text}").unwrap(), "plain $ {text}");
        assert_eq!(resolve("a${CLOAKROOM_NOT_SET:-b}c").unwrap(), "abc");
        assert_eq!(resolve("${CLOAKROOM_NOT_SET:-}").unwrap(), "");
        assert!(resolve("${CLOAKROOM_NOT_SET}").unwrap_err().message.contains("CLOAKROOM_NOT_SET is not set"));
        assert!(resolve("${X").is_err());
        assert_eq!(resolve("${PATH}").unwrap(), std::env::var("PATH").unwrap());
        assert_eq!(Template::literal("a${b}${").resolve_plain().unwrap(), "a${b}${");
        assert_eq!(format!("{:?}", Template::new("s3cret")), "Template");
    }
}
