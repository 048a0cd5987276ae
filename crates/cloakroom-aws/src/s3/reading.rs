//! Reading one object on a thread of its own: from where the ledger stands to its end, in batches.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use aws_sdk_s3::Client;
use bytes::Bytes;
use cloakroom_core::{CompactString, Payload, Place, RecordError, RecordErrorKind, RecordId};
use cloakroom_pipeline::context::SourceContext;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::framing::{self, Input, Position};
use cloakroom_pipeline::prefetch::gone;
use cloakroom_pipeline::source::{Batch, Delivery, Progress};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::object::{Object, Pinned, Refusal, Why};

/// The position of an object that was read to its end.
pub(super) const DONE: &str = "done";

/// What a reading thread tells.
pub(super) struct Told {
    /// Which object.
    pub(super) object: u64,
    pub(super) what: What,
}

pub(super) enum What {
    /// A batch; after the last one the object is done.
    Batch { batch: Batch, last: bool },
    /// It cannot be read now.
    Failed(Refusal),
}

/// How reading ends before the object does.
enum End {
    /// What is left of it will never be read: it is damaged, or gone.
    Unreadable(ConnectorError),
    /// It is as it was, and cannot be read now.
    Failed(Refusal),
}

impl End {
    fn unreadable(why: &str) -> Self {
        Self::Unreadable(ConnectorError::new(ErrorKind::Corrupt, why))
    }
}

/// One object to read.
pub(super) struct Reading {
    pub(super) number: u64,
    pub(super) client: Client,
    pub(super) pinned: Pinned,
    pub(super) partition: Arc<str>,
    pub(super) from: Position,
    pub(super) context: SourceContext,
    /// Under which name every record tells where it came from.
    pub(super) metadata: Option<CompactString>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) tell: mpsc::Sender<Told>,
}

impl Reading {
    /// Begins to read, on a thread of its own: it waits for the network, and for whoever takes its batches.
    pub(super) fn begin(self) -> Result<(), ConnectorError> {
        let runtime = Handle::current();
        let spawned = std::thread::Builder::new().name("s3".to_owned()).spawn(move || self.read(&runtime));
        spawned.map(drop).map_err(|error| ConnectorError::io("a reading thread", &error))
    }

    fn read(&self, runtime: &Handle) {
        // The last batch is held back until it is known to be the last.
        let mut held: Option<Batch> = None;
        // A library that panics over a damaged file must not leave the object without an end.
        let read = catch_unwind(AssertUnwindSafe(|| self.read_into(runtime, &mut held)));
        let read = read.unwrap_or_else(|_| Err(End::unreadable("the reader failed over what it found in the object")));
        let told = match read {
            Ok(()) => self.tell(What::Batch { batch: self.end(held.take(), None), last: true }),
            // Trying again would not help: what was cut is delivered, and for the rest stands a dead letter.
            Err(End::Unreadable(error)) => {
                self.tell(What::Batch { batch: self.end(held.take(), Some(error)), last: true })
            }
            Err(End::Failed(refusal)) => self.tell(What::Failed(refusal)),
        };
        // Nobody listens: the run has ended.
        let _ = told;
    }

    fn read_into(&self, runtime: &Handle, held: &mut Option<Batch>) -> Result<(), End> {
        let why = |why: Why| match why {
            Why::Gone(gone) => End::unreadable(gone.why()),
            Why::Refused(refusal) => End::Failed(refusal),
        };
        let opened = Object::open(&self.client, &self.pinned, self.context.retry, runtime, &self.stop);
        let object = Arc::new(opened.map_err(why)?);
        let content: Arc<Object> = Arc::clone(&object);
        let read = Input::open(content).and_then(|input| {
            framing::read(&input, &self.from, &self.context, &self.partition, &mut |mut batch| {
                self.tag(&mut batch);
                match held.replace(batch) {
                    Some(batch) => self.tell(What::Batch { batch, last: false }),
                    None => Ok(()),
                }
            })
        });
        read.map_err(|error| match object.why() {
            Some(known) => why(known),
            None if matches!(error.kind, ErrorKind::Corrupt | ErrorKind::Configuration) => End::Unreadable(error),
            None => End::Failed(Refusal { error, of_object: false }),
        })
    }

    fn tell(&self, what: What) -> Result<(), ConnectorError> {
        self.tell.blocking_send(Told { object: self.number, what }).map_err(|_| gone())
    }

    /// The last batch, after which the object is done; with a dead letter for what cannot be read.
    fn end(&self, held: Option<Batch>, error: Option<ConnectorError>) -> Batch {
        let mut deliveries = held.map(|batch| batch.deliveries).unwrap_or_default();
        if let Some(error) = error {
            let (byte, number) = match deliveries.last().map(|delivery| &delivery.id.position) {
                Some(Place::Offset { byte, number }) => (byte + 1, number + 1),
                _ => (self.from.end, self.from.number + 1),
            };
            let error = RecordError::new(RecordErrorKind::Unreadable, error.message);
            let id = RecordId { partition: Arc::clone(&self.partition), position: Place::Offset { byte, number } };
            deliveries.push(Delivery { id, payload: Payload::Unusable { bytes: Bytes::new(), error } });
        }
        let progress = Progress::Position { partition: Arc::clone(&self.partition), position: DONE.to_owned() };
        Batch { progress, deliveries }
    }

    /// Lets every record tell where it came from.
    fn tag(&self, batch: &mut Batch) {
        let Some(member) = &self.metadata else { return };
        let Pinned { bucket, key, etag, version } = &self.pinned;
        let about = json!({ "bucket": bucket, "key": key, "etag": etag, "version": version });
        let about = Bytes::from(about.to_string());
        for delivery in &mut batch.deliveries {
            let record = Box::new(std::mem::replace(&mut delivery.payload, Payload::Json(Bytes::new())));
            delivery.payload = Payload::Tagged { record, member: member.clone(), about: about.clone() };
        }
    }
}
