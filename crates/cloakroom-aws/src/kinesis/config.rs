//! What a pipeline file says about a stream.

use std::time::Duration;

use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::error::ConnectorError;
use schemars::JsonSchema;
use serde::Deserialize;

/// A stream of Amazon Kinesis: each record, and each part of an aggregated one, is one record. One run reads all shards, or
/// several share them by leases.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The stream's name or its ARN, which is needed when it belongs to another account.
    pub stream: Template,
    /// The region (default: the one in the ARN, else `AWS_REGION`, else the profile's; for an emulator on this machine
    /// else `us-east-1`).
    pub region: Option<Template>,
    /// Another address of Kinesis: a VPC endpoint, an emulator.
    pub endpoint: Option<Template>,
    /// The profile of credentials (default: `AWS_PROFILE`, else `default`).
    pub profile: Option<Template>,
    /// Where to begin when the sink's ledger knows nothing of the stream. Afterwards the ledger alone says where to go on.
    #[serde(default)]
    pub start: Start,
    /// The name of one more member of every record, an object: `shard`, `sequence_number`, `part` (of an aggregated record,
    /// counted from zero), `partition_key` and `arrival_timestamp` (milliseconds since 1970). The policy treats it like any
    /// other member.
    pub metadata: Option<String>,
    /// Several runs, also on several machines, share the shards: each reads those of which it holds the lease (default: one
    /// run reads all).
    pub leases: Option<Leases>,
}

/// A table of Amazon DynamoDB that holds a lease for each shard: who reads it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Leases {
    /// The table's name. It is made, paid by request, when it is not there. Several pipelines and streams may share it.
    pub table: Template,
    /// The region (default: as for the stream).
    pub region: Option<Template>,
    /// Another address of DynamoDB: a VPC endpoint, an emulator.
    pub endpoint: Option<Template>,
    /// The profile of credentials (default: `AWS_PROFILE`, else `default`).
    pub profile: Option<Template>,
    /// After so many seconds without a sign of life the shards of a worker are taken over, 2 to 3600 (default 30).
    #[serde(default = "thirty")]
    #[schemars(range(min = 2, max = 3600))]
    pub duration_s: u32,
    /// This worker's name, which no other has, and which it keeps when it is started again: then it takes up at once what it
    /// held (default: a new one each time).
    pub worker: Option<Template>,
}

fn thirty() -> u32 {
    30
}

impl Leases {
    pub(super) fn duration(&self) -> Duration {
        Duration::from_secs(u64::from(self.duration_s))
    }

    /// What can be said without DynamoDB.
    pub(super) fn check(&self) -> Result<(), ConnectorError> {
        let wrong = |text: &str| Err(ConnectorError::configuration(format!("kinesis: `leases`: {text}")));
        let table = self.table.resolve_plain()?;
        let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-:/".contains(&byte);
        if !(3..=1024).contains(&table.len()) || !table.bytes().all(of_a_name) {
            return wrong("`table` is a name of at least three letters, digits, `_`, `-` and `.`, or an ARN");
        }
        if !(2..=3600).contains(&self.duration_s) {
            return wrong("`duration_s` is 2 to 3600");
        }
        if self.worker()?.is_some_and(|worker| worker.is_empty() || worker.len() > 200 || worker.contains('/')) {
            return wrong("`worker` is a name of at most 200 bytes, without `/`");
        }
        Ok(())
    }

    pub(super) fn worker(&self) -> Result<Option<String>, ConnectorError> {
        self.worker.as_ref().map(Template::resolve_plain).transpose()
    }
}

/// Where to begin with a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// With the oldest record that the stream keeps.
    #[default]
    Oldest,
    /// With what arrives from now on. The time of the first run is kept in the ledger, so that nothing is lost after it.
    Latest,
}

/// A stream by its name or its ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) arn: Option<String>,
    pub(super) region: Option<String>,
}

impl Named {
    /// `arn:aws:kinesis:eu-west-1:123456789012:stream/logins` or `logins`.
    pub(super) fn parse(text: &str) -> Result<Self, ConnectorError> {
        let wrong = || ConnectorError::configuration("kinesis: `stream` is the name of a stream, or its ARN");
        let (name, arn, region) = match text.starts_with("arn:") {
            false => (text, None, None),
            true => {
                let parts: Vec<&str> = text.splitn(6, ':').collect();
                match parts[..] {
                    [_, _, "kinesis", region, _, resource] => {
                        let name = resource.strip_prefix("stream/").ok_or_else(wrong)?;
                        (name, Some(text.to_owned()), Some(region.to_owned()).filter(|region| !region.is_empty()))
                    }
                    _ => return Err(wrong()),
                }
            }
        };
        let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        match (1..=128).contains(&name.len()) && name.bytes().all(of_a_name) {
            true => Ok(Self { name: name.to_owned(), arn, region }),
            false => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_have_names_or_arns() {
        let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/my.logins_1-a";
        let named = Named::parse(arn).unwrap();
        assert_eq!(
            (&*named.name, named.arn.as_deref(), named.region.as_deref()),
            ("my.logins_1-a", Some(arn), Some("eu-west-1"))
        );
        assert_eq!(Named::parse("logins").unwrap(), Named { name: "logins".to_owned(), arn: None, region: None });
        let long = "x".repeat(129);
        for bad in
            ["", "a/b", "a b", &long, "arn:aws:sqs:eu-west-1:1:logins", "arn:aws:kinesis:eu-west-1:1:stream/", "arn:x"]
        {
            assert!(Named::parse(bad).is_err(), "{bad}");
        }
    }
}
