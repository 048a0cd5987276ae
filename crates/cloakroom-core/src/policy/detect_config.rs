//! The section `detect:` as people write it: what is looked for, and what is done to what is found.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::config::present;
use crate::detect::RuleSpec;
use crate::error::nearest;
use crate::located::{Located, OrderedMap};
use crate::protect::{PROTECTIONS, ProtectSpec};

/// What is looked for in fields that no rule names, and what happens to what is found.
// `remote`: the derived function is the type's own and the trait is written below, which refuses an empty `detect:`.
#[derive(Clone, Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, remote = "Self")]
#[schemars(extend("minProperties" = 1))]
pub struct DetectConfig {
    /// What is done to every finding: redact, mask, hmac, hash, encrypt, block, or keep (it stays and is only
    /// reported). Without it, findings of entities that `entities` does not name stay and are only reported.
    #[serde(deserialize_with = "present")]
    pub everywhere: Option<Located<ActionSpec>>,
    /// What is done to findings of one entity instead.
    pub entities: OrderedMap<Located<ActionSpec>>,
    /// The entities that are looked for (default: the whole catalogue but for opt-in entities).
    #[serde(deserialize_with = "present")]
    pub only: Option<Located<Vec<Located<String>>>>,
    /// Opt-in entities that are looked for in addition.
    pub also: Vec<Located<String>>,
    /// Entities and ids of rules that are not looked for.
    pub without: Vec<Located<String>>,
    /// Confidence from which a finding counts, 0 to 1 (default 0.5).
    #[serde(deserialize_with = "present")]
    pub threshold: Option<Located<f32>>,
    /// The same for single entities.
    pub thresholds: OrderedMap<Located<f32>>,
    /// Rules of your own, in the form of the catalogue's.
    #[schemars(schema_with = "rules_schema")]
    pub rules: Vec<Located<RuleSpec>>,
}

impl DetectConfig {
    /// What is done to findings, in a line, for people; `None` where only fields that say so are searched.
    #[must_use]
    pub fn describe(&self) -> Option<String> {
        let says = self.everywhere.is_some() || !self.entities.0.is_empty();
        says.then(|| describe(self.everywhere.as_ref(), &self.entities, "keep"))
    }

    /// What is looked for, in a line, for people.
    #[must_use]
    pub fn describe_selection(&self) -> String {
        let names = |list: &[Located<String>]| list.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        let mut text = match &self.only {
            Some(only) => names(only),
            None => "the catalogue".to_owned(),
        };
        for (word, list) in [(", also ", &self.also), (", without ", &self.without)] {
            if !list.is_empty() {
                text.push_str(word);
                text.push_str(&names(list));
            }
        }
        if !self.rules.is_empty() {
            let ids: Vec<_> = self.rules.iter().map(|rule| rule.id.as_str()).collect();
            text.push_str(&format!(", own rules {}", ids.join(", ")));
        }
        let mut thresholds: Vec<String> = self.threshold.iter().map(|limit| limit.value.to_string()).collect();
        thresholds.extend(self.thresholds.0.iter().map(|(entity, limit)| format!("{} {}", entity.value, limit.value)));
        if !thresholds.is_empty() {
            text.push_str(&format!(", confidence from {}", thresholds.join(", ")));
        }
        text
    }
}

impl<'de> Deserialize<'de> for DetectConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SectionVisitor;
        impl<'de> Visitor<'de> for SectionVisitor {
            type Value = DetectConfig;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a mapping such as `everywhere: redact`")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DetectConfig, A::Error> {
                DetectConfig::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_any(SectionVisitor)
    }
}

/// `detect` of one field.
#[derive(Clone, Debug)]
pub enum FieldDetect {
    /// `true`: as the section `detect:` says; `false`: nothing is looked for.
    Switch(bool),
    /// Actions of its own.
    Own(FieldActions),
}

impl FieldDetect {
    /// What is done to findings here, in a line, for people; `section` is the section `detect:`.
    #[must_use]
    pub fn describe(&self, section: Option<&DetectConfig>) -> String {
        let everywhere = || section.and_then(DetectConfig::describe).unwrap_or_else(|| "keep".to_owned());
        match self {
            Self::Switch(false) => "not looked for".to_owned(),
            Self::Switch(true) => everywhere(),
            Self::Own(own) => describe(own.everywhere.as_ref(), &own.entities, &everywhere()),
        }
    }
}

/// What is done to findings in one field.
#[derive(Clone, Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct FieldActions {
    /// What is done to every finding in this field (default: what the section `detect:` says).
    #[serde(deserialize_with = "present")]
    pub everywhere: Option<Located<ActionSpec>>,
    /// What is done to findings of one entity instead.
    pub entities: OrderedMap<Located<ActionSpec>>,
}

fn describe(
    everywhere: Option<&Located<ActionSpec>>,
    entities: &OrderedMap<Located<ActionSpec>>,
    otherwise: &str,
) -> String {
    let of_entities = entities.0.iter().map(|(entity, action)| format!("{}: {}", entity.value, action.describe()));
    let otherwise = everywhere.map_or_else(|| otherwise.to_owned(), |action| action.describe());
    of_entities
        .chain([if entities.0.is_empty() { otherwise } else { format!("others: {otherwise}") }])
        .collect::<Vec<_>>()
        .join("; ")
}

