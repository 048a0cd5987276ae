//! Version 2 of the key file: every root key is wrapped by a provider.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{WRAPPED, own_pseudonyms, ring, syntax};
use crate::{CryptoError, KeyId, KeyRing, KeyState, RootKey, SecretKey, WrappingKey};

/// Which provider wraps the keys of a file, and what it needs to know for it: a salt, the name of a key. No secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Protection {
    /// The provider's name: `passphrase`.
    pub provider: String,
    /// Its own settings; this crate does not look into them.
    pub settings: Value,
}

/// Keys of a file as they stand there: names in clear, keys wrapped.
///
/// States and dates are not bound to the wrapped keys: whoever can write the file can make another of its keys the active
/// one, but none that the provider did not wrap.
#[derive(Clone)]
pub struct WrappedKeys {
    protection: Protection,
    pseudonyms: Option<KeyId>,
    keys: Vec<Entry>,
}

impl WrappedKeys {
    /// For a ring and what a provider made of its [roots](KeyRing::roots), in the same order.
    ///
    /// # Errors
    /// [`CryptoError::KeyFileCount`] when there is not one text for each key.
    pub fn new(ring: &KeyRing, protection: Protection, wrapped: Vec<String>) -> Result<Self, CryptoError> {
        if wrapped.len() != ring.kids().count() {
            return Err(CryptoError::KeyFileCount);
        }
        let keys = ring.kids().zip(wrapped).map(|((kid, state, created), wrapped)| Entry {
            kid: *kid,
            state,
            created: created.to_owned(),
            wrapped,
        });
        Ok(Self { protection, pseudonyms: own_pseudonyms(ring), keys: keys.collect() })
    }

    /// Who wraps the keys.
    #[must_use]
    pub fn protection(&self) -> &Protection {
        &self.protection
    }

    /// What has to be unwrapped: each key's name and its text, in the order of the file.
    pub fn wrapped(&self) -> impl Iterator<Item = (&KeyId, &str)> {
        self.keys.iter().map(|entry| (&entry.kid, entry.wrapped.as_str()))
    }

    /// The ring, from what the provider made of [`Self::wrapped`], in the same order.
    ///
    /// # Errors
    /// [`CryptoError::KeyFileCount`], [`CryptoError::KeyFileKid`] when a key is not the one that its name says,
    /// [`CryptoError::CreatedInvalid`], [`CryptoError::UnknownKey`], and those of [`KeyRing::new`].
    pub fn open(&self, secrets: Vec<SecretKey>) -> Result<KeyRing, CryptoError> {
        if secrets.len() != self.keys.len() {
            return Err(CryptoError::KeyFileCount);
        }
        let keys = self.keys.iter().zip(secrets).enumerate().map(|(i, (entry, secret))| {
            let key = RootKey::new(secret, entry.created.clone(), entry.state)?;
            if *key.kid() == entry.kid { Ok(key) } else { Err(CryptoError::KeyFileKid(i + 1)) }
        });
        ring(keys.collect::<Result<_, _>>()?, self.pseudonyms.as_ref())
    }

    /// The file's text, with a line end. No key stands in it in clear.
    ///
    /// # Errors
    /// [`CryptoError::Internal`] if the JSON writer fails, which it does not on these types.
    pub fn to_json(&self) -> Result<String, CryptoError> {
        let Protection { provider, settings } = &self.protection;
        let protected_by = Map::from_iter([(provider.clone(), settings.clone())]);
        let file = File { version: WRAPPED, protected_by, pseudonyms: self.pseudonyms, keys: self.keys.clone() };
        let mut json = serde_json::to_string_pretty(&file).map_err(|_| CryptoError::Internal)?;
        json.push('\n');
        Ok(json)
    }

    pub(super) fn parse(json: &str) -> Result<Self, CryptoError> {
        let File { version: _, protected_by, pseudonyms, keys } = serde_json::from_str(json).map_err(syntax)?;
        let mut providers = protected_by.into_iter();
        let (Some((provider, settings)), None) = (providers.next(), providers.next()) else {
            return Err(CryptoError::KeyFileProvider);
        };
        Ok(Self { protection: Protection { provider, settings }, pseudonyms, keys })
    }
}

