//! What a policy does to each value of a record, told and not done: for comparing two policies.

use crate::error::safe_path;
use crate::policy::{Node, Unlisted};
use crate::value::{Object, Value};
use compact_str::CompactString;

use super::{Cloak, IngestTime, SubjectKey, Walk};

/// One value of a record, or one member's name, and what a policy does to it.
pub struct Treated {
    /// Its path in the record as it arrived, indexes as `[*]`, fit to be printed (see [`safe_path`]).
    pub path: String,
    /// True for the name of the member and not its value.
    pub is_name: bool,
    /// Length of its text in bytes; zero where it has none.
    pub length: usize,
    /// What is done.
    pub how: How,
}

/// What is done to a value.
#[derive(Clone, Debug, PartialEq)]
pub enum How {
    /// It leaves as it came.
    Clear,
    /// It was searched. What was not found, or is kept, leaves as it came.
    Searched(Vec<Spotted>),
    /// By a protection, described in a line as in [`Column`](crate::policy::Column)s: `mask last4`.
    Protected(String),
    /// It does not reach the sink.
    Dropped,
    /// The record is rejected because of it.
    Rejected,
}

/// Something that was found in a searched value.
#[derive(Clone, Debug, PartialEq)]
pub struct Spotted {
    /// Where inside: empty for the value itself, a path for JSON that stands in a text.
    pub inside: String,
    /// Bytes of the text there.
    pub span: std::ops::Range<usize>,
    /// What it is.
    pub entity: String,
    /// What is done to it; `None` when it is kept.
    pub how: Option<String>,
}

impl Cloak {
    /// Tells for every value that is not null, and every member's name, what the policy does to it. Two policies tell
    /// of one record in the same order, one item each.
    ///
    /// Whether the record as a whole would be accepted (required fields, types, lengths) is another question: ask
    /// [`Cloak::apply`].
    #[must_use]
    pub fn explain(&self, content: &Object) -> Vec<Treated> {
        let subject = self.subject(content).unwrap_or_default();
        let walk = self.begin(subject, SubjectKey::alone(), None, IngestTime::from_unix_seconds(0));
        let mut teller = Teller { walk, shown: String::new(), told: Vec::new() };
        teller.object(content, Some(&self.policy.root), None);
        teller.told
    }
}

struct Teller<'a> {
    walk: Walk<'a>,
    /// The path in the record as it arrived.
    shown: String,
    told: Vec<Treated>,
}

impl<'a> Teller<'a> {
    /// `whole` is what was decided for all that is inside.
    fn object(&mut self, object: &Object, node: Option<&'a Node>, whole: Option<&How>) {
        let mut cursor = 0;
        self.walk.depth += 1;
        for (name, value) in object.iter() {
            let child = node.and_then(|node| node.member(name, &mut cursor));
            let rename = child.and_then(|child| child.rule.as_deref()).and_then(|rule| rule.rename.clone());
            let is_data = whole.is_none() && rename.is_none() && self.walk.name_is_data(node, child);
            self.member(name, rename.as_deref(), is_data, whole, |teller| teller.value(value, child, whole));
        }
        self.walk.depth -= 1;
    }

    /// One member: its name, then what `inside` tells of its value.
    fn member(
        &mut self,
        name: &str,
        rename: Option<&str>,
        is_data: bool,
        whole: Option<&How>,
        inside: impl FnOnce(&mut Self),
    ) {
        let (place, length) = (self.walk.place(), self.shown.len());
        let how = match whole {
            Some(how) => how.clone(),
            None if is_data => self.search_name(name),
            None => How::Clear,
        };
        if !self.shown.is_empty() {
            self.shown.push('.');
        }
        self.shown.push_str(name);
        let path = safe_path(&self.shown);
        self.told.push(Treated { path, is_name: true, length: name.len(), how });
        self.walk.push_name(rename.unwrap_or(name));
        inside(self);
        self.walk.back_to(place);
        self.shown.truncate(length);
    }