/// What is done to a finding.
#[derive(Clone, Debug)]
pub enum ActionSpec {
    /// It stays and is only reported.
    Keep,
    /// It is protected.
    Protect(ProtectSpec),
}

const KEEP: &str = "keep";

impl ActionSpec {
    /// The action in a line, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Keep => KEEP.to_owned(),
            Self::Protect(spec) => spec.describe(),
        }
    }
}

impl<'de> Deserialize<'de> for ActionSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ActionVisitor;
        impl<'de> Visitor<'de> for ActionVisitor {
            type Value = ActionSpec;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("`keep`, or a protection such as `redact` or `mask: { last: 4 }`")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<ActionSpec, E> {
                if name == KEEP {
                    return Ok(ActionSpec::Keep);
                }
                ProtectSpec::named(name).map(ActionSpec::Protect).map_err(|message| {
                    // The protections' own list of words has no `keep`.
                    let words = PROTECTIONS.iter().map(|entry| entry.name).chain([KEEP]);
                    match nearest(name, words) {
                        Some(KEEP) => E::custom(format!("unknown protection `{name}`; did you mean `{KEEP}`?")),
                        _ => E::custom(format!("{message}, keep")),
                    }
                })
            }

            fn visit_unit<E: Error>(self) -> Result<ActionSpec, E> {
                ProtectSpec::named("null").map(ActionSpec::Protect).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ActionSpec, A::Error> {
                ProtectSpec::deserialize(MapAccessDeserializer::new(map)).map(ActionSpec::Protect)
            }
        }
        deserializer.deserialize_any(ActionVisitor)
    }
}

impl JsonSchema for ActionSpec {
    fn schema_name() -> Cow<'static, str> {
        "Action".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let protection = generator.subschema_for::<ProtectSpec>();
        json_schema!({
            "description": "What is done to a finding.",
            "anyOf": [{ "const": KEEP, "description": "It stays and is only reported." }, protection]
        })
    }
}

impl<'de> Deserialize<'de> for FieldDetect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DetectVisitor;
        impl<'de> Visitor<'de> for DetectVisitor {
            type Value = FieldDetect;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("true, false, or a mapping with `everywhere` and `entities`")
            }

            fn visit_bool<E>(self, on: bool) -> Result<FieldDetect, E> {
                Ok(FieldDetect::Switch(on))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldDetect, A::Error> {
                FieldActions::deserialize(MapAccessDeserializer::new(map)).map(FieldDetect::Own)
            }
        }
        deserializer.deserialize_any(DetectVisitor)
    }
}

impl JsonSchema for FieldDetect {
    fn schema_name() -> Cow<'static, str> {
        "FieldDetect".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let own = generator.subschema_for::<FieldActions>();
        json_schema!({
            "description": "Whether detection looks into a field, and what is done to what it finds.",
            "anyOf": [{ "type": "boolean" }, own]
        })
    }
}

/// By hand: `RuleSpec` is also compiled into the build script, which has no schemas.
fn rules_schema(_: &mut SchemaGenerator) -> Schema {
    let text = |description: &str| json_schema!({ "type": "string", "description": description });
    let texts = |description: &str| json_schema!({ "type": "array", "items": { "type": "string" }, "description": description });
    let number = |description: &str| json_schema!({ "type": "number", "minimum": 0, "description": description });
    let confidence =
        |description: &str| json_schema!({ "type": "number", "minimum": 0, "maximum": 1, "description": description });
    let flag = |description: &str| json_schema!({ "type": "boolean", "description": description });
    json_schema!({
        "description": "Rules of your own, in the form of the catalogue's.",
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "id": text("Its name in findings: a-z, 0-9 and `-`."),
                "entity": text("What its findings are called: A-Z, 0-9 and `_`."),
                "description": text("A line for people."),
                "regex": text("What a value looks like: bytes, `\\d`, `\\w` and `\\b` are ASCII."),
                "validate": texts("Names of validators, all of which must agree."),
                "min_entropy": number("Shannon entropy in bits per character that a value must have."),
                "confidence": confidence("Confidence without a context word."),
                "with_context": confidence("Confidence with one (default: the same)."),
                "context": texts("Words near a value or in its field's name that speak for the rule."),
                "not_context": texts("Words that speak against it."),
                "edges": {
                    "enum": ["token", "word"],
                    "description": "What may touch a value: nothing that makes it a part of something longer, or what the regex allows."
                },
                "try_shorter": flag("Whether shorter matches are tried when validation refuses the longest."),
                "extend": { "enum": ["no", "pem"], "description": "Whether a span goes on to the end of a PEM block." },
                "opt_in": flag("Only looked for where `also` or `only` names its entity."),
                "examples": texts("Texts in which it finds what `[[ ]]` marks."),
                "counter_examples": texts("Texts in which it finds nothing."),
                "references": texts("Where the format is published.")
            },
            "required": ["id", "entity", "description", "regex", "confidence"],
            "additionalProperties": false
        }
    })
}
