//! Unkeyed hashes, for compatibility with systems that stored them.
//!
//! **These do not hide a value that can be guessed.** There are only 2^32 IPv4 addresses, 10^9
//! social security numbers and about 10^10 phone numbers in a country; whoever has the hash tries
//! them all, in seconds. No key is involved, so nothing can be rotated or revoked. Use
//! [`PseudonymKey`](crate::PseudonymKey) for anything new.
//!
//! MD5 is RFC 1321 (collisions are practical, RFC 6151), SHA-256 is FIPS 180-4.

use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::text::push_hex;

/// Appends the MD5 of `data` as 32 lower-case hex characters.
///
/// Reversible by trying all likely values; see the [module](self).
pub fn md5_hex(data: &[u8], out: &mut String) {
    push_hex(out, &Md5::digest(data).into());
}

/// Appends the SHA-256 of `data` as 64 lower-case hex characters.
///
/// Reversible by trying all likely values; see the [module](self).
pub fn sha256_hex(data: &[u8], out: &mut String) {
    push_hex(out, &sha256(data));
}

/// The SHA-256 of `data`, 32 bytes.
///
/// Reversible by trying all likely values; see the [module](self).
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn md5(data: &[u8]) -> String {
        let mut out = String::new();
        md5_hex(data, &mut out);
        out
    }

    fn sha(data: &[u8]) -> String {
        let mut out = String::new();
        sha256_hex(data, &mut out);
        out
    }

    /// RFC 1321, appendix A.5.
    #[test]
    fn md5_vectors() {
        for (data, expected) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ] {
            assert_eq!(md5(data.as_bytes()), expected);
        }
    }

    /// FIPS 180-4 examples (NIST, "SHA-256 Example"), and the empty message.
    #[test]
    fn sha256_vectors() {
        for (data, expected) in [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
        ] {
            assert_eq!(sha(data.as_bytes()), expected);
        }
        assert_eq!(sha(&vec![b'a'; 1_000_000]), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }

    #[test]
    fn appends() {
        let mut out = String::from("md5:");
        md5_hex(b"a", &mut out);
        assert_eq!(out, "md5:0cc175b9c0f1b6a831c399e269772661");
    }
}
