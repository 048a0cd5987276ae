//! The way back: opens values of a protected record, as far as somebody may see them.
//!
//! Who may see what is decided outside, value by value; whoever decides puts it on record first. Here is what can be opened,
//! where it stands, and whose it is.

use std::fmt;
use std::sync::Arc;

use cloakroom_crypto::CryptoError;
use cloakroom_crypto::envelope::{Algorithm, parse};
use compact_str::CompactString;

use crate::cloak::find;
use crate::decode::parse_json_within;
use crate::encode::to_json_string;
use crate::error::safe_path;
use crate::path::FieldPath;
use crate::policy::{FieldRule, Node, Policy, RevealLevel};
use crate::protect::{Applied, FieldContext, Protection, for_display, is_protected, open_envelope};
use crate::value::{Number, Object, Value};

/// Opens records that a policy has protected.
pub struct Revealer {
    policy: Arc<Policy>,
    /// The policy's rules by the places that values have in protected records.
    tree: Node,
    subject: Option<(FieldPath, Option<Arc<FieldRule>>)>,
}

/// Whose record it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Whose {
    /// The policy names no subject: keys are nobody's in particular.
    Nobodys,
    /// It stands in the record, readable or deterministically encrypted.
    Known(CompactString),
    /// It cannot be read from the record: the subject must be given.
    Unknown,
}

/// What was done to a record. Paths are fit to be printed, indexes as `[*]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Values that were opened, by path.
    pub opened: Vec<String>,
    /// Values that stay closed, because it was decided so.
    pub closed: Vec<String>,
    /// Values that should have been opened and stay closed, because they do not open.
    pub failed: Vec<RevealError>,
}

/// A value that should have been opened and does not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevealError {
    /// Where it stands, fit to be printed.
    pub path: String,
    /// Why.
    pub error: CryptoError,
}

impl RevealError {
    /// True when it is a matter of the record and not of the keys or their table.
    #[must_use]
    pub fn is_not_authentic(&self) -> bool {
        matches!(self.error, CryptoError::Authentication | CryptoError::NotAnEnvelope | CryptoError::Internal)
    }
}

impl fmt::Display for RevealError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.error)
    }
}

/// Decides about the value at a path of a class: how much of it is shown, if anything.
pub type Choose<'c> = dyn FnMut(&str, Option<&str>) -> Option<RevealLevel> + 'c;

impl Revealer {
    /// For records of a policy.
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        let flatten = policy.flatten.as_deref();
        let tree = policy.root.delivered(flatten);
        let subject = policy.subject.as_ref().map(|path| policy.root.delivered_path(path, flatten));
        Self { policy, tree, subject }
    }

    /// Whose record it is, as far as the record says.
    #[must_use]
    pub fn whose(&self, record: &Object) -> Whose {
        let Some((path, rule)) = &self.subject else { return Whose::Nobodys };
        let Some(value) = find(path.segments(), record) else { return Whose::Unknown };
        let known = |value: &Value| subject_text(value).map_or(Whose::Unknown, Whose::Known);
        match rule.as_ref().and_then(|rule| rule.protection.as_deref()) {
            None if is_protected(value) => Whose::Unknown,
            None => known(value),
            Some(protection) => {
                let path = path.to_string();
                match protection.reveal(value, &self.context("", &path)) {
                    Ok(Some(value)) => known(&value),
                    _ => Whose::Unknown,
                }
            }
        }
    }

    /// Whether a record is this person's; `None` when only trying to open it could tell.
    #[must_use]
    pub fn is_of(&self, record: &Object, subject: &str) -> Option<bool> {
        let (path, rule) = self.subject.as_ref()?;
        if let Whose::Known(text) = self.whose(record) {
            return Some(text == subject);
        }
        let value = find(path.segments(), record)?;
        let protection = rule.as_ref().and_then(|rule| rule.protection.as_deref())?;
        let path = path.to_string();
        let terms = self.terms(protection, subject, &self.context(subject, &path));
        (!terms.is_empty()).then(|| terms.contains(value))
    }

    /// Where records with a value are found: the member of protected records, and the texts it may have there. `field` is
    /// the field's path as it arrives.
    ///
    /// # Errors
    /// What to do instead, when equal values of the field do not look equal.
    pub fn where_is(&self, field: &FieldPath, text: &str) -> Result<(FieldPath, Vec<Value>), String> {
        let (path, rule) = self.policy.root.delivered_path(field, self.policy.flatten.as_deref());
        let Some(protection) = rule.as_ref().and_then(|rule| rule.protection.as_deref()) else {
            return Ok((path, forms(text)));
        };
        if let Some(index) = rule.as_ref().and_then(|rule| rule.index.as_ref()) {
            let term = index.of(&Value::string(text)).map_err(|error| format!("`{field}`: {}", error.detail))?;
            return Ok((path.with_name(&index.name), vec![term]));
        }
        let shown = path.to_string();
        let terms = self.terms(protection, text, &self.context("", &shown));
        if terms.is_empty() {
            return Err(format!(
                "`{field}` is protected so that equal values do not look equal; give it an `index:`, or look for another field"
            ));
        }
        Ok((path, terms))
    }

    /// Whether a record has one of these values at a place that [`Revealer::where_is`] gave.
    #[must_use]
    pub fn has(record: &Object, path: &FieldPath, values: &[Value]) -> bool {
        find(path.segments(), record).is_some_and(|value| values.contains(value))
    }

    /// The path of the policy's `subject`, as it arrives.
    #[must_use]
    pub fn subject_field(&self) -> Option<&FieldPath> {
        self.policy.subject.as_ref()
    }

    /// Opens, in a record of `subject`, the values that `choose` says, where they stand. One that does not open stays as it
    /// is and keeps no other from opening: each is bound to its place by itself.
    pub fn open(&self, record: &mut Object, subject: &str, choose: &mut Choose<'_>) -> Seen {
        let separator = self.policy.flatten.as_deref().unwrap_or(".");
        let mut walk =
            Walk { revealer: self, subject, separator, path: String::new(), choose, seen: Seen::default(), nested: 0 };
        walk.object(record, Some(&self.tree), None);
        walk.seen
    }

    /// What a deterministic protection makes of a text, as the text and as the number that it may be; nothing for others.
    fn terms(&self, protection: &dyn Protection, text: &str, context: &FieldContext<'_>) -> Vec<Value> {
        let protect = |value: Value| match protection.protect(value, context) {
            Ok(Applied::Value(value)) => Some(value),
            _ => None,
        };
        let terms = forms(text).into_iter().filter_map(|value| {
            let term = protect(value.clone())?;
            (protect(value)? == term).then_some(term)
        });
        terms.collect()
    }

    fn context<'c>(&'c self, subject: &'c str, path: &'c str) -> FieldContext<'c> {
        let Policy { tenant, collection, .. } = &*self.policy;
        FieldContext { tenant, collection, subject, path, entity: None, subject_key: None }
    }
}

