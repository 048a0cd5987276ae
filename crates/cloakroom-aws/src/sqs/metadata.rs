//! What SQS and the sender say about a message, as one JSON object.

use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName as Name};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::queue::Message;

/// The object: members that SQS does not give are left out.
pub(super) fn about(message: &Message) -> Bytes {
    let mut out = Members::new();
    out.text("message_id", &message.id);
    let number = |name: &Name| message.system(name).filter(|text| is_number(text));
    for (member, name) in [("sent_timestamp", Name::SentTimestamp), ("receive_count", Name::ApproximateReceiveCount)] {
        if let Some(text) = number(&name) {
            out.literal(member, text);
        }
    }
    // A sequence number has 20 digits: as text no reader rounds it.
    for (member, name) in [("group_id", Name::MessageGroupId), ("sequence_number", Name::SequenceNumber)] {
        if let Some(text) = message.system(&name) {
            out.text(member, text);
        }
    }
    let mut attributes: Vec<_> = message.received.message_attributes().into_iter().flatten().collect();
    attributes.sort_unstable_by_key(|(name, _)| *name);
    let mut given = Members::new();
    for (name, value) in attributes {
        attribute(&mut given, name, value);
    }
    out.literal("attributes", &given.end());
    Bytes::from(out.end())
}

/// `Number` and `Number.int` are types of numbers; SQS does not look whether the text is one.
fn attribute(out: &mut Members, name: &str, value: &MessageAttributeValue) {
    let kind = value.data_type().split('.').next().unwrap_or_default();
    match (value.string_value(), value.binary_value()) {
        (Some(text), _) if kind == "Number" && is_number(text) => out.literal(name, text),
        (Some(text), _) => out.text(name, text),
        (None, Some(bytes)) => out.text(name, &STANDARD.encode(bytes.as_ref())),
        (None, None) => {}
    }
}

/// True for a number as JSON writes it.
fn is_number(text: &str) -> bool {
    serde_json::from_str::<serde_json::Number>(text).is_ok() && text.trim().len() == text.len()
}

/// Members of an object, written one after the other.
struct Members(String);

impl Members {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn literal(&mut self, name: &str, value: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0 += &serde_json::Value::from(name).to_string();
        self.0.push(':');
        self.0 += value;
    }

    fn text(&mut self, name: &str, value: &str) {
        self.literal(name, &serde_json::Value::from(value).to_string());
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::primitives::Blob;
    use aws_sdk_sqs::types::Message as Received;

    use super::*;

    #[test]
    fn attributes_become_members_of_their_types() {
        let given = |kind: &str, text: &str| {
            MessageAttributeValue::builder().data_type(kind).string_value(text).build().unwrap()
        };
        let received = Received::builder()
            .attributes(Name::SentTimestamp, "1700000000000")
            .attributes(Name::ApproximateReceiveCount, "2")
            .attributes(Name::MessageGroupId, "g\"1")
            .attributes(Name::SequenceNumber, "18849496460467696128")
            .message_attributes("tenant", given("String", "a\nb"))
            .message_attributes("price", given("Number.euro", "12.50"))
            .message_attributes("odd", given("Number", "0x10"))
            .message_attributes(
                "raw",
                MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new([0, 255])).build().unwrap(),
            )
            .build();
        let text = about(&Message { id: "m-1".into(), received });
        assert_eq!(
            std::str::from_utf8(&text).unwrap(),
            "{\"message_id\":\"m-1\",\"sent_timestamp\":1700000000000,\"receive_count\":2,\"group_id\":\"g\\\"1\",\
             \"sequence_number\":\"18849496460467696128\",\
             \"attributes\":{\"odd\":\"0x10\",\"price\":12.50,\"raw\":\"AP8=\",\"tenant\":\"a\\nb\"}}"
        );
        let text = about(&Message { id: "m-2".into(), received: Received::builder().build() });
        assert_eq!(std::str::from_utf8(&text).unwrap(), "{\"message_id\":\"m-2\",\"attributes\":{}}");
    }
}
