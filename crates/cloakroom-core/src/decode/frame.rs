//! Cuts JSON text into records without decoding it: the elements of an array, and a value inside an
//! envelope. Only brackets and strings are followed, so that one broken element costs that element and
//! not its neighbours; each element is then decoded strictly on its own.

use std::ops::Range;

use bytes::Bytes;

/// One element of an array, as it stands in the input.
pub struct Element {
    /// Bytes before it in the input.
    pub offset: u64,
    /// Its text; empty when it was longer than the framer keeps.
    pub bytes: Bytes,
    /// Its full length in bytes.
    pub length: u64,
}

/// Why the input cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The text is not an array.
    #[error("a JSON array was expected at byte {0}")]
    NotAnArray(u64),
    /// The array does not end.
    #[error("the JSON array that began at the start is not closed at byte {0}")]
    Unclosed(u64),
    /// Text after the end of the array.
    #[error("something follows the JSON array at byte {0}")]
    Trailing(u64),
}

/// Cuts one JSON array into its elements, chunk by chunk, in memory for one element.
pub struct ArrayFramer {
    /// Elements up to this many bytes are kept.
    keep: usize,
    offset: u64,
    place: Place,
    depth: usize,
    in_string: bool,
    escaped: bool,
    element: Vec<u8>,
    element_start: u64,
    element_length: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Before,
    Inside,
    After,
}

impl ArrayFramer {
    /// A framer that keeps elements of up to `keep` bytes.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self {
            keep,
            offset: 0,
            place: Place::Before,
            depth: 0,
            in_string: false,
            escaped: false,
            element: Vec::new(),
            element_start: 0,
            element_length: 0,
        }
    }

    /// Takes the next bytes of the input and hands out each element that they complete.
    ///
    /// # Errors
    /// When the input is not an array, or goes on after its end.
    pub fn feed(&mut self, chunk: &[u8], emit: &mut dyn FnMut(Element)) -> Result<(), FrameError> {
        for &byte in chunk {
            let at = self.offset;
            self.offset += 1;
            match self.place {
                Place::Before => match byte {
                    b'[' => self.place = Place::Inside,
                    // A byte order mark (RFC 8259 section 8.1 lets a reader ignore it).
                    0xEF | 0xBB | 0xBF if at < 3 => {}
                    _ if byte.is_ascii_whitespace() => {}
                    _ => return Err(FrameError::NotAnArray(at)),
                },
                Place::Inside => self.inside(byte, at, emit),
                Place::After if byte.is_ascii_whitespace() => {}
                Place::After => return Err(FrameError::Trailing(at)),
            }
        }
        Ok(())
    }

    fn inside(&mut self, byte: u8, at: u64, emit: &mut dyn FnMut(Element)) {
        if self.in_string {
            self.keep_byte(byte, at);
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b',' if self.depth == 0 => self.emit(emit),
            b']' if self.depth == 0 => {
                self.emit(emit);
                self.place = Place::After;
            }
            _ if byte.is_ascii_whitespace() && self.element_length == 0 => {}
            _ => {
                match byte {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    // One bracket too many costs the element that has it, not its neighbours.
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                self.keep_byte(byte, at);
            }
        }
    }

    fn keep_byte(&mut self, byte: u8, at: u64) {
        if self.element_length == 0 {
            self.element_start = at;
        }
        self.element_length += 1;
        if self.element_length <= self.keep as u64 {
            self.element.push(byte);
        } else {
            self.element.clear();
        }
    }

    fn emit(&mut self, emit: &mut dyn FnMut(Element)) {
        if self.element_length > 0 {
            let bytes = Bytes::from(std::mem::take(&mut self.element));
            emit(Element { offset: self.element_start, bytes, length: self.element_length });
        }
        self.element_length = 0;
    }

    /// Ends the input. What was begun and not closed is handed out as a last, broken element.
    ///
    /// # Errors
    /// When no array began, or it is not closed.
    pub fn finish(mut self, emit: &mut dyn FnMut(Element)) -> Result<(), FrameError> {
        match self.place {
            Place::Before => Err(FrameError::NotAnArray(self.offset)),
            Place::After => Ok(()),
            Place::Inside => {
                self.emit(emit);
                Err(FrameError::Unclosed(self.offset))
            }
        }
    }
}

/// Finds the value at a path of object keys inside a JSON text. Follows brackets and strings only.
/// `None` when a key is not there or something else than an object stands in its way.
#[must_use]
pub fn locate(text: &[u8], path: &[&str]) -> Option<Range<usize>> {
    let mut range = 0..text.len();
    for key in path {
        range = member(text, range, key)?;
    }
    let trimmed = text.get(range.clone())?;
    let leading = trimmed.iter().take_while(|b| b.is_ascii_whitespace()).count();
    Some(range.start + leading..range.end)
}

