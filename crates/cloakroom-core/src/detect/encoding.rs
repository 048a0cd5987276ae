//! Reads texts of any common encoding piece by piece as UTF-8, and leads places in the text back to bytes in the file.
//!
//! No table of offsets is kept, whatever the length: each encoding is one in which a byte's place follows from a count
//! that a [`Place`] has already. UTF-8 counts bytes, UTF-16 its units, Windows-1252 characters.

use encoding_rs::{UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::Place;

/// How many bytes decide whether a file is text.
pub const HEAD: usize = 8 * 1024;

/// How a text is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8; ASCII too. Single invalid sequences in it are left as they are.
    Utf8,
    /// UTF-16, low byte first.
    Utf16Le,
    /// UTF-16, high byte first.
    Utf16Be,
    /// Windows-1252, which holds all of Latin-1.
    Windows1252,
}

/// Turns the pieces of one file into UTF-8.
pub struct Decoder {
    /// `None` while all was ASCII, which UTF-8 and Windows-1252 share: the first other letters decide.
    encoding: Option<Encoding>,
    inner: Option<encoding_rs::Decoder>,
    /// Length of the byte order mark.
    mark: u64,
    /// Bytes of the mark that are still to come.
    skip: usize,
    /// The beginning of a letter that the next piece ends, while nothing is decided.
    cut: Vec<u8>,
    joined: Vec<u8>,
    out: Vec<u8>,
}

impl Decoder {
    /// Looks at the first bytes of a file, [`HEAD`] of them or all. `None`: this is no text.
    #[must_use]
    pub fn new(head: &[u8]) -> Option<Self> {
        let head = &head[..head.len().min(HEAD)];
        let (encoding, mark) = match head {
            // UTF-32, in which nobody stores texts.
            [0xFF, 0xFE, 0, 0, ..] => return None,
            [0xFF, 0xFE, ..] => (Some(Encoding::Utf16Le), 2),
            [0xFE, 0xFF, ..] => (Some(Encoding::Utf16Be), 2),
            [0xEF, 0xBB, 0xBF, rest @ ..] if !rest.contains(&0) => (Some(Encoding::Utf8), 3),
            _ if !head.contains(&0) => (None, 0),
            _ => (Some(unmarked_utf16(head)?), 0),
        };
        Some(Self {
            encoding,
            inner: encoding.and_then(conversion),
            mark,
            skip: mark as usize,
            cut: Vec::new(),
            joined: Vec::new(),
            out: Vec::new(),
        })
    }

    /// The next piece as UTF-8, and how its places lead back to the file; `last` when nothing follows.
    pub fn decode<'a>(&'a mut self, piece: &'a [u8], last: bool) -> (&'a [u8], Offsets) {
        let skipped = self.skip.min(piece.len());
        self.skip -= skipped;
        let mut text = &piece[skipped..];
        if self.encoding.is_none() {
            if !self.cut.is_empty() {
                self.joined.clear();
                self.joined.append(&mut self.cut);
                self.joined.extend_from_slice(text);
                text = &self.joined;
            }
            let (encoding, decided) = judge(text, last);
            self.encoding = encoding;
            self.inner = encoding.and_then(conversion);
            self.cut.extend_from_slice(&text[decided..]);
            text = &text[..decided];
        }
        let offsets = Offsets { encoding: self.encoding, mark: self.mark };
        let Some(inner) = &mut self.inner else { return (text, offsets) };
        // With room for the worst case one call takes the whole piece.
        let room = inner.max_utf8_buffer_length(text.len()).unwrap_or(text.len().saturating_mul(3));
        if self.out.len() < room {
            self.out.resize(room, 0);
        }
        let (_, _, written, _) = inner.decode_to_utf8(text, &mut self.out, last);
        (&self.out[..written], offsets)
    }

    /// What it is, as far as can be said by now.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding.unwrap_or(Encoding::Utf8)
    }
}

/// Leads places in a decoded text back to its file. Those of a piece hold for all before it as well.
#[derive(Clone, Copy, Debug)]
pub struct Offsets {
    encoding: Option<Encoding>,
    mark: u64,
}

impl Offsets {
    /// Where a place is in the file, in bytes.
    #[must_use]
    pub fn byte(&self, place: &Place) -> u64 {
        self.mark
            + match self.encoding {
                None | Some(Encoding::Utf8) => place.byte,
                Some(Encoding::Utf16Le | Encoding::Utf16Be) => 2 * place.utf16,
                Some(Encoding::Windows1252) => place.character,
            }
    }
}

/// UTF-8 passes as it is.
fn conversion(encoding: Encoding) -> Option<encoding_rs::Decoder> {
    let encoding = match encoding {
        Encoding::Utf8 => return None,
        Encoding::Utf16Le => UTF_16LE,
        Encoding::Utf16Be => UTF_16BE,
        Encoding::Windows1252 => WINDOWS_1252,
    };
    Some(encoding.new_decoder_without_bom_handling())
}

/// Without a mark, UTF-16 shows by its zeros: most letters of most texts are below 256.
fn unmarked_utf16(head: &[u8]) -> Option<Encoding> {
    let letter = |byte: u8| byte == b'\t' || byte == b'\n' || byte == b'\r' || byte >= 0x20;
    let (mut little, mut big, mut units) = (0, 0, 0);
    for pair in head.chunks_exact(2) {
        units += 1;
        match *pair {
            [0, 0] => return None,
            [low, 0] if letter(low) => little += 1,
            [0, low] if letter(low) => big += 1,
            _ => {}
        }
    }
    let most = |count: usize| units >= 2 && count * 10 >= units * 7;
    if most(little) {
        Some(Encoding::Utf16Le)
    } else if most(big) {
        Some(Encoding::Utf16Be)
    } else {
        None
    }
}

