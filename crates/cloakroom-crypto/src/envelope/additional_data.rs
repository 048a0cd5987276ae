//! What an envelope is bound to.

use std::fmt;

use super::Algorithm;
use crate::{CryptoError, KeyId};

/// The JSON type of a value, so that `7` and `"7"` come back as what they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// A string; the plaintext is its text, without quotes.
    String,
    /// A number; the plaintext is its text as it stood in the record.
    Number,
    /// `true` or `false`.
    Boolean,
    /// `null`.
    Null,
    /// An array, as JSON text.
    Array,
    /// An object, as JSON text.
    Object,
}

impl ValueType {
    /// All types, the frequent ones first.
    pub const ALL: [Self; 6] = [Self::String, Self::Number, Self::Boolean, Self::Null, Self::Array, Self::Object];

    /// The name that goes into the additional data of a value that was padded.
    pub(super) fn padded_name(self) -> &'static str {
        match self {
            Self::String => "string/padded",
            Self::Number => "number/padded",
            Self::Boolean => "boolean/padded",
            Self::Null => "null/padded",
            Self::Array => "array/padded",
            Self::Object => "object/padded",
        }
    }

    /// The name that goes into the additional data.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Null => "null",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where a value stands, without its type.
///
/// No `Debug`: the subject may be personal data.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The customer or environment that owns the data.
    pub tenant: &'a str,
    /// The table, index or topic.
    pub collection: &'a str,
    /// The path of the field in its record.
    pub path: &'a str,
    /// The person that the record is about, or an empty string.
    pub subject: &'a str,
}

impl<'a> Place<'a> {
    /// Adds the type of the value.
    #[must_use]
    pub fn with_type(self, value_type: ValueType) -> AdditionalData<'a> {
        AdditionalData {
            tenant: self.tenant,
            collection: self.collection,
            path: self.path,
            subject: self.subject,
            value_type,
        }
    }
}

/// Everything an envelope is bound to besides its own header.
///
/// No `Debug`: the subject may be personal data.
#[derive(Clone, Copy)]
pub struct AdditionalData<'a> {
    /// The customer or environment that owns the data.
    pub tenant: &'a str,
    /// The table, index or topic.
    pub collection: &'a str,
    /// The path of the field in its record.
    pub path: &'a str,
    /// The person that the record is about, or an empty string.
    pub subject: &'a str,
    /// The JSON type of the value.
    pub value_type: ValueType,
}

impl AdditionalData<'_> {
    /// Appends the six items of an envelope of `alg` under `kid`; see the [module](super) for the layout.
    pub(super) fn encode(
        &self,
        alg: Algorithm,
        kid: &KeyId,
        padded: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        let header = header(alg, kid);
        let value_type = if padded { self.value_type.padded_name() } else { self.value_type.name() };
        let items: [(&'static str, &[u8]); 6] = [
            ("header", &header),
            ("tenant", self.tenant.as_bytes()),
            ("collection", self.collection.as_bytes()),
            ("path", self.path.as_bytes()),
            ("subject", self.subject.as_bytes()),
            ("value type", value_type.as_bytes()),
        ];
        for (name, item) in items {
            let len = u16::try_from(item.len()).map_err(|_| CryptoError::AdditionalDataTooLong(name))?;
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(item);
        }
        Ok(())
    }
}

/// `ck1.<alg>.<kid>`, the part before the last dot.
pub(super) fn header(alg: Algorithm, kid: &KeyId) -> [u8; 14] {
    let mut header = *b"ck1.-.--------";
    header[4] = alg.letter() as u8;
    header[6..].copy_from_slice(kid.as_bytes());
    header
}
