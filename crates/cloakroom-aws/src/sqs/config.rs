//! What a pipeline file says about a queue.

use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::error::ConnectorError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::address::Address;
use crate::client::plain;

/// Which queue, and how to ask it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueConfig {
    /// The queue's URL, as the console and `aws sqs get-queue-url` show it. It also says the region, and the address of an
    /// emulator or a VPC endpoint.
    pub queue_url: Template,
    /// The region (default: the one in the URL, else `AWS_REGION`, else the profile's; for an emulator on this machine
    /// else `us-east-1`).
    pub region: Option<Template>,
    /// Another address of SQS (default: the one in the URL).
    pub endpoint: Option<Template>,
    /// The profile of credentials (default: `AWS_PROFILE`, else `default`).
    pub profile: Option<Template>,
    /// Seconds that SQS may wait for a message before it says that there is none: 1 to 20. A run that is stopped while the
    /// queue is empty ends after at most as many.
    #[serde(default = "longest_wait")]
    pub wait_s: u8,
    /// How many calls ask for messages side by side: 1 to 64. An empty queue is asked by one.
    #[serde(default = "four")]
    pub receivers: usize,
    /// Seconds that messages stay hidden from others before they must be renewed (default: the queue's own setting). They are
    /// renewed until they have an outcome, whatever this is.
    pub visibility_timeout_s: Option<u16>,
}

fn longest_wait() -> u8 {
    20
}

fn four() -> usize {
    4
}

impl QueueConfig {
    /// What can be said without a network.
    ///
    /// # Errors
    /// The setting that cannot work.
    pub(crate) fn check(&self) -> Result<(), ConnectorError> {
        let within = |name: &str, is_in: bool, range: &str| match is_in {
            true => Ok(()),
            false => Err(ConnectorError::configuration(format!("`{name}` must be {range}"))),
        };
        within(
            "wait_s",
            (1..=20).contains(&self.wait_s),
            "1 to 20: SQS waits no longer, and not to wait would be to ask all the time",
        )?;
        within("receivers", (1..=64).contains(&self.receivers), "1 to 64")?;
        let hidden = self.visibility_timeout_s;
        within(
            "visibility_timeout_s",
            hidden.is_none_or(|hidden| (1..=43_200).contains(&hidden)),
            "1 to 43200, 12 hours",
        )?;
        Address::parse(&self.queue_url.resolve_plain()?).map(drop)
    }

    /// The region that the settings name, if they do.
    pub(crate) fn region(&self) -> Result<Option<String>, ConnectorError> {
        match plain(&self.region)? {
            Some(region) => Ok(Some(region)),
            None => Ok(Address::parse(&self.queue_url.resolve_plain()?)?.region),
        }
    }
}

/// A queue of Amazon SQS: each message is one record.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The queue's URL, as the console and `aws sqs get-queue-url` show it. It also says the region, and the address of an
    /// emulator or a VPC endpoint.
    pub queue_url: Template,
    /// The region (default: the one in the URL, else `AWS_REGION`, else the profile's; for an emulator on this machine
    /// else `us-east-1`).
    pub region: Option<Template>,
    /// Another address of SQS (default: the one in the URL).
    pub endpoint: Option<Template>,
    /// The profile of credentials (default: `AWS_PROFILE`, else `default`).
    pub profile: Option<Template>,
    /// Seconds that SQS may wait for a message before it says that there is none: 1 to 20. A run that is stopped while the
    /// queue is empty ends after at most as many.
    #[serde(default = "longest_wait")]
    pub wait_s: u8,
    /// How many calls ask for messages side by side: 1 to 64. An empty queue is asked by one.
    #[serde(default = "four")]
    pub receivers: usize,
    /// Seconds that messages stay hidden from others before they must be renewed (default: the queue's own setting). They are
    /// renewed until they have an outcome, whatever this is.
    pub visibility_timeout_s: Option<u16>,
    /// The name of one more member of every record, an object: `message_id`, `sent_timestamp` (milliseconds since 1970),
    /// `receive_count`, `group_id`, `sequence_number`, and `attributes`, those that the sender gave (binary ones in base64).
    /// The policy treats it like any other member. Without a name the attributes are left.
    pub metadata: Option<String>,
}

impl Config {
    /// The queue alone.
    pub(super) fn queue(&self) -> QueueConfig {
        QueueConfig {
            queue_url: self.queue_url.clone(),
            region: self.region.clone(),
            endpoint: self.endpoint.clone(),
            profile: self.profile.clone(),
            wait_s: self.wait_s,
            receivers: self.receivers,
            visibility_timeout_s: self.visibility_timeout_s,
        }
    }
}
