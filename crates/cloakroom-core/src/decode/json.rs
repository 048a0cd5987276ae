//! One JSON object to a record: RFC 8259 in full, I-JSON's rules (RFC 7493) on top: UTF-8 only, no
//! duplicate keys, no lone surrogates. Numbers keep their text.

use compact_str::CompactString;
use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, Peek};

use crate::error::{RecordError, RecordErrorKind};
use crate::value::{Number, Object, Value};

/// Decodes one JSON object.
///
/// # Errors
/// The reason for which the record must be rejected.
pub fn parse_object(bytes: &[u8], max_depth: usize) -> Result<Object, RecordError> {
    // Checked once for the whole record: keys, strings and what stands between them.
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(RecordError::new(RecordErrorKind::NotUtf8, format!("at byte {}", error.valid_up_to())));
    }
    let mut parser =
        Parser { input: Jiter::new(bytes), bytes, depth_left: max_depth, max_depth, allow_duplicates: false };
    let first = parser.input.peek();
    let first = first.map_err(|error| parser.error(&error))?;
    if first != Peek::Object {
        return Err(RecordError::new(RecordErrorKind::InvalidFormat, "a record must be a JSON object"));
    }
    let object = parser.object()?;
    match parser.input.finish() {
        Ok(()) => Ok(object),
        Err(_) => Err(RecordError::new(
            RecordErrorKind::InvalidFormat,
            format!("something follows the JSON object at byte {}", parser.input.current_index()),
        )),
    }
}

/// Decodes a text that is one JSON object or array, as a field of a record may hold it; `None` when it is not. A name
/// given twice is no reason to look less closely at what is there, so here it is allowed.
pub(crate) fn parse_within(text: &str, max_depth: usize) -> Option<Value> {
    let bytes = text.as_bytes();
    let mut parser =
        Parser { input: Jiter::new(bytes), bytes, depth_left: max_depth, max_depth, allow_duplicates: true };
    let first = parser.input.peek().ok()?;
    let value = matches!(first, Peek::Object | Peek::Array).then(|| parser.value(first))?.ok()?;
    parser.input.finish().ok().map(|()| value)
}

struct Parser<'a> {
    input: Jiter<'a>,
    bytes: &'a [u8],
    depth_left: usize,
    max_depth: usize,
    allow_duplicates: bool,
}

