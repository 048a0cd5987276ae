//! What the codes of SQS mean, in words for whoever runs the pipeline.

use cloakroom_pipeline::error::{ConnectorError, ErrorKind};

use crate::error::last;

/// The codes of SQS
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html>). The older names stand there
/// because SQS still sends them to clients that speak JSON.
pub(super) fn known(code: &str) -> Option<ConnectorError> {
    let denied = |text: &str| ConnectorError::new(ErrorKind::Denied, text.to_owned());
    // `AWS.SimpleQueueService.NonExistentQueue`, `com.amazonaws.sqs#QueueDoesNotExist`
    let name = last(code);
    // SQS sends `KMS.AccessDeniedException` for what its model calls `KmsAccessDenied`.
    let of_kms = code.contains("KMS.").then(|| format!("Kms{}", name.trim_end_matches("Exception")));
    Some(match of_kms.as_deref().unwrap_or(name) {
        "QueueDoesNotExist" | "NonExistentQueue" => ConnectorError::configuration(
            "there is no such queue; check account, name and region in `queue_url`, and `region` where it is given",
        ),
        "QueueDeletedRecently" => ConnectorError::configuration("the queue was deleted a moment ago"),
        "InvalidAddress" => ConnectorError::configuration("SQS does not take the URL of the queue; check `queue_url`"),
        "OverLimit" => ConnectorError::unavailable(
            "as many messages of the queue are in flight as SQS allows (120,000; FIFO 20,000): somebody takes them and \
             does not delete them",
        ),
        "RequestThrottled" => ConnectorError::unavailable("SQS throttles the queue"),
        "KmsThrottled" | "KmsThrottling" => {
            ConnectorError::unavailable("KMS throttles, and the queue is encrypted with a key of it")
        }
        "KmsAccessDenied" | "KmsOptInRequired" => {
            denied("the queue is encrypted with a KMS key that this role may not use; it needs kms:Decrypt for the key")
        }
        "KmsDisabled" | "KmsInvalidState" | "KmsNotFound" | "KmsInvalidKeyUsage" => denied(
            "the queue is encrypted with a KMS key that cannot be used: it is disabled, deleted or of another kind",
        ),
        "InvalidSecurity" => denied("SQS wants TLS, or a request signed for another service; check `endpoint`"),
        "UnsupportedOperation" | "InvalidAction" => {
            ConnectorError::configuration("the address does not answer like SQS; check `queue_url` and `endpoint`")
        }
        _ => return None,
    })
}

/// True when SQS will not take this receipt later either: it is too old, or its message is in the queue again.
pub(super) fn is_stale_receipt(code: &str, sender_fault: bool) -> bool {
    let name = last(code);
    sender_fault && !matches!(name, "RequestThrottled" | "ThrottlingException" | "OverLimit")
        || matches!(name, "ReceiptHandleIsInvalid" | "MessageNotInflight" | "InvalidParameterValue" | "InvalidIdFormat")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_kinds_under_their_old_and_new_names() {
        for (code, kind) in [
            ("QueueDoesNotExist", ErrorKind::Configuration),
            ("AWS.SimpleQueueService.NonExistentQueue", ErrorKind::Configuration),
            ("com.amazonaws.sqs#OverLimit", ErrorKind::Unavailable),
            ("RequestThrottled", ErrorKind::Unavailable),
            ("KmsAccessDenied", ErrorKind::Denied),
            ("KMS.AccessDeniedException", ErrorKind::Denied),
            ("KMS.ThrottlingException", ErrorKind::Unavailable),
            ("KMS.InvalidStateException", ErrorKind::Denied),
            ("KMS.OptInRequired", ErrorKind::Denied),
        ] {
            assert_eq!(known(code).unwrap().kind, kind, "{code}");
        }
        assert!(known("AccessDenied").is_none(), "shared by all services");
        assert!(is_stale_receipt("ReceiptHandleIsInvalid", true));
        assert!(is_stale_receipt("AWS.SimpleQueueService.MessageNotInflight", false));
        assert!(!is_stale_receipt("InternalError", false) && !is_stale_receipt("RequestThrottled", true));
    }
}
