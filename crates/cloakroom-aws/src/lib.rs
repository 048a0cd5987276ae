//! Amazon Web Services: the only crate that names their clients (`aws-*`).
//!
//! [`client`] is how every service is reached: credentials, region, address, timeouts, retries. `error.rs` says what
//! their failures mean to us. Then one file for each thing that a service does here:
//!
//! * [`kms`]: root keys in a key file, wrapped by a KMS key.
//! * [`sqs`]: records from a queue.

pub mod client;
mod error;
pub mod kms;
pub mod s3;
pub mod sqs;
