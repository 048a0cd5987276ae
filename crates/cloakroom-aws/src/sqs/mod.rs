//! Records from an SQS queue.

mod address;
mod error;
mod held;
pub(crate) mod queue;

pub use queue::QueueConfig;
