//! How a command ends badly: a text for people and an exit code.

use std::process::ExitCode;

use cloakroom_pipeline::ConnectorError;
use cloakroom_pipeline::config::ConfigError;

use crate::output;

/// Why a command failed. Exit codes: 2 usage or configuration, 3 a dependency failed, 4 denied.
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The text.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Writes it to standard error and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        output::error(&self.message);
        ExitCode::from(self.code)
    }
}

impl From<ConnectorError> for Failure {
    fn from(error: ConnectorError) -> Self {
        Self::new(error.kind.exit_code(), error.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(2, error.to_string())
    }
}
