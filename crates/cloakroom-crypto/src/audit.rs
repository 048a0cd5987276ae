//! Keys of the audit log: a chain of MACs, a MAC for its head, signatures for its checkpoints.
//!
//! ```text
//! root ─┬─ ck1/audit ─────────► chain:  mac(n) = HMAC(key, mac(n-1) ‖ line n)
//!       ├─ ck1/audit/head ────► head:   HMAC(key, what the head file says)
//!       ├─ ck1/audit/subject ─► pseudonyms of subjects, of this log only
//!       └─ ck1/audit/sign ────► Ed25519 seed (RFC 8032): checkpoints
//! ```
//!
//! HMAC-SHA-256 is RFC 2104. Whoever has the root key can make all four; whoever has only the public
//! key can check checkpoints, and make nothing.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::derive::{AUDIT, derive};
pub use crate::mac::same_mac;
use crate::text::push_base64url;
use crate::{CryptoError, KeyId, PseudonymKey, RootKey};

/// A MAC of the chain.
pub type ChainMac = [u8; 32];

/// What the MAC before the first line is taken to be.
pub const CHAIN_START: ChainMac = [0; 32];

/// The keys of one root key version for the audit log. Keep it: deriving takes some microseconds,
/// and the Ed25519 key some tens.
pub struct AuditKey {
    kid: KeyId,
    chain: Hmac<Sha256>,
    head: Hmac<Sha256>,
    subject: PseudonymKey,
    signer: SigningKey,
}

impl AuditKey {
    pub(crate) fn of(root: &RootKey) -> Result<Self, CryptoError> {
        let hmac = |name| {
            let key = derive(root.secret(), AUDIT, name)?;
            Hmac::new_from_slice(key.expose()).map_err(|_| CryptoError::Internal)
        };
        let subject = derive(root.secret(), AUDIT, "/subject")?;
        let seed = derive(root.secret(), AUDIT, "/sign")?;
        Ok(Self {
            kid: *root.kid(),
            chain: hmac("")?,
            head: hmac("/head")?,
            subject: PseudonymKey::from_raw(*root.kid(), subject.expose())?,
            signer: SigningKey::from_bytes(seed.expose()),
        })
    }

    /// The key version that each line names.
    #[must_use]
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// The MAC of a line: HMAC(key, `previous` ‖ `line`). `previous` has a fixed length, so the
    /// border between the two is certain.
    #[must_use]
    pub fn chain(&self, previous: &ChainMac, line: &[u8]) -> ChainMac {
        let mut mac = self.chain.clone();
        mac.update(previous);
        mac.update(line);
        mac.finalize().into_bytes().into()
    }

    /// The MAC of the head file's content, under a key of its own.
    #[must_use]
    pub fn head(&self, content: &[u8]) -> [u8; 32] {
        let mut mac = self.head.clone();
        mac.update(content);
        mac.finalize().into_bytes().into()
    }

    /// Appends a subject's pseudonym in this log, `ck1.t.<kid>.…`. It joins nothing but lines of
    /// audit logs under the same root key.
    pub fn subject(&self, subject: &str, out: &mut String) {
        self.subject.token(subject.as_bytes(), out);
    }

    /// Signs a checkpoint (Ed25519, deterministic).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signer.sign(message).to_bytes()
    }

    /// The key that others check checkpoints with.
    #[must_use]
    pub fn public_key(&self) -> AuditPublicKey {
        AuditPublicKey::of(&self.signer)
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditKey({}, [secret])", self.kid)
    }
}

/// Checks signatures of checkpoints, and of approvers. Not secret; written as base64url without padding, 43
/// characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuditPublicKey(VerifyingKey);

impl AuditPublicKey {
    pub(crate) fn of(key: &SigningKey) -> Self {
        Self(key.verifying_key())
    }

    /// Reads the 43 characters.
    ///
    /// # Errors
    /// [`CryptoError::PublicKeyInvalid`] when they are no point of the curve, or a weak one.
    pub fn parse(text: &str) -> Result<Self, CryptoError> {
        let bytes = fixed::<32>(text).ok_or(CryptoError::PublicKeyInvalid)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| CryptoError::PublicKeyInvalid)?;
        if key.is_weak() { Err(CryptoError::PublicKeyInvalid) } else { Ok(Self(key)) }
    }

    /// Checks a signature strictly: one message has one signature.
    ///
    /// # Errors
    /// [`CryptoError::Signature`].
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), CryptoError> {
        let signature = Signature::from_bytes(signature);
        self.0.verify_strict(message, &signature).map_err(|_| CryptoError::Signature)
    }
}

impl fmt::Display for AuditPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        push_base64url(&mut text, self.0.as_bytes());
        f.pad(&text)
    }
}

impl fmt::Debug for AuditPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditPublicKey({self})")
    }
}

/// Appends bytes as the audit log writes them: base64url without padding.
pub fn push_text(out: &mut String, bytes: &[u8]) {
    push_base64url(out, bytes);
}

