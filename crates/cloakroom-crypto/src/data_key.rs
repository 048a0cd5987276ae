//! A key that encrypts fields, prepared for speed.

use std::fmt;
use std::sync::OnceLock;

use aes_gcm::{Aes256Gcm, KeyInit as _};
use aes_gcm_siv::Aes256GcmSiv;
use hmac::{Hmac, Mac as _};
use sha2::Sha512;
use zeroize::Zeroizing;

use crate::mac::same_mac;
use crate::{CryptoError, KeyId, KeyState, SecretKey};

/// Input of the HMAC that splits a data key into its two halves.
const SPLIT: &[u8] = b"ck1/enc+commit";
/// Input of the HMAC that makes the key of AES-256-GCM-SIV: the first 32 bytes of the output.
const GCM_SIV: &[u8] = b"ck1/gcm-siv";

/// A key for AES-256-GCM and, apart from it, for AES-256-GCM-SIV, with its key schedule, its id and its commitment. `Send` and `Sync`; share
/// one in an `Arc`, do not make one per value.
///
/// HMAC-SHA-512(data key, `"ck1/enc+commit"`) gives 64 bytes: the first half is the AES key, the
/// second the commitment. AES-GCM alone lets one envelope be built that opens under two keys;
/// two keys with the same commitment would be a collision in SHA-512, so a stored commitment
/// that matches pins the key. The key of AES-256-GCM-SIV is made from the same data key, with `"ck1/gcm-siv"`, when it
/// is first used.
///
/// **Limit:** random 96-bit nonces allow 2^32 envelopes per key (NIST SP 800-38D, section 8.3).
/// Rotate before that. With AES-256-GCM-SIV a nonce that comes twice shows only whether two values are equal, and far
/// more are allowed (RFC 8452, section 9).
pub struct DataKey {
    kid: KeyId,
    state: KeyState,
    cipher: Aes256Gcm,
    /// For the key of AES-256-GCM-SIV.
    secret: Zeroizing<[u8; SecretKey::LEN]>,
    /// In a box: few keys need it, and many are in memory.
    siv: OnceLock<Box<Aes256GcmSiv>>,
    commitment: [u8; 32],
}

impl DataKey {
    /// Prepares a data key from 32 bytes, for keys that are kept in a table. Keys of a root come
    /// from [`KeyRing::data_key`](crate::KeyRing::data_key).
    ///
    /// # Errors
    /// [`CryptoError::Internal`] if a primitive refuses a length; ours are fixed.
    pub fn from_secret(kid: KeyId, secret: &SecretKey, state: KeyState) -> Result<Self, CryptoError> {
        let halves = output(secret.expose(), SPLIT);
        let (aead, commit) = halves.split_at(32);

        let cipher = Aes256Gcm::new_from_slice(aead).map_err(|_| CryptoError::Internal)?;
        let mut commitment = [0; 32];
        commitment.copy_from_slice(commit);
        let secret = Zeroizing::new(*secret.expose());
        Ok(Self { kid, state, cipher, secret, siv: OnceLock::new(), commitment })
    }

    /// The key version that goes into the header of envelopes.
    #[must_use]
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// Whether the key still seals.
    #[must_use]
    pub fn state(&self) -> KeyState {
        self.state
    }

    /// 32 bytes to store beside a wrapped key. They are not secret.
    #[must_use]
    pub fn commitment(&self) -> &[u8; 32] {
        &self.commitment
    }

    /// Compares with a stored commitment, in a time that does not depend on where they differ.
    ///
    /// # Errors
    /// [`CryptoError::CommitmentMismatch`]: this is not the key that the row was made for.
    pub fn check_commitment(&self, stored: &[u8; 32]) -> Result<(), CryptoError> {
        if same_mac(&self.commitment, stored) { Ok(()) } else { Err(CryptoError::CommitmentMismatch(self.kid)) }
    }

    pub(crate) fn gcm(&self) -> &Aes256Gcm {
        &self.cipher
    }

    pub(crate) fn gcm_siv(&self) -> &Aes256GcmSiv {
        self.siv.get_or_init(|| {
            let output = output(&self.secret, GCM_SIV);
            let (key, _) = output.split_at(32);
            let mut whole = Zeroizing::new([0; 32]);
            whole.copy_from_slice(key);
            Box::new(Aes256GcmSiv::new((&*whole).into()))
        })
    }
}

