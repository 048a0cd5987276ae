//! The cloak: applies a policy to a record, whole or not at all.
//!
//! [`Cloak::apply`] is the only place in the program that makes a [`ProtectedRecord`]. Any error on the
//! way leaves nothing behind but its reason.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cloakroom_crypto::PseudonymKey;
use compact_str::CompactString;

use crate::dates::{IngestTime, is_iso_date, is_iso_timestamp};
use crate::decode::Payload;
use crate::encode::write_object;
use crate::error::{RecordError, RecordErrorKind};
use crate::finding::Finding;
use crate::keys::{KeyBatch, PersistError, SubjectKey};
use crate::path::{FieldPath, Segment};
use crate::policy::{Actions, FieldRule, FieldType, Node, Policy, SetValue, Unlisted};
use crate::protect::{Applied, FieldContext, ProtectError, Protection, is_protected};
use crate::record::{ProtectedRecord, Record, RecordId};
use crate::reveal::Revealer;
use crate::tokens::TokenBatch;
use crate::value::{Number, Object, Value};

mod detection;
mod explain;
mod slow;

pub use explain::{How, Spotted, Treated};
use slow::Slow;

/// Records whose keys are looked for at once: enough to make it worth while, few enough that decoded they are some megabytes.
const GROUP: usize = 2048;

/// A policy with its keys, ready to run. Cheap to share between threads.
#[derive(Clone)]
pub struct Cloak {
    policy: Arc<Policy>,
}