impl Parser<'_> {
    fn value(&mut self, peek: Peek) -> Result<Value, RecordError> {
        match peek {
            Peek::Null => self.input.known_null().map(|()| Value::Null),
            Peek::True | Peek::False => self.input.known_bool(peek).map(Value::Bool),
            Peek::String => self.input.known_str().map(|text| Value::String(CompactString::new(text))),
            Peek::Object => return self.object().map(Value::Object),
            Peek::Array => return self.array().map(Value::Array),
            _ if peek.is_num() => return self.number(peek),
            _ => return Err(self.invalid("a value was expected", self.input.current_index())),
        }
        .map_err(|error| self.error(&error))
    }

    fn object(&mut self) -> Result<Object, RecordError> {
        self.enter()?;
        // Rows have a dozen fields more often than three: growing once costs more than the room.
        let mut object = Object::with_capacity(12);
        // Keys borrow the parser's buffer, so each is copied before its value is read.
        let mut key = match self.input.known_object() {
            Ok(key) => key.map(CompactString::new),
            Err(error) => return Err(self.error(&error)),
        };
        while let Some(name) = key {
            let peek = self.input.peek();
            let peek = peek.map_err(|error| self.error(&error))?;
            let value = self.value(peek)?;
            object.push(name, value);
            key = match self.input.next_key() {
                Ok(key) => key.map(CompactString::new),
                Err(error) => return Err(self.error(&error)),
            };
        }
        if !self.allow_duplicates && object.has_duplicate() {
            return Err(RecordError::new(
                RecordErrorKind::DuplicateKey,
                format!("in the object that ends at byte {}", self.input.current_index()),
            ));
        }
        self.depth_left += 1;
        Ok(object)
    }

    fn array(&mut self) -> Result<Vec<Value>, RecordError> {
        self.enter()?;
        let mut items = Vec::new();
        let mut next = self.input.known_array();
        loop {
            match next {
                Ok(Some(peek)) => items.push(self.value(peek)?),
                Ok(None) => break,
                Err(error) => return Err(self.error(&error)),
            }
            next = self.input.array_step();
        }
        self.depth_left += 1;
        Ok(items)
    }

    /// The parser checks the grammar; the text is taken from the input as it stands there.
    fn number(&mut self, peek: Peek) -> Result<Value, RecordError> {
        let start = self.input.current_index();
        let text = match self.input.known_number_bytes(peek) {
            Ok(text) => std::str::from_utf8(text).ok().map(Number::from_checked),
            Err(error) => return Err(self.error(&error)),
        };
        // `NaN` and `Infinity` are no JSON; the parser is not asked to allow them, this makes sure.
        match text {
            Some(number) if !number.as_str().ends_with(|c: char| c.is_ascii_alphabetic()) => Ok(Value::Number(number)),
            _ => Err(self.invalid("not a number", start)),
        }
    }

    fn enter(&mut self) -> Result<(), RecordError> {
        match self.depth_left.checked_sub(1) {
            Some(left) => {
                self.depth_left = left;
                Ok(())
            }
            None => Err(RecordError::new(
                RecordErrorKind::TooDeep,
                format!("more than {} levels at byte {}", self.max_depth, self.input.current_index()),
            )),
        }
    }

    fn invalid(&self, what: &'static str, at: usize) -> RecordError {
        RecordError::new(RecordErrorKind::InvalidFormat, format!("invalid JSON at byte {at}: {what}"))
    }

    /// The parser's own texts name positions and tokens, never content; they are rewritten all the same,
    /// so that an update of the library cannot change that.
    fn error(&self, error: &JiterError) -> RecordError {
        let at = error.index.min(self.bytes.len());
        let JiterErrorType::JsonError(kind) = &error.error_type else {
            return self.invalid("another kind of value was expected", at);
        };
        let what = match kind {
            JsonErrorType::LoneLeadingSurrogateInHexEscape | JsonErrorType::UnexpectedEndOfHexEscape
                if is_surrogate_escape(self.bytes, at) =>
            {
                return RecordError::new(RecordErrorKind::LoneSurrogate, format!("near byte {at}"));
            }
            JsonErrorType::LoneLeadingSurrogateInHexEscape => {
                return RecordError::new(RecordErrorKind::LoneSurrogate, format!("near byte {at}"));
            }
            JsonErrorType::InvalidUnicodeCodePoint if is_surrogate_escape(self.bytes, at) => {
                return RecordError::new(RecordErrorKind::LoneSurrogate, format!("near byte {at}"));
            }
            JsonErrorType::EofWhileParsingList
            | JsonErrorType::EofWhileParsingObject
            | JsonErrorType::EofWhileParsingString
            | JsonErrorType::EofWhileParsingValue => "it ends too early",
            JsonErrorType::ControlCharacterWhileParsingString => "a control character inside a string",
            JsonErrorType::InvalidEscape => "an unknown escape",
            JsonErrorType::InvalidNumber | JsonErrorType::NumberOutOfRange => "not a number",
            JsonErrorType::TrailingComma => "a comma before the end",
            JsonErrorType::KeyMustBeAString => "a key must be a string",
            _ => "unexpected character",
        };
        self.invalid(what, at)
    }
}

