//! What the server says about each document of a bulk request.

use cloakroom_core::{RecordError, RecordErrorKind};
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::sink::RowOutcome;
use serde::Deserialize;
use serde_json::Value;

use super::server::error_name;

/// The members that are asked for, for `filter_path`.
pub(super) const MEMBERS: &str = "items.*.status,items.*.result,items.*.failure_store,items.*.error.type,\
                                  items.*.error.reason,items.*.error.index";

/// The items of an answer, in the order of the documents.
#[derive(Deserialize)]
pub(super) struct Items {
    #[serde(default)]
    pub(super) items: Vec<Item>,
}

/// `{"index":{"status":201,"result":"created"}}`, with the action as its only member.
#[derive(Deserialize)]
pub(super) struct Item {
    #[serde(alias = "index", alias = "create")]
    done: Done,
}

#[derive(Deserialize)]
struct Done {
    status: u16,
    /// What became of the document that was taken.
    result: Option<String>,
    /// Whether it stands beside its data stream instead, among what the server could not take
    /// (<https://www.elastic.co/docs/manage-data/data-store/data-streams/failure-store>).
    failure_store: Option<String>,
    error: Option<Value>,
}

/// What an item's status means.
pub(super) enum Verdict {
    Is(RowOutcome),
    /// There is a document with this `_id`, in this index if it is said.
    Exists(Option<String>),
    /// Later.
    Busy,
    /// It is not about the document.
    Fault(ConnectorError),
}

impl Item {
    /// The server failed on the document, so that it may have been written nevertheless.
    pub(super) fn is_unsure(&self) -> bool {
        self.done.status >= 500
    }

    pub(super) fn verdict(&self) -> Verdict {
        let Done { status, result, failure_store, error } = &self.done;
        let name = error.as_ref().and_then(error_name).unwrap_or_else(|| "no reason given".to_owned());
        let fault = |kind, what: &str| Verdict::Fault(ConnectorError::new(kind, format!("{what} ({status}, {name})")));
        let dead = |what: String| Verdict::Is(RowOutcome::Dead(RecordError::new(RecordErrorKind::Database, what)));
        match (status, name.as_str()) {
            (200..=299, _) if failure_store.as_deref() == Some("used") => {
                dead("the server put it into the failure store of the data stream".to_owned())
            }
            // An ingest pipeline left it out.
            (200..=299, _) if result.as_deref() == Some("noop") => Verdict::Is(RowOutcome::Filtered),
            (200..=299, _) => Verdict::Is(RowOutcome::Delivered),
            (409, _) => Verdict::Exists(error.as_ref().and_then(index_name)),
            (429 | 503, _) => Verdict::Busy,
            (_, "cluster_block_exception" | "index_closed_exception") => {
                fault(ErrorKind::Unavailable, "the index is closed or blocked for writing")
            }
            (_, "index_not_found_exception") => fault(ErrorKind::Configuration, "the index is gone"),
            (404, _) => fault(ErrorKind::Unavailable, "a part of the index is gone"),
            (401 | 403, _) => fault(ErrorKind::Denied, "the server lets these credentials not write"),
            // A pipeline refuses it with a processor that is made for that.
            (_, "fail_processor_exception") => dead(format!("{name} ({status})")),
            (500.., _) => fault(ErrorKind::Unavailable, "the server fails on a document"),
            (_, "validation_exception") => fault(
                ErrorKind::Configuration,
                "the server does not make the index: it may have as many shards as it is allowed",
            ),
            (_, "routing_missing_exception") => {
                fault(ErrorKind::Configuration, "the index wants a routing with every document, which none has here")
            }
            (_, "illegal_argument_exception") => match error.as_ref().and_then(about_the_index) {
                Some(what) => fault(ErrorKind::Configuration, what),
                None => dead(format!("{name} ({status})")),
            },
            _ => dead(format!("{name} ({status})")),
        }
    }
}

/// What is wrong with the place that documents go to. The server has one name for this and for documents that it refuses, so
/// its words decide; they go no further.
fn about_the_index(error: &Value) -> Option<&'static str> {
    let reason = error.get("reason")?.as_str()?;
    match reason {
        _ if reason.starts_with("no write index is defined for alias") => {
            Some("the alias has no index that is written to; set `is_write_index` for one of its indices")
        }
        _ if reason.starts_with("only write ops with an op_type of create are allowed in data streams") => {
            Some("nothing is replaced in a data stream; set `on_existing: keep`")
        }
        _ if reason.starts_with("pipeline with id [") && reason.ends_with("] does not exist") => {
            Some("the index names an ingest pipeline that does not exist")
        }
        _ if reason.starts_with("Number of documents in shard") => {
            Some("a shard of the index has as many documents as it can have")
        }
        _ => None,
    }
}

