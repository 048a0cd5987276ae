//! The key file as text. Reading and writing the file, and its permissions, are the caller's.

mod wrapped;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{CryptoError, ExposeSecret as _, KeyId, KeyRing, KeyState, RootKey};
use crate::{SecretKey, SecretString};

pub use wrapped::{Protection, WrappedKeys};

/// The keys stand in the file as they are.
const CLEAR: u64 = 1;
/// A provider has wrapped them.
const WRAPPED: u64 = 2;

/// The key file: JSON, for example
///
/// ```json
/// {"version":1,"keys":[{"kid":"dsfzvoj2","state":"active","created":"2026-01-31T12:00:00Z","key":"AAEC…"}]}
/// {"version":2,"protected_by":{"passphrase":{…}},"keys":[{"kid":"dsfzvoj2","state":"active","created":"…","wrapped":"…"}]}
/// ```
///
/// `pseudonyms` names the key that pseudonyms are made with, where that is not the active one. `key` is standard base64 of
/// 32 bytes with padding (RFC 4648, section 4); `wrapped` is whatever the provider under `protected_by` makes of them. `kid`
/// must belong to the key, so a file that was damaged or merged wrongly is refused instead of sealing under a key nobody
/// can name. Unknown fields are refused.
///
/// ```
/// use cloakroom_crypto::{KeyFile, KeyRing, RootKey};
/// # fn main() -> Result<(), cloakroom_crypto::CryptoError> {
/// let ring = KeyRing::new(vec![RootKey::generate("2026-01-31T12:00:00Z")?])?;
/// let text = KeyFile::to_json(&ring)?;
/// let KeyFile::Clear(again) = KeyFile::parse(&text)? else { panic!("the keys stand in it") };
/// assert_eq!(again.active_kid(), ring.active_kid());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub enum KeyFile {
    /// Version 1: whoever can read the file has the keys.
    Clear(KeyRing),
    /// Version 2: a provider has to unwrap them.
    Wrapped(WrappedKeys),
}

impl KeyFile {
    /// Writes a key ring in clear (version 1), the active key first, with a line end. **The text contains the keys**; it
    /// is wiped when it is dropped.
    ///
    /// # Errors
    /// [`CryptoError::Internal`] if the JSON writer fails, which it does not on these types.
    pub fn to_json(ring: &KeyRing) -> Result<Zeroizing<String>, CryptoError> {
        let encoded: Vec<Zeroizing<String>> =
            ring.keys().map(|key| Zeroizing::new(STANDARD.encode(key.secret().expose()))).collect();
        let keys = ring.keys().zip(&encoded).map(|(key, text)| EntryOut {
            kid: *key.kid(),
            state: key.state(),
            created: key.created(),
            key: text,
        });
        let model = FileOut { version: CLEAR, pseudonyms: own_pseudonyms(ring), keys: keys.collect() };
        // Large enough at once: a buffer that grows leaves unwiped copies behind.
        let mut json = Zeroizing::new(Vec::with_capacity(64 + 256 * encoded.len()));
        serde_json::to_writer_pretty(&mut *json, &model).map_err(|_| CryptoError::Internal)?;
        json.push(b'\n');
        String::from_utf8(std::mem::take(&mut *json)).map(Zeroizing::new).map_err(|_| CryptoError::Internal)
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`CryptoError::KeyFileSyntax`], [`CryptoError::KeyFileVersion`], [`CryptoError::KeyFileKey`],
    /// [`CryptoError::KeyFileKid`], [`CryptoError::KeyFileProvider`], [`CryptoError::CreatedInvalid`],
    /// [`CryptoError::UnknownKey`], and those of [`KeyRing::new`]. None repeats text from the file.
    pub fn parse(json: &str) -> Result<Self, CryptoError> {
        // The version first, leniently: a newer file should be called newer, not malformed.
        let Version { version } = serde_json::from_str(json).map_err(syntax)?;
        match version {
            CLEAR => clear(json).map(Self::Clear),
            WRAPPED => WrappedKeys::parse(json).map(Self::Wrapped),
            other => Err(CryptoError::KeyFileVersion(other)),
        }
    }
}

