//! Bytes to records. Strict on purpose: what two readers could understand differently is refused.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use compact_str::CompactString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{RecordError, RecordErrorKind};
use crate::value::{Object, Value};

pub mod frame;
mod json;
mod key_value;

pub use json::parse_object as parse_json_object;
pub(crate) use json::parse_within as parse_json_within;

/// How the bytes of one record are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JSON objects: one per line, the elements of one array, or one per message.
    #[default]
    Json,
    /// Comma-separated values with a header line (RFC 4180). Every value is text.
    Csv,
    /// Blocks of `key=value` lines, separated by an empty line. Every value is text.
    KeyValue,
    /// Apache Parquet: files and objects of rows.
    Parquet,
}

impl Format {
    /// True when values carry no types of their own, so that the policy's types say how to read them.
    #[must_use]
    pub fn is_textual(self) -> bool {
        matches!(self, Self::Csv | Self::KeyValue)
    }
}

/// The bytes of one record as they arrived, framed but not decoded. Shares the buffer it was read into.
#[derive(Clone)]
pub enum Payload {
    /// One JSON object.
    Json(Bytes),
    /// One block of `key=value` lines.
    KeyValue(Bytes),
    /// One row of a CSV file, with the names from its header.
    Csv {
        /// Column names.
        header: Arc<[CompactString]>,
        /// The row's fields, unescaped.
        fields: Vec<Bytes>,
    },
    /// A record with what its source knows about it (a message's attributes, an object's name): one more member, which the
    /// policy treats like any other.
    Tagged {
        /// The record.
        record: Box<Payload>,
        /// The member's name.
        member: CompactString,
        /// Its value: one JSON object.
        about: Bytes,
    },
    /// A record that the source already knows to be unusable, with what could be kept of it.
    Unusable {
        /// Its bytes, empty when they were too many to keep.
        bytes: Bytes,
        /// Why.
        error: RecordError,
    },
}

/// Limits that keep one record from taking the program down.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one record.
    pub max_bytes: usize,
    /// Depth of nested arrays and objects; the record itself is depth 1.
    pub max_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // 10 MiB is far beyond a row of any of the sinks; 64 levels beyond any sensible document.
        Self { max_bytes: 10 * 1024 * 1024, max_depth: 64 }
    }
}

impl Payload {
    /// How many bytes of content this is.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Json(bytes) | Self::KeyValue(bytes) | Self::Unusable { bytes, .. } => bytes.len(),
            Self::Csv { fields, .. } => fields.iter().map(|field| field.len() + 1).sum(),
            Self::Tagged { record, about, .. } => record.len() + about.len(),
        }
    }

    /// True when there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Decodes the record.
    ///
    /// # Errors
    /// The reason for which the record must be rejected whole.
    pub fn decode(&self, limits: Limits) -> Result<Object, RecordError> {
        if self.len() > limits.max_bytes {
            return Err(RecordError::new(
                RecordErrorKind::TooLarge,
                format!("{} bytes; `record.max_bytes` is {}", self.len(), limits.max_bytes),
            ));
        }
        match self {
            Self::Json(bytes) => json::parse_object(bytes, limits.max_depth),
            Self::KeyValue(bytes) => key_value::parse(bytes),
            Self::Csv { header, fields } => csv_row(header, fields),
            Self::Tagged { record, member, about } => {
                let mut object = record.decode(limits)?;
                if object.get(member).is_some() {
                    return Err(RecordError::new(
                        RecordErrorKind::DuplicateKey,
                        "the record has a member of the name under which the source tells about it",
                    ));
                }
                object.push(member.clone(), Value::Object(json::parse_object(about, limits.max_depth)?));
                Ok(object)
            }
            Self::Unusable { error, .. } => Err(error.clone()),
        }
    }

    /// Everything needed to decode the record again, as bytes for a sealed dead letter: a letter for
    /// the kind, then length-prefixed parts.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len() + 16);
        let mut part = |bytes: &[u8]| {
            out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            out.extend_from_slice(bytes);
        };
        match self {
            Self::Json(bytes) => {
                part(b"json");
                part(bytes);
            }
            Self::KeyValue(bytes) => {
                part(b"key_value");
                part(bytes);
            }
            Self::Csv { header, fields } => {
                part(b"csv");
                part(&(header.len() as u64).to_be_bytes());
                header.iter().for_each(|name| part(name.as_bytes()));
                fields.iter().for_each(|field| part(field));
            }
            Self::Tagged { record, member, about } => {
                part(b"tagged");
                part(member.as_bytes());
                part(about);
                part(&record.to_bytes());
            }
            Self::Unusable { bytes, .. } => {
                part(b"unusable");
                part(bytes);
            }
        }
        out
    }

    /// Reads what [`Payload::to_bytes`] wrote. A record that the source could not use comes back as
    /// JSON, to be judged anew; `None` when the bytes are not of this form.
    #[must_use]
    pub fn from_bytes(bytes: &Bytes) -> Option<Self> {
        let mut rest = bytes.clone();
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let length = rest.split_to_checked(8)?;
            let length = usize::try_from(u64::from_be_bytes(length.as_ref().try_into().ok()?)).ok()?;
            parts.push(rest.split_to_checked(length)?);
        }
        match (parts.first()?.as_ref(), parts.get(1..)?) {
            (b"json" | b"unusable", [content]) => Some(Self::Json(content.clone())),
            (b"key_value", [content]) => Some(Self::KeyValue(content.clone())),
            (b"tagged", [member, about, record]) => Some(Self::Tagged {
                record: Box::new(Self::from_bytes(record)?),
                member: CompactString::new(std::str::from_utf8(member).ok()?),
                about: about.clone(),
            }),
            (b"csv", [count, cells @ ..]) => {
                let count = usize::try_from(u64::from_be_bytes(count.as_ref().try_into().ok()?)).ok()?;
                let names = cells.get(..count)?.iter();
                let header = names
                    .map(|name| Some(CompactString::new(std::str::from_utf8(name).ok()?)))
                    .collect::<Option<_>>()?;
                Some(Self::Csv { header, fields: cells.get(count..)?.to_vec() })
            }
            _ => None,
        }
    }
}

