//! Whether a match stands alone or is a slice of something longer: of a UUID, a decimal, a version, a path, a host name.

use std::ops::Range;

/// True when nothing joins the span to more letters or digits. A letter, digit or `_` on either side joins; so does
/// one sign out of [`joins`] when a letter or digit stands behind it: `1234-5678` is joined to `-9abc`, not to `- paid`.
pub(crate) fn stands_alone(text: &[u8], span: Range<usize>) -> bool {
    !joined_before(text, span.start) && alone_after(&text[span.end..])
}

/// The left half of it: true when what begins at `start` goes on from something.
#[inline]
pub(crate) fn joined_before(text: &[u8], start: usize) -> bool {
    match text[..start] {
        [] => false,
        [near] => is_word(near),
        [.., far, near] => is_word(near) || joins(near) && far.is_ascii_alphanumeric(),
    }
}

fn alone_after(after: &[u8]) -> bool {
    match *after {
        [] => true,
        [near] => !is_word(near),
        [near, far, ..] => !(is_word(near) || joins(near) && far.is_ascii_alphanumeric()),
    }
}

/// Signs inside identifiers, numbers, paths and encoded texts. Not among them: `=`, `:`, `,`, `;`, `|`, quotes and brackets,
/// which separate a value from its name or its neighbour.
fn joins(byte: u8) -> bool {
    matches!(byte, b'-' | b'.' | b'/' | b'+' | b'%' | b'@' | b'~')
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_of_longer_tokens_do_not_stand_alone() {
        let alone = |before: &str, after: &str| {
            let text = format!("{before}12345{after}");
            stands_alone(text.as_bytes(), before.len()..before.len() + 5)
        };
        for (before, after) in
            [("", ""), (" ", " "), ("id=", ";"), ("\"", "\""), ("", "."), ("- ", " -"), ("(", ")."), (",", ",x")]
        {
            assert!(alone(before, after), "{before}_{after}");
        }
        for (before, after) in
            [("a", ""), ("", "x"), ("_", ""), ("9-", ""), ("", "-9"), ("1.", ""), ("", ".25"), ("v1/", ""), ("", "@a")]
        {
            assert!(!alone(before, after), "{before}_{after}");
        }
    }
}
