//! `protect:` as a policy writes it: a word (`hmac`), or a word with options (`hash: md5` and
//! `allow_reversible: true` beside it; `mask: { last: 4 }`).

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value as Json};

use super::{BuildContext, Entry, PROTECTIONS, Protection};
use crate::error::nearest;

/// A protection's name and its options, not yet checked against each other.
#[derive(Clone)]
pub struct ProtectSpec {
    entry: &'static Entry,
    options: Map<String, Json>,
}

impl fmt::Debug for ProtectSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.entry.name)
    }
}

impl ProtectSpec {
    /// A protection without options.
    ///
    /// # Errors
    /// When there is no protection of that name.
    pub fn named(name: &str) -> Result<Self, String> {
        Ok(Self { entry: find(name)?, options: Map::new() })
    }

    /// The protection's word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.entry.name
    }

    /// The protection and its options in a line, for people: `mask last: 4`.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = self.entry.name.to_owned();
        for (name, value) in &self.options {
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if self.entry.main_option == Some(name) {
                text.push_str(&format!(" {shown}"));
            } else {
                text.push_str(&format!(" {name}: {shown}"));
            }
        }
        text
    }

    /// Checks the options and builds the protection.
    ///
    /// # Errors
    /// What is wrong with the options, and what to write instead.
    pub fn build(&self, context: &BuildContext<'_>) -> Result<Box<dyn Protection>, String> {
        (self.entry.build)(Json::Object(self.options.clone()), context)
            .map_err(|error| format!("`{}`: {error}", self.entry.name))
    }
}

fn find(name: &str) -> Result<&'static Entry, String> {
    PROTECTIONS.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let names: Vec<_> = PROTECTIONS.iter().map(|entry| entry.name).collect();
        let list = names.join(", ");
        match nearest(name, names.iter().copied()) {
            Some(near) => format!("unknown protection `{name}`; did you mean `{near}`? There are {list}"),
            // Not repeated: it may be anything.
            None => format!("unknown protection; there are {list}"),
        }
    })
}

impl<'de> Deserialize<'de> for ProtectSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpecVisitor)
    }
}

struct SpecVisitor;

impl<'de> Visitor<'de> for SpecVisitor {
    type Value = ProtectSpec;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a protection such as `hmac` or `mask: { last: 4 }`")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<ProtectSpec, E> {
        ProtectSpec::named(name).map_err(E::custom)
    }

    /// `protect: null` is YAML's null and means the protection of that name.
    fn visit_unit<E: Error>(self) -> Result<ProtectSpec, E> {
        self.visit_str("null")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ProtectSpec, A::Error> {
        let mut entry: Option<&'static Entry> = None;
        let mut options = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value: Json = map.next_value()?;
            match (PROTECTIONS.iter().find(|candidate| candidate.name == key), entry) {
                (Some(found), None) => {
                    entry = Some(found);
                    match (value, found.main_option) {
                        (Json::Null, _) => {}
                        (Json::Object(inner), _) => options.extend(inner),
                        (scalar, Some(main)) => {
                            options.insert(main.to_owned(), scalar);
                        }
                        (_, None) => {
                            return Err(A::Error::custom(format!(
                                "`{key}` takes options as a mapping, for example {}",
                                found.example
                            )));
                        }
                    }
                }
                (Some(_), Some(first)) => {
                    return Err(A::Error::custom(format!(
                        "one protection a field: `{}` or `{key}`, not both",
                        first.name
                    )));
                }
                // `allow_reversible: true` beside `hash: md5` is an option of it.
                (None, _) => {
                    options.insert(key, value);
                }
            }
        }
        match entry {
            Some(entry) => Ok(ProtectSpec { entry, options }),
            None => match options.keys().next() {
                Some(key) => Err(A::Error::custom(find(key).err().unwrap_or_default())),
                None => Err(A::Error::custom("an empty mapping; write a protection such as `hmac`")),
            },
        }
    }
}

impl JsonSchema for ProtectSpec {
    fn schema_name() -> Cow<'static, str> {
        "Protection".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = PROTECTIONS.iter().map(|entry| entry.name).collect();
        let mut variants = vec![
            json_schema!({ "enum": names, "description": "The protection's name; its options are at their defaults." }),
        ];
        variants.push(json_schema!({ "type": "null", "description": "YAML's null: the protection `null`." }));
        for entry in PROTECTIONS {
            let options = (entry.schema)(generator);
            let mut forms = vec![json_schema!({ "type": "null" }).into(), Json::from(options)];
            if entry.main_option.is_some() {
                forms.push(Json::from(json_schema!({ "type": ["string", "number", "array"] })));
            }
            // Options may also stand beside the name, hence no `additionalProperties: false` here; the
            // program itself refuses unknown ones.
            variants.push(json_schema!({
                "type": "object",
                "description": entry.doc,
                "required": [entry.name],
                "properties": { entry.name: { "anyOf": forms } }
            }));
        }
        json_schema!({ "anyOf": variants, "description": "What is done to the value." })
    }
}