impl Cloak {
    /// Takes a compiled policy.
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        Self { policy }
    }

    /// Its policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The same, to be kept.
    #[must_use]
    pub fn shared_policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy)
    }

    /// What opens records that this cloak has protected.
    #[must_use]
    pub fn revealer(&self) -> Revealer {
        Revealer::new(Arc::clone(&self.policy))
    }

    /// Before the first record of a batch. See [`KeyProvider::begin`](crate::keys::KeyProvider::begin) and
    /// [`TokenVault::begin`](crate::tokens::TokenVault::begin).
    #[must_use]
    pub fn begin_keys(&self) -> Begun {
        Begun {
            keys: self.policy.keys.as_ref().map_or_else(KeyBatch::default, |keys| keys.begin()),
            tokens: self.policy.tokens.as_ref().map_or_else(TokenBatch::default, |tokens| tokens.begin()),
        }
    }

    /// After the last record of a batch, and before any of them leaves the program.
    ///
    /// # Errors
    /// When the keys that sealed them, or their tokens, would be lost. See
    /// [`KeyProvider::persist`](crate::keys::KeyProvider::persist) and
    /// [`TokenVault::persist`](crate::tokens::TokenVault::persist).
    pub fn persist_keys(&self, batch: Begun) -> Result<(), PersistError> {
        self.policy.keys.as_ref().map_or(Ok(()), |keys| keys.persist(batch.keys))?;
        self.policy.tokens.as_ref().map_or(Ok(()), |tokens| tokens.persist(batch.tokens))
    }

    /// Decodes a payload and applies the policy: a record's way from the source to the sink.
    ///
    /// # Errors
    /// The reason for which the record is rejected whole.
    pub fn process(&self, id: RecordId, payload: &Payload, ingest: IngestTime) -> Result<ProtectedRecord, RecordError> {
        let content = payload.decode(self.policy.limits)?;
        self.apply(Record { id, content }, ingest)
    }

    /// The same for many records: what is slow on one is done for all at once. The result is by the index of the payload.
    ///
    /// A record that brings out a mistake of this program is rejected like any other: it must not hold up those behind it.
    /// Nothing is shared that a panic could leave half done.
    pub fn process_batch<'c, 'a>(
        &'c self,
        payloads: impl Iterator<Item = (&'a RecordId, &'a Payload)>,
        ingest: IngestTime,
    ) -> Vec<Result<ProtectedRecord, RecordError>> {
        let walked = if self.policy.hashes_slowly {
            let walk = |(id, payload): (&'a RecordId, &'a Payload), slow: &mut Slow<'c>| {
                guarded(|| {
                    let content = payload.decode(self.policy.limits)?;
                    self.walk(Record { id: id.clone(), content }, ingest, slow, SubjectKey::alone())
                })
            };
            slow::walk_twice(payloads, walk)
        } else if self.policy.envelope.is_some() {
            self.walk_all(payloads, ingest, |walked| walked)
        } else {
            return self.walk_all(payloads, ingest, Walked::finished);
        };
        let Some(sealer) = &self.policy.envelope else {
            return walked.into_iter().map(|walked| walked.map(Walked::finished)).collect();
        };
        let mut contents = Vec::with_capacity(walked.len());
        let rest: Vec<_> = walked
            .into_iter()
            .map(|walked| {
                walked.map(|Walked { id, content, findings }| {
                    contents.push(content);
                    (id, findings)
                })
            })
            .collect();
        let sealed = catch_unwind(AssertUnwindSafe(|| sealer.seal(contents))).unwrap_or_default();
        let mut sealed = sealed.into_iter();
        let mut next = || sealed.next().unwrap_or_else(|| Err(internal()));
        rest.into_iter()
            .map(|rest| rest.and_then(|(id, findings)| Ok(ProtectedRecord::new(id, next()?, findings))))
            .collect()
    }

    /// Decodes and walks many records. Where values are sealed with keys of subjects, the keys of a group are looked for at once.
    fn walk_all<'a, T>(
        &self,
        mut payloads: impl Iterator<Item = (&'a RecordId, &'a Payload)>,
        ingest: IngestTime,
        finish: impl Fn(Walked) -> T,
    ) -> Vec<Result<T, RecordError>> {
        let decode = |id: &RecordId, payload: &Payload| {
            guarded(|| Ok(Record { id: id.clone(), content: payload.decode(self.policy.limits)? }))
        };
        let walk = |record: Record, key: SubjectKey<'_>| {
            guarded(|| self.walk(record, ingest, &mut Slow::Now, key).map(&finish))
        };
        let Some(keys) = self.policy.keys.as_ref().filter(|_| self.policy.seals_for_subjects) else {
            return payloads
                .map(|(id, payload)| decode(id, payload).and_then(|record| walk(record, SubjectKey::alone())))
                .collect();
        };
        let mut all = Vec::with_capacity(payloads.size_hint().0);
        loop {
            let mut subjects = Vec::new();
            let group: Vec<_> = payloads
                .by_ref()
                .take(GROUP)
                .map(|(id, payload)| {
                    let record = decode(id, payload)?;
                    // A record without a subject is told so on its walk.
                    let subject = self.subject(&record.content).ok();
                    let index = subject.map(|subject| {
                        subjects.push(subject);
                        subjects.len() - 1
                    });
                    Ok((record, index))
                })
                .collect();
            if group.is_empty() {
                return all;
            }
            let names: Vec<&str> = subjects.iter().map(CompactString::as_str).collect();
            let batch = guarded(|| Ok(keys.of_subjects(&self.policy.tenant, &names))).unwrap_or_default();
            all.extend(group.into_iter().map(|decoded| {
                let (record, index) = decoded?;
                let key = batch.as_deref().zip(index).map(|(batch, index)| SubjectKey::in_batch(batch, index));
                walk(record, key.unwrap_or_else(SubjectKey::alone))
            }));
        }
    }

    /// Applies the policy to a decoded record.
    ///
    /// # Errors
    /// The reason for which the record is rejected whole.
    pub fn apply(&self, record: Record, ingest: IngestTime) -> Result<ProtectedRecord, RecordError> {
        self.sealed(self.walk(record, ingest, &mut Slow::Now, SubjectKey::alone())?).map(Walked::finished)
    }

    /// What would become of a record: the same, but where a value is hashed slowly stands null. Not to be delivered.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn rehearse(&self, record: Record, ingest: IngestTime) -> Result<Object, RecordError> {
        let walked = self.walk(record, ingest, &mut Slow::Note(Vec::new()), SubjectKey::alone())?;
        self.sealed(walked).map(|walked| walked.content)
    }

    /// The last step, for one record.
    fn sealed(&self, mut walked: Walked) -> Result<Walked, RecordError> {
        if let Some(sealer) = &self.policy.envelope {
            let sealed = sealer.seal(vec![walked.content]).pop();
            walked.content = sealed.unwrap_or_else(|| Err(internal()))?;
        }
        Ok(walked)
    }

    /// Everything but the last step, which is for whole records.
    fn walk<'a>(
        &'a self,
        record: Record,
        ingest: IngestTime,
        slow: &mut Slow<'a>,
        key: SubjectKey<'a>,
    ) -> Result<Walked, RecordError> {
        let Record { id, mut content } = record;
        for path in &self.policy.required {
            check_required(path.segments(), &content, path)?;
        }
        let subject = self.subject(&content)?;
        let uuid = self.policy.uuid_key.as_ref().map(|key| uuid_of(&id, &content, key));
        let mut walk = self.begin(subject, key, uuid, ingest);
        walk.slow = std::mem::take(slow);
        walk.object(&mut content, Some(&self.policy.root))?;
        *slow = walk.slow;
        let findings = walk.findings;
        if let Some(separator) = &self.policy.flatten {
            content = flatten_all(content, separator)?;
        }
        Ok(Walked { id, content, findings })
    }

    /// The beginning of a walk.
    fn begin<'a>(
        &'a self,
        subject: CompactString,
        subject_key: SubjectKey<'a>,
        uuid: Option<String>,
        ingest: IngestTime,
    ) -> Walk<'a> {
        Walk {
            policy: &self.policy,
            subject,
            subject_key,
            uuid,
            separator: self.policy.flatten.as_deref().unwrap_or("."),
            ingest,
            path: String::new(),
            name_at: 0,
            hidden: None,
            depth: 0,
            nested: 0,
            actions: self.policy.detection.as_ref().and_then(|detection| detection.everywhere.as_ref()),
            findings: Vec::new(),
            index: None,
            lent: detection::Lent::default(),
            slow: Slow::Now,
        }
    }

    fn subject(&self, content: &Object) -> Result<CompactString, RecordError> {
        let Some(path) = &self.policy.subject else { return Ok(CompactString::const_new("")) };
        match find(path.segments(), content) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(CompactString::new(number.as_str())),
            _ => Err(RecordError::at(
                RecordErrorKind::MissingField,
                path.to_string(),
                "it names the subject and must have a value",
            )),
        }
    }
}