fn clear(json: &str) -> Result<KeyRing, CryptoError> {
    let file: FileIn = serde_json::from_str(json).map_err(syntax)?;
    let keys = file.keys.into_iter().enumerate().map(|(i, entry)| {
        let secret = decode_key(&STANDARD, entry.key.expose_secret()).ok_or(CryptoError::KeyFileKey(i + 1))?;
        let key = RootKey::new(secret, entry.created, entry.state)?;
        if *key.kid() != entry.kid {
            return Err(CryptoError::KeyFileKid(i + 1));
        }
        Ok(key)
    });
    ring(keys.collect::<Result<_, _>>()?, file.pseudonyms.as_ref())
}

fn ring(keys: Vec<RootKey>, pseudonyms: Option<&KeyId>) -> Result<KeyRing, CryptoError> {
    let ring = KeyRing::new(keys)?;
    match pseudonyms {
        Some(kid) => ring.with_pseudonyms_of(kid),
        None => Ok(ring),
    }
}

/// The key of pseudonyms, where a file has to name it.
fn own_pseudonyms(ring: &KeyRing) -> Option<KeyId> {
    Some(*ring.pseudonym_kid()).filter(|kid| kid != ring.active_kid())
}

/// Reads one active key from an environment variable: 64 hex characters, or base64 (either
/// alphabet, with or without padding) of 32 bytes. White space around it is ignored. Its creation
/// time is empty. For development and tests: other processes can see an environment.
///
/// # Errors
/// [`CryptoError::EnvKey`] for another form, [`CryptoError::PlaceholderKey`] for a
/// key of zeros.
pub fn keyring_from_env_value(value: &str) -> Result<KeyRing, CryptoError> {
    let value = value.trim();
    let secret = decode_hex(value)
        .or_else(|| decode_key(&LENIENT_STANDARD, value))
        .or_else(|| decode_key(&LENIENT_URL, value))
        .ok_or(CryptoError::EnvKey)?;
    if secret.expose().iter().all(|byte| *byte == 0) {
        return Err(CryptoError::PlaceholderKey);
    }
    KeyRing::new(vec![RootKey::new(secret, "", KeyState::Active)?])
}

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const LENIENT_STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
const LENIENT_URL: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);

fn decode_key(engine: &impl base64::Engine, text: &str) -> Option<SecretKey> {
    // The length first, so that the decoder does not run on text that cannot be a key.
    if !(43..=44).contains(&text.len()) {
        return None;
    }
    let mut bytes = Zeroizing::new([0; 36]);
    let n = engine.decode_slice(text, bytes.as_mut_slice()).ok()?;
    SecretKey::from_slice(&bytes[..n])
}

fn decode_hex(text: &str) -> Option<SecretKey> {
    let digits = text.as_bytes();
    if digits.len() != 2 * SecretKey::LEN {
        return None;
    }
    let digit = |c: u8| char::from(c).to_digit(16);
    let mut bytes = Zeroizing::new([0; SecretKey::LEN]);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    SecretKey::from_slice(bytes.as_slice())
}

/// Keeps the position and drops the text: the parser's own message quotes the file.
fn syntax(error: serde_json::Error) -> CryptoError {
    CryptoError::KeyFileSyntax { line: error.line(), column: error.column() }
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}

#[derive(Serialize)]
struct FileOut<'a> {
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pseudonyms: Option<KeyId>,
    keys: Vec<EntryOut<'a>>,
}