/// HMAC-SHA-512 of `input` under `key`.
fn output(key: &[u8; SecretKey::LEN], input: &[u8]) -> Zeroizing<[u8; 64]> {
    // Any length will do, and this one is that of the block: nothing is hashed beforehand.
    let mut block = Zeroizing::new([0; 128]);
    block[..SecretKey::LEN].copy_from_slice(key);
    let mut mac = Hmac::<Sha512>::new((&*block).into());
    mac.update(input);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({}, {:?}, [secret])", self.kid, self.state)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use aes_gcm::aead::AeadInOut as _;

    /// Test cases 14 and 16 of McGrew and Viega, "The Galois/Counter Mode of Operation" (the
    /// submission to NIST), AES-256: zero key and one block; long text with additional data.
    #[test]
    fn gcm_vectors() {
        let cipher = Aes256Gcm::new_from_slice(&[0; 32]).unwrap();
        let mut text = [0; 16];
        let nonce = [0; 12].into();
        let tag = cipher.encrypt_inout_detached(&nonce, b"", text.as_mut_slice().into()).unwrap();
        assert_eq!(u128::from_be_bytes(text), 0xcea7403d4d606b6e074ec5d3baf39d18);
        assert_eq!(u128::from_be_bytes(tag.into()), 0xd0d1c8a799996bf0265b98b5d48ab919);

        let mut key = Vec::new();
        for _ in 0..2 {
            key.extend(0xfeffe9928665731c6d6a8f9467308308u128.to_be_bytes());
        }
        let cipher = Aes256Gcm::new_from_slice(&key).unwrap();
        let nonce = [0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce, 0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88].into();
        let aad: Vec<u8> = [
            0xfeedfacedeadbeefu64.to_be_bytes().as_slice(),
            &0xfeedfacedeadbeefu64.to_be_bytes(),
            &0xabaddad2u32.to_be_bytes(),
        ]
        .concat();
        let blocks = |blocks: [u128; 4]| blocks.map(u128::to_be_bytes).concat()[..60].to_vec();
        let mut text = blocks([
            0xd9313225f88406e5a55909c5aff5269a,
            0x86a7a9531534f7da2e4c303d8a318a72,
            0x1c3c0c95956809532fcf0e2449a6b525,
            0xb16aedf5aa0de657ba637b3900000000,
        ]);
        let tag = cipher.encrypt_inout_detached(&nonce, &aad, text.as_mut_slice().into()).unwrap();
        assert_eq!(
            text,
            blocks([
                0x522dc1f099567d07f47f37a32a84427d,
                0x643a8cdcbfe5c0c97598a2bd2555d1aa,
                0x8cb08e48590dbb3da7b08b1056828838,
                0xc5f61e6393ba7a0abcc9f66200000000,
            ])
        );
        assert_eq!(u128::from_be_bytes(tag.into()), 0x76fc6ece0f4e1768cddf8853bb2d551b);
    }

    /// RFC 8452, appendix C.2 (AES-256): nothing at all, a block that is not full, and one with additional data.
    #[test]
    fn gcm_siv_vectors() {
        let mut key = [0; 32];
        key[0] = 1;
        let mut nonce = [0; 12];
        nonce[0] = 3;
        let sealed = |aad: &[u8], text: u64| {
            let mut text = if text == 0 { Vec::new() } else { text.to_be_bytes().to_vec() };
            let cipher = Aes256GcmSiv::new(&key.into());
            let tag = cipher.encrypt_inout_detached(&nonce.into(), aad, text.as_mut_slice().into()).unwrap();
            (text.try_into().map_or(0, u64::from_be_bytes), u128::from_be_bytes(tag.into()))
        };
        assert_eq!(sealed(b"", 0), (0, 0x07f5f4169bbf55a8400cd47ea6fd400f));
        assert_eq!(sealed(b"", 1 << 56), (0xc2ef328e5c71c83b, 0x843122130f7364b761e0b97427e3df28));
        assert_eq!(sealed(&[1], 2 << 56), (0x1de22967237a8132, 0x91213f267e3b452f02d01ae33e4ec854));
    }

    #[test]
    fn commitment_pins_the_key() {
        let kid = KeyId::parse("aaaaaaaa").unwrap();
        let make = |byte| DataKey::from_secret(kid, &SecretKey::from_bytes([byte; 32]), KeyState::Active).unwrap();
        let (a, b) = (make(1), make(2));
        assert_eq!(a.check_commitment(make(1).commitment()), Ok(()));
        assert_eq!(a.check_commitment(b.commitment()), Err(CryptoError::CommitmentMismatch(kid)));
    }

    #[test]
    fn can_be_shared_and_prints_no_key() {
        fn shared<T: Send + Sync>(_: &T) {}
        let kid = KeyId::parse("aaaaaaaa").unwrap();
        let key = DataKey::from_secret(kid, &SecretKey::from_bytes([1; 32]), KeyState::Retired).unwrap();
        shared(&key);
        assert_eq!(format!("{key:?}"), "DataKey(aaaaaaaa, Retired, [secret])");
    }
}