/// When a batch was begun.
#[derive(Clone, Copy)]
pub struct Begun {
    keys: KeyBatch,
    tokens: TokenBatch,
}

/// Rejects a record that brings out a mistake of this program, and goes on.
fn guarded<T>(work: impl FnOnce() -> Result<T, RecordError>) -> Result<T, RecordError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(internal()))
}

/// A record after its walk. Not yet protected where the policy has an envelope, so it is no [`ProtectedRecord`].
struct Walked {
    id: RecordId,
    content: Object,
    findings: Vec<Finding>,
}

impl Walked {
    /// Nothing is left to do.
    fn finished(self) -> ProtectedRecord {
        ProtectedRecord::new(self.id, self.content, self.findings)
    }
}

/// One walk through one record.
struct Walk<'a> {
    policy: &'a Policy,
    subject: CompactString,
    subject_key: SubjectKey<'a>,
    /// For `set: uuid`, when the policy has one.
    uuid: Option<String>,
    /// What stands between the names of a path: flattening puts its own text there.
    separator: &'a str,
    ingest: IngestTime,
    /// The path of the value at hand in the protected record.
    path: String,
    /// Where the last name on it begins.
    name_at: usize,
    /// From here on the path must not be shown: a name on it held something sensitive.
    hidden: Option<usize>,
    /// Objects and arrays around the value at hand, those inside texts among them.
    depth: usize,
    /// Texts around it that were opened as JSON.
    nested: usize,
    /// What is done to findings here; `None` where nothing is looked for.
    actions: Option<&'a Actions>,
    findings: Vec<Finding>,
    /// The blind index of the member at hand, until it stands beside it.
    index: Option<(CompactString, Value)>,
    lent: detection::Lent,
    /// What is done with values that are hashed slowly.
    slow: Slow<'a>,
}

