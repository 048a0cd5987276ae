//! A key from a passphrase.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom_scrypt::{Input, Kernel, Scrypt};
use serde::{Deserialize, Serialize};

use crate::{CryptoError, ExposeSecret as _, SecretKey, SecretString, WrappingKey};

const SALT_LEN: usize = 32;
/// N = 2^17, r = 8, p = 1: what OWASP asks of scrypt (Password Storage Cheat Sheet). 128 MiB and about half a second.
const COST: u32 = 1 << 17;
/// Below, trying passphrases is cheap; above, a file could ask for more memory than a machine has: N KiB.
const COSTS: std::ops::RangeInclusive<u32> = 1 << 14..=1 << 20;
const BLOCK: u32 = 8;
const PARALLEL: u32 = 1;

/// How a passphrase becomes a key: scrypt (RFC 7914) with its cost and salt. Nothing of it is secret.
///
/// As JSON: `{"kdf":"scrypt","n":131072,"r":8,"p":1,"salt":"…"}`, the salt in standard base64 with padding. Other values of
/// `r` and `p`, and an `n` out of bounds, are refused, so that a file cannot ask for memory without bounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Model", into = "Model")]
pub struct PassphraseKdf {
    cost: u32,
    salt: [u8; SALT_LEN],
}

impl PassphraseKdf {
    /// For a new passphrase: N = 2^17 and a random salt.
    ///
    /// # Errors
    /// [`CryptoError::Random`].
    pub fn generate() -> Result<Self, CryptoError> {
        Self::with_cost(COST)
    }

    /// The same with another N.
    ///
    /// # Errors
    /// [`CryptoError::PassphraseSettings`] unless it is a power of two from 2^14 to 2^20, [`CryptoError::Random`].
    pub fn with_cost(cost: u32) -> Result<Self, CryptoError> {
        let mut salt = [0; SALT_LEN];
        getrandom::fill(&mut salt).map_err(|_| CryptoError::Random)?;
        Self::checked(cost, salt)
    }

    /// The key that the passphrase gives; the text is taken as it is, in UTF-8. Takes `N` KiB of memory, which is wiped,
    /// and a good part of a second.
    ///
    /// # Errors
    /// [`CryptoError::Internal`], which does not happen with keys of 32 bytes.
    pub fn derive(&self, passphrase: &SecretString) -> Result<WrappingKey, CryptoError> {
        // One input: the kernels with lanes would take their memory for each lane.
        let mut scrypt = Scrypt::with_kernel(Kernel::Portable, self.cost as usize);
        let password: &[&[u8]] = &[passphrase.expose_secret().as_bytes()];
        let keys = scrypt.derive(&[Input { password, salt: &self.salt }]);
        let secret = keys.first().and_then(|key| SecretKey::from_slice(key.as_slice())).ok_or(CryptoError::Internal)?;
        WrappingKey::from_secret(&secret)
    }

    fn checked(cost: u32, salt: [u8; SALT_LEN]) -> Result<Self, CryptoError> {
        if !cost.is_power_of_two() || !COSTS.contains(&cost) {
            return Err(CryptoError::PassphraseSettings);
        }
        Ok(Self { cost, salt })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    kdf: String,
    n: u32,
    r: u32,
    p: u32,
    salt: String,
}

impl From<PassphraseKdf> for Model {
    fn from(kdf: PassphraseKdf) -> Self {
        let salt = STANDARD.encode(kdf.salt);
        Self { kdf: "scrypt".to_owned(), n: kdf.cost, r: BLOCK, p: PARALLEL, salt }
    }
}

impl TryFrom<Model> for PassphraseKdf {
    type Error = CryptoError;

    fn try_from(model: Model) -> Result<Self, CryptoError> {
        let salt = STANDARD.decode(&model.salt).ok().and_then(|salt| salt.try_into().ok());
        match salt {
            Some(salt) if model.kdf == "scrypt" && model.r == BLOCK && model.p == PARALLEL => {
                Self::checked(model.n, salt)
            }
            _ => Err(CryptoError::PassphraseSettings),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn settings() -> Value {
        json!({ "kdf": "scrypt", "n": 16384, "r": 8, "p": 1, "salt": STANDARD.encode([7; 32]) })
    }

    fn with(name: &str, value: Value) -> Result<PassphraseKdf, serde_json::Error> {
        let mut settings = settings();
        settings[name] = value;
        serde_json::from_value(settings)
    }

    /// Computed with another implementation: Python, `hashlib.scrypt(b"correct horse", salt=bytes([7]) * 32, n=16384,
    /// r=8, p=1, dklen=32)`, then the name of that key.
    #[test]
    fn golden() {
        let kdf: PassphraseKdf = serde_json::from_value(settings()).unwrap();
        let key = kdf.derive(&SecretString::from("correct horse")).unwrap();
        assert_eq!(key.kid().as_str(), "dazzabrr");
        assert_ne!(kdf.derive(&SecretString::from("correct horsf")).unwrap().kid(), key.kid());
        assert_eq!(serde_json::to_value(&kdf).unwrap(), settings());
    }

    #[test]
    fn a_file_cannot_ask_for_just_anything() {
        for n in [0, 1 << 13, (1 << 14) + 1, 1 << 21, u32::MAX] {
            assert!(with("n", json!(n)).is_err(), "{n}");
            assert_eq!(PassphraseKdf::with_cost(n).unwrap_err(), CryptoError::PassphraseSettings);
        }
        assert!(with("n", json!(1 << 20)).is_ok());
        for (name, value) in [
            ("n", json!(-1)),
            ("r", json!(16)),
            ("p", json!(2)),
            ("kdf", json!("pbkdf2")),
            ("salt", json!("")),
            ("salt", json!(STANDARD.encode([7; 31]))),
            ("more", json!(1)),
        ] {
            assert!(with(name, value).is_err(), "{name}");
        }
    }

    #[test]
    fn a_new_one_has_its_own_salt_and_the_cost_of_today() {
        let [a, b] = [PassphraseKdf::generate().unwrap(), PassphraseKdf::generate().unwrap()];
        assert_ne!(a.salt, b.salt);
        assert_eq!(serde_json::to_value(&a).unwrap()["n"], json!(131_072));
    }
}
