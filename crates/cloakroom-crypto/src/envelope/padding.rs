//! Hiding the length of a value.

/// Bytes to whose multiple a value is padded before it is encrypted, so that its length says less.
///
/// The padding is that of ISO/IEC 7816-4: a byte 0x80, then zeros. At least one byte is added, so it can always be told
/// from the value, whatever the value ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Padding {
    /// The length shows.
    #[default]
    None,
    /// To a multiple of 16 bytes.
    To16,
    /// To a multiple of 32 bytes.
    To32,
    /// To a multiple of 64 bytes.
    To64,
}

const MARK: u8 = 0x80;

impl Padding {
    /// How many bytes are added to a value.
    pub(super) fn added_to(self, len: usize) -> usize {
        let multiple = match self {
            Self::None => return 0,
            Self::To16 => 16,
            Self::To32 => 32,
            Self::To64 => 64,
        };
        multiple - len % multiple
    }
}

/// Appends `added` bytes of padding.
pub(super) fn pad(text: &mut Vec<u8>, added: usize) {
    if added > 0 {
        text.push(MARK);
        text.resize(text.len() + added - 1, 0);
    }
}

/// The length of what was padded; `None` where no padding is.
pub(super) fn unpadded_len(padded: &[u8]) -> Option<usize> {
    let at = padded.iter().rposition(|&byte| byte != 0)?;
    (padded[at] == MARK).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn comes_off_again(text in proptest::collection::vec(proptest::sample::select(vec![0, 1, MARK, 255]), 0..130)) {
            for (padding, multiple) in [(Padding::To16, 16), (Padding::To32, 32), (Padding::To64, 64)] {
                let mut padded = text.clone();
                pad(&mut padded, padding.added_to(text.len()));
                prop_assert_eq!(padded.len() % multiple, 0);
                prop_assert!(padded.len() > text.len() && padded.len() <= text.len() + multiple);
                prop_assert_eq!(unpadded_len(&padded), Some(text.len()));
            }
            prop_assert_eq!(Padding::None.added_to(text.len()), 0);
        }
    }

    #[test]
    fn no_padding_is_seen() {
        for text in [&b""[..], b"\0\0", b"\x80x", b"text"] {
            assert_eq!(unpadded_len(text), None);
        }
    }
}
