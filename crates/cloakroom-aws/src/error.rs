//! What a failed call to a service means. Their own texts are not repeated: they quote what they were sent.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::error::ProvideErrorMetadata;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};

/// What a call's failure means. `known` knows the codes of one service; what it does not know is decided here, by the codes
/// that all services share, and by the status.
pub(crate) fn failure<E>(error: &SdkError<E, HttpResponse>, known: fn(&str) -> Option<ConnectorError>) -> ConnectorError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let Some(cause) = causes(error).find_map(|cause| cause.downcast_ref::<CredentialsError>()) {
        return of_credentials(cause);
    }
    match error {
        SdkError::ServiceError(refused) => {
            let code = refused.err().code().unwrap_or_default();
            let status = refused.raw().status().as_u16();
            known(code).unwrap_or_else(|| of_code(code, status))
        }
        SdkError::TimeoutError(_) => ConnectorError::unavailable("AWS did not answer in time"),
        // As a rule its connection broke, whatever the status: what it refuses stands in the part that is missing. What is
        // asked for again comes whole.
        SdkError::ResponseError(_) => {
            ConnectorError::unavailable("an answer of AWS cannot be read; it broke off, or another server gave it")
        }
        SdkError::DispatchFailure(failed) if failed.is_timeout() => {
            ConnectorError::unavailable("AWS did not answer in time")
        }
        SdkError::DispatchFailure(failed) if failed.is_io() => ConnectorError::unavailable(
            "AWS cannot be reached; check region and network, or `endpoint`, which is left out for AWS itself",
        ),
        SdkError::DispatchFailure(_) => ConnectorError::unavailable("the call to AWS could not be sent"),
        _ => ConnectorError::configuration("the call to AWS cannot be made with these settings"),
    }
}

/// Why there are no credentials.
fn of_credentials(error: &CredentialsError) -> ConnectorError {
    match error {
        // Whoever gives them does not answer: STS, the container's or the machine's own service.
        CredentialsError::ProviderTimedOut(_) | CredentialsError::ProviderError(_) => ConnectorError::unavailable(
            "credentials for AWS could not be fetched; check the role, and whether whoever gives them can be reached",
        ),
        _ => ConnectorError::new(
            ErrorKind::Denied,
            "there are no credentials for AWS; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run \
             where a role is given",
        ),
    }
}

/// True when a code is about who asks, and so about every call.
pub(crate) fn is_about_credentials(code: &str) -> bool {
    matches!(
        last(code),
        "ExpiredTokenException"
            | "ExpiredToken"
            | "InvalidToken"
            | "TokenRefreshRequired"
            | "UnrecognizedClientException"
            | "InvalidAccessKeyId"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "RequestExpired"
    )
}

/// `ThrottlingException` of `KMS.ThrottlingException` and of `com.amazonaws#ThrottlingException`.
pub(crate) fn last(code: &str) -> &str {
    code.rsplit(['.', '#']).next().unwrap_or_default()
}

/// Codes that every service uses (<https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html>), and the names
/// under which they throttle.
fn of_code(code: &str, status: u16) -> ConnectorError {
    match last(code) {
        "ThrottlingException"
        | "ThrottledException"
        | "Throttling"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "LimitExceededException"
        | "ProvisionedThroughputExceededException"
        | "BandwidthLimitExceeded"
        | "SlowDown"
        | "PriorRequestNotComplete" => ConnectorError::unavailable(format!("AWS throttles ({code})")),
        "RequestTimeout" | "RequestTimeoutException" => ConnectorError::unavailable(format!("AWS answers {code}")),
        "AccessDeniedException" | "AccessDenied" | "NotAuthorized" | "OptInRequired" => ConnectorError::new(
            ErrorKind::Denied,
            format!("AWS denies it ({code}): the policies of role and key do not allow it"),
        ),
        _ if is_about_credentials(code) => {
            ConnectorError::new(ErrorKind::Denied, format!("AWS does not accept the credentials ({code})"))
        }
        _ if status == 429 || status >= 500 => ConnectorError::unavailable(format!("AWS answers {status}")),
        _ if status == 401 || status == 403 => {
            ConnectorError::new(ErrorKind::Denied, format!("AWS answers {status}: it does not allow this"))
        }
        _ if status < 300 => ConnectorError::new(ErrorKind::Corrupt, "AWS answered something else than was asked for"),
        _ => {
            let code = if is_name(code) { format!(", {code}") } else { String::new() };
            ConnectorError::configuration(format!(
                "AWS refuses the call ({status}{code}); check region, address and names"
            ))
        }
    }
}

/// Whether it is written as codes of AWS are. Another server may have put anything there.
fn is_name(code: &str) -> bool {
    code.len() <= 64
        && code.starts_with(|first: char| first.is_ascii_uppercase())
        && code.chars().all(|letter| letter.is_ascii_alphabetic() || letter == '.')
}

/// An error and what caused it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let next = |error: &&'a (dyn Error + 'static)| -> Option<&'a (dyn Error + 'static)> { (*error).source() };
    std::iter::successors(Some(error), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_decide_before_the_status() {
        for (code, status, expected) in [
            ("ThrottlingException", 400, ErrorKind::Unavailable),
            ("KMS.ThrottlingException", 400, ErrorKind::Unavailable),
            ("com.amazonaws#RequestTimeout", 400, ErrorKind::Unavailable),
            ("InvalidToken", 400, ErrorKind::Denied),
            ("", 429, ErrorKind::Unavailable),
            ("InternalFailure", 500, ErrorKind::Unavailable),
            ("ServiceUnavailable", 503, ErrorKind::Unavailable),
            ("AccessDeniedException", 400, ErrorKind::Denied),
            ("ExpiredTokenException", 400, ErrorKind::Denied),
            ("", 403, ErrorKind::Denied),
            ("ValidationException", 400, ErrorKind::Configuration),
            ("", 200, ErrorKind::Corrupt),
        ] {
            assert_eq!(of_code(code, status).kind, expected, "{code} {status}");
        }
    }

    #[test]
    fn credentials_that_cannot_be_fetched_now_may_be_later() {
        for (error, expected) in [
            (CredentialsError::not_loaded("nobody has any"), ErrorKind::Denied),
            (CredentialsError::invalid_configuration("half a profile"), ErrorKind::Denied),
            (CredentialsError::provider_error("503 of STS"), ErrorKind::Unavailable),
            (CredentialsError::provider_timed_out(std::time::Duration::from_secs(5)), ErrorKind::Unavailable),
        ] {
            assert_eq!(of_credentials(&error).kind, expected, "{error}");
        }
    }

    #[test]
    fn an_unknown_code_is_named_only_when_it_is_one() {
        assert!(of_code("NoSuchThing", 400).to_string().contains("(400, NoSuchThing)"));
        for code in ["", "4111111111111111", "a@b.org", "NoSuch Thing", "nosuchthing", &"A".repeat(65)] {
            assert!(of_code(code, 400).to_string().contains("(400);"), "{}", code.len());
        }
    }
}
