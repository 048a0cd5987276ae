//! A queue of a test's own, and another consumer of it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry};
use cloakroom_aws::client::{ClientConfig, sdk_config};

pub(crate) struct TestQueue {
    client: Client,
    pub(crate) url: String,
    pub(crate) name: String,
}

impl TestQueue {
    pub(crate) async fn new(attributes: &[(&str, &str)]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let endpoint =
            std::env::var("CLOAKROOM_TEST_SQS_URL").expect("CLOAKROOM_TEST_SQS_URL; run the tests with `make test`");
        let config = ClientConfig { endpoint: Some(endpoint), emulated: true, ..ClientConfig::default() };
        let client = Client::new(&sdk_config(&config).await.unwrap());
        let is_fifo = attributes.contains(&("FifoQueue", "true"));
        let name = format!(
            "t{}-{}{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed),
            if is_fifo { ".fifo" } else { "" }
        );
        let mut call = client.create_queue().queue_name(&name);
        for (name, value) in attributes {
            call = call.attributes(QueueAttributeName::from(*name), *value);
        }
        let url = call.send().await.unwrap().queue_url.unwrap();
        Self { client, url, name }
    }

    /// Sends messages; gives their ids, in order.
    pub(crate) async fn send(&self, bodies: impl Iterator<Item = String>) -> Vec<String> {
        let bodies: Vec<String> = bodies.collect();
        let mut ids = Vec::with_capacity(bodies.len());
        for ten in bodies.chunks(10) {
            let entries = ten.iter().enumerate().map(|(index, body)| {
                SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(body).build().unwrap()
            });
            let call = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries.collect()));
            let mut sent = call.send().await.unwrap().successful;
            assert_eq!(sent.len(), ten.len());
            sent.sort_by_key(|sent| sent.id.parse::<usize>().unwrap());
            ids.extend(sent.into_iter().map(|sent| sent.message_id));
        }
        ids
    }

    pub(crate) async fn send_to_group(&self, group: &str, body: &str) {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let once = NUMBER.fetch_add(1, Ordering::Relaxed).to_string();
        let call = self.client.send_message().queue_url(&self.url).message_body(body);
        call.message_group_id(group).message_deduplication_id(once).send().await.unwrap();
    }

    /// One message with an attribute of each type.
    pub(crate) async fn send_with_attributes(&self, body: &str) -> String {
        let value = |kind: &str| MessageAttributeValue::builder().data_type(kind);
        let call = self.client.send_message().queue_url(&self.url).message_body(body);
        let call = call
            .message_attributes("tenant", value("String").string_value("a\"b").build().unwrap())
            .message_attributes("weight", value("Number.kg").string_value("12.50").build().unwrap())
            .message_attributes("raw", value("Binary").binary_value(Blob::new([0, 255])).build().unwrap());
        call.send().await.unwrap().message_id.unwrap()
    }

    /// What another consumer gets until nothing came for so long: the ids.
    pub(crate) async fn receive_all(&self, patience: Duration) -> Vec<String> {
        let mut ids = Vec::new();
        let mut last = Instant::now();
        while last.elapsed() < patience {
            let call = self.client.receive_message().queue_url(&self.url).max_number_of_messages(10);
            let messages = call.send().await.unwrap().messages.unwrap_or_default();
            if messages.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            } else {
                last = Instant::now();
            }
            ids.extend(messages.into_iter().map(|message| message.message_id.unwrap()));
        }
        ids
    }

    /// Messages that are visible, and in flight.
    pub(crate) async fn counts(&self) -> (u64, u64) {
        let attributes = self.attributes().await;
        let number = |name| attributes[&name].parse().unwrap();
        (
            number(QueueAttributeName::ApproximateNumberOfMessages),
            number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        )
    }

    pub(crate) async fn arn(&self) -> String {
        self.attributes().await[&QueueAttributeName::QueueArn].clone()
    }

    async fn attributes(&self) -> std::collections::HashMap<QueueAttributeName, String> {
        let call = self.client.get_queue_attributes().queue_url(&self.url).attribute_names(QueueAttributeName::All);
        call.send().await.unwrap().attributes.unwrap()
    }
}
