//! Derived keys: HKDF-SHA-256 (RFC 5869) of a root key.

use hkdf::Hkdf;
use sha2::Sha256;

use crate::{CryptoError, SecretKey};

/// Prefixes of the `info` input. No prefix is the start of another one, so two kinds of key never
/// share an `info` whatever the name behind the prefix.
pub(crate) const TOKEN: &str = "ck1/token/";
pub(crate) const FINGERPRINT: &str = "ck1/fingerprint/";
pub(crate) const WRAP: &str = "ck1/wrap/";
pub(crate) const DATA: &str = "ck1/data/";
/// The names behind it are fixed: none, `/head`, `/subject` and `/sign`.
pub(crate) const AUDIT: &str = "ck1/audit";
pub(crate) const DETERMINISTIC: &str = "ck1/det/";
pub(crate) const FORMAT: &str = "ck1/fpe/";
pub(crate) const INDEX: &str = "ck1/index/";
pub(crate) const VAULT: &str = "ck1/vault/";

/// HKDF without salt (the root is uniformly random already), `info` = `prefix` ‖ `name`.
pub(crate) fn derive(root: &SecretKey, prefix: &'static str, name: &str) -> Result<SecretKey, CryptoError> {
    SecretKey::filled_by(|out| expand(root.expose(), None, &[prefix.as_bytes(), name.as_bytes()], out))
}

/// As [`derive`], 64 bytes into a key of another type.
pub(crate) fn derive_into(
    root: &SecretKey,
    prefix: &'static str,
    name: &str,
    out: &mut [u8; 64],
) -> Result<(), CryptoError> {
    expand(root.expose(), None, &[prefix.as_bytes(), name.as_bytes()], out)
}

/// Extract and expand; the parts of `info` are joined.
fn expand(key: &[u8], salt: Option<&[u8]>, info: &[&[u8]], out: &mut [u8]) -> Result<(), CryptoError> {
    Hkdf::<Sha256>::new(salt, key).expand_multi_info(info, out).map_err(|_| CryptoError::Internal)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn unhex(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    /// RFC 5869, appendix A.3: SHA-256, no salt, no info. As we use it, but for the info.
    #[test]
    fn rfc5869_case_3() {
        let mut out = [0; 42];
        expand(&[0x0b; 22], None, &[b"", b""], &mut out).unwrap();
        assert_eq!(
            out.as_slice(),
            unhex(
                "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d\
                 9d201395faa4b61a96c8"
            )
        );
    }

    /// RFC 5869, appendix A.1: SHA-256, with salt and info.
    #[test]
    fn rfc5869_case_1() {
        let mut out = [0; 42];
        let salt = unhex("000102030405060708090a0b0c");
        let info = [unhex("f0f1f2f3f4"), unhex("f5f6f7f8f9")];
        expand(&[0x0b; 22], Some(&salt), &[&info[0], &info[1]], &mut out).unwrap();
        assert_eq!(
            out.as_slice(),
            unhex(
                "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf\
                 34007208d5b887185865"
            )
        );
    }
}
