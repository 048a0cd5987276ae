//! Bytes to text, appended to a string that the caller reuses.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends bytes that are ASCII.
pub(crate) fn push_ascii(out: &mut String, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => out.push_str(text),
        // Not reached with ASCII; written so that it would not lose or merge characters.
        Err(_) => out.extend(bytes.iter().map(|&b| char::from(b))),
    }
}

/// Appends base64url without padding (RFC 4648, section 5).
pub(crate) fn push_base64url(out: &mut String, bytes: &[u8]) {
    // A multiple of three bytes becomes whole groups of four, so pieces may be joined. A small
    // stack buffer is quicker than the crate's own `encode_string` for the short values we have.
    const PIECE: usize = 96;
    out.reserve(bytes.len().div_ceil(3) * 4);
    let mut text = [0u8; PIECE / 3 * 4];
    for piece in bytes.chunks(PIECE) {
        match URL_SAFE_NO_PAD.encode_slice(piece, &mut text) {
            Ok(n) => push_ascii(out, &text[..n]),
            Err(_) => URL_SAFE_NO_PAD.encode_string(piece, out),
        }
    }
}

/// Appends lower-case hexadecimal.
pub(crate) fn push_hex<const N: usize>(out: &mut String, bytes: &[u8; N]) {
    let pairs = bytes.map(|b| [HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
    push_ascii(out, pairs.as_flattened());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn base64_pieces_join(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut out = String::from("x");
            push_base64url(&mut out, &bytes);
            prop_assert_eq!(&out[1..], URL_SAFE_NO_PAD.encode(&bytes));
        }
    }

    #[test]
    fn hex_is_lower_case() {
        let mut out = String::new();
        push_hex(&mut out, &[0x00, 0x0f, 0xa5, 0xff]);
        assert_eq!(out, "000fa5ff");
    }
}
