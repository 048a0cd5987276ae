//! What a message of a queue says about objects: S3's own events, as they are, through SNS or through EventBridge.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>

use percent_encoding::percent_decode_str;
use serde::Deserialize;

/// An object that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) bucket: String,
    pub(super) key: String,
    /// Without quotes; not every sender says it.
    pub(super) etag: Option<String>,
    /// Only where the bucket keeps versions.
    pub(super) version: Option<String>,
}

/// What a message says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Objects were made; none when the message is about something else that happens to objects, such as their removal.
    Objects(Vec<Named>),
    /// S3 tries whether the queue can be reached.
    Test,
    /// It is no notification of S3: why.
    Unknown(&'static str),
}

/// The parts of all forms that are looked at.
#[derive(Deserialize)]
struct Body {
    #[serde(rename = "Records")]
    records: Option<Vec<Record>>,
    #[serde(rename = "Event")]
    event: Option<String>,
    #[serde(rename = "Type")]
    kind: Option<String>,
    #[serde(rename = "Message")]
    message: Option<String>,
    source: Option<String>,
    #[serde(rename = "detail-type")]
    detail_type: Option<String>,
    detail: Option<Detail>,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "eventName")]
    event_name: String,
    s3: Detail,
}

#[derive(Deserialize)]
struct Detail {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
struct Object {
    key: String,
    #[serde(alias = "eTag")]
    etag: Option<String>,
    #[serde(alias = "versionId", alias = "version-id")]
    version: Option<String>,
}

/// Reads a message's body.
pub(super) fn read(body: &str) -> Said {
    read_at(body, 0)
}

/// Wrappers that may stand around an event: SNS around EventBridge is one; more is somebody's mistake.
const WRAPPERS: usize = 2;

fn read_at(body: &str, depth: usize) -> Said {
    let Ok(parsed) = serde_json::from_str::<Body>(body) else {
        return Said::Unknown("it is no notification of S3");
    };
    if parsed.event.as_deref() == Some("s3:TestEvent") {
        return Said::Test;
    }
    if let Some(records) = parsed.records {
        let made = |record: &Record| {
            // With and without `s3:`, which some senders write before it.
            let name = record.event_name.strip_prefix("s3:").unwrap_or(&record.event_name);
            name.starts_with("ObjectCreated:") || name == "ObjectRestore:Completed"
        };
        let decoded = |record: Record| named(record.s3, |key| form_decoded(&key));
        let named: Option<Vec<Named>> = records.into_iter().filter(made).map(decoded).collect();
        return named.map_or(Said::Unknown("an object's name in it is not UTF-8"), Said::Objects);
    }
    if parsed.source.as_deref() == Some("aws.s3") {
        let created = matches!(parsed.detail_type.as_deref(), Some("Object Created" | "Object Restore Completed"));
        return match parsed.detail {
            // EventBridge gives names as they are.
            Some(detail) if created => Said::Objects(named(detail, Some).into_iter().collect()),
            _ => Said::Objects(Vec::new()),
        };
    }
    match (parsed.kind.as_deref(), parsed.message) {
        (Some("Notification"), Some(message)) if depth < WRAPPERS => read_at(&message, depth + 1),
        _ => Said::Unknown("it is no notification of S3"),
    }
}

fn named(detail: Detail, decode: impl Fn(String) -> Option<String>) -> Option<Named> {
    let Object { key, etag, version } = detail.object;
    Some(Named {
        bucket: detail.bucket.name,
        key: decode(key)?,
        etag: etag.map(|etag| unquoted(&etag)).filter(|etag| !etag.is_empty()),
        version: version.filter(|version| !version.is_empty() && version != "null"),
    })
}

/// An entity tag without its quotes.
pub(super) fn unquoted(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

/// Decodes a name as in forms: `+` is a space, `%20` too; senders differ in which characters they encode.
fn form_decoded(text: &str) -> Option<String> {
    percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(bucket: &str, key: &str, etag: Option<&str>, version: Option<&str>) -> Named {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Named { bucket: bucket.to_owned(), key: key.to_owned(), etag: owned(etag), version: owned(version) }
    }

    const PLAIN: &str = r#"{"Records":[
        {"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"in"},
         "object":{"key":"a/b+c%20d%C3%A9%2B.jsonl","size":5,"eTag":"abc","versionId":"v1","sequencer":"1"}}},
        {"eventName":"ObjectRemoved:Delete","s3":{"bucket":{"name":"in"},"object":{"key":"gone"}}},
        {"eventName":"s3:ObjectCreated:CompleteMultipartUpload","s3":{"bucket":{"name":"in"},
         "object":{"key":"big","eTag":"\"d-2\"","versionId":"null"}}}]}"#;

    #[test]
    fn events_of_s3() {
        let expected =
            vec![object("in", "a/b c dé+.jsonl", Some("abc"), Some("v1")), object("in", "big", Some("d-2"), None)];
        assert_eq!(read(PLAIN), Said::Objects(expected));
        let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"in"}"#;
        assert_eq!(read(test), Said::Test);
    }

    #[test]
    fn events_of_eventbridge_give_names_as_they_are() {
        let event = r#"{"version":"0","source":"aws.s3","detail-type":"Object Created","detail":{"version":"0",
            "bucket":{"name":"in"},"object":{"key":"a+b %41.csv","size":1,"etag":"e","version-id":"v"}}}"#;
        assert_eq!(read(event), Said::Objects(vec![object("in", "a+b %41.csv", Some("e"), Some("v"))]));
        let deleted = event.replace("Object Created", "Object Deleted");
        assert_eq!(read(&deleted), Said::Objects(Vec::new()));
    }

    #[test]
    fn events_through_sns() {
        let wrap =
            |text: &str| serde_json::json!({"Type": "Notification", "TopicArn": "t", "Message": text}).to_string();
        assert_eq!(read(&wrap(PLAIN)), read(PLAIN));
        assert_eq!(read(&wrap(&wrap(PLAIN))), read(PLAIN));
        assert!(matches!(read(&wrap(&wrap(&wrap(PLAIN)))), Said::Unknown(_)));
    }

    #[test]
    fn what_is_no_event_is_not_taken_for_one() {
        for body in [
            "",
            "{}",
            "[]",
            "hello",
            r#"{"Records":[{}]}"#,
            r#"{"Type":"Notification","Message":"hello"}"#,
            r#"{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"%FF"}}}]}"#,
        ] {
            assert!(matches!(read(body), Said::Unknown(_)), "{body}");
        }
    }
}
