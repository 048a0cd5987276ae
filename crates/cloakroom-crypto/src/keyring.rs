//! All versions of the root key, and what is derived from them.

use crate::derive::{DATA, DETERMINISTIC, FINGERPRINT, FORMAT, INDEX, TOKEN, VAULT, WRAP, derive, derive_into};
use crate::ff1::FormatKey;
use crate::{
    AuditKey, CryptoError, DataKey, DeterministicKey, KeyId, KeyState, PseudonymKey, RootKey, SecretKey, WrappingKey,
};

/// Root keys: one active, any number retired.
///
/// Every key that touches data is derived with HKDF-SHA-256 (RFC 5869) under a label of its own,
/// so a key for one domain or purpose says nothing about another. Deriving takes a few
/// microseconds; keep the result, do not derive per value.
#[derive(Debug)]
pub struct KeyRing {
    active: RootKey,
    retired: Vec<RootKey>,
    /// The version that pseudonyms are made with: a new root key wraps keys anew, but what is joined by pseudonyms stays so.
    pseudonyms: KeyId,
}

impl KeyRing {
    /// Builds a ring.
    ///
    /// # Errors
    /// [`CryptoError::NoActiveKey`], [`CryptoError::SeveralActiveKeys`] or
    /// [`CryptoError::DuplicateKey`].
    pub fn new(keys: Vec<RootKey>) -> Result<Self, CryptoError> {
        let mut active = None;
        let mut retired: Vec<RootKey> = Vec::with_capacity(keys.len());
        let mut seen = Vec::with_capacity(keys.len());
        for key in keys {
            if seen.contains(key.kid()) {
                return Err(CryptoError::DuplicateKey(*key.kid()));
            }
            seen.push(*key.kid());
            match key.state() {
                KeyState::Retired => retired.push(key),
                KeyState::Active if active.is_none() => active = Some(key),
                KeyState::Active => return Err(CryptoError::SeveralActiveKeys),
            }
        }
        let active = active.ok_or(CryptoError::NoActiveKey)?;
        let pseudonyms = *active.kid();
        Ok(Self { active, retired, pseudonyms })
    }

    /// Makes pseudonyms with another version from now on; those made before no longer join with new ones.
    ///
    /// # Errors
    /// [`CryptoError::UnknownKey`] if the ring does not have it.
    pub fn with_pseudonyms_of(mut self, kid: &KeyId) -> Result<Self, CryptoError> {
        self.pseudonyms = *self.find(kid)?.kid();
        Ok(self)
    }

    /// The version that pseudonyms are made with.
    #[must_use]
    pub fn pseudonym_kid(&self) -> &KeyId {
        &self.pseudonyms
    }

