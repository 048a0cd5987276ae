//! Detection on the walk through a record: looks into texts, numbers, members' names and JSON inside texts, and
//! replaces what is found.

use std::cell::Cell;
use std::ops::Range;

use compact_str::CompactString;

use super::Walk;
use crate::decode::parse_json_within;
use crate::detect::{Detection, Scratch};
use crate::encode::to_json_string;
use crate::error::{RecordError, RecordErrorKind, safe_path};
use crate::finding::Finding;
use crate::protect::Applied;
use crate::value::{Object, Value};

/// How often JSON inside a text is opened within JSON inside a text.
const MAX_NESTED: usize = 4;

/// Digits that a number must have to be looked into: shorter ones hold nothing that a rule knows.
const MIN_DIGITS: usize = 7;

/// Memory that is used from record to record, one a thread: it grows to the number of rules.
#[derive(Default)]
struct Buffers {
    scratch: Scratch,
    found: Vec<Detection>,
    joined: String,
    replaced: String,
}

thread_local! {
    static BUFFERS: Cell<Option<Box<Buffers>>> = const { Cell::new(None) };
}

/// The thread's buffers: lent to a walk when it first searches, given back when it ends.
#[derive(Default)]
pub(super) struct Lent(Option<Box<Buffers>>);

impl Lent {
    fn get(&mut self) -> &mut Buffers {
        self.0.get_or_insert_with(|| BUFFERS.try_with(Cell::take).ok().flatten().unwrap_or_default())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(buffers) = self.0.take() {
            // A thread that ends has no place for them any more; then they go.
            let _ = BUFFERS.try_with(|place| place.set(Some(buffers)));
        }
    }
}

/// What a search came to.
#[derive(Clone, Copy, Default)]
pub(super) struct Outcome {
    /// Something was found, whatever was done to it.
    pub(super) found: bool,
    /// Something was replaced.
    pub(super) changed: bool,
}