/// The index of a document that is there, when it looks like the name of one.
fn index_name(error: &Value) -> Option<String> {
    let name = error.get("index")?.as_str()?;
    let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b) || !b.is_ascii();
    (name.len() <= 255 && name.bytes().all(is_name)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(item: &str) -> String {
        let item: Item = serde_json::from_str(item).unwrap();
        match item.verdict() {
            Verdict::Is(RowOutcome::Dead(error)) => format!("dead: {error}"),
            Verdict::Is(outcome) => format!("{outcome:?}"),
            Verdict::Exists(index) => format!("exists in {index:?}"),
            Verdict::Busy => "busy".to_owned(),
            Verdict::Fault(error) => format!("{:?}: {error}", error.kind),
        }
    }

    #[test]
    fn every_status_has_a_verdict() {
        let verdict = |status: u16, name: &str| {
            let error = if name.is_empty() { String::new() } else { format!(",\"error\":{{\"type\":\"{name}\"}}") };
            said(&format!("{{\"index\":{{\"status\":{status}{error}}}}}"))
        };
        assert_eq!(verdict(201, ""), "Delivered");
        assert_eq!(verdict(409, "version_conflict_engine_exception"), "exists in None");
        assert_eq!(verdict(429, "es_rejected_execution_exception"), "busy");
        assert_eq!(verdict(503, "unavailable_shards_exception"), "busy");
        assert_eq!(
            verdict(400, "mapper_parsing_exception"),
            "dead: refused by the database (mapper_parsing_exception (400))"
        );
        // Since Elasticsearch 8.8.
        assert!(verdict(400, "document_parsing_exception").starts_with("dead"));
        assert!(verdict(400, "illegal_argument_exception").starts_with("dead"));
        assert!(verdict(400, "index_closed_exception").starts_with("Unavailable"));
        assert!(verdict(403, "cluster_block_exception").starts_with("Unavailable"));
        assert!(verdict(403, "security_exception").starts_with("Denied"));
        assert!(verdict(404, "index_not_found_exception").starts_with("Configuration"));
        assert!(verdict(404, "shard_not_found_exception").starts_with("Unavailable"));
        assert!(verdict(404, "some_missing_exception").starts_with("Unavailable"));
        assert!(verdict(400, "validation_exception").starts_with("Configuration"));
        assert!(verdict(400, "routing_missing_exception").starts_with("Configuration"));
        assert!(verdict(500, "fail_processor_exception").starts_with("dead"));
        assert!(verdict(500, "null_pointer_exception").starts_with("Unavailable"));
        assert!(!verdict(400, "Value 4111 of card").contains("4111"));
    }

    #[test]
    fn what_is_taken_is_not_always_kept() {
        for (result, expected) in [("created", "Delivered"), ("updated", "Delivered"), ("noop", "Filtered")] {
            assert_eq!(said(&format!(r#"{{"index":{{"status":200,"result":"{result}"}}}}"#)), expected);
        }
        let kept =
            |used: &str| said(&format!(r#"{{"create":{{"status":201,"result":"created","failure_store":"{used}"}}}}"#));
        assert_eq!(
            kept("used"),
            "dead: refused by the database (the server put it into the failure store of the data stream)"
        );
        assert_eq!(kept("not_applicable_or_unknown"), "Delivered");
    }

    #[test]
    fn an_index_that_takes_nothing_is_no_fault_of_documents() {
        let verdict = |reason: &str| {
            said(&format!(
                r#"{{"index":{{"status":400,"error":{{"type":"illegal_argument_exception","reason":"{reason}"}}}}}}"#
            ))
        };
        for reason in [
            "no write index is defined for alias [secret]. The write index may be explicitly disabled",
            "only write ops with an op_type of create are allowed in data streams",
            "pipeline with id [secret] does not exist",
            "Number of documents in shard [secret][0] exceeds the limit of [2147483519] documents per shard",
        ] {
            let said = verdict(reason);
            assert!(said.starts_with("Configuration") && !said.contains("secret"), "{said}");
        }
        assert!(verdict("Limit of total fields [1000] has been exceeded").starts_with("dead"));
    }
}
