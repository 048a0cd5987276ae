//! `reveal:`: who may see what again, what for, how much of it, and how often. What no line allows is refused.

use cloakroom_crypto::AuditPublicKey;
use schemars::JsonSchema;
use serde::Deserialize;

use super::config::{FieldConfig, present};
use crate::error::{PolicyError, did_you_mean};
use crate::located::{Located, OrderedMap};

/// Who may see what again.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevealConfig {
    /// What is allowed; one line that fits is enough.
    pub allow: Vec<Located<AllowConfig>>,
    /// How much one person may see in an hour.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// From where on a second person must agree.
    #[serde(default, deserialize_with = "present")]
    pub approval: Option<Located<ApprovalConfig>>,
}

impl RevealConfig {
    /// Who may see what, a line for each, for people: `ann for support: mail, class payment (masked)`.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let words = |words: &[String], all: &str| match words.iter().any(|word| word == "*") {
            true => all.to_owned(),
            false => words.join(", "),
        };
        let line = |AllowConfig { who, purposes, fields, classes, level }: &AllowConfig| {
            let classes = classes.iter().map(|class| format!("class {}", class.value));
            let what: Vec<_> = fields.iter().cloned().chain(classes).collect();
            let what = if what.is_empty() { "everything".to_owned() } else { what.join(", ") };
            let level = if *level == RevealLevel::Full { "full" } else { "masked" };
            format!("{} for {}: {what} ({level})", words(who, "everybody"), words(purposes, "any purpose"))
        };
        let LimitsConfig { values, subjects } = self.limits;
        let limits = format!("at most {values} values of {subjects} people an hour");
        let approval = self.approval.as_ref().map(|approval| {
            let by: Vec<_> = approval.by.0.iter().map(|(name, _)| name.as_str()).collect();
            format!("more than {} people in a run when one agrees of {}", approval.above, by.join(", "))
        });
        self.allow.iter().map(|allow| line(allow)).chain([limits]).chain(approval).collect()
    }
}

/// One line of what is allowed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowConfig {
    /// Names of users as the audit log has them; `*` is everybody.
    pub who: Vec<String>,
    /// What for; `*` is anything.
    pub purposes: Vec<String>,
    /// Paths of fields in the protected record, `cards[*].number`; `*` stands for one name. With neither `fields` nor
    /// `classes` it is every field.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Classes of fields, as `class:` names them.
    #[serde(default)]
    pub classes: Vec<Located<String>>,
    /// How much of a value (default: masked).
    #[serde(default)]
    pub level: RevealLevel,
}

/// How much of a value is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RevealLevel {
    /// Enough to recognise it: the last digits of a number, the domain of an address.
    #[default]
    Masked,
    /// All of it.
    Full,
}

/// How much one person may see in an hour, counted in the audit log.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Values (default: 1000).
    pub values: u64,
    /// Different people whose values they are (default: 100).
    pub subjects: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { values: 1_000, subjects: 100 }
    }
}

/// From where on a second person must agree. What they agree to may go beyond the limits of an hour.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalConfig {
    /// More people than this in one run need it.
    pub above: u64,
    /// Who can agree, by the name that the audit log will have, with the public key that `cloakroom approve --init` gave.
    pub by: OrderedMap<Located<String>>,
}

/// Rights to see values again, ready to ask.
#[derive(Clone, Default)]
pub struct RevealRules {
    allow: Vec<AllowConfig>,
    limits: LimitsConfig,
    approval: Option<(u64, Vec<(String, AuditPublicKey)>)>,
}

