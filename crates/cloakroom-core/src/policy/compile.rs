//! From what people wrote to what runs: every path parsed, every protection built, every contradiction
//! found, each mistake with its place in the file.

use std::sync::Arc;

use compact_str::CompactString;

use super::config::{FieldConfig, FieldType, PolicyConfig, SetValue};
use super::index::{BlindIndex, IndexSpec};
use super::{Detection, FieldDetection, FieldRule, Node, Policy, RevealRules, envelope};
use crate::dates::DateFormat;
use crate::decode::Limits;
use crate::error::PolicyError;
use crate::keys::KeyProvider;
use crate::located::{Located, Position};
use crate::path::{FieldPath, Segment};
use crate::protect::{BuildContext, ProtectSpec, Protection};

/// A field of protected records that the policy names.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name in the protected record.
    pub name: String,
    /// The path it comes from.
    pub from: String,
    /// The type of its values, when the policy determines one.
    pub column_type: Option<FieldType>,
    /// The most characters of its text, when the policy determines it.
    pub max_length: Option<u32>,
    /// The length of every value, when a protection gives one.
    pub fixed_length: Option<u32>,
    /// True when every record has it with a value that is not null.
    pub never_null: bool,
    /// How the value comes about, for people: `hmac`, `kept`, `set to the day of ingest`.
    pub source: ColumnSource,
}

/// How a field's value comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnSource {
    /// As it arrived.
    Kept,
    /// By a protection, described in a line.
    Protected(String),
    /// Set by the policy, described in a line.
    Set(String),
    /// Removed: it does not reach the sink.
    Dropped,
}

pub(super) fn compile(config: &PolicyConfig, keys: Option<&Arc<dyn KeyProvider>>) -> Result<Policy, PolicyError> {
    let subject = config.subject.as_ref().map(parse_path).transpose()?;
    if let (Some(path), Some(text)) = (&subject, &config.subject)
        && !path.is_exact()
    {
        return Err(PolicyError::new(text.at, "`subject` must name one field, without `*`"));
    }
    let context = BuildContext::new(keys, config.tokens.as_ref(), subject.is_some());
    let mut required = config.record.require.iter().map(parse_path).collect::<Result<Vec<_>, _>>()?;
    let detection = Detection::compile(config, &context)?;
    let mut root = Node::default();
    let mut columns = Vec::new();
    let mut hashes_slowly = false;
    for (path_text, field) in &config.fields.0 {
        let path = parse_path(path_text)?;
        let rule = field_rule(path_text, field, &context, config, detection.as_ref())?;
        if field.required && !required.contains(&path) {
            required.push(path.clone());
        }
        let [parents @ .., last] = path.segments() else { continue };
        let parent = descend(&mut root, parents);
        if let Some(set) = &field.set {
            let Segment::Member(name) = last else {
                return Err(PolicyError::new(
                    path_text.at,
                    "`set` needs the name of one field, not a wildcard or an index",
                ));
            };
            let name = field.rename.as_ref().map_or(name.as_str(), |rename| rename.as_str());
            parent.set.push((CompactString::new(name), set.value.clone()));
        }
        let node = descend(parent, std::slice::from_ref(last));
        if node.rule.is_some() {
            return Err(PolicyError::new(path_text.at, format!("`{}` is named twice", path_text.value)));
        }
        let protection = rule.protection.as_ref();
        let fixed_length = protection.and_then(|protection| protection.fixed_length());
        hashes_slowly |= protection.is_some_and(|protection| protection.slow().is_some());
        let is_text = protection.is_some_and(|protection| protection.gives_text());
        node.rule = Some(Arc::new(rule));
        let mut column = column(&path, path_text, field, required.contains(&path), config.record.flatten.as_deref());
        if is_text {
            column.column_type = Some(FieldType::String);
        }
        columns.push(Column { fixed_length, ..column });
        if let Some(index) = &field.index {
            let Segment::Member(_) = last else {
                return Err(PolicyError::new(
                    index.at,
                    "`index` needs a field with a name, not a wildcard or an index",
                ));
            };
            let IndexSpec(index) = &index.value;
            columns.push(Column {
                name: column_name(&path, Some(&index.name), config.record.flatten.as_deref()),
                from: path_text.value.clone(),
                column_type: Some(FieldType::String),
                max_length: None,
                fixed_length: Some(index.length()),
                never_null: false,
                source: ColumnSource::Protected(format!("blind index of {} bits", index.bits)),
            });
        }
    }
    let protected_places = root.protected_places(config.record.flatten.as_deref());
    root.finish();
    let uuid_field =
        config.fields.0.iter().find_map(|(_, field)| field.set.as_ref().filter(|set| set.value == SetValue::Uuid));
    let uuid_key = uuid_field.map(|set| {
        let key = context.keys().and_then(|keys| keys.pseudonym_key("uuid").map_err(|error| error.to_string()));
        key.map_err(|error| PolicyError::new(set.at, format!("`set: uuid` {error}")))
    });
    let uuid_key = uuid_key.transpose()?;
    check_names(&columns, &config.fields.0)?;
    columns.retain(|column| !column.name.is_empty());
    let reveal = config.reveal.as_ref().map(|section| RevealRules::compile(section, &config.fields)).transpose()?;
    let envelope = config.envelope.as_ref().map(|section| envelope::compile(section, &mut columns)).transpose()?;
    Ok(Policy {
        keys: keys.cloned(),
        tokens: config.tokens.clone(),
        tenant: config.tenant.clone(),
        collection: config.collection.clone(),
        subject,
        seals_for_subjects: context.seals_for_subjects(),
        format: config.record.format,
        limits: Limits { max_bytes: config.record.max_bytes, max_depth: config.record.max_depth },
        unlisted: config.record.unlisted,
        flatten: config.record.flatten.clone(),
        required,
        root,
        uuid_key,
        detection,
        reveal: reveal.unwrap_or_default(),
        envelope,
        hashes_slowly,
        columns,
        protected_places,
    })
}