impl Walk<'_> {
    /// Looks into a value and all that is inside it, where no rule says anything; true when something was replaced.
    pub(super) fn look(&mut self, value: &mut Value) -> Result<bool, RecordError> {
        if self.actions.is_none() {
            return Ok(false);
        }
        match value {
            Value::String(text) => self.look_into_text(text),
            Value::Number(number) => {
                let digits = number.as_str().bytes().filter(u8::is_ascii_digit).count();
                if digits < MIN_DIGITS {
                    return Ok(false);
                }
                // What is found in a number makes it a text; otherwise it stays the number that it is.
                let mut text = CompactString::new(number.as_str());
                let changed = self.search(&mut text, true)?.changed;
                if changed {
                    *value = Value::String(text);
                }
                Ok(changed)
            }
            Value::Array(items) => self.look_into_items(items),
            Value::Object(object) => self.look_into_members(object),
            Value::Null | Value::Bool(_) => Ok(false),
        }
    }

    fn look_into_items(&mut self, items: &mut [Value]) -> Result<bool, RecordError> {
        let mut changed = false;
        self.depth += 1;
        for (index, item) in items.iter_mut().enumerate() {
            let length = self.path.len();
            self.push_index(index);
            changed |= self.look(item)?;
            self.path.truncate(length);
        }
        self.depth -= 1;
        Ok(changed)
    }

    fn look_into_members(&mut self, object: &mut Object) -> Result<bool, RecordError> {
        let (mut changed, mut renamed) = (false, false);
        self.depth += 1;
        for (name, value) in object.members_mut() {
            let place = self.place();
            renamed |= self.look_at_name(name)?;
            self.push_name(name);
            changed |= self.look(value)?;
            self.back_to(place);
        }
        self.depth -= 1;
        if renamed {
            self.check_names(object)?;
        }
        Ok(changed | renamed)
    }

    /// Looks at a member's name that is no rule's; true when it was changed. From a name that something was found in,
    /// no path is shown any more: the caller gives `hidden` back when it is done with the member.
    pub(super) fn look_at_name(&mut self, name: &mut CompactString) -> Result<bool, RecordError> {
        if self.actions.is_none() {
            return Ok(false);
        }
        let outer = self.hidden;
        self.hidden = outer.or(Some(self.path.len()));
        let Outcome { found, changed } = self.search(name, false)?;
        if !found {
            self.hidden = outer;
        }
        Ok(changed)
    }

    /// Two values that are protected alike must not become one member.
    pub(super) fn check_names(&self, object: &Object) -> Result<(), RecordError> {
        if object.has_duplicate() {
            return Err(self.error(
                RecordErrorKind::NameConflict,
                "two members have the same name once what was found in their names is protected",
            ));
        }
        Ok(())
    }

    /// JSON inside a text is walked as the structure that it is: its names are context, its escapes are no hiding
    /// place. All else, and what is nested deeper than the limits allow, is searched as the text that it is.
    fn look_into_text(&mut self, text: &mut CompactString) -> Result<bool, RecordError> {
        let first = text.bytes().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        if matches!(first, Some(b'{' | b'[')) && self.nested < MAX_NESTED {
            let depth_left = self.policy.limits.max_depth.saturating_sub(self.depth);
            if let Some(mut within) = parse_json_within(text, depth_left) {
                let outer = self.separator;
                // Flattening stops at a text, so its paths are written in the common way.
                self.separator = ".";
                self.nested += 1;
                let changed = self.look(&mut within)?;
                self.nested -= 1;
                self.separator = outer;
                if changed {
                    *text = to_json_string(&within).into();
                }
                return Ok(changed);
            }
        }
        Ok(self.search(text, true)?.changed)
    }

    /// Searches one text and replaces what is found in it, as far as the policy says so. `is_value`: it is the value of
    /// the member whose name stands last on the path, and not a name itself.
    fn search(&mut self, text: &mut CompactString, is_value: bool) -> Result<Outcome, RecordError> {
        let (Some(actions), Some(detection)) = (self.actions, &self.policy.detection) else {
            return Ok(Outcome::default());
        };
        let detector = &detection.detector;
        let buffers = self.lent.get();
        let mut found = std::mem::take(&mut buffers.found);
        let name = self.path.get(self.name_at..).filter(|name| is_value && !name.is_empty());
        match name {
            // Rules for passwords and keys know them by what stands before them (`password: …`), so a value is
            // searched as it stands in JSON, its name in front.
            Some(name) => {
                let joined = &mut buffers.joined;
                joined.clear();
                for part in [name, "\": \"", text, "\""] {
                    joined.push_str(part);
                }
                let before = name.len() + 4;
                detector.find(joined.as_bytes(), &[&self.path], &mut buffers.scratch, &mut found);
                only_within(&mut found, before..before + text.len());
            }
            None => detector.find(text.as_bytes(), &[&self.path], &mut buffers.scratch, &mut found),
        }
        if found.is_empty() {
            buffers.found = found;
            return Ok(Outcome::default());
        }
        to_whole_characters(text, &mut found);
        let mut replaced = std::mem::take(&mut buffers.replaced);
        replaced.clear();
        // How much of the text has been copied. Its own positions are used throughout, so nothing shifts.
        let mut copied = 0;
        let mut changed = false;
        for one in &found {
            let entity = &detector.rule(one.rule).entity;
            let Some(protection) = actions.of(entity) else { continue };
            let value = Value::string(&text[one.start..one.end]);
            // Only text can stand inside a text; the policy is checked for it, this keeps it closed.
            let Applied::Value(Value::String(replacement)) = self.protect(protection, value, Some(entity))? else {
                return Err(self.error(RecordErrorKind::Protection, "this protection does not give a text"));
            };
            replaced.push_str(&text[copied..one.start]);
            replaced.push_str(&replacement);
            copied = one.end;
            changed = true;
        }
        let path = self.shown_path();
        self.findings.extend(found.iter().map(|one| {
            let rule = detector.rule(one.rule);
            Finding {
                path: path.clone(),
                span: one.start..one.end,
                entity: rule.entity.clone(),
                rule: rule.id.clone(),
                confidence: one.confidence,
                validated: one.validated,
            }
        }));
        if changed {
            replaced.push_str(&text[copied..]);
            *text = CompactString::new(&replaced);
        }
        let buffers = self.lent.get();
        (buffers.found, buffers.replaced) = (found, replaced);
        Ok(Outcome { found: true, changed })
    }

    /// The path of the value at hand, fit to be printed.
    pub(super) fn shown_path(&self) -> String {
        let Some(hidden) = self.hidden else { return safe_path(&self.path) };
        let mut shown = safe_path(&self.path[..hidden]);
        if !shown.ends_with('?') {
            if !shown.is_empty() {
                shown.push_str(self.separator);
            }
            shown.push('?');
        }
        shown
    }
}

/// Keeps what lies in a part of the text that was searched, counted from the part's beginning.
fn only_within(found: &mut Vec<Detection>, part: Range<usize>) {
    found.retain_mut(|one| {
        one.start = one.start.max(part.start) - part.start;
        one.end = one.end.min(part.end).saturating_sub(part.start);
        one.start < one.end
    });
}

/// Rules look at bytes, so a rule may end in the middle of a character: that character belongs to the finding.
fn to_whole_characters(text: &str, found: &mut [Detection]) {
    let mut free = 0;
    for one in found {
        // The ends of a text are boundaries, so both searches end there at the latest.
        one.start = (0..=one.start).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0).max(free);
        one.end = (one.end..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len()).max(one.start);
        free = one.end;
    }
}
