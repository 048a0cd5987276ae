//! Amazon Web Services: the only crate that names their clients (`aws-*`).
//!
//! [`client`] is how every service is reached: credentials, region, address, timeouts, retries. `error.rs` says what
//! their failures mean to us. Then one file for each thing that a service does here:
//!
//! * [`kms`]: root keys in a key file, wrapped by a KMS key.
//! * [`s3`]: records from objects, of notifications or of a bucket.
//! * [`kinesis`]: records from the shards of a stream.
//! * [`sqs`]: records from a queue.
//! * [`dynamodb`]: a table as a sink.
//! * [`cloudwatch`]: metrics of a run.

pub mod client;
pub mod cloudwatch;
pub mod dynamodb;
mod error;
pub mod kinesis;
pub mod kms;
pub mod s3;
pub mod sqs;