fn parse_path(text: &Located<String>) -> Result<FieldPath, PolicyError> {
    FieldPath::parse(&text.value)
        .map_err(|error| PolicyError::new(text.at, format!("`{}` is no field path: {error}", text.value)))
}

fn descend<'a>(mut node: &'a mut Node, segments: &[Segment]) -> &'a mut Node {
    for segment in segments {
        node = match segment {
            Segment::Member(name) => node.member_mut(name),
            Segment::AnyMember => node.any_member.get_or_insert_default(),
            Segment::Element(at) => node.element_mut(*at),
            Segment::AnyElement => node.any_element.get_or_insert_default(),
        };
    }
    node
}

fn field_rule(
    path: &Located<String>,
    field: &FieldConfig,
    context: &BuildContext<'_>,
    config: &PolicyConfig,
    detection: Option<&Detection>,
) -> Result<FieldRule, PolicyError> {
    if let Some(set) = &field.set {
        if field.protect.is_some() || field.date.is_some() || field.flatten.is_some() || field.required {
            return Err(PolicyError::new(
                set.at,
                "`set` replaces whatever arrives: it does not go with `protect`, `date`, `flatten` or `required`",
            ));
        }
        if let SetValue::Constant { constant } = &set.value
            && (constant.is_array() || constant.is_object())
        {
            return Err(PolicyError::new(set.at, "a constant is text, a number, true, false or null"));
        }
    }
    if let Some(rename) = &field.rename
        && rename.is_empty()
    {
        return Err(PolicyError::new(rename.at, "`as` must not be empty"));
    }
    let protection = field.protect.as_ref().map(|spec| build(spec, context)).transpose()?;
    let index = field.index.as_ref().map(|index| {
        if protection.is_none() {
            return Err(PolicyError::new(
                index.at,
                "`index` stands beside a protected value: add `protect: encrypt`, or `protect: drop` to keep the index alone",
            ));
        }
        BlindIndex::compile(&index.value.0, &path.value, context)
            .map_err(|error| PolicyError::new(index.at, format!("`index`: {error}")))
    });
    let date = field.date.as_ref().map(|date| {
        let compile = |text: &str| {
            DateFormat::compile(text).map_err(|error| PolicyError::new(date.at, format!("`date`: {error}")))
        };
        if date.from.is_empty() {
            return Err(PolicyError::new(date.at, "`date` needs at least one format in `from`"));
        }
        let from = date.from.iter().map(|text| compile(text)).collect::<Result<Vec<_>, _>>()?;
        Ok((from, compile(date.to.as_deref().unwrap_or("timestamp"))?))
    });
    if field.flatten.is_some() && field.protect.is_some() {
        return Err(PolicyError::new(
            path.at,
            "`flatten` does not go with `protect`: name the members and protect those",
        ));
    }
    Ok(FieldRule {
        field_type: field.field_type,
        nullable: field.nullable.unwrap_or(true),
        max_length: field.max_length.map(|length| length as usize),
        rename: field.rename.as_ref().map(|name| CompactString::new(&name.value)),
        set: field.set.is_some(),
        date: date.transpose()?,
        index: index.transpose()?,
        detect: FieldDetection::compile(field, context, config, detection)?,
        protection,
        description: field.protect.as_ref().map(|spec| spec.describe()),
        flatten: field.flatten.clone(),
        class: field.class.clone(),
    })
}

