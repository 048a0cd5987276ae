//! The compiled form of `detect:`: a detector, and what is done to what it finds.

use std::sync::Arc;

use super::compile::build;
use super::config::{FieldConfig, PolicyConfig};
use super::detect_config::{ActionSpec, DetectConfig, FieldDetect};
use crate::detect::{DEFAULT_THRESHOLD, Detector, Rule, RuleSpec, Selection, built_in};
use crate::error::{PolicyError, did_you_mean};
use crate::located::{Located, OrderedMap, Position};
use crate::protect::{BuildContext, Protection};

/// Detection of a policy.
pub(crate) struct Detection {
    /// One for all of the policy's paths.
    pub(crate) detector: Arc<Detector>,
    /// What is done where no field says otherwise; `None` where only fields that ask for it are searched.
    pub(crate) everywhere: Option<Actions>,
}

/// What is done to findings.
#[derive(Clone)]
pub(crate) struct Actions {
    entities: Vec<(String, Action)>,
    otherwise: Action,
}

#[derive(Clone)]
enum Action {
    /// Only reported.
    Keep,
    /// The protection, and its description in a line.
    Protect(Arc<dyn Protection>, Arc<str>),
}

/// What a rule says about detection in its field.
#[derive(Default)]
pub(crate) enum FieldDetection {
    /// Nothing: the value that it names is the author's decision; what it does not name inside goes on as around it.
    #[default]
    Inherited,
    Off,
    /// As the section `detect:` says.
    Everywhere,
    Own(Actions),
}

impl Actions {
    /// What protects findings of an entity; `None` when they stay.
    pub(crate) fn of(&self, entity: &str) -> Option<&dyn Protection> {
        match self.action(entity) {
            Action::Keep => None,
            Action::Protect(protection, _) => Some(protection.as_ref()),
        }
    }

    /// The same in a line, for people.
    pub(crate) fn description(&self, entity: &str) -> Option<&str> {
        match self.action(entity) {
            Action::Keep => None,
            Action::Protect(_, description) => Some(description),
        }
    }

    fn action(&self, entity: &str) -> &Action {
        let own = self.entities.iter().find(|(name, _)| name == entity);
        own.map_or(&self.otherwise, |(_, action)| action)
    }
}

impl Detection {
    /// `None` when the policy looks for nothing.
    pub(super) fn compile(config: &PolicyConfig, context: &BuildContext<'_>) -> Result<Option<Self>, PolicyError> {
        let own_in_field = |field: &FieldConfig| matches!(field.detect.as_deref(), Some(FieldDetect::Own(_)));
        let in_fields = config.fields.0.iter().any(|(_, field)| own_in_field(field));
        let Some(section) = &config.detect else {
            let detector = in_fields.then(Detector::shared_default).transpose();
            let detector = detector.map_err(|message| PolicyError::new(None, message))?;
            return Ok(detector.map(|detector| Self { detector, everywhere: None }));
        };
        let says_what = section.everywhere.is_some() || !section.entities.0.is_empty();
        if !says_what && !in_fields {
            return Err(PolicyError::new(
                first_place(section),
                "`detect` does not say what is done to what it finds; write `everywhere: redact`, or `everywhere: keep` only to report it",
            ));
        }
        let detector = detector(section)?;
        let everywhere = says_what.then(|| {
            let otherwise = section.everywhere.as_ref().map_or(Ok(Action::Keep), |spec| action(spec, context))?;
            Ok(Actions { entities: entities(&section.entities, &detector, section, context)?, otherwise })
        });
        Ok(Some(Self { everywhere: everywhere.transpose()?, detector }))
    }
}

