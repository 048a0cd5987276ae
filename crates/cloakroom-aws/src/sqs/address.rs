//! What the URL of a queue says: whose it is, its name, where it is reached.

use std::sync::Arc;

use cloakroom_pipeline::error::ConnectorError;

use crate::client::is_here;

/// A queue's URL, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// As SQS wants it with every call.
    pub(super) url: String,
    /// `sqs/ACCOUNT/NAME`: the same however the queue is reached.
    pub(super) partition: Arc<str>,
    /// Where calls go, unless SQS' own address of the region does.
    pub(super) endpoint: Option<String>,
    /// The region that stands in the host's name.
    pub(super) region: Option<String>,
    /// An emulator on this machine.
    pub(super) is_emulated: bool,
}

impl Address {
    /// Takes a URL apart: `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`, the same behind a VPC endpoint, or an
    /// emulator's `http://localhost:4566/000000000000/NAME`.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn parse(url: &str) -> Result<Self, ConnectorError> {
        let url = url.trim().trim_end_matches('/');
        let wrong = || {
            ConnectorError::configuration(
                "`queue_url` is not the URL of a queue; it looks like https://sqs.eu-west-1.amazonaws.com/123456789012/NAME",
            )
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let (host, path) = rest.split_once('/').ok_or_else(wrong)?;
        let odd = |text: &str| text.chars().any(|letter| letter.is_whitespace() || "@?#".contains(letter));
        if !matches!(scheme, "https" | "http") || host.is_empty() || odd(rest) {
            return Err(wrong());
        }
        // Emulators put more before them: /queue/REGION/ACCOUNT/NAME.
        let mut parts = path.rsplit('/');
        let (name, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if name.is_empty() || account.is_empty() {
            return Err(wrong());
        }
        let is_amazon = [".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws"]
            .iter()
            .any(|ending| host.ends_with(ending));
        let region = host.split('.').find(|label| is_amazon && is_region(label)).map(str::to_owned);
        let is_public = region.as_ref().is_some_and(|region| {
            // The second is how URLs were written once.
            [format!("sqs.{region}.amazonaws."), format!("{region}.queue.amazonaws.")]
                .iter()
                .any(|known| host.starts_with(known))
        });
        Ok(Self {
            url: url.to_owned(),
            partition: format!("sqs/{account}/{name}").into(),
            endpoint: (!is_public).then(|| format!("{scheme}://{host}")),
            region,
            is_emulated: scheme == "http" && is_here(host),
        })
    }
}

/// `eu-west-1`, `us-gov-east-1`.
fn is_region(label: &str) -> bool {
    let parts: Vec<&str> = label.split('-').collect();
    let word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    match parts.split_last() {
        Some((number, words)) => {
            words.len() >= 2 && words.iter().all(word) && words[0].len() <= 4 && number.parse::<u8>().is_ok()
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_partition_endpoint_and_region() {
        for (url, partition, endpoint, region, emulated) in [
            (
                "https://sqs.eu-west-1.amazonaws.com/123456789012/q",
                "sqs/123456789012/q",
                None,
                Some("eu-west-1"),
                false,
            ),
            ("https://sqs.cn-north-1.amazonaws.com.cn/1/q.fifo", "sqs/1/q.fifo", None, Some("cn-north-1"), false),
            ("https://us-east-2.queue.amazonaws.com/1/q/", "sqs/1/q", None, Some("us-east-2"), false),
            (
                "https://sqs-fips.us-gov-west-1.amazonaws.com/1/q",
                "sqs/1/q",
                Some("https://sqs-fips.us-gov-west-1.amazonaws.com"),
                Some("us-gov-west-1"),
                false,
            ),
            (
                "https://vpce-0a-1b.sqs.ap-southeast-2.vpce.amazonaws.com/1/q",
                "sqs/1/q",
                Some("https://vpce-0a-1b.sqs.ap-southeast-2.vpce.amazonaws.com"),
                Some("ap-southeast-2"),
                false,
            ),
            (
                "http://localhost:4566/queue/eu-west-1/000000000000/q",
                "sqs/000000000000/q",
                Some("http://localhost:4566"),
                None,
                true,
            ),
            ("http://127.0.0.1:9324/0/q", "sqs/0/q", Some("http://127.0.0.1:9324"), None, true),
            ("https://sqs.example/1/q", "sqs/1/q", Some("https://sqs.example"), None, false),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(&*address.partition, partition, "{url}");
            assert_eq!(address.endpoint.as_deref(), endpoint, "{url}");
            assert_eq!(address.region.as_deref(), region, "{url}");
            assert_eq!(address.is_emulated, emulated, "{url}");
        }
    }

    #[test]
    fn anything_else_is_refused_without_being_repeated() {
        for url in [
            "",
            "login-queue",
            "arn:aws:sqs:eu-west-1:1:q",
            "https://sqs.eu-west-1.amazonaws.com/",
            "https://sqs.eu-west-1.amazonaws.com/1",
            "https://sqs.eu-west-1.amazonaws.com//q",
            "https://user:s3cret@localhost/1/q",
            "https://localhost/1/q?Action=s3cret",
            "ftp://localhost/1/q",
            "https:///1/q",
        ] {
            let error = Address::parse(url).unwrap_err();
            assert!(error.message.contains("is not the URL of a queue") && !error.message.contains("s3cret"), "{url}");
        }
    }
}