/// A subject as [`crate::Cloak`] reads it.
fn subject_text(value: &Value) -> Option<CompactString> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(CompactString::new(number.as_str())),
        _ => None,
    }
}

/// A text, and the number that it is.
fn forms(text: &str) -> Vec<Value> {
    std::iter::once(Value::string(text)).chain(Number::parse(text).map(Value::Number)).collect()
}

/// How often JSON inside a text is opened within JSON inside a text.
const MAX_NESTED: usize = 4;

/// One walk through one record.
struct Walk<'a, 'c> {
    revealer: &'a Revealer,
    subject: &'a str,
    separator: &'a str,
    /// The path of the value at hand.
    path: String,
    choose: &'c mut Choose<'c>,
    seen: Seen,
    /// Texts around it that were opened as JSON.
    nested: usize,
}

impl<'a> Walk<'a, '_> {
    fn object(&mut self, object: &mut Object, node: Option<&'a Node>, class: Option<&'a str>) -> bool {
        let (mut cursor, mut changed) = (0, false);
        for (name, value) in object.members_mut() {
            let length = self.path.len();
            if length > 0 {
                self.path.push_str(self.separator);
            }
            self.path.push_str(name);
            changed |= self.value(value, node.and_then(|node| node.member(name, &mut cursor)), class);
            self.path.truncate(length);
        }
        changed
    }

    /// Opens what is in one value; true when it has changed.
    fn value(&mut self, value: &mut Value, node: Option<&'a Node>, class: Option<&'a str>) -> bool {
        let rule = node.and_then(|node| node.rule.as_deref());
        let class = rule.and_then(|rule| rule.class.as_deref()).or(class);
        let protection = rule.and_then(|rule| rule.protection.as_deref());
        match value {
            Value::Object(object) => self.object(object, node, class),
            Value::Array(items) => {
                let mut changed = false;
                for (index, item) in items.iter_mut().enumerate() {
                    let length = self.path.len();
                    self.path.push_str(&compact_str::format_compact!("[{index}]"));
                    changed |= self.value(item, node.and_then(|node| node.element(index)), class);
                    self.path.truncate(length);
                }
                changed
            }
            Value::String(_) | Value::Number(_)
                if is_protected(value) || protection.is_some_and(Protection::has_tokens) =>
            {
                self.whole(value, protection, class)
            }
            Value::String(text) if text.contains("ck1.") => self.text(text, node, class),
            _ => false,
        }
    }

    /// A value that is closed as a whole.
    fn whole(&mut self, value: &mut Value, protection: Option<&dyn Protection>, class: Option<&str>) -> bool {
        if matches!(value.as_str().map(parse), Some(Ok(envelope)) if envelope.alg == Algorithm::Token) {
            return false;
        }
        let Some(level) = (self.choose)(&self.path, class) else {
            self.seen.closed.push(shown(&self.path));
            return false;
        };
        let context = self.revealer.context(self.subject, &self.path);
        let mut opened = protection.map_or(Ok(None), |protection| protection.reveal(value, &context));
        // The policy may say something else today than when the value was sealed.
        if let (Ok(None), Some(text)) = (&opened, value.as_str()) {
            opened = self.envelope(text);
        }
        match opened {
            Ok(Some(opened)) => {
                *value = at_level(opened, level);
                self.seen.opened.push(shown(&self.path));
                true
            }
            Ok(None) => false,
            Err(error) => self.failed(error),
        }
    }

    /// A text that has envelopes somewhere inside: detection has replaced what it found, or a sink keeps objects as JSON.
    fn text(&mut self, text: &mut CompactString, node: Option<&'a Node>, class: Option<&'a str>) -> bool {
        let first = text.bytes().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        if matches!(first, Some(b'{' | b'['))
            && self.nested < MAX_NESTED
            && let Some(mut within) = parse_json_within(text, self.revealer.policy.limits.max_depth)
        {
            let outer = std::mem::replace(&mut self.separator, ".");
            self.nested += 1;
            let changed = self.value(&mut within, node, class);
            self.nested -= 1;
            self.separator = outer;
            if changed {
                *text = to_json_string(&within).into();
            }
            return changed;
        }
        let (mut opened, mut level, mut changed) = (String::new(), None, false);
        let mut rest = &**text;
        while let Some(at) = rest.find("ck1.") {
            let (before, from) = rest.split_at(at);
            opened.push_str(before);
            let Some(longest) = envelope_at(from) else {
                opened.push_str(&from[..4]);
                rest = &from[4..];
                continue;
            };
            let Some(level) = *level.get_or_insert_with(|| (self.choose)(&self.path, class)) else {
                self.seen.closed.push(shown(&self.path));
                return false;
            };
            let mut length = longest;
            match self.span(&from[..longest]) {
                Ok((value, its_length)) => {
                    match at_level(value, level) {
                        Value::String(value) => opened.push_str(&value),
                        value => opened.push_str(&to_json_string(&value)),
                    }
                    length = its_length;
                    changed = true;
                    self.seen.opened.push(shown(&self.path));
                }
                Err(error) => {
                    opened.push_str(&from[..longest]);
                    self.failed(error);
                }
            }
            rest = &from[length..];
        }
        if changed {
            opened.push_str(rest);
            *text = CompactString::from(opened);
        }
        changed
    }

    /// The value of an envelope inside a text, and its length. Letters of the text around it may look like its own: then a
    /// shorter one opens.
    fn span(&self, longest: &str) -> Result<(Value, usize), CryptoError> {
        let shortest = longest.len().saturating_sub(MAX_OVERLAP);
        for length in (shortest..=longest.len()).rev() {
            match self.envelope(&longest[..length]) {
                Ok(Some(value)) => return Ok((value, length)),
                Ok(None) | Err(CryptoError::Authentication | CryptoError::NotAnEnvelope) => {}
                Err(error) => return Err(error),
            }
        }
        Err(CryptoError::Authentication)
    }

    fn envelope(&self, text: &str) -> Result<Option<Value>, CryptoError> {
        let Some(keys) = &self.revealer.policy.keys else {
            return parse(text).map_or(Ok(None), |envelope| Err(CryptoError::UnknownKey(envelope.kid)));
        };
        open_envelope(&**keys, "default", text, &self.revealer.context(self.subject, &self.path))
    }

    fn failed(&mut self, error: CryptoError) -> bool {
        self.seen.failed.push(RevealError { path: shown(&self.path), error });
        false
    }
}

/// Characters behind an envelope in a text that are tried as its own.
const MAX_OVERLAP: usize = 128;

/// The most characters of an envelope that a text may begin with; `None` where it begins with none that could be opened.
fn envelope_at(text: &str) -> Option<usize> {
    let header = text.get(..15)?;
    let body =
        text[15..].bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')).count();
    let bytes = header.as_bytes();
    let is_header = matches!(bytes[4], b'a' | b's' | b'd') && bytes[5] == b'.' && bytes[14] == b'.';
    let is_kid = bytes[6..14].iter().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
    (is_header && is_kid && body > 0).then_some(15 + body)
}

fn at_level(value: Value, level: RevealLevel) -> Value {
    match level {
        RevealLevel::Full => value,
        RevealLevel::Masked => for_display(&value),
    }
}

/// A path as people and logs see it: without indexes, and without names that could be values.
fn shown(path: &str) -> String {
    let mut general = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('[') {
        let (before, from) = rest.split_at(at + 1);
        general.push_str(before);
        let digits = from.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && from[digits..].starts_with(']') {
            general.push('*');
            rest = &from[digits..];
        } else {
            rest = from;
        }
    }
    general.push_str(rest);
    safe_path(&general)
}

#[cfg(test)]
mod tests;
