//! Cuts one response into its records.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use cloakroom_core::decode::frame::{ArrayFramer, FrameError, locate};
use cloakroom_core::{Limits, Payload, Place, RecordError, RecordErrorKind, RecordId};
use cloakroom_crypto::PseudonymKey;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::source::Delivery;
use serde::de::IgnoredAny;

/// Records that are too large are still kept for the dead-letter store up to this many bytes.
const KEEP: usize = 64 * 1024 * 1024;

/// Bytes of a fingerprint: 128 bits, so that two different records never meet by chance.
const FINGERPRINT: usize = 16;

/// What one response holds.
pub(super) struct Page {
    /// Its records, in order.
    pub(super) deliveries: Vec<Delivery>,
    /// The response with its records taken out; `None` when there is nothing around them, or when that
    /// is not JSON.
    pub(super) envelope: Option<Vec<u8>>,
    /// False when the response does not end as it should, so that its count of records means nothing.
    pub(super) whole: bool,
}

impl Page {
    /// A page without records.
    pub(super) fn empty() -> Self {
        Self { deliveries: Vec::new(), envelope: None, whole: true }
    }
}

/// Knows where records stand and how they are called.
pub(super) struct Cutter {
    /// Keys from the response to the array.
    path: Vec<String>,
    partition: Arc<str>,
    fingerprint: Arc<PseudonymKey>,
    limits: Limits,
}

impl Cutter {
    pub(super) fn new(path: Vec<String>, partition: Arc<str>, fingerprint: Arc<PseudonymKey>, limits: Limits) -> Self {
        Self { path, partition, fingerprint, limits }
    }

    /// Cuts the array of a response into its elements. One that is broken is cut out like the others:
    /// decoding rejects it later, and only it.
    ///
    /// # Errors
    /// When the response as a whole is not what was agreed, and no record could be found in it.
    pub(super) fn cut(&self, body: &Bytes) -> Result<Page, ConnectorError> {
        // A byte order mark: the framer would skip it, `locate` would not.
        let body = if body.starts_with(b"\xEF\xBB\xBF") { body.slice(3..) } else { body.clone() };
        let keys: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let range = locate(&body, &keys).ok_or_else(|| {
            let path = self.path.join(".");
            corrupt(format!("the response is cut off, or it has no `{path}`, where `items` expects the records"))
        })?;
        let array = body.slice(range.clone());
        let mut spans: Vec<Range<usize>> = Vec::new();
        // The framer need not keep anything: the response is in memory, and records are slices of it.
        let mut framer = ArrayFramer::new(0);
        let mut emit = |element: cloakroom_core::decode::frame::Element| {
            let span = usize::try_from(element.offset).ok().zip(usize::try_from(element.length).ok());
            spans.extend(span.map(|(start, length)| start..start + length));
        };
        let framed = framer.feed(&array, &mut emit).and_then(|()| framer.finish(&mut emit));
        // What stands where no record can be counted, kept so that nothing is lost without a trace.
        let mut rest = Bytes::new();
        let mut whole = true;
        match framed {
            Ok(()) => {}
            Err(FrameError::NotAnArray(_)) if self.path.is_empty() => {
                return Err(corrupt("the response is no JSON array; if it holds one, name its path in `items`"));
            }
            Err(FrameError::NotAnArray(_)) => {
                return Err(corrupt(format!("`{}` of the response is no JSON array", self.path.join("."))));
            }
            Err(FrameError::Unclosed(_)) if spans.is_empty() => {
                return Err(corrupt("the response is cut off before its first record"));
            }
            // The last record is the broken one. It was cut out like the others and will be rejected.
            Err(FrameError::Unclosed(_)) => whole = false,
            Err(FrameError::Trailing(at)) => {
                whole = false;
                rest = usize::try_from(at).map_or_else(|_| Bytes::new(), |at| array.slice(at..));
            }
        }
        let envelope = (!self.path.is_empty()).then(|| envelope(&body, &range));
        let envelope = envelope.filter(|text| serde_json::from_slice::<IgnoredAny>(text).is_ok());
        if !self.path.is_empty() && envelope.is_none() {
            // A record with a bracket too many closes the array early and leaves the others behind it.
            whole = false;
            rest = body.slice(range.end..);
        }
        let mut deliveries: Vec<Delivery> = Vec::with_capacity(spans.len() + 1);
        deliveries.extend(spans.into_iter().map(|span| self.delivery(array.slice(span))));
        if !rest.trim_ascii().is_empty() {
            deliveries.push(self.leftover(rest));
        }
        Ok(Page { deliveries, envelope, whole })
    }

    fn delivery(&self, element: Bytes) -> Delivery {
        // The framer leaves the white space before the next comma. It is no part of the record: the last
        // one of a page must not get another id when it is followed by a new one later.
        let bytes = element.slice(..element.trim_ascii_end().len());
        let id = self.id(&bytes);
        if bytes.len() > self.limits.max_bytes && bytes.len() > KEEP {
            let detail = format!("{} bytes; `record.max_bytes` is {}", bytes.len(), self.limits.max_bytes);
            let error = RecordError::new(RecordErrorKind::TooLarge, detail);
            return Delivery { id, payload: Payload::Unusable { bytes: Bytes::new(), error } };
        }
        Delivery { id, payload: Payload::Json(bytes) }
    }

    /// What stands behind the records, as one rejected record.
    fn leftover(&self, bytes: Bytes) -> Delivery {
        let id = self.id(&bytes);
        let kept = if bytes.len() > KEEP { Bytes::new() } else { bytes };
        let error = RecordError::new(RecordErrorKind::InvalidFormat, "text behind the array of records");
        Delivery { id, payload: Payload::Unusable { bytes: kept, error } }
    }

    fn id(&self, bytes: &[u8]) -> RecordId {
        let tag = self.fingerprint.tag(bytes);
        let mut hex = String::with_capacity(2 * FINGERPRINT);
        for byte in tag.iter().take(FINGERPRINT) {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        RecordId { partition: Arc::clone(&self.partition), position: Place::Id(hex.into()) }
    }
}

/// The response with `null` in the place of its records.
fn envelope(body: &[u8], items: &Range<usize>) -> Vec<u8> {
    let before = body.get(..items.start).unwrap_or_default();
    let after = body.get(items.end..).unwrap_or_default();
    [before, b"null", after].concat()
}

fn corrupt(message: impl Into<String>) -> ConnectorError {
    ConnectorError::new(ErrorKind::Corrupt, message)
}
