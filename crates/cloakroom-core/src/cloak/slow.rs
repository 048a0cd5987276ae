//! Values that are hashed slowly: all of a batch at once.
//!
//! A batch is walked twice. The first walk finds what is to be hashed, the second one, with all hashes at hand, puts them
//! where they belong. Walking takes microseconds and a hash milliseconds.

use compact_str::CompactString;

use super::{RecordError, Walk, Walked, internal};
use crate::protect::{ProtectError, SlowHash};
use crate::value::Value;

/// What a walk does with such a value.
#[derive(Default)]
pub(super) enum Slow<'a> {
    /// Hashes it alone.
    #[default]
    Now,
    /// Notes it; null stands in its place.
    Note(Vec<Job<'a>>),
    /// Puts in what was made of it, in the order in which it was noted.
    Put(std::vec::IntoIter<Result<CompactString, ProtectError>>),
}

/// A text that is to be hashed.
pub(super) struct Job<'a> {
    by: &'a dyn SlowHash,
    text: CompactString,
}

impl<'a> Walk<'a> {
    pub(super) fn hash_slowly(&mut self, by: &'a dyn SlowHash, value: &mut Value) -> Result<(), RecordError> {
        let Some(text) = by.prepare(value).map_err(|error| self.refused(error))? else { return Ok(()) };
        *value = match &mut self.slow {
            Slow::Now => put(by.hash_all(&[&text]).pop()).map_err(|error| self.refused(error))?,
            Slow::Note(jobs) => {
                jobs.push(Job { by, text: text.into() });
                Value::Null
            }
            Slow::Put(hashes) => {
                let hash = hashes.next();
                put(hash).map_err(|error| self.refused(error))?
            }
        };
        Ok(())
    }
}

fn put(hash: Option<Result<CompactString, ProtectError>>) -> Result<Value, ProtectError> {
    let missing = || ProtectError { kind: internal().kind, detail: "a hash is missing".into() };
    hash.unwrap_or_else(|| Err(missing())).map(Value::String)
}

/// Walks all payloads, hashes what they hold, and walks them again.
pub(super) fn walk_twice<'a, P: Copy>(
    payloads: impl Iterator<Item = P>,
    walk: impl Fn(P, &mut Slow<'a>) -> Result<Walked, RecordError>,
) -> Vec<Result<Walked, RecordError>> {
    let mut jobs = Vec::new();
    // What was noted of each, or why it was rejected.
    let noted: Vec<(P, Result<usize, RecordError>)> = payloads
        .map(|payload| {
            let mut slow = Slow::Note(Vec::new());
            let noted = walk(payload, &mut slow).map(|_| match &mut slow {
                Slow::Note(found) => {
                    let count = found.len();
                    jobs.append(found);
                    count
                }
                _ => 0,
            });
            (payload, noted)
        })
        .collect();
    let mut hashes = hash_all(&jobs).into_iter();
    noted
        .into_iter()
        .map(|(payload, noted)| {
            let own: Vec<_> = hashes.by_ref().take(noted?).collect();
            walk(payload, &mut Slow::Put(own.into_iter()))
        })
        .collect()
}

/// The hash of each, in order; those of one rule at once.
fn hash_all(jobs: &[Job<'_>]) -> Vec<Result<CompactString, ProtectError>> {
    let mut hashes: Vec<Option<Result<CompactString, ProtectError>>> = jobs.iter().map(|_| None).collect();
    for first in 0..jobs.len() {
        if hashes[first].is_some() {
            continue;
        }
        let same: Vec<usize> =
            (first..jobs.len()).filter(|at| std::ptr::addr_eq(jobs[*at].by, jobs[first].by)).collect();
        let texts: Vec<&str> = same.iter().map(|at| jobs[*at].text.as_str()).collect();
        let mut made = jobs[first].by.hash_all(&texts).into_iter();
        for at in same {
            let missing = ProtectError { kind: internal().kind, detail: "a hash is missing".into() };
            hashes[at] = Some(made.next().unwrap_or(Err(missing)));
        }
    }
    hashes.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::{compile, id};
    use crate::error::RecordErrorKind;
    use crate::{IngestTime, Payload};
    use cloakroom_crypto::bcrypt::verify;

    const POLICY: &str = "
record: { require: [n] }
fields:
  code: { as: hash, protect: { bcrypt: 4, allow_reversible: true } }
  'pins[*]': { protect: { bcrypt: 5, allow_reversible: true } }
  inner: { flatten: _ }
  inner.code: { protect: { bcrypt: 4, allow_reversible: true } }
  gone: { protect: drop }
";

    #[test]
    fn every_hash_of_a_batch_stands_where_its_value_stood() {
        let cloak = compile(POLICY).unwrap_or_else(|error| unreachable!("{error}"));
        assert!(cloak.policy().is_slow());
        let payload = |json: String| Payload::Json(json.into_bytes().into());
        let record = |n: usize| {
            format!(r#"{{"gone":1,"pins":["{n}a",null,{n}],"code":"{n:03}","inner":{{"code":"i{n}"}},"n":{n}}}"#)
        };
        let mut payloads: Vec<Payload> = (0..9).map(|n| payload(record(n))).collect();
        payloads[2] = payload("{".to_owned());
        payloads[3] = payload(record(3).replace("003", &"1".repeat(73)));
        payloads[5] = payload(record(5).replace(r#""n":5"#, r#""m":5"#));
        let now = IngestTime::from_unix_seconds(0);
        let id = id();
        let records = cloak.process_batch(payloads.iter().map(|payload| (&id, payload)), now);
        for (n, record) in records.iter().enumerate() {
            let expected = match n {
                2 => Some(RecordErrorKind::InvalidFormat),
                3 => Some(RecordErrorKind::Protection),
                5 => Some(RecordErrorKind::MissingField),
                _ => None,
            };
            assert_eq!(record.as_ref().err().map(|error| error.kind), expected, "{n}");
            let Ok(record) = record else { continue };
            let matches = |value: Option<&crate::Value>, text: String| {
                verify(text.as_bytes(), value.unwrap().as_str().unwrap()).unwrap()
            };
            assert!(matches(record.get("hash"), format!("{n:03}")));
            assert!(matches(record.get("inner_code"), format!("i{n}")));
            let Some(crate::Value::Array(pins)) = record.get("pins") else { unreachable!() };
            assert!(matches(pins.first(), format!("{n}a")) && matches(pins.get(2), n.to_string()));
            assert!(pins[1] == crate::Value::Null && record.get("gone").is_none());
        }
        let alone = cloak.process(id, &payloads[0], now).unwrap_or_else(|error| unreachable!("{error}"));
        assert!(verify(b"000", alone.get("hash").unwrap().as_str().unwrap()).unwrap());
    }

    #[test]
    fn findings_are_no_place_for_it() {
        let error = compile("detect: { everywhere: { bcrypt: 4, allow_reversible: true } }").err().unwrap();
        assert!(error.message.contains("works on whole fields"), "{error}");
    }
}
