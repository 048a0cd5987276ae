//! Documents to plain records.

use cloakroom_crypto::eax_scrypt::{DocumentError, KeyEncryptionKey, MasterKey, Person, Sealed, WrappedKey};
use compact_str::CompactString;

use super::{Derivers, KEY_MEMBERS, Layout, refused};
use crate::error::{RecordError, RecordErrorKind};
use crate::value::{Object, Value};

/// Opens documents. Share one between threads: it keeps the memory that key derivation needs.
pub struct Opener {
    master: MasterKey,
    layout: Layout,
    derivers: Derivers,
}

/// A document taken apart.
struct Document {
    members: Object,
    wrapped: WrappedKey,
    /// By the layout's fields; `None` where the document has no such field.
    sealed: Vec<Option<Sealed>>,
}

impl Opener {
    /// For documents with the fields `cc`, `ccv` and `cuenta_numero`, the user name in `username`.
    #[must_use]
    pub fn new(master: MasterKey) -> Self {
        Self { master, layout: Layout::original(), derivers: Derivers::default() }
    }

    /// Opens documents, each of them or the member `_source` of it, as Elasticsearch exports them. A plain record has the
    /// document's members in their order: sealed ones opened, and without tags, nonces, keys, salt and `hash_ccv`.
    ///
    /// The result is by the index of the document. [`RecordErrorKind::Key`] stands for a document whose key the master
    /// key does not open; [`RecordErrorKind::NotAuthentic`] for one with a field that was changed.
    #[must_use]
    pub fn open(&self, documents: Vec<Object>) -> Vec<Result<Object, RecordError>> {
        let documents: Vec<_> = documents.into_iter().map(|document| self.take_apart(document)).collect();
        let people: Vec<Person<'_>> = documents
            .iter()
            .flatten()
            .map(|document| Person { name: self.user(&document.members).unwrap_or(""), salt: document.wrapped.salt() })
            .collect();
        let keys = self.derivers.with(|deriver| deriver.derive(&self.master, &people));
        let mut keys = keys.into_iter();
        let mut next_key = || keys.next().ok_or_else(|| refused(DocumentError::Internal));
        documents
            .into_iter()
            .map(|document| document.and_then(|document| self.finish(document, &next_key()?)))
            .collect()
    }

    fn user<'a>(&self, members: &'a Object) -> Option<&'a str> {
        members.get(&self.layout.user).and_then(Value::as_str)
    }

    fn take_apart(&self, document: Object) -> Result<Document, RecordError> {
        let members = match document.get("_source") {
            Some(Value::Object(_)) => source(document),
            _ => document,
        };
        if self.user(&members).is_none() {
            return Err(match members.get(&self.layout.user) {
                Some(other) => not_text(&self.layout.user, other),
                None => refused(DocumentError::Missing(self.layout.user.to_string())),
            });
        }
        let part = |name: &'static str| text(&members, name).map(|text| (name, text));
        let [key, tag, nonce, salt] = KEY_MEMBERS;
        let wrapped = WrappedKey::from_base64(part(key)?, part(tag)?, part(nonce)?, part(salt)?).map_err(refused)?;
        let mut sealed = Vec::with_capacity(self.layout.fields.len());
        for field in &self.layout.fields {
            let names = [&field.name, &field.tag, &field.nonce];
            if names.iter().all(|name| members.get(name).is_none()) {
                sealed.push(None);
                continue;
            }
            let [ciphertext, tag, nonce] = names.map(|name| text(&members, name).map(|text| (name.as_str(), text)));
            sealed.push(Some(Sealed::from_base64(ciphertext?, tag?, nonce?).map_err(refused)?));
        }
        Ok(Document { members, wrapped, sealed })
    }

    fn finish(&self, document: Document, key: &KeyEncryptionKey) -> Result<Object, RecordError> {
        let key = key.unwrap_key(&document.wrapped).map_err(refused)?;
        let mut members = document.members;
        for (field, sealed) in self.layout.fields.iter().zip(&document.sealed) {
            let Some(sealed) = sealed else { continue };
            let opened = key.open(&field.name, sealed).map_err(refused)?;
            let text =
                std::str::from_utf8(&opened).map_err(|_| refused(DocumentError::NotText(field.name.to_string())))?;
            let place = members.members_mut().iter_mut().find(|(name, _)| *name == field.name);
            if let Some((_, value)) = place {
                *value = Value::String(CompactString::new(text));
            }
        }
        members.members_mut().retain(|(name, _)| !self.layout.companions().any(|companion| companion == name));
        Ok(members)
    }
}

/// The object under `_source`.
fn source(document: Object) -> Object {
    let inner = document.into_members().into_iter().find_map(|member| match member {
        (name, Value::Object(inner)) if name == "_source" => Some(inner),
        _ => None,
    });
    inner.unwrap_or_default()
}

/// The text of a member that must be there.
fn text<'a>(members: &'a Object, name: &str) -> Result<&'a str, RecordError> {
    match members.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(not_text(name, other)),
        None => Err(refused(DocumentError::Missing(name.to_owned()))),
    }
}

fn not_text(name: &str, value: &Value) -> RecordError {
    RecordError::at(RecordErrorKind::WrongType, name, format!("a text was expected, not a {}", value.kind()))
}
