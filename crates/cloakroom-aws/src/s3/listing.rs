//! Objects that are there already: a bucket, or the part of it under a prefix, in the order of names.

use std::collections::VecDeque;

use aws_sdk_s3::Client;
use cloakroom_pipeline::error::ConnectorError;
use cloakroom_pipeline::retry::{Backoff, RetryConfig};

use super::notification::unquoted;
use super::object::{Pinned, known};
use crate::error::failure;

/// A walk through a bucket, a thousand names at a time.
pub(super) struct Listing {
    client: Client,
    bucket: String,
    prefix: String,
    retry: RetryConfig,
    page: VecDeque<Pinned>,
    next: Next,
}

enum Next {
    Page(Option<String>),
    End,
}

impl Listing {
    pub(super) fn new(client: Client, bucket: String, prefix: String, retry: RetryConfig) -> Self {
        Self { client, bucket, prefix, retry, page: VecDeque::new(), next: Next::Page(None) }
    }

    /// The next object; `None` after the last one.
    pub(super) async fn next(&mut self) -> Result<Option<Pinned>, ConnectorError> {
        loop {
            if let Some(pinned) = self.page.pop_front() {
                return Ok(Some(pinned));
            }
            let Next::Page(token) = &self.next else { return Ok(None) };
            let token = token.clone();
            let mut backoff = Backoff::new(self.retry).telling("s3: the bucket cannot be listed");
            loop {
                match self.turn(token.clone(), None).await {
                    Ok(()) => break,
                    Err(error) => tokio::time::sleep(backoff.after(error)?).await,
                }
            }
        }
    }

    /// Asks for a page.
    async fn turn(&mut self, token: Option<String>, most: Option<i32>) -> Result<(), ConnectorError> {
        let call = self.client.list_objects_v2().bucket(&self.bucket).prefix(&self.prefix);
        let answer = call.set_continuation_token(token).set_max_keys(most).send().await;
        let answer = answer.map_err(|error| failure(&error, known))?;
        for object in answer.contents() {
            let (Some(key), Some(etag)) = (object.key(), object.e_tag()) else { continue };
            // What ends in a slash and is empty is a folder that a console drew.
            if key.ends_with('/') && object.size() == Some(0) {
                continue;
            }
            let (bucket, key) = (self.bucket.clone(), key.to_owned());
            self.page.push_back(Pinned { bucket, key, etag: unquoted(etag), version: None });
        }
        self.next = match answer.next_continuation_token() {
            Some(token) if answer.is_truncated() == Some(true) => Next::Page(Some(token.to_owned())),
            _ => Next::End,
        };
        Ok(())
    }

    /// Tries whether the bucket can be listed, and says what is there.
    pub(super) async fn check(&mut self) -> Result<String, ConnectorError> {
        self.turn(None, Some(1)).await?;
        let some = if self.page.is_empty() { "no objects" } else { "objects" };
        Ok(match self.prefix.is_empty() {
            true => format!("bucket {}: {some}", self.bucket),
            false => format!("bucket {}: {some} under {}", self.bucket, self.prefix),
        })
    }
}