pub(super) fn build(
    spec: &Located<ProtectSpec>,
    context: &BuildContext<'_>,
) -> Result<Box<dyn Protection>, PolicyError> {
    spec.build(context).map_err(|message| PolicyError::new(spec.at, message))
}

/// What a field is called in protected records, where `last` stands for its own name. Only fields at the top of the
/// protected record are columns: nested ones that are flattened, and names without wildcards.
fn column_name(path: &FieldPath, last: Option<&str>, flatten: Option<&str>) -> String {
    let names: Option<Vec<&str>> = path
        .segments()
        .iter()
        .map(|segment| match segment {
            Segment::Member(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    match (names.as_deref(), flatten) {
        (Some([name]), _) => last.unwrap_or(name).to_owned(),
        (Some([parents @ .., name]), Some(separator)) => {
            parents.iter().copied().chain([last.unwrap_or(name)]).collect::<Vec<_>>().join(separator)
        }
        _ => String::new(),
    }
}

/// What the policy says about one field of protected records.
fn column(
    path: &FieldPath,
    text: &Located<String>,
    field: &FieldConfig,
    required: bool,
    flatten: Option<&str>,
) -> Column {
    let name = column_name(path, field.rename.as_ref().map(|rename| rename.as_str()), flatten);
    let protection = field.protect.as_ref().map(|spec| spec.name());
    let source = match (&field.set, &field.protect) {
        (Some(set), _) => ColumnSource::Set(
            match &set.value {
                SetValue::IngestDate => "the day of ingest",
                SetValue::IngestTime => "the moment of ingest",
                SetValue::Uuid => "a UUID made from the record's id",
                SetValue::Constant { .. } => "a constant",
            }
            .to_owned(),
        ),
        (None, Some(spec)) if spec.name() == "drop" => ColumnSource::Dropped,
        (None, Some(spec)) => ColumnSource::Protected(spec.describe()),
        (None, None) => ColumnSource::Kept,
    };
    let column_type = match (&field.set, protection) {
        (Some(set), _) => match &set.value {
            SetValue::IngestDate => Some(FieldType::Date),
            SetValue::IngestTime => Some(FieldType::Timestamp),
            SetValue::Uuid => Some(FieldType::String),
            SetValue::Constant { .. } => field.field_type,
        },
        (None, Some("date_shift" | "null" | "block" | "token")) | (None, None) => {
            field.field_type.or(field.date.as_ref().map(|_| FieldType::String))
        }
        (None, Some(_)) => Some(FieldType::String),
    };
    let is_kept = matches!(source, ColumnSource::Kept);
    Column {
        name: if field.flatten.is_some() { String::new() } else { name },
        from: text.value.clone(),
        column_type,
        max_length: field.max_length.filter(|_| is_kept),
        fixed_length: None,
        never_null: (required && field.nullable == Some(false) && protection != Some("null"))
            || matches!(&field.set, Some(set) if !matches!(&set.value, SetValue::Constant { constant } if constant.is_null())),
        source,
    }
}

/// Two fields must not arrive at the same name.
fn check_names(columns: &[Column], fields: &[(Located<String>, FieldConfig)]) -> Result<(), PolicyError> {
    let delivered = |column: &Column| !column.name.is_empty() && column.source != ColumnSource::Dropped;
    for (index, column) in columns.iter().enumerate().filter(|(_, column)| delivered(column)) {
        if let Some(earlier) = columns[..index].iter().find(|earlier| delivered(earlier) && earlier.name == column.name)
        {
            let at: Option<Position> =
                fields.iter().find(|(path, _)| path.value == column.from).and_then(|(path, _)| path.at);
            return Err(PolicyError::new(
                at,
                format!("`{}` and `{}` would both become `{}`", earlier.from, column.from, column.name),
            ));
        }
    }
    Ok(())
}
