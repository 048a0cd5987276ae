//! Protected records to documents.

use std::sync::Arc;

use cloakroom_crypto::bcrypt;
use cloakroom_crypto::eax_scrypt::{
    BCRYPT_COST, DocumentError, DocumentKey, KeyEncryptionKey, MasterKey, Person, SALT_LEN,
};
use compact_str::CompactString;

use super::{Derivers, KEY_MEMBERS, Layout, refused};
use crate::error::{RecordError, RecordErrorKind};
use crate::value::{Object, Value};

/// Seals records: the last step of a policy that asks for this format.
pub(crate) struct Sealer {
    master: Arc<MasterKey>,
    layout: Layout,
    derivers: Derivers,
}

impl Sealer {
    pub(crate) fn new(master: Arc<MasterKey>, layout: Layout) -> Self {
        Self { master, layout, derivers: Derivers::default() }
    }

    /// Seals the records that are there, by their index.
    pub(crate) fn seal(&self, records: Vec<Object>) -> Vec<Result<Object, RecordError>> {
        let ready: Vec<_> = records.into_iter().map(|record| self.check(record)).collect();
        let people: Vec<Person<'_>> = ready
            .iter()
            .flatten()
            .map(|(record, salt)| Person { name: self.user(record).unwrap_or(""), salt })
            .collect();
        let keys = self.derivers.with(|deriver| deriver.derive(&self.master, &people));
        let mut keys = keys.into_iter();
        let mut next_key = || keys.next().ok_or_else(|| refused(DocumentError::Internal));
        let texts: Vec<&[u8]> = ready.iter().flatten().flat_map(|(record, _)| self.to_hash(record)).collect();
        let hashes = bcrypt::hash_all(&texts, BCRYPT_COST).map_err(|error| refused(error.into()));
        let mut hashes = hashes.map(Vec::into_iter);
        let finish = |ready: Result<(Object, [u8; SALT_LEN]), RecordError>| {
            let (record, salt) = ready?;
            let own = hashes.as_mut().map_err(|error| error.clone())?.by_ref().take(self.layout.hashes.len());
            let own: Vec<String> = own.collect();
            self.finish(record, &salt, &next_key()?, own)
        };
        ready.into_iter().map(finish).collect()
    }

    /// The texts of which a bcrypt hash is kept, in the layout's order.
    fn to_hash<'a>(&'a self, record: &'a Object) -> impl Iterator<Item = &'a [u8]> {
        let text = |(field, _): &(usize, _)| {
            self.layout.fields.get(*field).and_then(|field| record.get(&field.name)).and_then(Value::as_str)
        };
        // There, and a text, since it was checked.
        self.layout.hashes.iter().map(move |hash| text(hash).unwrap_or("").as_bytes())
    }

    fn user<'a>(&self, record: &'a Object) -> Option<&'a str> {
        record.get(&self.layout.user).and_then(Value::as_str)
    }

    /// What can be refused before a key is derived; and the salt for it.
    fn check(&self, record: Object) -> Result<(Object, [u8; SALT_LEN]), RecordError> {
        if self.user(&record).is_none_or(str::is_empty) {
            let detail = "it names the user of the document and must be a text that is not empty";
            return Err(RecordError::at(RecordErrorKind::MissingField, self.layout.user.as_str(), detail));
        }
        for field in &self.layout.fields {
            match record.get(&field.name) {
                Some(Value::String(_)) => {}
                Some(other) => {
                    let detail = format!("the document seals texts, and this is a {}", other.kind());
                    return Err(RecordError::at(RecordErrorKind::WrongType, field.name.as_str(), detail));
                }
                None => return Err(RecordError::at(RecordErrorKind::MissingField, field.name.as_str(), "")),
            }
        }
        if let Some(taken) = self.layout.companions().find(|name| record.get(name).is_some()) {
            let detail = "a field arrives under a name that the document needs; rename or drop it";
            return Err(RecordError::at(RecordErrorKind::NameConflict, taken, detail));
        }
        self.to_hash(&record).try_for_each(bcrypt::check).map_err(|error| refused(error.into()))?;
        Ok((record, DocumentKey::salt().map_err(refused)?))
    }

    fn finish(
        &self,
        record: Object,
        salt: &[u8; SALT_LEN],
        key_encryption_key: &KeyEncryptionKey,
        hashes: Vec<String>,
    ) -> Result<Object, RecordError> {
        let key = DocumentKey::generate().map_err(refused)?;
        let mut document = Object::with_capacity(record.len() + self.layout.companions().count());
        for (name, value) in record.into_members() {
            let index = self.layout.fields.iter().position(|field| field.name == name);
            let (Some(index), Value::String(text)) = (index, &value) else {
                document.push(name, value);
                continue;
            };
            let field = &self.layout.fields[index];
            let [ciphertext, tag, nonce] = key.seal(text.as_bytes()).map_err(refused)?.to_base64();
            for ((_, hash_name), hash) in self.layout.hashes.iter().zip(&hashes).filter(|((of, _), _)| *of == index) {
                document.push(hash_name.clone(), Value::string(hash));
            }
            document.push(name, Value::string(ciphertext));
            document.push(field.tag.clone(), Value::string(tag));
            document.push(field.nonce.clone(), Value::string(nonce));
        }
        let wrapped = key_encryption_key.wrap_key(&key, salt).map_err(refused)?;
        for (name, text) in KEY_MEMBERS.into_iter().zip(wrapped.to_base64()) {
            document.push(CompactString::const_new(name), Value::string(text));
        }
        Ok(document)
    }
}