impl<'a> Walk<'a> {
    /// Applies the rules to the members of an object. `node` is `None` where the policy says nothing.
    fn object(&mut self, object: &mut Object, node: Option<&'a Node>) -> Result<(), RecordError> {
        let members = object.members_mut();
        let mut cursor = 0;
        let mut lifted: Vec<(CompactString, Value)> = Vec::new();
        // Members are changed where they stand; `kept` counts those that stay.
        let mut kept = 0;
        let mut names_changed = false;
        self.depth += 1;
        for index in 0..members.len() {
            let (name, value) = &mut members[index];
            let child = node.and_then(|node| node.member(name, &mut cursor));
            let place = self.place();
            let rule = child.and_then(|child| child.rule.as_deref());
            if let Some(rename) = rule.and_then(|rule| rule.rename.as_ref()) {
                name.clone_from(rename);
            } else if self.name_is_data(node, child) {
                names_changed |= self.look_at_name(name)?;
            }
            self.push_name(name);
            let outer = self.separator;
            if let Some(separator) = rule.and_then(|rule| rule.flatten.as_deref()) {
                self.separator = separator;
            }
            let mut keep = self.value(value, child)?;
            lifted.extend(self.index.take());
            self.separator = outer;
            if keep
                && let Some(separator) = rule.and_then(|rule| rule.flatten.as_deref())
                && let Value::Object(inner) = value
            {
                flatten_into(std::mem::take(inner), name, separator, &mut lifted);
                keep = false;
            }
            self.back_to(place);
            if keep {
                if kept != index {
                    members.swap(kept, index);
                }
                kept += 1;
            }
        }
        self.depth -= 1;
        members.truncate(kept);
        if names_changed {
            self.check_names(object)?;
        }
        let Some(node) = node else { return Ok(()) };
        let members = object.members_mut();
        members.append(&mut lifted);
        for (name, set) in &node.set {
            members.push((name.clone(), self.set_value(set)));
        }
        if (node.renames || !node.set.is_empty()) && object.has_duplicate() {
            return Err(RecordError::new(
                RecordErrorKind::NameConflict,
                "a field arrives under a name that the policy gives to another; rename or drop one of them",
            ));
        }
        Ok(())
    }

    /// True when a member's name comes from the data alone: no rule gives it, though a wildcard may say what happens to
    /// the value. Where unlisted members go, their names go with them.
    fn name_is_data(&self, node: Option<&Node>, child: Option<&Node>) -> bool {
        match (node, child) {
            (Some(node), Some(child)) => !node.is_named(child),
            _ => self.policy.unlisted == Unlisted::Keep,
        }
    }

    /// Applies what the policy says to one value, where it stands; false when it disappears.
    fn value(&mut self, value: &mut Value, node: Option<&'a Node>) -> Result<bool, RecordError> {
        let rule = node.and_then(|node| node.rule.as_deref());
        let is_leaf = node.is_none_or(Node::is_leaf);
        let Some(rule) = rule else {
            if is_leaf || !matches!(value, Value::Object(_) | Value::Array(_)) {
                match self.policy.unlisted {
                    Unlisted::Keep => {}
                    Unlisted::Drop => return Ok(false),
                    Unlisted::Reject => {
                        return Err(self
                            .error(RecordErrorKind::UnlistedField, "name it in `fields:`, or set `record.unlisted`"));
                    }
                }
            }
            return self.inside(value, node, is_leaf).map(|()| true);
        };
        if rule.set {
            return Ok(false);
        }
        self.check(rule, value)?;
        if let Some(protection) = &rule.protection {
            // An envelope that passes is not the value: it has no index.
            if let Some(index) = &rule.index
                && !(is_protected(value) || protection.is_token(value).map_err(|error| self.refused(error))?)
            {
                let value = index.of(value).map_err(|error| self.refused(error))?;
                self.index = Some((index.name.clone(), value));
            }
            if let Some(hash) = protection.slow() {
                return self.hash_slowly(hash, value).map(|()| true);
            }
            let taken = std::mem::replace(value, Value::Null);
            return match self.protect(protection.as_ref(), taken, None)? {
                Applied::Value(result) => {
                    *value = result;
                    Ok(true)
                }
                Applied::Drop => Ok(false),
            };
        }
        // A value that a rule names and keeps is the author's decision, with all that is inside; detection looks where
        // nobody decided, or where the rule asks for it.
        let around = self.actions;
        self.actions = rule.detect.actions(around, self.policy.detection.as_ref(), is_leaf);
        self.inside(value, node, is_leaf)?;
        self.actions = around;
        Ok(true)
    }

    /// Goes on inside a value that stays: along the rules as far as there are any, then with detection alone.
    fn inside(&mut self, value: &mut Value, node: Option<&'a Node>, is_leaf: bool) -> Result<(), RecordError> {
        match value {
            Value::Object(object) if !is_leaf => self.object(object, node),
            Value::Array(items) if !is_leaf => self.array(items, node),
            value => self.look(value).map(drop),
        }
    }

    fn array(&mut self, items: &mut Vec<Value>, node: Option<&'a Node>) -> Result<(), RecordError> {
        let mut kept = 0;
        self.depth += 1;
        for index in 0..items.len() {
            let length = self.path.len();
            // Its place in the protected record, where earlier elements may have gone.
            self.push_index(kept);
            if self.value(&mut items[index], node.and_then(|node| node.element(index)))? {
                items.swap(kept, index);
                kept += 1;
            }
            self.path.truncate(length);
        }
        self.depth -= 1;
        items.truncate(kept);
        Ok(())
    }