/// `Bytes::split_to` that answers `None` instead of panicking.
trait SplitChecked: Sized {
    fn split_to_checked(&mut self, at: usize) -> Option<Self>;
}

impl SplitChecked for Bytes {
    fn split_to_checked(&mut self, at: usize) -> Option<Self> {
        (at <= self.len()).then(|| self.split_to(at))
    }
}

impl fmt::Debug for Payload {
    /// Kind and size only: a payload is raw data.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Payload({} bytes)", self.len())
    }
}

fn csv_row(header: &[CompactString], fields: &[Bytes]) -> Result<Object, RecordError> {
    if header.len() != fields.len() {
        return Err(RecordError::new(
            RecordErrorKind::InvalidFormat,
            format!("{} fields where the header has {}", fields.len(), header.len()),
        ));
    }
    let mut object = Object::with_capacity(header.len());
    for (name, field) in header.iter().zip(fields) {
        object.push(name.clone(), Value::String(CompactString::new(utf8(field)?)));
    }
    if object.has_duplicate() {
        return Err(RecordError::new(RecordErrorKind::DuplicateKey, "two columns of the header have the same name"));
    }
    Ok(object)
}

fn utf8(bytes: &[u8]) -> Result<&str, RecordError> {
    std::str::from_utf8(bytes)
        .map_err(|error| RecordError::new(RecordErrorKind::NotUtf8, format!("at byte {}", error.valid_up_to())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: &str = "{\"message_id\":\"m-1\",\"attributes\":{\"weight\":12.50}}";

    fn tagged(record: Payload, about: &'static str) -> Payload {
        Payload::Tagged {
            record: Box::new(record),
            member: "queue".into(),
            about: Bytes::from_static(about.as_bytes()),
        }
    }

    fn written(payload: &Payload) -> Result<String, RecordErrorKind> {
        let object = payload.decode(Limits::default()).map_err(|error| error.kind)?;
        let mut out = Vec::new();
        crate::encode::write_object(&object, &mut out);
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_a_source_tells_is_one_more_member_and_survives_as_bytes() {
        let json = Payload::Json(Bytes::from_static(b"{\"a\":1}"));
        let block = Payload::KeyValue(Bytes::from_static(b"a=1\n"));
        let row = Payload::Csv { header: ["a".into()].into(), fields: vec![Bytes::from_static(b"1")] };
        for (record, value) in [(json, "1"), (block, "\"1\""), (row, "\"1\"")] {
            let payload = tagged(record, ABOUT);
            let expected = format!("{{\"a\":{value},\"queue\":{ABOUT}}}");
            assert_eq!(written(&payload).unwrap(), expected);
            let again = Payload::from_bytes(&Bytes::from(payload.to_bytes())).unwrap();
            assert_eq!(written(&again).unwrap(), expected, "a dead letter decodes the same");
            assert_eq!(again.to_bytes(), payload.to_bytes());
            assert_eq!(again.len(), payload.len());
        }
    }

    #[test]
    fn a_record_that_is_wrong_is_wrong_with_its_tag_too() {
        let json = |text: &'static str| Payload::Json(Bytes::from_static(text.as_bytes()));
        assert!(written(&tagged(json("{\"a\":"), ABOUT)).is_err());
        assert_eq!(written(&tagged(json("{\"queue\":1}"), ABOUT)), Err(RecordErrorKind::DuplicateKey));
        assert!(written(&tagged(json("{\"a\":1}"), "[]")).is_err(), "what is told is an object");
        let broken = tagged(json("{\"a\":"), ABOUT);
        let again = Payload::from_bytes(&Bytes::from(broken.to_bytes())).unwrap();
        assert_eq!(again.to_bytes(), broken.to_bytes(), "it is kept as it came");
        let error = RecordError::new(RecordErrorKind::TooLarge, "9 bytes");
        let unusable = tagged(Payload::Unusable { bytes: Bytes::from_static(b"{\"a\":1}"), error }, ABOUT);
        assert_eq!(written(&unusable), Err(RecordErrorKind::TooLarge));
        let again = Payload::from_bytes(&Bytes::from(unusable.to_bytes())).unwrap();
        assert!(written(&again).is_ok(), "judged anew");
    }

    #[test]
    fn its_size_counts_both() {
        let payload = tagged(Payload::Json(Bytes::from_static(b"{}")), ABOUT);
        assert_eq!(payload.len(), 2 + ABOUT.len());
        let limits = Limits { max_bytes: ABOUT.len(), ..Limits::default() };
        assert_eq!(payload.decode(limits).err().unwrap().kind, RecordErrorKind::TooLarge);
    }

    #[test]
    fn bytes_of_another_form_are_no_payload() {
        let good = tagged(Payload::Json(Bytes::from_static(b"{}")), ABOUT).to_bytes();
        for end in 0..good.len() {
            assert!(Payload::from_bytes(&Bytes::copy_from_slice(&good[..end])).is_none(), "{end} bytes");
        }
    }
}