impl fmt::Debug for WrappedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids: Vec<_> = self.keys.iter().map(|entry| entry.kid).collect();
        f.debug_struct("WrappedKeys").field("provider", &self.protection.provider).field("keys", &kids).finish()
    }
}

impl WrappingKey {
    /// Wraps a root key for a key file, bound to its name and to this version of the file: standard base64 of nonce,
    /// ciphertext and tag.
    ///
    /// # Errors
    /// [`CryptoError::Random`].
    pub fn wrap_root(&self, key: &SecretKey) -> Result<String, CryptoError> {
        Ok(STANDARD.encode(self.wrap(key, &place(&KeyId::of(key)))?))
    }

    /// Opens what [`Self::wrap_root`] made of the key of this name.
    ///
    /// # Errors
    /// [`CryptoError::Wrapped`].
    pub fn unwrap_root(&self, kid: &KeyId, wrapped: &str) -> Result<SecretKey, CryptoError> {
        let bytes = STANDARD.decode(wrapped).map_err(|_| CryptoError::Wrapped)?;
        self.unwrap(&bytes.try_into().map_err(|_| CryptoError::Wrapped)?, &place(kid))
    }
}

/// What a wrapped root key is bound to.
fn place(kid: &KeyId) -> [&[u8]; 3] {
    [b"root", b"2", kid.as_bytes()]
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u64,
    protected_by: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pseudonyms: Option<KeyId>,
    keys: Vec<Entry>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    kid: KeyId,
    state: KeyState,
    created: String,
    wrapped: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::KeyFile;
    use serde_json::json;

    const FILE: &str = r#"{"version":2,"protected_by":{"safe":{"drawer":3}},"pseudonyms":"dsfzvoj2","keys":[{"kid":"dsfzvoj2","state":"active","created":"2026-01-31T12:00:00Z","wrapped":"d3JhcHBlZA=="}]}"#;

    fn secret() -> SecretKey {
        SecretKey::from_bytes(std::array::from_fn(|i| i as u8))
    }

    fn read(json: &str) -> WrappedKeys {
        match KeyFile::parse(json).unwrap() {
            KeyFile::Wrapped(keys) => keys,
            KeyFile::Clear(_) => panic!("in clear"),
        }
    }

    #[test]
    fn reads_opens_and_writes() {
        let keys = read(FILE);
        assert_eq!(keys.protection(), &Protection { provider: "safe".into(), settings: json!({ "drawer": 3 }) });
        let listed: Vec<_> = keys.wrapped().map(|(kid, text)| (kid.as_str(), text)).collect();
        assert_eq!(listed, [("dsfzvoj2", "d3JhcHBlZA==")]);
        let ring = keys.open(vec![secret()]).unwrap();
        assert_eq!(ring.active_kid().as_str(), "dsfzvoj2");

        let ring = ring.rotated(RootKey::generate("2026-02-28T12:00:00Z").unwrap()).unwrap();
        let next = WrappedKeys::new(&ring, keys.protection().clone(), vec!["new".into(), "old".into()]).unwrap();
        let again = read(&next.to_json().unwrap());
        let secrets = |ring: &KeyRing| ring.roots().map(|key| SecretKey::from_bytes(*key.expose())).collect::<Vec<_>>();
        let opened = again.open(secrets(&ring)).unwrap();
        assert!(opened.kids().eq(ring.kids()));
        assert_eq!(opened.pseudonym_kid().as_str(), "dsfzvoj2");
        assert_eq!(again.open(vec![secret()]).unwrap_err(), CryptoError::KeyFileCount);
        let mut swapped = secrets(&ring);
        swapped.reverse();
        assert_eq!(again.open(swapped).unwrap_err(), CryptoError::KeyFileKid(1));
        assert_eq!(WrappedKeys::new(&ring, keys.protection().clone(), vec![]).unwrap_err(), CryptoError::KeyFileCount);
    }

    #[test]
    fn a_wrapped_root_opens_under_its_own_name_only_and_unchanged() {
        let key = WrappingKey::from_secret(&SecretKey::from_bytes([9; 32])).unwrap();
        let wrapped = key.wrap_root(&secret()).unwrap();
        let kid = KeyId::of(&secret());
        assert_eq!(key.unwrap_root(&kid, &wrapped).unwrap().expose(), secret().expose());
        let other = KeyId::parse("aaaaaaaa").unwrap();
        assert_eq!(key.unwrap_root(&other, &wrapped).unwrap_err(), CryptoError::Wrapped);
        let bytes = STANDARD.decode(&wrapped).unwrap();
        for bit in 0..8 * bytes.len() {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.unwrap_root(&kid, &STANDARD.encode(changed)).unwrap_err(), CryptoError::Wrapped, "{bit}");
        }
        for text in ["", "AAAA", "not base64!", &wrapped[4..], &format!("{wrapped}AAAA")] {
            assert_eq!(key.unwrap_root(&kid, text).unwrap_err(), CryptoError::Wrapped);
        }
        // The same key as one of the key table: another place, and no root of a file.
        let elsewhere = STANDARD.encode(key.wrap(&secret(), &[b"subject", kid.as_bytes()]).unwrap());
        assert_eq!(key.unwrap_root(&kid, &elsewhere).unwrap_err(), CryptoError::Wrapped);
    }

    #[test]
    fn no_key_stands_in_the_file() {
        let ring = KeyRing::new(vec![RootKey::new(secret(), "", KeyState::Active).unwrap()]).unwrap();
        let protection = Protection { provider: "safe".into(), settings: Value::Null };
        let text = WrappedKeys::new(&ring, protection, vec!["x".into()]).unwrap().to_json().unwrap();
        assert!(!text.contains("AAEC") && text.contains("dsfzvoj2") && text.ends_with("}\n"), "{text}");
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |json: &str| KeyFile::parse(json).unwrap_err();
        assert_eq!(error(&FILE.replace(r#"{"safe":{"drawer":3}}"#, "{}")), CryptoError::KeyFileProvider);
        assert_eq!(error(&FILE.replace("}},", "},\"b\":1},")), CryptoError::KeyFileProvider);
        for broken in [
            FILE.replace("\"wrapped\"", "\"key\""),
            FILE.replace(r#""protected_by":{"safe":{"drawer":3}},"#, ""),
            FILE.replace("active", "frozen"),
            FILE.replace("\"keys\"", "\"note\":1,\"keys\""),
            FILE.replace(r#","wrapped":"d3JhcHBlZA==""#, ""),
        ] {
            assert!(matches!(error(&broken), CryptoError::KeyFileSyntax { .. }), "{broken}");
        }
        let opened = |json: &str| read(json).open(vec![secret()]).unwrap_err();
        assert_eq!(opened(&FILE.replace("active", "retired")), CryptoError::NoActiveKey);
        assert_eq!(opened(&FILE.replace("2026", "x")), CryptoError::CreatedInvalid);
        let other = KeyId::parse("aaaaaaaa").unwrap();
        assert_eq!(
            opened(&FILE.replace("pseudonyms\":\"dsfzvoj2", "pseudonyms\":\"aaaaaaaa")),
            CryptoError::UnknownKey(other)
        );
    }

    #[test]
    fn errors_repeat_nothing_from_the_file() {
        for at in ["\"safe\"", "\"dsfzvoj2\"", "\"active\"", "\"2026-01", "\"d3Jh"] {
            let marked = FILE.replacen(at, &at.replace('"', "\"S3cretMarker"), 1);
            let error = match KeyFile::parse(&marked) {
                Ok(KeyFile::Wrapped(keys)) => keys.open(vec![]).unwrap_err(),
                Ok(KeyFile::Clear(_)) => panic!("in clear"),
                Err(error) => error,
            };
            assert!(!format!("{error} {error:?}").contains("S3cretMarker"), "{at}");
        }
    }
}