    fn items(&mut self, items: &[Value], mut one: impl FnMut(&mut Self, usize, &Value)) {
        self.walk.depth += 1;
        for (index, item) in items.iter().enumerate() {
            let (length, shown) = (self.walk.path.len(), self.shown.len());
            self.walk.push_index(index);
            self.shown.push_str("[*]");
            one(self, index, item);
            self.walk.path.truncate(length);
            self.shown.truncate(shown);
        }
        self.walk.depth -= 1;
    }

    /// As [`Walk::value`] decides.
    fn value(&mut self, value: &Value, node: Option<&'a Node>, whole: Option<&How>) {
        if whole.is_some() {
            return self.below(value, whole);
        }
        let is_leaf = node.is_none_or(Node::is_leaf);
        let Some(rule) = node.and_then(|node| node.rule.as_deref()) else {
            if is_leaf || !matches!(value, Value::Object(_) | Value::Array(_)) {
                match self.walk.policy.unlisted {
                    Unlisted::Keep => {}
                    Unlisted::Drop => return self.below(value, Some(&How::Dropped)),
                    Unlisted::Reject => return self.below(value, Some(&How::Rejected)),
                }
            }
            return self.inside(value, node, is_leaf);
        };
        if rule.set {
            return self.below(value, Some(&How::Dropped));
        }
        if let Some(description) = &rule.description {
            return self.below(value, Some(&How::Protected(description.clone())));
        }
        if let Some(description) = self.walk.policy.sealed_as(&self.walk.path) {
            return self.below(value, Some(&How::Protected(description.to_owned())));
        }
        let around = self.walk.actions;
        self.walk.actions = rule.detect.actions(around, self.walk.policy.detection.as_ref(), is_leaf);
        self.inside(value, node, is_leaf);
        self.walk.actions = around;
    }

    fn inside(&mut self, value: &Value, node: Option<&'a Node>, is_leaf: bool) {
        match value {
            Value::Object(object) if !is_leaf => self.object(object, node, None),
            Value::Array(items) if !is_leaf => self.items(items, |teller, index, item| {
                teller.value(item, node.and_then(|node| node.element(index)), None);
            }),
            value => self.below(value, None),
        }
    }

    /// Below the last rule: one decision for all, or detection.
    fn below(&mut self, value: &Value, whole: Option<&How>) {
        match value {
            Value::Null => {}
            Value::Object(object) => {
                self.walk.depth += 1;
                for (name, value) in object.iter() {
                    self.member(name, None, whole.is_none(), whole, |teller| teller.below(value, whole));
                }
                self.walk.depth -= 1;
            }
            Value::Array(items) => self.items(items, |teller, _, item| teller.below(item, whole)),
            scalar => {
                let how = whole.cloned().unwrap_or_else(|| self.search(scalar));
                let length = match scalar {
                    Value::String(text) => text.len(),
                    Value::Number(number) => number.as_str().len(),
                    _ => 0,
                };
                self.told.push(Treated { path: safe_path(&self.shown), is_name: false, length, how });
            }
        }
    }

    fn search(&mut self, scalar: &Value) -> How {
        if self.walk.actions.is_none() {
            return How::Clear;
        }
        let shown = self.walk.shown_path();
        let searched = self.walk.look(&mut scalar.clone()).is_ok();
        self.spotted(searched, &shown)
    }

    fn search_name(&mut self, name: &str) -> How {
        if self.walk.actions.is_none() {
            return How::Clear;
        }
        let hidden = self.walk.hidden;
        let searched = self.walk.look_at_name(&mut CompactString::new(name)).is_ok();
        self.walk.hidden = hidden;
        self.spotted(searched, "?")
    }

    fn spotted(&mut self, searched: bool, shown: &str) -> How {
        let findings = std::mem::take(&mut self.walk.findings);
        if !searched {
            return How::Rejected;
        }
        let actions = self.walk.actions;
        let spotted = findings.into_iter().map(|finding| Spotted {
            inside: finding.path.strip_prefix(shown).unwrap_or_default().to_owned(),
            span: finding.span,
            how: actions.and_then(|actions| actions.description(&finding.entity)).map(str::to_owned),
            entity: finding.entity.into_owned(),
        });
        How::Searched(spotted.collect())
    }
}
