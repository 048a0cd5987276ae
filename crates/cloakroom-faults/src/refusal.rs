//! Answers of services that fail.

use serde_json::json;

use crate::Request;

const MESSAGE: &str = "refused by the fault kit";

/// Status, content type and body of an answer that refuses.
pub(crate) fn refusal(request: &Request, status: u16, code: Option<&'static str>) -> (u16, &'static str, Vec<u8>) {
    match request.api() {
        Api::Json(service) => {
            let (status, code) = match (status, code) {
                (status, Some(code)) => (status, code),
                (429, None) if service.starts_with("AmazonSQS") => (400, "RequestThrottled"),
                (429, None) if service.starts_with("DynamoDB") || service.starts_with("Kinesis") => {
                    (400, "ProvisionedThroughputExceededException")
                }
                (429, None) => (400, "ThrottlingException"),
                (503, None) => (503, "ServiceUnavailable"),
                (status, None) => (status, "InternalFailure"),
            };
            let body = json!({ "__type": format!("com.amazonaws#{code}"), "message": MESSAGE });
            (status, "application/x-amz-json-1.0", body.to_string().into_bytes())
        }
        Api::Cbor => {
            let (status, code) = match (status, code) {
                (status, Some(code)) => (status, code),
                (429, None) => (400, "ThrottlingException"),
                (status, None) => (status, "InternalServiceFault"),
            };
            (status, "application/cbor", cbor(&[("__type", &format!("com.amazonaws#{code}")), ("message", MESSAGE)]))
        }
        Api::S3 => {
            let (status, code) = match (status, code) {
                (status, Some(code)) => (status, code),
                (429, None) => (503, "SlowDown"),
                (503, None) => (503, "ServiceUnavailable"),
                (status, None) => (status, "InternalError"),
            };
            let body = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{MESSAGE}</Message></Error>"
            );
            (status, "application/xml", body.into_bytes())
        }
        Api::Other => {
            let code = code.unwrap_or(match status {
                429 => "es_rejected_execution_exception",
                503 => "unavailable_shards_exception",
                _ => "exception",
            });
            let body = json!({ "error": { "type": code, "reason": MESSAGE }, "status": status });
            (status, "application/json", body.to_string().into_bytes())
        }
    }
}

/// A map of texts (RFC 8949, section 3), each of less than 256 bytes.
fn cbor(members: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = vec![0xA0 | u8::try_from(members.len()).expect("a few members")];
    for text in members.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend([0x78, u8::try_from(text.len()).expect("a short text")]);
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// How a request's service speaks.
pub(crate) enum Api<'a> {
    /// Amazon's JSON protocols, with the service's part of `X-Amz-Target`.
    Json(&'a str),
    /// Amazon's protocol of CBOR, Smithy RPC v2: CloudWatch.
    Cbor,
    S3,
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_refuses_in_its_own_way() {
        let request = |target: Option<&str>, signed| Request::of_parts("POST", "/x", target, signed);
        let cbor =
            || Request::of_parts("POST", "/service/GraniteServiceVersion20100801/operation/PutMetricData", None, true);
        for (request, status, code, expected, words) in [
            (request(Some("AmazonSQS.ReceiveMessage"), true), 429, None, 400, "#RequestThrottled"),
            (request(Some("DynamoDB_20120810.PutItem"), true), 429, None, 400, "#ProvisionedThroughputExceeded"),
            (request(Some("TrentService.Decrypt"), true), 400, Some("AccessDeniedException"), 400, "#AccessDenied"),
            (request(Some("TrentService.Decrypt"), true), 500, None, 500, "#InternalFailure"),
            (request(None, true), 429, None, 503, "<Code>SlowDown</Code>"),
            (cbor(), 429, None, 400, "com.amazonaws#ThrottlingException"),
            (cbor(), 503, None, 503, "com.amazonaws#InternalServiceFault"),
            (request(None, false), 429, None, 429, "es_rejected_execution_exception"),
            (request(None, false), 500, None, 500, "\"status\":500"),
        ] {
            let (given, _, body) = refusal(&request, status, code);
            let body = String::from_utf8_lossy(&body);
            assert_eq!(given, expected, "{body}");
            assert!(body.contains(words), "{body}");
        }
    }
}