impl FieldDetection {
    /// What is done in a field, of what is done around it.
    pub(crate) fn actions<'a>(
        &'a self,
        around: Option<&'a Actions>,
        detection: Option<&'a Detection>,
        is_leaf: bool,
    ) -> Option<&'a Actions> {
        match self {
            Self::Inherited => around.filter(|_| !is_leaf),
            Self::Off => None,
            Self::Everywhere => detection.and_then(|detection| detection.everywhere.as_ref()),
            Self::Own(own) => Some(own),
        }
    }

    pub(super) fn compile(
        field: &FieldConfig,
        context: &BuildContext<'_>,
        config: &PolicyConfig,
        detection: Option<&Detection>,
    ) -> Result<Self, PolicyError> {
        let Some(given) = &field.detect else { return Ok(Self::Inherited) };
        if matches!(given.value, FieldDetect::Switch(false)) {
            return Ok(Self::Off);
        }
        if field.protect.is_some() || field.set.is_some() {
            return Err(PolicyError::new(
                given.at,
                "`detect` looks into a value that stays: it does not go with `protect` or `set`",
            ));
        }
        let everywhere = detection.and_then(|detection| detection.everywhere.as_ref());
        match (&given.value, detection) {
            (FieldDetect::Own(own), Some(detection)) => {
                if own.everywhere.is_none() && own.entities.0.is_empty() {
                    return Err(PolicyError::new(given.at, "an empty `detect`; write `detect: true`, or what is done"));
                }
                let nothing = DetectConfig::default();
                let section = config.detect.as_ref().unwrap_or(&nothing);
                let mut entities = entities(&own.entities, &detection.detector, section, context)?;
                let otherwise = match (&own.everywhere, everywhere) {
                    (Some(spec), _) => action(spec, context)?,
                    // What the field leaves open is as everywhere.
                    (None, Some(everywhere)) => {
                        let open = everywhere
                            .entities
                            .iter()
                            .filter(|(name, _)| !own.entities.0.iter().any(|(mine, _)| mine.value == *name));
                        entities.extend(open.cloned());
                        everywhere.otherwise.clone()
                    }
                    (None, None) => Action::Keep,
                };
                Ok(Self::Own(Actions { entities, otherwise }))
            }
            _ if everywhere.is_some() => Ok(Self::Everywhere),
            _ => Err(PolicyError::new(
                given.at,
                "`detect: true` means as the section `detect:` says, and there is none that says it; \
                 write `detect: { everywhere: redact }` here or as a section",
            )),
        }
    }
}

fn action(spec: &Located<ActionSpec>, context: &BuildContext<'_>) -> Result<Action, PolicyError> {
    let ActionSpec::Protect(protection) = &spec.value else { return Ok(Action::Keep) };
    if matches!(protection.name(), "drop" | "null" | "bucket" | "date_shift" | "bcrypt") {
        return Err(PolicyError::new(
            spec.at,
            format!(
                "`{}` works on whole fields; for findings inside a text take redact, mask, hmac, hash, encrypt, block or keep",
                protection.name()
            ),
        ));
    }
    let built = build(&Located { value: protection.clone(), at: spec.at }, context)?;
    Ok(Action::Protect(Arc::from(built), protection.describe().into()))
}

/// Actions by entity. A protection of what is never looked for would protect nothing, so it is a mistake.
fn entities(
    given: &OrderedMap<Located<ActionSpec>>,
    detector: &Detector,
    section: &DetectConfig,
    context: &BuildContext<'_>,
) -> Result<Vec<(String, Action)>, PolicyError> {
    let one = |(name, spec): &(Located<String>, Located<ActionSpec>)| {
        check_entity(name, section)?;
        let action = action(spec, context)?;
        if matches!(action, Action::Protect(..)) && !detector.looks_for(name) {
            return Err(PolicyError::new(
                name.at,
                format!("`{}` is not looked for; name it in `only` or `also`, and not in `without`", name.value),
            ));
        }
        Ok((name.value.clone(), action))
    };
    given.0.iter().map(one).collect()
}

