//! The calls to Kinesis, and what its answers mean in words for whoever runs the pipeline.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{EncryptionType, ShardIteratorType, StreamStatus};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};

use super::config::{Config, Named};
use super::position::Position;
use super::shards::Shard;
use crate::client::{ClientConfig, patient, sdk_config};
use crate::error::failure;

/// How long an answer of 10 MiB may take: with [`patient`]'s own a minute, which a line of 1.5 Mbit/s needs.
const ANSWER: Duration = Duration::from_secs(50);

/// The most records that one call gives.
const MOST: i32 = 10_000;

/// A stream with its calls.
#[derive(Clone)]
pub(super) struct Stream {
    client: Client,
    /// For calls that bring records.
    patient: Client,
    named: Named,
}

/// A shard as the stream lists it.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) shard: Shard,
    /// It was split or merged: it gets no more records.
    pub(super) is_closed: bool,
}

/// What `GetRecords` answers.
pub(super) enum Answer {
    Records(GetRecordsOutput),
    /// The iterator is older than five minutes: a new one is needed.
    Expired,
    /// There is no such shard any more.
    Missing,
}

impl Stream {
    pub(super) async fn connect(config: &Config) -> Result<Self, ConnectorError> {
        let Config { stream, region, endpoint, profile, .. } = config;
        let mut aws = ClientConfig::resolve(region, endpoint, profile)?;
        let named = Named::parse(&stream.resolve_plain()?)?;
        aws.region = aws.region.or_else(|| named.region.clone());
        let sdk = sdk_config(&aws).await?;
        let patient = aws_sdk_kinesis::config::Builder::from(&sdk).timeout_config(patient(ANSWER)).build();
        Ok(Self { client: Client::new(&sdk), patient: Client::from_conf(patient), named })
    }

    pub(super) fn name(&self) -> &str {
        &self.named.name
    }

    /// The name, where it is not in the ARN.
    fn given_name(&self) -> Option<String> {
        self.named.arn.is_none().then(|| self.named.name.clone())
    }

    /// All shards that the stream still has records of, open or closed.
    pub(super) async fn list(&self) -> Result<Vec<Listed>, ConnectorError> {
        let (mut shards, mut next) = (Vec::new(), None::<String>);
        loop {
            let call = self.client.list_shards();
            let call = match next.take() {
                // A token says which stream it is about, and the service refuses to be told twice.
                Some(token) => call.next_token(token),
                None => call.set_stream_name(self.given_name()).set_stream_arn(self.named.arn.clone()),
            };
            let answer = call.send().await.map_err(|error| failed("ListShards", &error))?;
            shards.extend(answer.shards().iter().map(|shard| {
                Listed {
                    shard: Shard {
                        id: shard.shard_id().to_owned(),
                        parents: [shard.parent_shard_id(), shard.adjacent_parent_shard_id()]
                            .into_iter()
                            .flatten()
                            .map(str::to_owned)
                            .collect(),
                    },
                    is_closed: shard
                        .sequence_number_range()
                        .is_some_and(|range| range.ending_sequence_number().is_some()),
                }
            }));
            match answer.next_token {
                Some(token) => next = Some(token),
                None => return Ok(shards),
            }
        }
    }

