//! Private keys in PEM (RFC 7468): the base64 between the marks. A mark without a key, as source code has it, is none.

use super::base64::decode;
use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[("pem_key", pem_key)];

/// Base64 characters that the shortest key has: Ed25519 in PKCS #8 has 64, its seed alone 44.
const SHORTEST: usize = 40;

/// Valid when the body begins as a key does: an ASN.1 SEQUENCE (RFC 5958, RFC 8017, RFC 5915) or `openssh-key-v1`.
fn pem_key(candidate: &Candidate<'_>) -> Verdict {
    let value = candidate.value();
    let body = memchr::memmem::find(value, b"KEY").and_then(|at| {
        let dashes = memchr::memmem::find(&value[at..], b"-----")?;
        value.get(at + dashes + 5..)
    });
    let Some(body) = body else { return Verdict::Invalid };
    let body = &body[..memchr::memmem::find(body, b"-----").unwrap_or(body.len())];
    let mut base64 = Vec::with_capacity(64);
    let mut count = 0;
    let mut escaped = false;
    for byte in body {
        // `\n` and `\r` in two characters, as in JSON.
        let this = escaped || !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'/');
        escaped = *byte == b'\\';
        if !this {
            count += 1;
            if base64.len() < 24 {
                base64.push(*byte);
            }
        }
    }
    if count < SHORTEST {
        return Verdict::Invalid;
    }
    let begins = decode(&base64).is_some_and(|bytes| {
        bytes.starts_with(b"openssh-key-v1\0")
            || bytes.first() == Some(&0x30) && bytes.get(1).is_some_and(|&length| length >= 0x20)
    });
    if begins { Verdict::Valid } else { Verdict::Plausible }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let of = |text: &str| pem_key(&Candidate::new(text.as_bytes(), 0..text.len()).expect("all of it"));
        // RFC 8410 section 10.3.
        let ed25519 = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----";
        assert_eq!(of(ed25519), Verdict::Valid);
        assert_eq!(of(&ed25519.replace('\n', "\\n")), Verdict::Valid);
        assert_eq!(of(&ed25519.replace("MC4C", "QQQQ")), Verdict::Plausible);
        assert_eq!(of("-----BEGIN PRIVATE KEY-----"), Verdict::Invalid);
        assert_eq!(of("-----BEGIN PRIVATE KEY-----\\n...\\n-----END PRIVATE KEY-----"), Verdict::Invalid);
    }
}