impl RevealRules {
    pub(super) fn compile(config: &RevealConfig, fields: &OrderedMap<FieldConfig>) -> Result<Self, PolicyError> {
        let known: Vec<&str> = fields.0.iter().filter_map(|(_, field)| field.class.as_deref()).collect();
        for line in &config.allow {
            let refuse = |what: &str| Err(PolicyError::new(line.at, format!("`reveal.allow`: {what}")));
            if line.who.iter().chain(&line.purposes).any(|word| word.trim().is_empty()) {
                return refuse("a name or purpose is empty");
            }
            if line.who.is_empty() || line.purposes.is_empty() {
                return refuse("`who` and `purposes` each name at least one; `*` is anybody, and anything");
            }
            for class in &line.classes {
                if !known.contains(&class.as_str()) {
                    let near = did_you_mean(class, known.iter().copied());
                    let text = format!("`reveal.allow`: no field has the class `{}`{near}", class.value);
                    return Err(PolicyError::new(class.at, text));
                }
            }
        }
        let approval = config.approval.as_ref().map(|approval| {
            if approval.by.0.is_empty() {
                return Err(PolicyError::new(approval.at, "`reveal.approval.by` names nobody who could agree"));
            }
            let key = |(name, key): &(Located<String>, Located<String>)| match AuditPublicKey::parse(key) {
                Ok(public) => Ok((name.value.clone(), public)),
                Err(_) => Err(PolicyError::new(
                    key.at,
                    "`reveal.approval.by` takes public keys as `cloakroom approve --init` prints them",
                )),
            };
            Ok((approval.above, approval.by.0.iter().map(key).collect::<Result<_, _>>()?))
        });
        Ok(Self {
            allow: config.allow.iter().map(|line| line.value.clone()).collect(),
            limits: config.limits,
            approval: approval.transpose()?,
        })
    }

    /// True when nobody may see anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty()
    }

    /// True when somebody of this name may see something for this purpose.
    #[must_use]
    pub fn allows(&self, who: &str, purpose: &str) -> bool {
        self.lines(who, purpose).next().is_some()
    }

    /// True when some line allows the purpose, to whomever.
    #[must_use]
    pub fn knows_purpose(&self, purpose: &str) -> bool {
        self.allow.iter().any(|line| is_among(&line.purposes, purpose))
    }

    /// How much of a field somebody may see for a purpose; `None` for nothing.
    #[must_use]
    pub fn level(&self, who: &str, purpose: &str, path: &str, class: Option<&str>) -> Option<RevealLevel> {
        let fits = |line: &&AllowConfig| {
            (line.fields.is_empty() && line.classes.is_empty())
                || line.fields.iter().any(|pattern| path_fits(pattern, path))
                || class.is_some_and(|class| line.classes.iter().any(|name| name.as_str() == class))
        };
        self.lines(who, purpose).filter(fits).map(|line| line.level).max()
    }

    /// How much one person may see in an hour.
    #[must_use]
    pub fn limits(&self) -> LimitsConfig {
        self.limits
    }

    /// Above how many people in one run a second person must agree; `None` where nobody can.
    #[must_use]
    pub fn approval_above(&self) -> Option<u64> {
        self.approval.as_ref().map(|(above, _)| *above)
    }

    /// Who can agree.
    pub fn approvers(&self) -> impl Iterator<Item = (&str, &AuditPublicKey)> {
        let by = self.approval.iter().flat_map(|(_, by)| by);
        by.map(|(name, key)| (name.as_str(), key))
    }

    fn lines<'a>(&'a self, who: &'a str, purpose: &'a str) -> impl Iterator<Item = &'a AllowConfig> {
        self.allow.iter().filter(move |line| is_among(&line.who, who) && is_among(&line.purposes, purpose))
    }
}

fn is_among(words: &[String], word: &str) -> bool {
    words.iter().any(|allowed| allowed == "*" || allowed == word)
}

