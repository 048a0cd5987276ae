//! The calls to SQS, and what it answers.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message as Received,
    MessageSystemAttributeName, QueueAttributeName,
};
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};

use super::address::Address;
use super::error::{is_stale_receipt, known};
use super::held::Handle;
use crate::client::patient;
use crate::error::failure;

/// Where a queue does not say its timeout, and where it is 0, so that nobody can hold a message: SQS' default.
pub(super) const DEFAULT_VISIBILITY_S: i32 = 30;

/// One queue's calls.
pub(super) struct Calls {
    /// For calls that are answered at once.
    client: Client,
    /// For long polls.
    patient: Client,
    pub(super) address: Address,
    /// Ask for messages with their attributes.
    attributes: bool,
}

/// About how many messages a queue has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Depth {
    /// They can be had now. In FIFO queues some of them wait for others of their group.
    pub(crate) visible: u64,
    /// Somebody holds them.
    pub(crate) in_flight: u64,
    /// They were sent with a delay.
    pub(crate) delayed: u64,
}

/// What a queue says about itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// Order is kept within groups.
    pub(crate) is_fifo: bool,
    /// Its own visibility timeout, in seconds.
    pub(crate) visibility_s: i32,
    /// After how many receipts SQS itself moves a message to the queue's dead-letter queue, if it has one.
    pub(crate) max_receives: Option<u64>,
    /// How many messages there were.
    pub(crate) depth: Depth,
}

impl Calls {
    pub(super) fn new(sdk: &SdkConfig, address: Address, wait: Duration, attributes: bool) -> Self {
        let patient = aws_sdk_sqs::config::Builder::from(sdk).timeout_config(patient(wait)).build();
        Self { client: Client::new(sdk), patient: Client::from_conf(patient), address, attributes }
    }

    /// Waits for up to ten messages. `hide_s`: for how long they are hidden from others.
    pub(super) async fn receive(
        &self,
        wait_s: i32,
        hide_s: i32,
        is_fifo: bool,
    ) -> Result<Vec<Received>, ConnectorError> {
        // With it a FIFO queue answers a call that was lost on its way once more, instead of locking its groups.
        let attempt = is_fifo.then(|| format!("{:032x}", rand::random::<u128>()));
        let call = self
            .patient
            .receive_message()
            .queue_url(&self.address.url)
            .max_number_of_messages(10)
            .wait_time_seconds(wait_s)
            .set_message_system_attribute_names(self.attributes.then(|| vec![MessageSystemAttributeName::All]))
            .set_message_attribute_names(self.attributes.then(|| vec!["All".to_owned()]))
            .visibility_timeout(hide_s)
            .set_receive_request_attempt_id(attempt);
        let answer = call.send().await.map_err(|error| self.failed("ReceiveMessage", &failure(&error, known)))?;
        Ok(answer.messages.unwrap_or_default())
    }

    /// Deletes up to ten.
    pub(super) async fn delete(&self, handles: &[Handle]) -> Result<Answer, ConnectorError> {
        let entries = handles.iter().enumerate().map(|(index, handle)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
            entry.receipt_handle(&*handle.receipt).build().map_err(|_| incomplete())
        });
        let call = self.client.delete_message_batch().queue_url(&self.address.url);
        let call = call.set_entries(Some(entries.collect::<Result<_, _>>()?));
        let answer = call.send().await.map_err(|error| self.failed("DeleteMessage", &failure(&error, known)))?;
        Ok(Answer {
            done: answer.successful.iter().map(|done| index(&done.id)).collect(),
            refused: answer.failed.iter().map(refusal).collect(),
        })
    }

    /// Hides up to ten for so long from now on.
    pub(super) async fn hide(&self, handles: &[Handle], seconds: i32) -> Result<Answer, ConnectorError> {
        let entries = handles.iter().enumerate().map(|(index, handle)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
            let entry = entry.receipt_handle(&*handle.receipt).visibility_timeout(seconds);
            entry.build().map_err(|_| incomplete())
        });
        let call = self.client.change_message_visibility_batch().queue_url(&self.address.url);
        let call = call.set_entries(Some(entries.collect::<Result<_, _>>()?));
        let sent = call.send().await;
        let answer = sent.map_err(|error| self.failed("ChangeMessageVisibility", &failure(&error, known)))?;
        Ok(Answer {
            done: answer.successful.iter().map(|done| index(&done.id)).collect(),
            refused: answer.failed.iter().map(refusal).collect(),
        })
    }

    /// What the queue says about itself.
    pub(super) async fn facts(&self) -> Result<Facts, ConnectorError> {
        let call = self.client.get_queue_attributes().queue_url(&self.address.url);
        let sent = call.attribute_names(QueueAttributeName::All).send().await;
        let answer = sent.map_err(|error| self.failed("GetQueueAttributes", &failure(&error, known)))?;
        let attributes = answer.attributes.unwrap_or_default();
        let number = |name: QueueAttributeName| attributes.get(&name).and_then(|text| text.parse::<u64>().ok());
        let redrive = attributes.get(&QueueAttributeName::RedrivePolicy);
        let redrive = redrive.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        // A number in quotes or without, depending on who wrote it.
        let max_receives = redrive.and_then(|policy| match &policy["maxReceiveCount"] {
            serde_json::Value::String(text) => text.parse().ok(),
            count => count.as_u64(),
        });
        let visibility = number(QueueAttributeName::VisibilityTimeout);
        Ok(Facts {
            is_fifo: attributes.get(&QueueAttributeName::FifoQueue).is_some_and(|text| text == "true"),
            visibility_s: visibility.and_then(|seconds| i32::try_from(seconds).ok()).unwrap_or(DEFAULT_VISIBILITY_S),
            max_receives,
            depth: Depth {
                visible: number(QueueAttributeName::ApproximateNumberOfMessages).unwrap_or_default(),
                in_flight: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible).unwrap_or_default(),
                delayed: number(QueueAttributeName::ApproximateNumberOfMessagesDelayed).unwrap_or_default(),
            },
        })
    }

    fn failed(&self, action: &str, error: &ConnectorError) -> ConnectorError {
        let mut error = error.clone();
        if error.kind == ErrorKind::Denied {
            error.message = format!("{} (it needs sqs:{action})", error.message);
        }
        error.context(&self.address.partition)
    }
}

/// What SQS said to each of up to ten.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) done: Vec<usize>,
    /// Index, code, and whether another try with the same receipt is of no use.
    pub(super) refused: Vec<(usize, String, bool)>,
}

fn index(id: &str) -> usize {
    id.parse().unwrap_or(usize::MAX)
}

fn refusal(entry: &aws_sdk_sqs::types::BatchResultErrorEntry) -> (usize, String, bool) {
    // A code, not a text: it quotes nothing.
    (index(&entry.id), entry.code.clone(), is_stale_receipt(&entry.code, entry.sender_fault))
}

fn incomplete() -> ConnectorError {
    ConnectorError::new(ErrorKind::Internal, "a message cannot be named to SQS")
}