    fn push_name(&mut self, name: &str) {
        if !self.path.is_empty() {
            self.path.push_str(self.separator);
        }
        self.name_at = self.path.len();
        self.path.push_str(name);
    }

    /// What a member changes and [`Walk::back_to`] gives back.
    fn place(&self) -> (usize, usize, Option<usize>) {
        (self.path.len(), self.name_at, self.hidden)
    }

    fn back_to(&mut self, (length, name_at, hidden): (usize, usize, Option<usize>)) {
        self.path.truncate(length);
        (self.name_at, self.hidden) = (name_at, hidden);
    }

    fn push_index(&mut self, index: usize) {
        self.path.push_str(&compact_str::format_compact!("[{index}]"));
    }

    /// Type, null, length and date of a value that a rule names.
    fn check(&self, rule: &FieldRule, value: &mut Value) -> Result<(), RecordError> {
        if self.policy.format.is_textual()
            && let Some(field_type) = rule.field_type
        {
            from_text(value, field_type);
        }
        if *value == Value::Null {
            if !rule.nullable {
                return Err(self.error(RecordErrorKind::WrongType, "null where `nullable: false` stands"));
            }
            return Ok(());
        }
        if let Some((from, to)) = &rule.date {
            let Value::String(text) = value else {
                return Err(
                    self.error(RecordErrorKind::InvalidDate, format!("a text was expected, not a {}", value.kind()))
                );
            };
            let moment = from.iter().find_map(|format| format.read(text));
            let written = moment.and_then(|moment| to.write(moment));
            *text = written
                .ok_or_else(|| self.error(RecordErrorKind::InvalidDate, "in none of the formats of `date.from`"))?
                .into();
        }
        if let Some(expected) = rule.field_type
            && !has_type(value, expected)
        {
            return Err(
                self.error(RecordErrorKind::WrongType, format!("{} expected, {} found", expected.name(), value.kind()))
            );
        }
        if let (Some(max), Value::String(text)) = (rule.max_length, &*value)
            && text.len() > max
            && text.chars().count() > max
        {
            return Err(self.error(
                RecordErrorKind::TooLong,
                format!("{} characters; `max_length` is {max}", text.chars().count()),
            ));
        }
        Ok(())
    }

    fn protect(&self, protection: &dyn Protection, value: Value, entity: Option<&str>) -> Result<Applied, RecordError> {
        let context = FieldContext {
            tenant: &self.policy.tenant,
            collection: &self.policy.collection,
            subject: &self.subject,
            path: &self.path,
            entity,
            subject_key: Some(&self.subject_key),
        };
        protection.protect(value, &context).map_err(|error| self.refused(error))
    }

    fn refused(&self, ProtectError { kind, detail }: ProtectError) -> RecordError {
        self.error(kind, detail)
    }

    fn set_value(&self, set: &SetValue) -> Value {
        match set {
            SetValue::IngestDate => Value::string(self.ingest.date()),
            SetValue::IngestTime => Value::string(self.ingest.timestamp()),
            SetValue::Uuid => self.uuid.as_ref().map_or(Value::Null, Value::string),
            SetValue::Constant { constant } => constant_value(constant),
        }
    }

    fn error(&self, kind: RecordErrorKind, detail: impl Into<std::borrow::Cow<'static, str>>) -> RecordError {
        RecordError::at(kind, self.shown_path(), detail)
    }
}

fn internal() -> RecordError {
    RecordError::new(RecordErrorKind::Internal, "a mistake of this program")
}

fn check_required(segments: &[Segment], object: &Object, path: &FieldPath) -> Result<(), RecordError> {
    let missing = || RecordError::at(RecordErrorKind::MissingField, path.to_string(), "");
    match segments {
        [] => Ok(()),
        [Segment::Member(name), rest @ ..] => required_in(rest, object.get(name).ok_or_else(missing)?, path),
        [Segment::AnyMember, rest @ ..] => object.iter().try_for_each(|(_, value)| required_in(rest, value, path)),
        _ => Err(missing()),
    }
}

