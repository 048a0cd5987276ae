//! `key=value` blocks: one field a line, split at the first `=`, as some exports and queue bodies
//! carry them. Spaces around keys are trimmed; values stay as they are.

use compact_str::CompactString;

use super::utf8;
use crate::error::{RecordError, RecordErrorKind};
use crate::value::{Object, Value};

/// Decodes one block.
pub(super) fn parse(bytes: &[u8]) -> Result<Object, RecordError> {
    let mut object = Object::with_capacity(8);
    for (index, line) in utf8(bytes)?.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let (key, value) = line.split_once('=').filter(|(key, _)| !key.trim().is_empty()).ok_or_else(|| {
            RecordError::new(RecordErrorKind::InvalidFormat, format!("line {} is not `key=value`", index + 1))
        })?;
        object.push(CompactString::new(key.trim()), Value::string(value));
    }
    if object.is_empty() {
        return Err(RecordError::new(RecordErrorKind::InvalidFormat, "an empty block"));
    }
    if object.has_duplicate() {
        return Err(RecordError::new(RecordErrorKind::DuplicateKey, "two lines have the same key"));
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::to_json_string;

    #[test]
    fn blocks_are_read_line_by_line() {
        let parsed = parse("user_id=u-1\r\n name =A=B \n\nempty=\n".as_bytes()).map(Value::Object);
        assert_eq!(to_json_string(&parsed.unwrap()), r#"{"user_id":"u-1","name":"A=B ","empty":""}"#);
        for (bad, kind) in [
            (&b"no separator"[..], RecordErrorKind::InvalidFormat),
            (b"=value", RecordErrorKind::InvalidFormat),
            (b"\n", RecordErrorKind::InvalidFormat),
            (b"a=1\na=2", RecordErrorKind::DuplicateKey),
            (b"a=\xff", RecordErrorKind::NotUtf8),
        ] {
            assert_eq!(parse(bad).err().unwrap().kind, kind);
        }
    }
}