    /// An iterator that begins after a position; nothing when there is no such shard any more.
    pub(super) async fn iterator(&self, shard: &str, from: &Position) -> Result<Option<String>, ConnectorError> {
        let call = self.client.get_shard_iterator().shard_id(shard);
        let call = call.set_stream_name(self.given_name()).set_stream_arn(self.named.arn.clone());
        let call = match from {
            Position::Oldest => call.shard_iterator_type(ShardIteratorType::TrimHorizon),
            Position::Since(time) => call
                .shard_iterator_type(ShardIteratorType::AtTimestamp)
                .timestamp(DateTime::from_millis(i64::try_from(*time).unwrap_or(i64::MAX))),
            Position::After { sequence, part: None } => {
                call.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).starting_sequence_number(sequence)
            }
            // The rest of it is to be read.
            Position::After { sequence, part: Some(_) } => {
                call.shard_iterator_type(ShardIteratorType::AtSequenceNumber).starting_sequence_number(sequence)
            }
            Position::End => return Ok(None),
        };
        let strange = || ConnectorError::new(ErrorKind::Corrupt, "Kinesis gave no iterator for a shard");
        match call.send().await {
            Ok(answer) => answer.shard_iterator.ok_or_else(strange).map(Some),
            Err(error) if error.code() == Some(MISSING) => Ok(None),
            Err(error) if error.code() == Some("InvalidArgumentException") => Err(match from {
                // It waits until Kinesis has that time too.
                Position::Since(_) => ConnectorError::unavailable(
                    "Kinesis does not take the time at which reading begins; is the clock of this machine ahead?",
                ),
                Position::After { .. } => ConnectorError::configuration(
                    "the ledger's position is none of this shard; a stream that was made anew under an old name needs \
                     another name of the pipeline",
                ),
                _ => failed("GetShardIterator", &error),
            }),
            Err(error) => Err(failed("GetShardIterator", &error)),
        }
    }

    pub(super) async fn records(&self, iterator: &str) -> Result<Answer, ConnectorError> {
        let call =
            self.patient.get_records().shard_iterator(iterator).limit(MOST).set_stream_arn(self.named.arn.clone());
        match call.send().await {
            Ok(answer) => Ok(Answer::Records(answer)),
            Err(error) if error.code() == Some("ExpiredIteratorException") => Ok(Answer::Expired),
            Err(error) if error.code() == Some(MISSING) => Ok(Answer::Missing),
            Err(error) => Err(failed("GetRecords", &error)),
        }
    }

    /// Status, open shards, encryption and retention, in words. Also tries whether the shards may be listed and read.
    pub(super) async fn describe(&self) -> Result<String, ConnectorError> {
        let call = self.client.describe_stream_summary();
        let call = call.set_stream_name(self.given_name()).set_stream_arn(self.named.arn.clone());
        let answer = call.send().await.map_err(|error| failed("DescribeStreamSummary", &error))?;
        let strange = || ConnectorError::new(ErrorKind::Corrupt, "Kinesis answered something else than was asked for");
        let about = answer.stream_description_summary().ok_or_else(strange)?;
        if matches!(about.stream_status(), StreamStatus::Creating | StreamStatus::Deleting) {
            return Err(ConnectorError::unavailable(format!(
                "the stream {} is {}",
                self.name(),
                about.stream_status().as_str().to_ascii_lowercase()
            )));
        }
        if let Some(open) = self.list().await?.iter().find(|listed| !listed.is_closed) {
            self.iterator(&open.shard.id, &Position::Oldest).await?.ok_or_else(missing)?;
        }
        let encryption = match about.encryption_type() {
            Some(EncryptionType::Kms) => "encrypted with a KMS key",
            _ => "not encrypted by Kinesis",
        };
        let (shards, hours) = (about.open_shard_count(), about.retention_period_hours());
        let plural = if shards == 1 { "" } else { "s" };
        Ok(format!(
            "stream {}: {}, {shards} open shard{plural}, {encryption}, records are kept for {hours} hours",
            self.name(),
            about.stream_status().as_str().to_ascii_lowercase(),
        ))
    }
}

/// What a failed call means.
fn failed<E>(action: &str, error: &SdkError<E, HttpResponse>) -> ConnectorError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error.code() {
        Some("AccessDeniedException") => {
            ConnectorError::new(ErrorKind::Denied, format!("the role needs kinesis:{action} for the stream"))
        }
        _ => failure(error, known),
    }
}

/// The code for a stream or a shard that is not there.
const MISSING: &str = "ResourceNotFoundException";

pub(super) fn missing() -> ConnectorError {
    ConnectorError::configuration(
        "there is no such stream or shard; check account, name and region in `stream`, and `region` where it is given",
    )
}

/// The codes of Kinesis (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html>).
fn known(code: &str) -> Option<ConnectorError> {
    let denied = |text: &str| ConnectorError::new(ErrorKind::Denied, text.to_owned());
    Some(match code {
        MISSING => missing(),
        "ResourceInUseException" => ConnectorError::unavailable("the stream is being changed"),
        "ProvisionedThroughputExceededException" => ConnectorError::unavailable(
            "Kinesis throttles: all readers of a shard together have 5 calls and 2 MB a second",
        ),
        "LimitExceededException" => ConnectorError::unavailable("Kinesis throttles: too many calls about the stream"),
        "ExpiredNextTokenException" => ConnectorError::unavailable("the list of shards took too long"),
        "KMSThrottlingException" => {
            ConnectorError::unavailable("KMS throttles, and the stream is encrypted with a key of it")
        }
        "KMSAccessDeniedException" | "KMSOptInRequired" => denied(
            "the stream is encrypted with a KMS key that this role may not use; it needs kms:Decrypt for the key",
        ),
        "KMSDisabledException" | "KMSInvalidStateException" | "KMSNotFoundException" => {
            denied("the stream is encrypted with a KMS key that cannot be used: it is disabled or deleted")
        }
        "UnknownOperationException" | "InvalidAction" => {
            ConnectorError::configuration("the address does not answer like Kinesis; check `endpoint`")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_kinds() {
        for (code, kind) in [
            ("ResourceNotFoundException", ErrorKind::Configuration),
            ("ProvisionedThroughputExceededException", ErrorKind::Unavailable),
            ("KMSThrottlingException", ErrorKind::Unavailable),
            ("KMSAccessDeniedException", ErrorKind::Denied),
            ("KMSDisabledException", ErrorKind::Denied),
        ] {
            assert_eq!(known(code).unwrap().kind, kind, "{code}");
        }
        assert!(known("ThrottlingException").is_none(), "shared by all services");
    }
}