/// Looks for a `\ud8..` to `\udf..` escape in the few bytes around an error.
fn is_surrogate_escape(bytes: &[u8], at: usize) -> bool {
    let window = &bytes[at.saturating_sub(12)..(at + 6).min(bytes.len())];
    window.windows(4).any(|w| {
        w[0] == b'\\'
            && w[1] == b'u'
            && matches!(w[2], b'd' | b'D')
            && matches!(w[3], b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::to_json_string;
    use RecordErrorKind::*;

    fn parse(text: &str) -> Result<String, RecordErrorKind> {
        parse_object(text.as_bytes(), 64).map(|o| to_json_string(&Value::Object(o))).map_err(|e| e.kind)
    }

    #[test]
    fn objects_come_back_as_they_were() {
        for text in [
            r#"{}"#,
            r#"{"a":1,"b":-0.10,"c":1E400,"d":123456789012345678901234567890}"#,
            r#"{"a":[1,[2,{"b":null}],true,false,""],"é":"\u0001\\\"\n😀"}"#,
        ] {
            assert_eq!(parse(text).as_deref(), Ok(text));
        }
        assert_eq!(parse(r#" { "a" : "\ud83d\ude00\/" } "#).as_deref(), Ok(r#"{"a":"😀/"}"#));
    }

    #[test]
    fn json_within_a_text_is_one_object_or_array() {
        let within = |text: &str| parse_within(text, 3).map(|value| to_json_string(&value));
        assert_eq!(within(" [1.50, {\"a\":\"\\u00e9\"}]\n").as_deref(), Some(r#"[1.50,{"a":"é"}]"#));
        assert_eq!(within(r#"{"a":1,"a":2}"#).as_deref(), Some(r#"{"a":1,"a":2}"#));
        for text in ["", "1", "\"a\"", "{\"a\":1} x", "[4111 1111]", "[[[[]]]]", "[", r#"["\ud800"]"#] {
            assert_eq!(within(text), None, "{text}");
        }
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_refused() {
        for (text, kind) in [
            (r#"{"a":1,"a":2}"#, DuplicateKey),
            (r#"{"x":{"a":1,"\u0061":2}}"#, DuplicateKey),
            (r#"{"a":"\ud800"}"#, LoneSurrogate),
            (r#"{"a":"\udc00"}"#, LoneSurrogate),
            (r#"{"a":"\ud800\u0041"}"#, LoneSurrogate),
            (r#"{"a":"\ud800 long enough a tail"}"#, LoneSurrogate),
            (r#"{"\ud800":1}"#, LoneSurrogate),
        ] {
            assert_eq!(parse(text), Err(kind), "{text}");
        }
    }

    #[test]
    fn broken_json_is_refused() {
        for text in [
            "",
            " ",
            "[]",
            "1",
            "null",
            "\"a\"",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,}",
            "{,}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":1e}",
            "{\"a\":-}",
            "{\"a\":+1}",
            "{\"a\":NaN}",
            "{\"a\":Infinity}",
            "{\"a\":-Infinity}",
            "{\"a\":tru}",
            "{\"a\":nul}",
            "{\"a\":1}}",
            "{\"a\":1} x",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":[1,]}",
            "{\"a\":[1 2]}",
            "{\"a\" 1}",
            "{\"a\":\"\\u12\"}",
            "{\"a\":0x10}",
            "{\"a\":1}{\"b\":2}",
            "{1:2}",
        ] {
            assert_eq!(parse(text), Err(InvalidFormat), "{text}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_wherever_they_stand() {
        for bytes in [&b"{\"a\":\"\xff\"}"[..], b"{\"\xc3\":1}", b"{\"a\":\"\xed\xa0\x80\"}", b"\xef\xbb\xbf\xff{}"] {
            assert_eq!(parse_object(bytes, 64).err().unwrap().kind, NotUtf8);
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(&nested(63)).is_ok());
        assert_eq!(parse(&nested(64)), Err(TooDeep));
        assert_eq!(parse(&nested(1_000)), Err(TooDeep));
        assert_eq!(parse(&"{\"a\":".repeat(100_000)), Err(TooDeep));
        let siblings = format!("{{\"a\":[{}[]]}}", "[[]],".repeat(1_000));
        assert!(parse(&siblings).is_ok(), "the depth is given back");
    }
}