    /// Retires the active key and puts `next` in its place. Pseudonyms are made as before; see [`Self::with_pseudonyms_of`].
    ///
    /// # Errors
    /// [`CryptoError::NoActiveKey`] if `next` is not active, [`CryptoError::DuplicateKey`] if the
    /// ring has it already.
    pub fn rotated(self, next: RootKey) -> Result<Self, CryptoError> {
        let mut keys = vec![next, self.active.retired()];
        keys.extend(self.retired);
        Self::new(keys)?.with_pseudonyms_of(&self.pseudonyms)
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn active_kid(&self) -> &KeyId {
        self.active.kid()
    }

    /// Id, state and creation time of every key, the active one first.
    pub fn kids(&self) -> impl Iterator<Item = (&KeyId, KeyState, &str)> {
        self.keys().map(|key| (key.kid(), key.state(), key.created()))
    }

    /// The root keys themselves, the active one first: for a provider that wraps them for a key file, and for nothing else.
    pub fn roots(&self) -> impl Iterator<Item = &SecretKey> {
        self.keys().map(RootKey::secret)
    }

    /// The key that makes pseudonyms in `domain`. The same value has the same pseudonym within a
    /// domain and an unrelated one outside it, so a domain is how far records may be joined.
    ///
    /// Label: `ck1/token/<domain>`.
    ///
    /// # Errors
    /// [`CryptoError::EmptyName`] if `domain` is empty.
    pub fn pseudonym_key(&self, domain: &str) -> Result<PseudonymKey, CryptoError> {
        keyed_hash(self.find(&self.pseudonyms)?, TOKEN, domain)
    }

    /// As [`Self::pseudonym_key`], of any key version: after a rotation, old rows are found by the
    /// old token.
    ///
    /// # Errors
    /// [`CryptoError::UnknownKey`], [`CryptoError::EmptyName`].
    pub fn pseudonym_key_for(&self, kid: &KeyId, domain: &str) -> Result<PseudonymKey, CryptoError> {
        keyed_hash(self.find(kid)?, TOKEN, domain)
    }

    /// A keyed hash for comparing values inside the program (has this record changed, was this
    /// value seen before), separate from pseudonyms so that the two can never be matched.
    ///
    /// Label: `ck1/fingerprint/<domain>`.
    ///
    /// # Errors
    /// [`CryptoError::EmptyName`] if `domain` is empty.
    pub fn fingerprint_key(&self, domain: &str) -> Result<PseudonymKey, CryptoError> {
        keyed_hash(self.find(&self.pseudonyms)?, FINGERPRINT, domain)
    }

    /// The key that seals for `purpose`, derived from the active root.
    ///
    /// Label: `ck1/data/<purpose>`.
    ///
    /// Keys of single subjects will not come from here. They are random, wrapped under a key of
    /// this method and kept in a key table, so that destroying one row erases one person; the
    /// table's reader makes them with [`DataKey::from_secret`], under an id of their own, after
    /// [`DataKey::check_commitment`]. Everything that seals or opens takes a [`DataKey`] and
    /// cannot tell the difference.
    ///
    /// # Errors
    /// [`CryptoError::EmptyName`] if `purpose` is empty.
    pub fn data_key(&self, purpose: &str) -> Result<DataKey, CryptoError> {
        data_key(&self.active, purpose)
    }

    /// The key that opens what was sealed for `purpose` under `kid`. If `kid` is retired the key
    /// refuses to seal.
    ///
    /// # Errors
    /// [`CryptoError::UnknownKey`], [`CryptoError::EmptyName`].
    pub fn data_key_for(&self, kid: &KeyId, purpose: &str) -> Result<DataKey, CryptoError> {
        data_key(self.find(kid)?, purpose)
    }

    /// The key that wraps other keys for one purpose, under the active root.
    ///
    /// Label: `ck1/wrap/<purpose>`.
    ///
    /// # Errors
    /// [`CryptoError::EmptyName`] if `purpose` is empty.
    pub fn wrapping_key(&self, purpose: &str) -> Result<WrappingKey, CryptoError> {
        wrapping_key(&self.active, purpose)
    }

    /// As [`Self::wrapping_key`], of any key version.
    ///
    /// # Errors
    /// As [`Self::wrapping_key`], and [`CryptoError::UnknownKey`].
    pub fn wrapping_key_for(&self, kid: &KeyId, purpose: &str) -> Result<WrappingKey, CryptoError> {
        wrapping_key(self.find(kid)?, purpose)
    }

    /// The keys of the audit log, of the active root.
    ///
    /// Labels: `ck1/audit`, `ck1/audit/head`, `ck1/audit/subject`, `ck1/audit/sign`.
    ///
    /// # Errors
    /// [`CryptoError::Internal`] if a primitive refuses a length; ours are fixed.
    pub fn audit_key(&self) -> Result<AuditKey, CryptoError> {
        AuditKey::of(&self.active)
    }

    /// As [`Self::audit_key`], of any key version: each line of the log names the one it was made
    /// with.
    ///
    /// # Errors
    /// [`CryptoError::UnknownKey`].
    pub fn audit_key_for(&self, kid: &KeyId) -> Result<AuditKey, CryptoError> {
        AuditKey::of(self.find(kid)?)
    }

    /// The key of blind indexes in `domain`; see [`PseudonymKey::index`]. Apart from pseudonyms, so that a token of a
    /// value says nothing about its index.
    ///
    /// Label: `ck1/index/<domain>`.
    ///
    /// # Errors
    /// [`CryptoError::EmptyName`] if `domain` is empty.
    pub fn index_key(&self, domain: &str) -> Result<PseudonymKey, CryptoError> {
        keyed_hash(self.find(&self.pseudonyms)?, INDEX, domain)
    }

    /// As [`Self::index_key`], of any key version: an index does not name its key, so after a rotation a search asks
    /// for the value under each.
    ///
    /// # Errors
    /// [`CryptoError::UnknownKey`], [`CryptoError::EmptyName`].
    pub fn index_key_for(&self, kid: &KeyId, domain: &str) -> Result<PseudonymKey, CryptoError> {
        keyed_hash(self.find(kid)?, INDEX, domain)
    }

    /// The key by which a vault of random tokens finds the values of `domain`: a value that comes again is known by its
    /// tag. Of the version of pseudonyms, so that a new root key changes no token.
    ///
    /// Label: `ck1/vault/<domain>`.
    ///
    /// # Errors
    /// [`CryptoError::EmptyName`] if `domain` is empty.
    pub fn vault_key(&self, domain: &str) -> Result<PseudonymKey, CryptoError> {
        keyed_hash(self.find(&self.pseudonyms)?, VAULT, domain)
    }

    /// The key that encrypts equal values to equal envelopes in `domain`.
    ///
    /// Label: `ck1/det/<domain>`.
    ///
    /// # Errors
    /// [`CryptoError::EmptyName`] if `domain` is empty.
    pub fn deterministic_key(&self, domain: &str) -> Result<DeterministicKey, CryptoError> {
        // Its version goes on sealing when it no longer wraps keys.
        deterministic_key(self.find(&self.pseudonyms)?, KeyState::Active, domain)
    }

    /// As [`Self::deterministic_key`], of any key version. If that is not the one of pseudonyms the key refuses to seal.
    ///
    /// # Errors
    /// [`CryptoError::UnknownKey`], [`CryptoError::EmptyName`].
    pub fn deterministic_key_for(&self, kid: &KeyId, domain: &str) -> Result<DeterministicKey, CryptoError> {
        let state = if *kid == self.pseudonyms { KeyState::Active } else { KeyState::Retired };
        deterministic_key(self.find(kid)?, state, domain)
    }

    /// The key that encrypts numbers to numbers of the same length in `domain`, with [FF1](crate::ff1).
    ///
    /// Label: `ck1/fpe/<domain>`.
    ///
    /// # Errors
    /// [`CryptoError::EmptyName`] if `domain` is empty.
    pub fn format_key(&self, domain: &str) -> Result<FormatKey, CryptoError> {
        format_key(self.find(&self.pseudonyms)?, domain)
    }

    /// As [`Self::format_key`], of any key version: numbers do not name their key, so after a rotation it must be
    /// known which one made them.
    ///
    /// # Errors
    /// [`CryptoError::UnknownKey`], [`CryptoError::EmptyName`].
    pub fn format_key_for(&self, kid: &KeyId, domain: &str) -> Result<FormatKey, CryptoError> {
        format_key(self.find(kid)?, domain)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &RootKey> {
        std::iter::once(&self.active).chain(&self.retired)
    }

    fn find(&self, kid: &KeyId) -> Result<&RootKey, CryptoError> {
        self.keys().find(|key| key.kid() == kid).ok_or(CryptoError::UnknownKey(*kid))
    }
}

fn keyed_hash(root: &RootKey, label: &'static str, domain: &str) -> Result<PseudonymKey, CryptoError> {
    let key = derive(root.secret(), label, named("domain", domain)?)?;
    PseudonymKey::from_raw(*root.kid(), key.expose())
}

fn wrapping_key(root: &RootKey, purpose: &str) -> Result<WrappingKey, CryptoError> {
    WrappingKey::from_secret(&derive(root.secret(), WRAP, named("purpose", purpose)?)?)
}

fn deterministic_key(root: &RootKey, state: KeyState, domain: &str) -> Result<DeterministicKey, CryptoError> {
    let domain = named("domain", domain)?;
    DeterministicKey::filled_by(*root.kid(), state, |out| derive_into(root.secret(), DETERMINISTIC, domain, out))
}

fn format_key(root: &RootKey, domain: &str) -> Result<FormatKey, CryptoError> {
    let key = derive(root.secret(), FORMAT, named("domain", domain)?)?;
    Ok(FormatKey::from_secret(*root.kid(), &key))
}

fn data_key(root: &RootKey, purpose: &str) -> Result<DataKey, CryptoError> {
    let key = derive(root.secret(), DATA, named("purpose", purpose)?)?;
    DataKey::from_secret(*root.kid(), &key, root.state())
}

/// An empty name is a setting that was left out; two of those would silently share a key.
fn named<'a>(what: &'static str, name: &'a str) -> Result<&'a str, CryptoError> {
    if name.is_empty() { Err(CryptoError::EmptyName(what)) } else { Ok(name) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::SecretKey;
    use crate::text::push_hex;

    fn root(byte: u8, state: KeyState) -> RootKey {
        RootKey::new(SecretKey::from_bytes([byte; 32]), "2026-01-31T12:00:00Z", state).unwrap()
    }

    #[test]
    fn exactly_one_active_and_unique() {
        use KeyState::{Active, Retired};
        let make = |keys| KeyRing::new(keys).map(|_| ()).unwrap_err();
        assert_eq!(make(vec![]), CryptoError::NoActiveKey);
        assert_eq!(make(vec![root(1, Retired)]), CryptoError::NoActiveKey);
        assert_eq!(make(vec![root(1, Active), root(2, Active)]), CryptoError::SeveralActiveKeys);
        let kid = *root(1, Active).kid();
        assert_eq!(make(vec![root(1, Active), root(1, Retired)]), CryptoError::DuplicateKey(kid));
    }

    #[test]
    fn rotation_keeps_the_old_key_for_opening() {
        let ring = KeyRing::new(vec![root(1, KeyState::Active)]).unwrap();
        let old = *ring.active_kid();
        let old_tag = ring.pseudonym_key("d").unwrap().tag(b"v");
        let ring = ring.rotated(root(2, KeyState::Active)).unwrap();
        let states: Vec<_> = ring.kids().map(|(_, state, _)| state).collect();
        assert_eq!(states, [KeyState::Active, KeyState::Retired]);
        assert_ne!(*ring.active_kid(), old);
        assert_eq!(ring.data_key_for(&old, "p").unwrap().kid(), &old);
        assert_eq!(ring.pseudonym_key_for(&old, "d").unwrap().tag(b"v"), old_tag);
        // Pseudonyms go on until they are told not to.
        assert_eq!(ring.pseudonym_key("d").unwrap().tag(b"v"), old_tag);
        let lookup = ring.vault_key("d").unwrap();
        assert_eq!(*lookup.kid(), old, "a new root key changes no token");
        let active = *ring.active_kid();
        let ring = ring.with_pseudonyms_of(&active).unwrap();
        assert_ne!(ring.index_key("d").unwrap().tag(b"v"), ring.index_key_for(&old, "d").unwrap().tag(b"v"));
        assert_eq!(ring.format_key_for(&old, "d").unwrap().kid(), &old);
        assert_ne!(ring.pseudonym_key("d").unwrap().tag(b"v"), old_tag);
        let wrapped = ring.wrapping_key_for(&old, "w").unwrap().wrap(&SecretKey::from_bytes([5; 32]), &[]).unwrap();
        assert!(ring.wrapping_key("w").unwrap().unwrap(&wrapped, &[]).is_err());
        assert!(ring.wrapping_key_for(&old, "w").unwrap().unwrap(&wrapped, &[]).is_ok());
    }

    #[test]
    fn unknown_and_empty_names_are_errors() {
        let ring = KeyRing::new(vec![root(1, KeyState::Active)]).unwrap();
        let other = KeyId::parse("zzzzzzzz").unwrap();
        assert_eq!(ring.data_key_for(&other, "p").unwrap_err(), CryptoError::UnknownKey(other));
        assert_eq!(ring.data_key("").unwrap_err(), CryptoError::EmptyName("purpose"));
        assert_eq!(ring.pseudonym_key("").unwrap_err(), CryptoError::EmptyName("domain"));
    }

    #[test]
    fn labels_separate_keys() {
        let ring = KeyRing::new(vec![root(1, KeyState::Active)]).unwrap();
        let a = ring.pseudonym_key("a").unwrap().tag(b"v");
        assert_ne!(a, ring.pseudonym_key("b").unwrap().tag(b"v"));
        assert_ne!(a, ring.fingerprint_key("a").unwrap().tag(b"v"));
        assert_ne!(a, ring.index_key("a").unwrap().tag(b"v"));
        assert_ne!(a, ring.vault_key("a").unwrap().tag(b"v"));
        assert_ne!(ring.data_key("a").unwrap().commitment(), ring.data_key("b").unwrap().commitment());
    }

    /// Computed with another implementation (Python `cryptography`): root key `00 01 … 1f`.
    #[test]
    fn golden() {
        let secret = SecretKey::from_bytes(std::array::from_fn(|i| i as u8));
        let ring = KeyRing::new(vec![RootKey::new(secret, "", KeyState::Active).unwrap()]).unwrap();
        let key = ring.pseudonym_key("login").unwrap();
        let mut token = String::new();
        key.token(b"203.0.113.7", &mut token);
        assert_eq!(token, "ck1.t.dsfzvoj2.1DbFa6LJX2xXm1WX-jimbez7RF7v2M02NUQnfQTPfxU");
        let hex = |tag| {
            let mut out = String::new();
            push_hex::<32>(&mut out, &tag);
            out
        };
        assert_eq!(
            hex(key.tag_parts(&[b"ab", b"c"])),
            "ffad7978ba4a8d1f01606677167fa1c4683a8ed5a206692d69fb5f40291b915e"
        );
        let mut index = String::new();
        ring.index_key("login").unwrap().index(b"203.0.113.7", 128, &mut index).unwrap();
        assert_eq!(index, "IB4zqvpAFR5LgoukOpiZbA");
        let format = "1345e9ded905dadcb42940ee12b1facc04c1769b0c77a2c72b0e4bc26dd9e1e0";
        let secret: Vec<u8> =
            (0..64).step_by(2).map(|at| u8::from_str_radix(&format[at..at + 2], 16).unwrap()).collect();
        let expected = FormatKey::from_secret(*ring.active_kid(), &SecretKey::from_slice(&secret).unwrap());
        let number = |key: &FormatKey| {
            let mut digits = *b"4111111111111111";
            key.encrypt(b"", &mut digits).unwrap();
            digits
        };
        assert_eq!(number(&ring.format_key("login").unwrap()), number(&expected));
        let fingerprint = ring.fingerprint_key("login").unwrap();
        assert_eq!(
            hex(fingerprint.tag(b"203.0.113.7")),
            "cd2c9c0b1b1895a535983873560f8ccda2e6693d545348115eb79b21b5d10d98"
        );
        assert_eq!(
            hex(*ring.data_key("records").unwrap().commitment()),
            "486c27ab228e1b90f9b7f48102064f5a0642a64e9b41bfac80dfaa94c2965396"
        );
    }
}
