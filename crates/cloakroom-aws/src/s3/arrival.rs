//! What arrives to be read: the objects of a listing, or those that notifications tell about.

use std::sync::Arc;

use aws_sdk_s3::Client;
use cloakroom_core::{RecordError, RecordErrorKind};
use cloakroom_pipeline::error::ConnectorError;
use cloakroom_pipeline::retry::RetryConfig;
use tokio::sync::mpsc;

use super::OtherMessages;
use super::listing::Listing;
use super::notification::{Named, Said, read};
use super::object::{Gone, Pinned, Refusal};
use crate::sqs::queue::{Message, Queue, WAIT_ONCE_S};

/// What arrives, one by one.
pub(super) enum Arrival {
    /// An object to read, of a notification or of the listing, with its name in the ledger.
    Object { pinned: Pinned, partition: Arc<str>, notice: Option<Arc<str>> },
    /// A notification with so many objects, which follow it.
    Notice { message: Message, objects: usize },
    /// A message that is no notification, or leads to nothing that can be read: why. Without a reason it is a record.
    Alone { message: Message, why: Option<RecordError> },
    /// An object of a notification that may not be asked about.
    Refused { object: String, notice: Arc<str>, error: ConnectorError },
    /// Nothing more.
    End,
}

impl Arrival {
    fn object(pinned: Pinned, notice: Option<Arc<str>>) -> Self {
        Self::Object { partition: pinned.name().into(), pinned, notice }
    }
}

/// Sends the objects of a listing.
pub(super) async fn list(mut listing: Listing, send: mpsc::Sender<Result<Arrival, ConnectorError>>) {
    loop {
        let arrival = match listing.next().await {
            Ok(Some(pinned)) => Ok(Arrival::object(pinned, None)),
            Ok(None) => Ok(Arrival::End),
            Err(error) => Err(error.context("s3")),
        };
        let is_last = matches!(arrival, Err(_) | Ok(Arrival::End));
        if send.send(arrival).await.is_err() || is_last {
            return;
        }
    }
}

/// Receives notifications, and sends what they tell about.
pub(super) struct Listening {
    pub(super) queue: Queue,
    pub(super) client: Client,
    pub(super) retry: RetryConfig,
    pub(super) bucket: Option<String>,
    pub(super) prefix: String,
    pub(super) other: OtherMessages,
    pub(super) once: bool,
    pub(super) send: mpsc::Sender<Result<Arrival, ConnectorError>>,
}

impl Listening {
    pub(super) async fn listen(self) {
        let end = self.receive().await.map(|()| Arrival::End).map_err(|error| error.context("s3"));
        // Nobody listens: the run has ended.
        let _ = self.send.send(end).await;
    }

    async fn receive(&self) -> Result<(), ConnectorError> {
        let mut empty_rounds = 0;
        while let Some(messages) = self.queue.receive(self.once.then_some(WAIT_ONCE_S)).await? {
            if messages.is_empty() && self.once && self.queue.is_drained(&mut empty_rounds).await {
                return Ok(());
            }
            for message in messages {
                empty_rounds = 0;
                for arrival in self.arrivals(message).await? {
                    if self.send.send(Ok(arrival)).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// What a message leads to.
    async fn arrivals(&self, message: Message) -> Result<Vec<Arrival>, ConnectorError> {
        let unusable = |message, kind, why: &'static str| {
            Ok(vec![Arrival::Alone { message, why: Some(RecordError::new(kind, why)) }])
        };
        let named = match read(message.received.body().unwrap_or_default()) {
            Said::Objects(named) => named,
            Said::Test => Vec::new(),
            Said::Unknown(_) if self.other == OtherMessages::Record => {
                return Ok(vec![Arrival::Alone { message, why: None }]);
            }
            Said::Unknown(why) => return unusable(message, RecordErrorKind::InvalidFormat, why),
        };
        let elsewhere = |named: &Named| {
            self.bucket.as_ref().is_some_and(|bucket| *bucket != named.bucket) || !named.key.starts_with(&self.prefix)
        };
        if named.iter().any(elsewhere) {
            let why = "it is about an object outside of the bucket and prefix that are read";
            return unusable(message, RecordErrorKind::InvalidFormat, why);
        }
        let notice = Arc::clone(&message.id);
        let mut arrivals = vec![Arrival::Notice { message, objects: named.len() }];
        for named in named {
            let object = format!("s3/{}/{}", named.bucket, named.key);
            match Pinned::of(&self.client, named, self.retry).await {
                Ok(Some(pinned)) => arrivals.push(Arrival::object(pinned, Some(Arc::clone(&notice)))),
                Err(Refusal { error, of_object: true }) => {
                    arrivals.push(Arrival::Refused { object, notice: Arc::clone(&notice), error });
                }
                Err(Refusal { error, .. }) => return Err(error.context(object)),
                Ok(None) => {
                    let Some(Arrival::Notice { message, .. }) = arrivals.into_iter().next() else {
                        return Ok(Vec::new());
                    };
                    return unusable(message, RecordErrorKind::Unreadable, Gone::Removed.why());
                }
            }
        }
        Ok(arrivals)
    }
}
