//! Records of a stream as records of a pipeline, in batches that end after whole ones.

use std::sync::Arc;

use aws_sdk_kinesis::types::Record;
use bytes::Bytes;
use cloakroom_core::{CompactString, Payload, Place, RecordError, RecordErrorKind, RecordId};
use cloakroom_pipeline::config::BatchConfig;
use cloakroom_pipeline::source::{Batch, Delivery, Progress};
use serde_json::json;

use super::aggregate;
use super::position::Position;

/// How a record's data becomes a payload.
#[derive(Clone)]
pub(super) struct Shape {
    pub(super) make: fn(Bytes) -> Payload,
    /// The member that tells where a record came from.
    pub(super) metadata: Option<CompactString>,
    pub(super) batch: BatchConfig,
}

/// Cuts answers of one shard into batches.
pub(super) struct Cutter {
    pub(super) shape: Shape,
    pub(super) shard: String,
    pub(super) partition: Arc<str>,
}

impl Cutter {
    /// The records of an answer after a position, in their order. The position then stands after the last one.
    pub(super) fn cut(&self, records: Vec<Record>, position: &mut Position) -> Vec<Batch> {
        let limit = self.shape.batch;
        let (mut batches, mut deliveries, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut told = position.text();
        for record in records {
            let done = match position {
                Position::After { sequence, part } if *sequence == record.sequence_number => match part {
                    // The rest of an aggregated record is wanted.
                    Some(part) => *part + 1,
                    None => continue,
                },
                _ => 0,
            };
            let sequence = record.sequence_number.clone();
            let mut parts = self.parts(record).into_iter().enumerate().skip(done).peekable();
            while let Some((at, delivery)) = parts.next() {
                let size = delivery.payload.len();
                if deliveries.len() >= limit.records.max(1) || !deliveries.is_empty() && bytes + size > limit.bytes {
                    batches.extend(self.batch(std::mem::take(&mut deliveries), position));
                    told = position.text();
                    bytes = 0;
                }
                bytes += size;
                deliveries.push(delivery);
                // After its last part a record is done as a whole.
                let part = parts.peek().is_some().then_some(at);
                *position = Position::After { sequence: sequence.clone(), part };
            }
            // One without parts is done, too.
            *position = Position::After { sequence, part: None };
        }
        if !deliveries.is_empty() || told != position.text() {
            batches.extend(self.batch(deliveries, position));
        }
        batches
    }

    /// A batch, after which the shard stands there.
    pub(super) fn batch(&self, deliveries: Vec<Delivery>, position: &Position) -> Option<Batch> {
        let position = position.text()?;
        Some(Batch { progress: Progress::Position { partition: Arc::clone(&self.partition), position }, deliveries })
    }

    /// The records that a record holds.
    fn parts(&self, record: Record) -> Vec<Delivery> {
        let arrival = record.approximate_arrival_timestamp().and_then(|time| time.to_millis().ok());
        let Record { sequence_number: sequence, data, partition_key, .. } = record;
        let data = Bytes::from(data.into_inner());
        match aggregate::records(&data) {
            Ok(None) => {
                let id = self.id(&sequence, None);
                let payload = self.payload(data, &sequence, None, &partition_key, arrival);
                vec![Delivery { id, payload }]
            }
            Ok(Some(packed)) => packed
                .into_iter()
                .enumerate()
                .map(|(at, packed)| {
                    let key = String::from_utf8_lossy(&data[packed.key]).into_owned();
                    let payload = self.payload(data.slice(packed.data), &sequence, Some(at), &key, arrival);
                    Delivery { id: self.id(&sequence, Some(at)), payload }
                })
                .collect(),
            Err(damaged) => {
                let error = RecordError::new(RecordErrorKind::InvalidFormat, damaged.to_string());
                vec![Delivery { id: self.id(&sequence, None), payload: Payload::Unusable { bytes: data, error } }]
            }
        }
    }

    fn id(&self, sequence: &str, part: Option<usize>) -> RecordId {
        let place = match part {
            Some(part) => format!("{sequence}/{part}"),
            None => sequence.to_owned(),
        };
        RecordId { partition: Arc::clone(&self.partition), position: Place::Id(place.into()) }
    }

    fn payload(&self, data: Bytes, sequence: &str, part: Option<usize>, key: &str, arrival: Option<i64>) -> Payload {
        let record = (self.shape.make)(data);
        let Some(member) = &self.shape.metadata else { return record };
        let mut about = json!({ "shard": self.shard, "sequence_number": sequence, "partition_key": key });
        if let Some(part) = part {
            about["part"] = part.into();
        }
        if let Some(arrival) = arrival {
            about["arrival_timestamp"] = arrival.into();
        }
        Payload::Tagged { record: Box::new(record), member: member.clone(), about: Bytes::from(about.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::primitives::Blob;
    use md5::{Digest as _, Md5};

    use super::*;

    fn record(sequence: &str, data: &[u8]) -> Record {
        Record::builder().sequence_number(sequence).data(Blob::new(data)).partition_key("k").build().unwrap()
    }

    /// An aggregated record of parts that are shorter than 100 bytes.
    fn packed(parts: &[&str]) -> Vec<u8> {
        let field =
            |number: u8, bytes: &[u8]| [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()][..], bytes].concat();
        let mut message = field(1, b"key");
        for part in parts {
            message.extend(field(3, &[&[1 << 3, 0][..], &field(3, part.as_bytes())].concat()));
        }
        [&[0xF3, 0x89, 0x9A, 0xC2][..], &message, &Md5::digest(&message)[..]].concat()
    }

    fn cutter(records: usize, bytes: usize) -> Cutter {
        let batch = BatchConfig { records, bytes, wait_ms: 0 };
        let shape = Shape { make: Payload::Json, metadata: None, batch };
        Cutter { shape, shard: "s".to_owned(), partition: "kinesis/x/s".into() }
    }

    fn told(batches: &[Batch]) -> Vec<(Vec<String>, String)> {
        let of = |batch: &Batch| {
            let ids = batch.deliveries.iter().map(|delivery| match &delivery.id.position {
                Place::Id(id) => id.to_string(),
                Place::Offset { .. } => String::new(),
            });
            let Progress::Position { position, .. } = &batch.progress else { panic!("a position") };
            (ids.collect(), position.clone())
        };
        batches.iter().map(of).collect()
    }

    fn expect(list: &[(&[&str], &str)]) -> Vec<(Vec<String>, String)> {
        let text = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        list.iter().map(|(ids, position)| (text(ids), (*position).to_owned())).collect()
    }

    #[test]
    fn batches_end_after_whole_records_and_go_on_in_the_middle_of_an_aggregated_one() {
        let records = || {
            vec![
                record("10", b"{}"),
                record("11", &packed(&["{\"n\":0}", "{\"n\":1}", "{\"n\":2}"])),
                record("12", b"{}"),
                record("13", &packed(&[])),
            ]
        };
        let mut position = Position::Oldest;
        let batches = cutter(2, 1 << 20).cut(records(), &mut position);
        let all = [(&["10", "11/0"][..], "11/0"), (&["11/1", "11/2"], "11"), (&["12"], "13")];
        assert_eq!(told(&batches), expect(&all));
        // From each of these positions on, the rest comes.
        for (at, (_, text)) in all.iter().enumerate() {
            let mut position = Position::parse(text).unwrap();
            let rest: Vec<Record> =
                records().into_iter().filter(|record| record.sequence_number() >= &text[..2]).collect();
            let rest = cutter(2, 1 << 20).cut(rest, &mut position);
            let rest: Vec<_> = told(&rest).into_iter().flat_map(|(ids, _)| ids).collect();
            let expected: Vec<_> = all[at + 1..].iter().flat_map(|(ids, _)| ids.iter().copied()).collect();
            assert_eq!(rest, expected, "after {text}");
        }
        assert_eq!(position, Position::parse("13").unwrap());
        // Nothing but an empty one moves the position, too; and bytes are a limit.
        let mut position = Position::Oldest;
        assert_eq!(told(&cutter(2, 9).cut(vec![record("9", &packed(&[]))], &mut position)), expect(&[(&[], "9")]));
        let batches =
            cutter(9, 3).cut(vec![record("1", b"{}"), record("2", b"{   }"), record("3", b"{}")], &mut position);
        assert_eq!(told(&batches), expect(&[(&["1"], "1"), (&["2"], "2"), (&["3"], "3")]));
    }

    #[test]
    fn what_cannot_be_taken_apart_is_one_unusable_record() {
        let wrong = [&[0x1a, 0xff][..]].concat();
        let data = [&[0xF3, 0x89, 0x9A, 0xC2][..], &wrong, &Md5::digest(&wrong)[..]].concat();
        let batches = cutter(9, 999).cut(vec![record("1", &data)], &mut Position::Oldest);
        assert!(matches!(batches[0].deliveries[..], [Delivery { payload: Payload::Unusable { .. }, .. }]));
    }

    #[test]
    fn metadata_says_where_a_record_came_from() {
        let mut cutter = cutter(9, 999);
        cutter.shape.metadata = Some("stream".into());
        let batches = cutter.cut(vec![record("1", b"{}"), record("2", &packed(&["{}"]))], &mut Position::Oldest);
        let about = |at: usize| match &batches[0].deliveries[at].payload {
            Payload::Tagged { about, .. } => serde_json::from_slice(about).unwrap(),
            _ => json!(null),
        };
        assert_eq!(about(0), json!({ "shard": "s", "sequence_number": "1", "partition_key": "k" }));
        assert_eq!(about(1), json!({ "shard": "s", "sequence_number": "2", "partition_key": "key", "part": 0 }));
    }
}