fn member(text: &[u8], within: Range<usize>, key: &str) -> Option<Range<usize>> {
    let mut at = skip_space(text, within.start);
    if text.get(at) != Some(&b'{') {
        return None;
    }
    at += 1;
    while at < within.end {
        at = skip_space(text, at);
        let name = at..skip_value(text, at)?;
        at = skip_space(text, name.end);
        if text.get(at) != Some(&b':') {
            return None;
        }
        let value = at + 1..skip_value(text, skip_space(text, at + 1))?;
        let quoted = text.get(name)?;
        if quoted.strip_prefix(b"\"").and_then(|q| q.strip_suffix(b"\"")) == Some(key.as_bytes()) {
            return Some(value);
        }
        at = skip_space(text, value.end);
        match text.get(at) {
            Some(b',') => at += 1,
            _ => return None,
        }
    }
    None
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// The end of the value that begins at `at`.
fn skip_value(text: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (index, &byte) in text.iter().enumerate().skip(at) {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    in_string = false;
                    if depth == 0 {
                        return Some(index + 1);
                    }
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 1 => depth -= 1,
            b'}' | b']' if depth == 1 => return Some(index + 1),
            b'}' | b']' | b',' | b':' if depth == 0 => return Some(index),
            _ => {}
        }
    }
    (depth == 0 && !in_string && text.len() > at).then_some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str, chunk: usize) -> (Vec<(u64, String)>, Result<(), FrameError>) {
        let mut found = Vec::new();
        let mut framer = ArrayFramer::new(20);
        let mut emit =
            |e: Element| found.push((e.offset, format!("{}/{}", String::from_utf8_lossy(&e.bytes), e.length)));
        let fed = text.as_bytes().chunks(chunk).try_for_each(|part| framer.feed(part, &mut emit));
        let end = fed.and_then(|()| framer.finish(&mut emit));
        (found, end)
    }

    #[test]
    fn elements_are_the_same_in_any_chunking() {
        let text = "\u{feff} [ {\"a\":\"],\\\"[\"}, 17 ,[1,[2]],\"x,y\",\n{\"b\": broken},{\"long\":\"0123456789012345\"} ] \n";
        let whole = frame(text, text.len());
        assert_eq!(whole.1, Ok(()));
        let texts: Vec<&str> = whole.0.iter().map(|(_, t)| t.as_str()).collect();
        assert_eq!(
            texts,
            ["{\"a\":\"],\\\"[\"}/13", "17 /3", "[1,[2]]/7", "\"x,y\"/5", "{\"b\": broken}/13", "/28"],
            "one longer than 20 bytes is counted, not kept"
        );
        assert_eq!(whole.0[1].0, 21);
        for chunk in 1..8 {
            assert_eq!(frame(text, chunk), whole);
        }
    }

    #[test]
    fn what_is_no_array_is_said_with_its_place() {
        assert_eq!(frame("{}", 9).1, Err(FrameError::NotAnArray(0)));
        assert_eq!(frame("[] x", 9).1, Err(FrameError::Trailing(3)));
        assert_eq!(frame("", 9).1, Err(FrameError::NotAnArray(0)));
        let (found, end) = frame("[{\"a\":1}},{\"b\":2}]", 4);
        assert_eq!((found.len(), end), (2, Ok(())), "a bracket too many costs its own element");
        let (found, end) = frame("[{\"a\":1},{\"b\":", 4);
        assert_eq!((found.len(), end), (2, Err(FrameError::Unclosed(14))));
    }

    #[test]
    fn values_inside_an_envelope_are_located() {
        let text = br#" {"meta":{"next":"c,\"2","n":12},"data" : {"items": [ {"x":1} , 2 ]}, "last":null} "#;
        let at = |path: &[&str]| locate(text, path).map(|r| String::from_utf8_lossy(&text[r]).into_owned());
        assert_eq!(at(&["data", "items"]).as_deref(), Some("[ {\"x\":1} , 2 ]"));
        assert_eq!(at(&["meta", "next"]).as_deref(), Some("\"c,\\\"2\""));
        assert_eq!(at(&["meta", "n"]).as_deref(), Some("12"));
        assert_eq!(at(&["last"]).as_deref(), Some("null"));
        assert_eq!(at(&["meta", "no"]), None);
        assert_eq!(at(&["last", "no"]), None);
        assert!(locate(b"", &[]).is_some_and(|r| r.is_empty()));
    }
}