/// Reads base64url without padding of exactly `N` bytes; `None` for anything else, also for a second
/// spelling of the same bytes.
#[must_use]
pub fn fixed<const N: usize>(text: &str) -> Option<[u8; N]> {
    // The decoder wants room for whole groups; the longest we read is a signature.
    let mut buffer = [0; 66];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut buffer).ok()?;
    buffer[..length].try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{KeyRing, KeyState, SecretKey};

    fn unhex<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
    }

    fn ring(byte: u8) -> KeyRing {
        KeyRing::new(vec![RootKey::new(SecretKey::from_bytes([byte; 32]), "", KeyState::Active).unwrap()]).unwrap()
    }

    /// RFC 8032, section 7.1, tests 1 to 3.
    #[test]
    fn rfc8032() {
        for (seed, public, message, signature) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                b"".as_slice(),
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                &[0x72],
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                &[0xaf, 0x82],
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ] {
            let key = SigningKey::from_bytes(&unhex(seed));
            assert_eq!(key.verifying_key().to_bytes(), unhex(public));
            assert_eq!(key.sign(message).to_bytes(), unhex(signature));
            let public = AuditPublicKey(key.verifying_key());
            assert_eq!(public.verify(message, &unhex(signature)), Ok(()));
            assert_eq!(public.verify(b"other", &unhex(signature)), Err(CryptoError::Signature));
            assert_eq!(AuditPublicKey::parse(&public.to_string()), Ok(public));
        }
    }

    #[test]
    fn public_keys_are_checked() {
        for bad in ["", "AAAA", &"A".repeat(43), &"=".repeat(43), &"A".repeat(1000)] {
            assert_eq!(AuditPublicKey::parse(bad), Err(CryptoError::PublicKeyInvalid), "{bad}");
        }
    }

    #[test]
    fn the_chain_depends_on_all_before_and_on_the_key() {
        let key = ring(1).audit_key().unwrap();
        let first = key.chain(&CHAIN_START, b"one");
        let second = key.chain(&first, b"two");
        assert_ne!(second, key.chain(&CHAIN_START, b"two"));
        assert_ne!(first, ring(2).audit_key().unwrap().chain(&CHAIN_START, b"one"));
        assert_ne!(key.chain(&CHAIN_START, b""), key.head(&CHAIN_START));
        assert!(same_mac(&first, &key.chain(&CHAIN_START, b"one")) && !same_mac(&first, &second));
    }

    #[test]
    fn rotation_keeps_the_old_audit_key() {
        let old = ring(1).audit_key().unwrap();
        let next = RootKey::new(SecretKey::from_bytes([2; 32]), "", KeyState::Active).unwrap();
        let rotated = ring(1).rotated(next).unwrap();
        assert_ne!(rotated.audit_key().unwrap().kid(), old.kid());
        let again = rotated.audit_key_for(old.kid()).unwrap();
        assert_eq!(again.chain(&CHAIN_START, b"x"), old.chain(&CHAIN_START, b"x"));
        assert_eq!(again.public_key(), old.public_key());
    }

    /// Computed with another implementation (Python `cryptography`): root key `00 01 … 1f`.
    #[test]
    fn golden() {
        let secret = SecretKey::from_bytes(std::array::from_fn(|i| i as u8));
        let ring = KeyRing::new(vec![RootKey::new(secret, "", KeyState::Active).unwrap()]).unwrap();
        let key = ring.audit_key().unwrap();
        let text = |bytes: &[u8]| {
            let mut out = String::new();
            push_text(&mut out, bytes);
            out
        };
        assert_eq!(text(&key.chain(&CHAIN_START, b"{\"seq\":1}")), "W1zaSUYHZjw73xVnZq5Sa3QHu8l4-4nQ64ud3At9x-8");
        assert_eq!(text(&key.head(b"{\"seq\":1}")), "Vs2ua7AQBYqJy1SO_VX3jBgR5sU0kr6Hq_yeDDhoZ8k");
        assert_eq!(key.public_key().to_string(), "GznQ_Y4WuqXBrhg8qtgLR21ZD74iV418u7wuS20TcsA");
        assert_eq!(
            text(&key.sign(b"checkpoint")),
            "dHV5putNFt2rDk-UWKQffc9VZF98OkOkLPTncAVG0Kbm_6P3y77DIsfvMnS6Q7KVg9U02-8M_6WCGdog-deuCg"
        );
        let mut subject = String::new();
        key.subject("user-42", &mut subject);
        assert_eq!(subject, "ck1.t.dsfzvoj2.WTMDF75y47wQmrtMz-0IvUewhTHLneYGpzrJgKKShDA");
    }

    #[test]
    fn prints_no_key() {
        let key = ring(1).audit_key().unwrap();
        assert_eq!(format!("{key:?}"), format!("AuditKey({}, [secret])", key.kid()));
    }

    #[test]
    fn one_spelling_only() {
        assert_eq!(fixed::<2>("AAA"), Some([0, 0]));
        assert_eq!(fixed::<2>("AAB"), None);
        assert_eq!(fixed::<2>("AAA="), None);
    }
}