/// True when a path in a protected record is one that a pattern means: `*` stands for one name, `[*]` for any index.
#[must_use]
pub fn path_fits(pattern: &str, path: &str) -> bool {
    let (mut pattern, mut path) = (pattern, path);
    loop {
        let Some(next) = pattern.chars().next() else { return path.is_empty() };
        if let Some(rest) = pattern.strip_prefix("[*]") {
            let Some(inside) = path.strip_prefix('[') else { return false };
            let digits = inside.bytes().take_while(u8::is_ascii_digit).count();
            let Some(behind) = inside[digits..].strip_prefix(']').filter(|_| digits > 0) else { return false };
            (pattern, path) = (rest, behind);
        } else if next == '*' {
            let end = path.find(['.', '[']).unwrap_or(path.len());
            if end == 0 {
                return false;
            }
            (pattern, path) = (&pattern[1..], &path[end..]);
        } else {
            let Some(rest) = path.strip_prefix(next) else { return false };
            (pattern, path) = (&pattern[next.len_utf8()..], rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_places() {
        for (pattern, path, expected) in [
            ("card", "card", true),
            ("card", "cards", false),
            ("card", "user.card", false),
            ("*", "card", true),
            ("*", "user.card", false),
            ("*.card", "user.card", true),
            ("*.card", "user.old.card", false),
            ("cards[*].number", "cards[12].number", true),
            ("cards[*].number", "cards.number", false),
            ("cards[*]", "cards[]", false),
            ("cards[0]", "cards[0]", true),
            ("cards[0]", "cards[01]", false),
            ("*[*]", "cards[3]", true),
            ("", "", true),
            ("*", "", false),
            ("é.*", "é.ü", true),
        ] {
            assert_eq!(path_fits(pattern, path), expected, "{pattern} {path}");
        }
    }

    fn rules(yaml: &str) -> Result<RevealRules, String> {
        let config: RevealConfig = serde_saphyr::from_str(yaml).map_err(|e| e.without_snippet().to_string())?;
        let card = FieldConfig { class: Some("payment".to_owned()), ..FieldConfig::default() };
        let fields = OrderedMap(vec![("card".to_owned().into(), card)]);
        RevealRules::compile(&config, &fields).map_err(|error| error.to_string())
    }

    #[test]
    fn the_most_that_a_fitting_line_allows() {
        let rules = rules(
            "allow:\n- { who: [ann], purposes: [support], fields: [mail, 'cards[*].number'] }\n\
             - { who: [ann, bob], purposes: [fraud], classes: [payment], level: full }\n\
             - { who: ['*'], purposes: [fraud], fields: [card] }\n- { who: [root], purposes: ['*'], level: full }",
        )
        .unwrap();
        let level = |who, purpose, path, class| rules.level(who, purpose, path, class);
        assert_eq!(level("ann", "support", "mail", None), Some(RevealLevel::Masked));
        assert_eq!(level("ann", "support", "cards[7].number", None), Some(RevealLevel::Masked));
        assert_eq!(level("ann", "support", "card", Some("payment")), None);
        assert_eq!(level("bob", "fraud", "card", Some("payment")), Some(RevealLevel::Full));
        assert_eq!(level("eve", "fraud", "card", Some("payment")), Some(RevealLevel::Masked));
        assert_eq!(level("eve", "support", "mail", None), None);
        assert_eq!(level("root", "anything", "x.y", None), Some(RevealLevel::Full));
        assert!(rules.allows("bob", "fraud") && !rules.allows("bob", "support"));
        assert!(rules.knows_purpose("support") && RevealRules::default().is_empty());
        assert_eq!((rules.limits().values, rules.limits().subjects), (1_000, 100));
        assert_eq!(rules.approval_above(), None);
    }

    #[test]
    fn people_can_read_it() {
        let yaml = "allow:\n- { who: [ann, bob], purposes: [support], fields: [mail], classes: [payment] }\n\
                    - { who: ['*'], purposes: ['*'], level: full }\nlimits: { values: 9 }\n\
                    approval: { above: 3, by: { dave: x } }";
        let config: RevealConfig = serde_saphyr::from_str(yaml).unwrap();
        let expected = [
            "ann, bob for support: mail, class payment (masked)",
            "everybody for any purpose: everything (full)",
            "at most 9 values of 100 people an hour",
            "more than 3 people in a run when one agrees of dave",
        ];
        assert_eq!(config.describe(), expected);
    }

    #[test]
    fn mistakes_are_named() {
        for (yaml, expected) in [
            ("allow: [{ who: [a], purposes: [] }]", "at least one"),
            ("allow: [{ who: [''], purposes: [a] }]", "empty"),
            ("allow: [{ who: [a], purposes: [a], classes: [paymnt] }]", "`payment`"),
            ("allow: [{ who: [a], purposes: [a], level: all }]", "full"),
            ("allow: []\napproval: { above: 3, by: {} }", "nobody"),
            ("allow: []\napproval: { above: 3, by: { ann: secret } }", "approve --init"),
            ("limits: { values: 3 }", "allow"),
        ] {
            let error = rules(yaml).err().unwrap();
            assert!(error.contains(expected) && !error.contains("secret"), "{yaml}: {error}");
        }
    }
}
