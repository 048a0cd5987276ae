//! Streams of Amazon Kinesis as sources: the parts that need no network.
//!
//! - `aggregate`: records that the Kinesis Producer Library packed into one
//! - `shards`: which shards may be read now, so that the order of a key holds over splits and merges

pub mod aggregate;
pub mod shards;