#[derive(Serialize)]
struct EntryOut<'a> {
    kid: KeyId,
    state: KeyState,
    created: &'a str,
    key: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileIn {
    #[serde(rename = "version")]
    _version: u64,
    pseudonyms: Option<KeyId>,
    keys: Vec<EntryIn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryIn {
    kid: KeyId,
    state: KeyState,
    created: String,
    key: SecretString,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const B64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const FILE: &str = r#"{"version":1,"keys":[{"kid":"dsfzvoj2","state":"active","created":"2026-01-31T12:00:00Z","key":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}]}"#;

    fn parse(json: &str) -> KeyRing {
        match KeyFile::parse(json).unwrap() {
            KeyFile::Clear(ring) => ring,
            KeyFile::Wrapped(_) => panic!("not in clear"),
        }
    }

    fn error(json: &str) -> CryptoError {
        KeyFile::parse(json).unwrap_err()
    }

    #[test]
    fn reads_and_writes() {
        let ring = parse(FILE);
        assert_eq!(ring.active_kid().as_str(), "dsfzvoj2");
        let ring = ring.rotated(RootKey::generate("2026-02-28T12:00:00Z").unwrap()).unwrap();
        let text = KeyFile::to_json(&ring).unwrap();
        assert!(text.capacity() >= 64 + 2 * 256 && text.ends_with("}\n"));
        let again = parse(&text);
        assert!(again.kids().eq(ring.kids()));
        assert_eq!(again.pseudonym_kid(), ring.pseudonym_kid());
        assert_ne!(again.pseudonym_kid(), again.active_kid());
        assert_eq!(again.data_key("p").unwrap().commitment(), ring.data_key("p").unwrap().commitment());
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(error(&FILE.replace("AAEC", "BAEC")), CryptoError::KeyFileKid(1));
        assert_eq!(error(&FILE.replace("AAEC", "")), CryptoError::KeyFileKey(1));
        assert_eq!(error(&FILE.replace("Hh8=", "Hh8")), CryptoError::KeyFileKey(1));
        assert_eq!(error(&FILE.replace(":1,", ":3,\"new\":0,")), CryptoError::KeyFileVersion(3));
        let other = KeyId::parse("aaaaaaaa").unwrap();
        let text = FILE.replace(":1,", ":1,\"pseudonyms\":\"aaaaaaaa\",");
        assert_eq!(error(&text), CryptoError::UnknownKey(other));
        assert_eq!(error(&FILE.replace("active", "retired")), CryptoError::NoActiveKey);
        assert_eq!(error(&FILE.replace("2026", "x")), CryptoError::CreatedInvalid);
        for broken in [
            "",
            "{",
            "[]",
            "{}",
            &FILE.replace("active", "frozen"),
            &FILE.replace("dsfzvoj2", "DSFZVOJ2"),
            &FILE.replace("\"kid\"", "\"note\":1,\"kid\""),
            &FILE.replace("\"version\"", "\"note\":1,\"version\""),
            &FILE.replace("\"kid\":\"dsfzvoj2\",", ""),
        ] {
            let error = error(broken);
            assert!(matches!(error, CryptoError::KeyFileSyntax { .. }), "{error:?}");
        }
    }

    #[test]
    fn errors_repeat_nothing_from_the_file() {
        for secret_at in ["kid", "state", "created", "key"] {
            let marker = "S3cretMarker";
            let start = FILE.find(&format!("\"{secret_at}\":\"")).unwrap() + secret_at.len() + 4;
            let mut json = FILE.to_owned();
            json.insert_str(start, marker);
            let error = error(&json);
            assert!(!format!("{error} {error:?}").contains(marker));
        }
    }

    #[test]
    fn environment_forms() {
        for form in [HEX, &HEX.to_uppercase(), B64, B64.trim_end_matches('='), &format!(" {HEX}\n")] {
            let ring = keyring_from_env_value(form).unwrap();
            assert_eq!(ring.active_kid().as_str(), "dsfzvoj2");
        }
        let high = [[0xfb; 16], [0xff; 16]].concat();
        let url = base64::engine::general_purpose::URL_SAFE.encode(&high);
        assert!(url.contains('-') && url.contains('_'));
        assert_eq!(
            keyring_from_env_value(&url).unwrap().active_kid(),
            keyring_from_env_value(&STANDARD.encode(&high)).unwrap().active_kid()
        );

        for bad in ["", "secret", &HEX[1..], &HEX.replace('0', "g"), &B64[4..]] {
            assert_eq!(keyring_from_env_value(bad).unwrap_err(), CryptoError::EnvKey);
        }
        assert_eq!(keyring_from_env_value(&"00".repeat(32)).unwrap_err(), CryptoError::PlaceholderKey);
    }
}