/// What the first letters that are not ASCII say, and how much of the text is decided by that.
fn judge(text: &[u8], last: bool) -> (Option<Encoding>, usize) {
    let Some(first) = text.iter().position(|byte| !byte.is_ascii()) else { return (None, text.len()) };
    // Majority: one damaged letter does not make a file of UTF-8 another one, nor two letters that happen to look
    // like one of UTF-8 a file of Windows-1252.
    let (mut letters, mut damaged, mut at) = (0_usize, 0_usize, first);
    while at < text.len() {
        let (valid, broken) = match std::str::from_utf8(&text[at..]) {
            Ok(valid) => (valid, None),
            Err(error) => {
                let valid = &text[at..at + error.valid_up_to()];
                // What `valid_up_to` covers is valid.
                (std::str::from_utf8(valid).unwrap_or_default(), Some(error.error_len()))
            }
        };
        letters += valid.chars().filter(|letter| !letter.is_ascii()).count();
        at += valid.len();
        match broken {
            None => break,
            Some(Some(length)) => {
                damaged += 1;
                at += length;
            }
            // The piece ends in the middle of a letter.
            Some(None) if letters + damaged == 0 && !last => return (None, at),
            Some(None) => {
                damaged += usize::from(letters == 0);
                break;
            }
        }
    }
    let encoding = if letters >= damaged && letters > 0 { Encoding::Utf8 } else { Encoding::Windows1252 };
    (Some(encoding), text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes in pieces of every size and gives text, encoding and the offset of the first `@`.
    fn decoded(file: &[u8]) -> Option<(String, Encoding, u64)> {
        let mut results = Vec::new();
        for size in [1, 2, 3, 7, 1 << 20] {
            let mut decoder = Decoder::new(file)?;
            let (mut text, mut offsets) = (Vec::new(), None);
            let count = file.chunks(size).count();
            for (number, piece) in file.chunks(size).enumerate() {
                let (decoded, by) = decoder.decode(piece, number + 1 == count);
                text.extend_from_slice(decoded);
                offsets = Some(by);
            }
            let text = String::from_utf8_lossy(&text).into_owned();
            let before = &text[..text.find('@').unwrap_or(text.len())];
            let place = Place {
                byte: before.len() as u64,
                character: before.chars().count() as u64,
                utf16: before.encode_utf16().count() as u64,
                line: 1,
                column: 1,
            };
            results.push((text, decoder.encoding(), offsets.unwrap().byte(&place)));
        }
        // The first non-ASCII letters of a piece decide, so only the verdict on clear cases is the same for all sizes.
        assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
        results.into_iter().next()
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn every_encoding_leads_back_to_the_byte() {
        let text = "Grüße 😀 an a@b.example";
        let utf8 = decoded(text.as_bytes()).unwrap();
        assert_eq!((utf8.0.as_str(), utf8.1, utf8.2), (text, Encoding::Utf8, 17));
        let marked = decoded(format!("\u{FEFF}{text}").as_bytes()).unwrap();
        assert_eq!((marked.0.as_str(), marked.1, marked.2), (text, Encoding::Utf8, 20));
        for (bytes, encoding) in
            [(u16::to_le_bytes as fn(u16) -> [u8; 2], Encoding::Utf16Le), (u16::to_be_bytes, Encoding::Utf16Be)]
        {
            let marked = decoded(&utf16(&format!("\u{FEFF}{text}"), bytes)).unwrap();
            assert_eq!((marked.0.as_str(), marked.1, marked.2), (text, encoding, 2 + 2 * 13));
            let unmarked = decoded(&utf16(text, bytes)).unwrap();
            assert_eq!((unmarked.0.as_str(), unmarked.1, unmarked.2), (text, encoding, 2 * 13));
        }
        let latin = decoded(b"ascii first, then Gr\xFC\xDFe and \x80 a@b").unwrap();
        assert_eq!((latin.0.as_str(), latin.1), ("ascii first, then Grüße and € a@b", Encoding::Windows1252));
        assert_eq!(latin.2, 31);
    }

    #[test]
    fn ascii_needs_no_decision() {
        assert_eq!(decoded(b"a@b").unwrap(), ("a@b".to_owned(), Encoding::Utf8, 1));
        assert!(Decoder::new(b"").is_some());
    }

    #[test]
    fn one_damaged_letter_does_not_make_it_another_encoding() {
        let file = "ä ö ü ß a@b \u{1F600}".as_bytes();
        let damaged = [file, b" \xFF end"].concat();
        let mut decoder = Decoder::new(&damaged).unwrap();
        assert_eq!(decoder.decode(&damaged, true).0, damaged);
        assert_eq!(decoder.encoding(), Encoding::Utf8);
    }

    #[test]
    fn what_is_no_text() {
        for head in [&b"\x7FELF\x02\x01\x01\0\0\0"[..], b"\xFF\xFE\0\0a\0\0\0", b"a\0", b"text\0text text text"] {
            assert!(Decoder::new(head).is_none(), "{head:?}");
        }
        // A zero behind the first bytes is not looked for.
        assert!(Decoder::new(&[&[b'a'; HEAD][..], &[0]].concat()).is_some());
    }
}
