//! The compiled form of `fields:`: a tree that is walked along with the record.

use std::collections::HashMap;
use std::sync::Arc;

use compact_str::CompactString;

use super::FieldDetection;
use super::config::{FieldType, SetValue};
use super::index::BlindIndex;
use crate::dates::DateFormat;
use crate::path::{FieldPath, Segment};
use crate::protect::Protection;

/// What is known about one place in a record.
#[derive(Clone, Default)]
pub(crate) struct Node {
    /// What happens to the value here.
    pub(crate) rule: Option<Arc<FieldRule>>,
    /// Members by name. Wildcards are merged into them when the policy is compiled, so that one look
    /// decides.
    members: Vec<(CompactString, Node)>,
    /// For objects with many named members.
    index: HashMap<CompactString, usize>,
    /// Every other member.
    pub(crate) any_member: Option<Box<Node>>,
    /// Elements by index; few, so a list does.
    elements: Vec<(usize, Node)>,
    /// Every other element.
    pub(crate) any_element: Option<Box<Node>>,
    /// Members that the policy sets.
    pub(crate) set: Vec<(CompactString, SetValue)>,
    /// True when a rule here gives a name that could meet one that arrives.
    pub(crate) renames: bool,
}

/// What happens to one field, ready to run.
pub(crate) struct FieldRule {
    pub(crate) field_type: Option<FieldType>,
    pub(crate) nullable: bool,
    pub(crate) max_length: Option<usize>,
    pub(crate) rename: Option<CompactString>,
    pub(crate) set: bool,
    pub(crate) date: Option<(Vec<DateFormat>, DateFormat)>,
    pub(crate) protection: Option<Box<dyn Protection>>,
    pub(crate) index: Option<BlindIndex>,
    /// The protection in a line, for people.
    pub(crate) description: Option<String>,
    pub(crate) detect: FieldDetection,
    pub(crate) flatten: Option<String>,
    /// What kind of data it is, for the rules of `reveal:`.
    pub(crate) class: Option<String>,
}

/// Beyond this many named members a hash beats looking at each.
const HASH_FROM: usize = 16;

impl Node {
    /// The node of a member. `cursor` remembers where the last one was found: records mostly list their
    /// fields in one order, so the next is usually one further.
    pub(crate) fn member(&self, name: &str, cursor: &mut usize) -> Option<&Node> {
        let count = self.members.len();
        if count <= HASH_FROM {
            for step in 0..count {
                let at = (*cursor + step) % count;
                if self.members[at].0 == name {
                    *cursor = at + 1;
                    return Some(&self.members[at].1);
                }
            }
        } else if let Some(at) = self.index.get(name) {
            return Some(&self.members[*at].1);
        }
        self.any_member.as_deref()
    }

    /// True when a member's node was found by the member's own name and not by a wildcard.
    pub(crate) fn is_named(&self, member: &Node) -> bool {
        !self.any_member.as_deref().is_some_and(|any| std::ptr::eq(any, member))
    }

    /// The node of an element.
    pub(crate) fn element(&self, at: usize) -> Option<&Node> {
        self.elements.iter().find(|(index, _)| *index == at).map(|(_, node)| node).or(self.any_element.as_deref())
    }

    /// True when nothing inside the value here is named.
    pub(crate) fn is_leaf(&self) -> bool {
        self.members.is_empty() && self.any_member.is_none() && self.elements.is_empty() && self.any_element.is_none()
    }

    pub(crate) fn member_mut(&mut self, name: &str) -> &mut Node {
        let at = self.members.iter().position(|(key, _)| key == name).unwrap_or_else(|| {
            self.members.push((CompactString::new(name), Node::default()));
            self.members.len() - 1
        });
        &mut self.members[at].1
    }

    pub(crate) fn element_mut(&mut self, index: usize) -> &mut Node {
        let at = self.elements.iter().position(|(key, _)| *key == index).unwrap_or_else(|| {
            self.elements.push((index, Node::default()));
            self.elements.len() - 1
        });
        &mut self.elements[at].1
    }

    /// Gives every named place what a wildcard says about it, where nothing more exact does; then
    /// prepares the look-up.
    pub(crate) fn finish(&mut self) {
        if let Some(any) = self.any_member.clone() {
            self.members.iter_mut().for_each(|(_, node)| node.fill_from(&any));
        }
        if let Some(any) = self.any_element.clone() {
            self.elements.iter_mut().for_each(|(_, node)| node.fill_from(&any));
        }
        let children =
            self.members.iter_mut().map(|(_, node)| node).chain(self.elements.iter_mut().map(|(_, node)| node));
        children.for_each(Node::finish);
        self.any_member.iter_mut().chain(&mut self.any_element).for_each(|node| node.finish());
        self.index = self.members.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect();
        self.renames = self.members.iter().map(|(_, node)| node).chain(self.any_member.as_deref()).any(|node| {
            node.rule
                .as_ref()
                .is_some_and(|rule| rule.rename.is_some() || rule.flatten.is_some() || rule.index.is_some())
        });
    }

    /// The same rules by the places that values have in protected records, where members may have other names and stand at
    /// the top. What a wildcard says about members that are lifted to the top is left out.
    pub(crate) fn delivered(&self, flatten: Option<&str>) -> Node {
        let mut delivered = Node::default();
        self.deliver(&mut delivered, "", flatten);
        delivered.finish();
        delivered
    }