fn required_in(segments: &[Segment], value: &Value, path: &FieldPath) -> Result<(), RecordError> {
    let missing = || RecordError::at(RecordErrorKind::MissingField, path.to_string(), "");
    match (segments, value) {
        ([], _) => Ok(()),
        ([Segment::Element(at), rest @ ..], Value::Array(items)) => {
            required_in(rest, items.get(*at).ok_or_else(missing)?, path)
        }
        ([Segment::AnyElement, rest @ ..], Value::Array(items)) => {
            items.iter().try_for_each(|item| required_in(rest, item, path))
        }
        (segments, Value::Object(object)) => check_required(segments, object, path),
        _ => Err(missing()),
    }
}

/// The value at an exact path.
pub(crate) fn find<'a>(segments: &[Segment], object: &'a Object) -> Option<&'a Value> {
    let (first, rest) = segments.split_first()?;
    let Segment::Member(name) = first else { return None };
    rest.iter().try_fold(object.get(name)?, |value, segment| match (segment, value) {
        (Segment::Member(name), Value::Object(object)) => object.get(name),
        (Segment::Element(at), Value::Array(items)) => items.get(*at),
        _ => None,
    })
}

/// CSV and `key=value` carry text only; the policy's type says how to read it. What does not fit stays
/// text and is then refused by the type check. An empty text is null for everything but strings.
fn from_text(value: &mut Value, field_type: FieldType) {
    let Value::String(text) = &*value else { return };
    let text = text.trim();
    let read = match field_type {
        FieldType::String | FieldType::Object | FieldType::Array => None,
        _ if text.is_empty() => Some(Value::Null),
        FieldType::Integer | FieldType::Number => Number::parse(text).map(Value::Number),
        FieldType::Boolean => match text {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        },
        FieldType::Date | FieldType::Timestamp => None,
    };
    if let Some(read) = read {
        *value = read;
    }
}

fn has_type(value: &Value, expected: FieldType) -> bool {
    match (expected, value) {
        (FieldType::String, Value::String(_))
        | (FieldType::Number, Value::Number(_))
        | (FieldType::Boolean, Value::Bool(_))
        | (FieldType::Object, Value::Object(_))
        | (FieldType::Array, Value::Array(_)) => true,
        (FieldType::Integer, Value::Number(number)) => number.is_integer(),
        (FieldType::Date, Value::String(text)) => is_iso_date(text),
        (FieldType::Timestamp, Value::String(text)) => is_iso_timestamp(text),
        _ => false,
    }
}

/// A UUID of version 8 (RFC 9562 section 5.8) from the record's id and content: a redelivery gets the same
/// one, another record in the same place (a file that was replaced) another. Keyed, so that nobody can try
/// contents against it.
fn uuid_of(id: &RecordId, content: &Object, key: &PseudonymKey) -> String {
    let mut bytes: [u8; 16] = [0; 16];
    let mut json = Vec::new();
    write_object(content, &mut json);
    bytes.copy_from_slice(&key.tag_parts(&[id.to_string().as_bytes(), &json])[..16]);
    bytes[6] = bytes[6] & 0x0F | 0x80;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn constant_value(constant: &serde_json::Value) -> Value {
    match constant {
        serde_json::Value::Bool(flag) => Value::Bool(*flag),
        serde_json::Value::Number(number) => Number::parse(&number.to_string()).map_or(Value::Null, Value::Number),
        serde_json::Value::String(text) => Value::string(text),
        // Arrays and objects are refused when the policy is compiled.
        _ => Value::Null,
    }
}

fn flatten_into(object: Object, prefix: &str, separator: &str, out: &mut Vec<(CompactString, Value)>) {
    for (name, value) in object.into_members() {
        let name = compact_str::format_compact!("{prefix}{separator}{name}");
        match value {
            Value::Object(inner) => flatten_into(inner, &name, separator, out),
            value => out.push((name, value)),
        }
    }
}

fn flatten_all(object: Object, separator: &str) -> Result<Object, RecordError> {
    let mut flat = Object::with_capacity(object.len());
    for (name, value) in object.into_members() {
        match value {
            Value::Object(inner) => flatten_into(inner, &name, separator, flat.members_mut()),
            value => flat.push(name, value),
        }
    }
    if flat.has_duplicate() {
        return Err(RecordError::new(RecordErrorKind::NameConflict, "two fields have the same name when flattened"));
    }
    Ok(flat)
}

#[cfg(test)]
#[path = "cloak_tests.rs"]
pub(crate) mod tests;

#[cfg(test)]
mod detect_tests;
