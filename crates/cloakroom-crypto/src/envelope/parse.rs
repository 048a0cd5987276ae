//! Recognising an envelope without a key.

use std::fmt;

use super::{NONCE_LEN, TAG_LEN};
use crate::{CryptoError, KeyId, PseudonymKey};

/// The algorithm letter of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `a`: AES-256-GCM with a random nonce (NIST SP 800-38D).
    AesGcm,
    /// `s`: AES-256-GCM-SIV with a random nonce (RFC 8452).
    AesGcmSiv,
    /// `d`: deterministic AES-256-SIV (RFC 5297).
    AesSiv,
    /// `t`: a token, HMAC-SHA-256; cannot be opened.
    Token,
}

impl Algorithm {
    /// The letter in the header.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::AesGcm => 'a',
            Self::AesGcmSiv => 's',
            Self::AesSiv => 'd',
            Self::Token => 't',
        }
    }

    fn from_letter(letter: &str) -> Option<Self> {
        match letter {
            "a" => Some(Self::AesGcm),
            "s" => Some(Self::AesGcmSiv),
            "d" => Some(Self::AesSiv),
            "t" => Some(Self::Token),
            _ => None,
        }
    }

    fn allows_body(self, bytes: usize) -> bool {
        match self {
            Self::AesGcm | Self::AesGcmSiv => bytes >= NONCE_LEN + TAG_LEN,
            Self::AesSiv => bytes >= TAG_LEN,
            Self::Token => bytes == PseudonymKey::TAG_LEN,
        }
    }
}

/// The parts of a well-formed envelope, borrowed from its text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EnvelopeRef<'a> {
    /// How it was made.
    pub alg: Algorithm,
    /// The key version it was made with.
    pub kid: KeyId,
    /// The base64url text after the last dot.
    pub body: &'a str,
}

impl fmt::Debug for EnvelopeRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvelopeRef")
            .field("alg", &self.alg)
            .field("kid", &self.kid)
            .field("body_len", &self.body.len())
            .finish()
    }
}

/// Splits an envelope and checks its form: header, alphabet, canonical base64, least length.
/// It says nothing about whether the envelope is genuine; only opening it does.
///
/// # Errors
/// [`CryptoError::NotAnEnvelope`] for any other text.
pub fn parse(envelope: &str) -> Result<EnvelopeRef<'_>, CryptoError> {
    let parts = split(envelope)?;
    match decoded_len(parts.body) {
        Some(bytes) if parts.alg.allows_body(bytes) => Ok(parts),
        _ => Err(CryptoError::NotAnEnvelope),
    }
}

/// As [`parse`], but leaves the body unread, for the reader that decodes it next.
pub(super) fn split(envelope: &str) -> Result<EnvelopeRef<'_>, CryptoError> {
    let parts = || {
        let rest = envelope.strip_prefix("ck1.")?;
        let (letter, rest) = rest.split_once('.')?;
        let (kid, body) = rest.split_once('.')?;
        Some(EnvelopeRef { alg: Algorithm::from_letter(letter)?, kid: KeyId::parse(kid).ok()?, body })
    };
    parts().ok_or(CryptoError::NotAnEnvelope)
}

/// Whether the text starts as envelopes and tokens do. Cheap enough for every field of every
/// record; use [`parse`] to be sure.
#[must_use]
pub fn looks_sealed(text: &str) -> bool {
    matches!(text.as_bytes(), [b'c', b'k', b'1', b'.', b'a' | b's' | b'd' | b't', b'.', ..])
}

/// The number of bytes in canonical base64url without padding, `None` for other text.
fn decoded_len(text: &str) -> Option<usize> {
    let text = text.as_bytes();
    let last = sextet(*text.last()?)?;
    // Without an early exit, which is quicker on text that is nearly always right.
    if text.iter().fold(0, |all, &c| all | SEXTETS[usize::from(c)]) >= 64 {
        return None;
    }
    // The last character of an incomplete group carries bits that belong to no byte: they are 0.
    let unused = match text.len() % 4 {
        0 => 0,
        2 => 0b1111,
        3 => 0b11,
        _ => return None,
    };
    (last & unused == 0).then_some(text.len() / 4 * 3 + (text.len() % 4).saturating_sub(1))
}

fn sextet(c: u8) -> Option<u8> {
    let value = SEXTETS[usize::from(c)];
    (value < 64).then_some(value)
}

/// The value of each base64url character, 255 for all other bytes.
const SEXTETS: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut table = [255; 256];
    let mut i = 0;
    while i < alphabet.len() {
        table[alphabet[i] as usize] = i as u8;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_not_quite_an_envelope() {
        let body = "A".repeat(38);
        assert!(parse(&format!("ck1.a.abcd2345.{body}")).is_ok());
        for bad in [
            String::new(),
            "ck1.".into(),
            format!("ck1.a.abcd2345.{}", &body[..36]),
            format!("ck1.a.abcd2345.{}", &body[..37]),
            format!("ck1.a.abcd2345.{body}=="),
            format!("ck1.a.abcd2345.{body}\n"),
            format!(" ck1.a.abcd2345.{body}"),
            format!("ck1.a.abcd2345.{body}.AA"),
            format!("ck1.a.abcd2345.{}/", &body[1..]),
            format!("ck1.a.abcd2345.{}B", &body[1..]),
            format!("ck1.x.abcd2345.{body}"),
            format!("ck1.aa.abcd2345.{body}"),
            format!("ck1.a.ABCD2345.{body}"),
            format!("ck1.a.abcd234.{body}"),
            format!("ck2.a.abcd2345.{body}"),
            format!("CK1.a.abcd2345.{body}"),
            format!("ck1.t.abcd2345.{body}"),
        ] {
            assert_eq!(parse(&bad), Err(CryptoError::NotAnEnvelope), "{bad}");
        }
    }

    #[test]
    fn looks_sealed_is_a_prefix_check() {
        for yes in ["ck1.a.", "ck1.s.x", "ck1.d.", "ck1.t.abc"] {
            assert!(looks_sealed(yes), "{yes}");
        }
        for no in ["", "ck1", "ck1.", "ck1.a", "ck1.b.", "ck2.a.", " ck1.a."] {
            assert!(!looks_sealed(no), "{no}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_decoder(text in "[A-Za-z0-9_=+-]{1,50}") {
            let decoded = URL_SAFE_NO_PAD.decode(&text).ok().map(|bytes| bytes.len());
            prop_assert_eq!(decoded_len(&text), decoded);
        }

        #[test]
        fn takes_any_text(text in ".*") {
            let _ = (parse(&text), looks_sealed(&text));
        }
    }
}