    fn deliver(&self, out: &mut Node, prefix: &str, flatten: Option<&str>) {
        for (name, child) in &self.members {
            let rule = child.rule.as_deref();
            let own = rule.and_then(|rule| rule.rename.as_deref()).unwrap_or(name);
            let name = format!("{prefix}{own}");
            let flatten = rule.and_then(|rule| rule.flatten.as_deref()).or(flatten);
            let node = out.member_mut(&name);
            if child.rule.is_some() {
                node.rule.clone_from(&child.rule);
            }
            match flatten {
                Some(separator) => {
                    child.deliver_elements(node);
                    child.deliver(out, &format!("{name}{separator}"), Some(separator));
                }
                None => {
                    child.deliver_elements(node);
                    child.deliver(node, "", None);
                }
            }
        }
        if let (Some(any), true) = (&self.any_member, prefix.is_empty()) {
            let node = out.any_member.get_or_insert_default();
            node.rule.clone_from(&any.rule);
            any.deliver_elements(node);
            any.deliver(node, "", None);
        }
    }

    fn deliver_elements(&self, out: &mut Node) {
        let any = self.any_element.as_deref().map(|node| (None, node));
        for (index, child) in self.elements.iter().map(|(index, node)| (Some(*index), node)).chain(any) {
            let node = match index {
                Some(index) => out.element_mut(index),
                None => out.any_element.get_or_insert_default(),
            };
            node.rule.clone_from(&child.rule);
            child.deliver_elements(node);
            child.deliver(node, "", None);
        }
    }

    /// Where rules protect values in protected records, in dotted form, elements of arrays by the array's name. To be asked
    /// before [`Node::finish`], which gives named members what wildcards say: here each rule is told once.
    pub(crate) fn protected_places(&self, flatten: Option<&str>) -> Vec<(String, String)> {
        let mut delivered = Node::default();
        self.deliver(&mut delivered, "", flatten);
        let mut places = Vec::new();
        delivered.each_rule("", &mut |path, rule| {
            if let Some(how) = rule.description.as_ref().filter(|how| *how != "drop") {
                places.push((path.to_owned(), how.clone()));
            }
        });
        places
    }

    /// Calls `each` with every rule and its place; what is inside a protected value is nowhere.
    fn each_rule(&self, path: &str, each: &mut dyn FnMut(&str, &FieldRule)) {
        if let Some(rule) = &self.rule {
            each(path, rule);
            if rule.protection.is_some() {
                return;
            }
        }
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        for (name, child) in &self.members {
            child.each_rule(&below(name), each);
        }
        if let Some(any) = &self.any_member {
            any.each_rule(&below("*"), each);
        }
        for child in self.elements.iter().map(|(_, node)| node).chain(self.any_element.as_deref()) {
            child.each_rule(path, each);
        }
    }

    /// The place in protected records of the one value that a path names, and its rule.
    pub(crate) fn delivered_path(
        &self,
        path: &FieldPath,
        flatten: Option<&str>,
    ) -> (FieldPath, Option<Arc<FieldRule>>) {
        let mut node = Some(self);
        let mut rule = None;
        let mut flatten = flatten.map(str::to_owned);
        let mut delivered: Vec<Segment> = Vec::new();
        let mut joins: Option<String> = None;
        for segment in path.segments() {
            let child = node.and_then(|node| match segment {
                Segment::Member(name) => node.member(name, &mut 0),
                Segment::Element(at) => node.element(*at),
                Segment::AnyMember | Segment::AnyElement => None,
            });
            rule = child.and_then(|child| child.rule.clone());
            match segment {
                Segment::Member(name) => {
                    let own = rule.as_ref().and_then(|rule| rule.rename.as_deref()).unwrap_or(name);
                    match (joins.take(), delivered.last_mut()) {
                        (Some(separator), Some(Segment::Member(parent))) => {
                            parent.push_str(&separator);
                            parent.push_str(own);
                        }
                        _ => delivered.push(Segment::Member(own.to_owned())),
                    }
                    if let Some(separator) = rule.as_ref().and_then(|rule| rule.flatten.clone()) {
                        flatten = Some(separator);
                    }
                    joins.clone_from(&flatten);
                }
                other => {
                    delivered.push(other.clone());
                    (joins, flatten) = (None, None);
                }
            }
            node = child;
        }
        (FieldPath::of(delivered), rule)
    }

    fn fill_from(&mut self, wildcard: &Node) {
        if self.rule.is_none() {
            self.rule.clone_from(&wildcard.rule);
        }
        for (name, node) in &wildcard.members {
            self.member_mut(name).fill_from(node);
        }
        for (index, node) in &wildcard.elements {
            self.element_mut(*index).fill_from(node);
        }
        for (mine, theirs) in
            [(&mut self.any_member, &wildcard.any_member), (&mut self.any_element, &wildcard.any_element)]
        {
            if let Some(theirs) = theirs {
                mine.get_or_insert_default().fill_from(theirs);
            }
        }
        for (name, value) in &wildcard.set {
            if !self.set.iter().any(|(mine, _)| mine == name) {
                self.set.push((name.clone(), value.clone()));
            }
        }
    }
}