/// The shared detector where nothing is selected, one of the policy's own otherwise.
fn detector(section: &DetectConfig) -> Result<Arc<Detector>, PolicyError> {
    let entity_lists = section.only.iter().flat_map(|only| &only.value).chain(&section.also);
    entity_lists
        .chain(section.thresholds.0.iter().map(|(name, _)| name))
        .try_for_each(|name| check_entity(name, section))?;
    let own_ids = || section.rules.iter().map(|rule| rule.id.as_str());
    let ids = || built_in().iter().map(|rule| rule.id.as_ref()).chain(own_ids());
    for word in &section.without {
        if !ids().chain(known(section)).any(|name| name == word.value) {
            let near = did_you_mean(word, ids().chain(known(section)));
            return Err(PolicyError::new(word.at, format!("no entity or rule `{}`{near}", word.value)));
        }
    }
    if let Some(only) = section.only.as_ref().filter(|only| only.is_empty()) {
        return Err(PolicyError::new(
            only.at,
            "`only` is empty: nothing would be looked for; name entities or leave it out",
        ));
    }
    for limit in section.threshold.iter().chain(section.thresholds.0.iter().map(|(_, limit)| limit)) {
        if !(0.0..=1.0).contains(&limit.value) {
            return Err(PolicyError::new(limit.at, "a confidence is between 0 and 1"));
        }
    }
    for (index, rule) in section.rules.iter().enumerate() {
        let taken = built_in().iter().map(|rule| rule.id.as_ref()).chain(own_ids().take(index)).any(|id| id == rule.id);
        if taken {
            return Err(PolicyError::new(
                rule.at,
                format!("there is a rule `{}` already; give it another id", rule.id),
            ));
        }
    }
    let is_default = section.only.is_none()
        && section.also.is_empty()
        && section.without.is_empty()
        && section.thresholds.0.is_empty()
        && section.rules.is_empty()
        && section.threshold.as_ref().is_none_or(|limit| limit.value == DEFAULT_THRESHOLD);
    let detector =
        if is_default { Detector::shared_default() } else { Detector::new(&selection(section)?).map(Arc::new) };
    detector.map_err(|message| {
        // What can be wrong now is the regex of an own rule, and the message names the rule.
        let at = section.rules.iter().find(|rule| message.starts_with(&format!("rule `{}`", rule.id)));
        PolicyError::new(at.and_then(|rule| rule.at), message)
    })
}

fn selection(section: &DetectConfig) -> Result<Selection, PolicyError> {
    let names = |list: &[Located<String>]| list.iter().map(|name| name.value.clone()).collect::<Vec<_>>();
    let rule = |spec: &Located<RuleSpec>| {
        Rule::from_spec(spec.value.clone()).map_err(|message| PolicyError::new(spec.at, message))
    };
    let also = names(&section.also);
    Ok(Selection {
        custom: section.rules.iter().map(rule).collect::<Result<_, _>>()?,
        // With `only`, what `also` names is in addition to it.
        only: section.only.as_ref().map(|only| names(only).into_iter().chain(also.iter().cloned()).collect()),
        also,
        without: names(&section.without),
        threshold: section.threshold.as_ref().map_or(DEFAULT_THRESHOLD, |limit| limit.value),
        thresholds: section.thresholds.0.iter().map(|(name, limit)| (name.value.clone(), limit.value)).collect(),
    })
}

/// The entities that rules have, built-in and own.
fn known(section: &DetectConfig) -> impl Iterator<Item = &str> {
    built_in().iter().map(|rule| rule.entity.as_ref()).chain(section.rules.iter().map(|rule| rule.entity.as_str()))
}

fn check_entity(name: &Located<String>, section: &DetectConfig) -> Result<(), PolicyError> {
    if known(section).any(|entity| entity == name.value) {
        return Ok(());
    }
    let near = did_you_mean(name, known(section));
    Err(PolicyError::new(name.at, format!("unknown entity `{}`{near}; `cloakroom rules list` shows all", name.value)))
}

/// Some place inside the section, for mistakes that belong to all of it.
fn first_place(section: &DetectConfig) -> Option<Position> {
    let only = section.only.iter().map(|only| only.at);
    let names = section.also.iter().chain(&section.without).map(|name| name.at);
    let threshold = section.threshold.iter().map(|limit| limit.at);
    let thresholds = section.thresholds.0.iter().map(|(name, _)| name.at);
    only.chain(names)
        .chain(threshold)
        .chain(thresholds)
        .chain(section.rules.iter().map(|rule| rule.at))
        .flatten()
        .next()
}
