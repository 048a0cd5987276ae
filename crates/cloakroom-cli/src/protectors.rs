//! Who can wrap the root keys in a key file, by the word that stands there. A new provider is one line here and one
//! value of `--protect`.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use cloakroom_connect::vault_transit::VaultTransit;
use cloakroom_crypto::{ExposeSecret, Protection, SecretString};
use cloakroom_pipeline::keys::passphrase::{Passphrase, with_new_passphrase};
#[cfg(not(feature = "aws"))]
use cloakroom_pipeline::keys::protect::Provider;
use cloakroom_pipeline::keys::protect::{
    Access, NEW_PASSPHRASE_VARIABLE, PASSPHRASE_VARIABLE, PassphraseSource, Providers, RootProtector,
};
use cloakroom_pipeline::{ConnectorError, ErrorKind};
use serde_json::{Value, json};

use crate::args::{ProtectBy, ProtectionOptions};
use crate::error::Failure;

/// All of them.
const PROVIDERS: Providers = &[
    &Passphrase,
    &VaultTransit,
    #[cfg(feature = "aws")]
    &cloakroom_aws::kms::AwsKms,
    #[cfg(not(feature = "aws"))]
    &without_aws::AwsKms,
];

/// Stands in for AWS in a program that was built without it, to say so.
#[cfg(not(feature = "aws"))]
mod without_aws {
    use super::{Access, Arc, ConnectorError, Provider, RootProtector, Value};

    pub(super) struct AwsKms;

    #[async_trait::async_trait]
    impl Provider for AwsKms {
        fn name(&self) -> &'static str {
            "aws_kms"
        }

        async fn prepare(&self, _: &Value, _: &Access) -> Result<Arc<dyn RootProtector>, ConnectorError> {
            Err(ConnectorError::configuration("this program was built without AWS; take one with the feature `aws`"))
        }
    }
}

/// What opens key files: all providers, the passphrase from the environment, or from whoever sits at the terminal.
pub(crate) fn access() -> Access {
    let mut access = Access::new(PROVIDERS);
    access.passphrase.ask = on_terminal(ask);
    access
}

/// The same with a file that holds the passphrase.
pub(crate) fn access_with(passphrase_file: Option<PathBuf>) -> Access {
    let mut access = access();
    access.passphrase.file = passphrase_file;
    access
}

/// What the options ask for; `None` for keys in clear.
pub(crate) async fn protector(
    options: ProtectionOptions,
    access: &Access,
    passphrase: PassphraseSource,
) -> Result<Option<Arc<dyn RootProtector>>, Failure> {
    let (provider, mut settings) = match options.protect {
        None | Some(ProtectBy::None) => return Ok(None),
        Some(ProtectBy::Passphrase) => {
            return Ok(Some(with_new_passphrase(move || passphrase.get_new()).await?));
        }
        Some(ProtectBy::AwsKms) => (
            "aws_kms",
            json!({ "key": options.kms_key, "region": options.kms_region, "endpoint": options.kms_endpoint }),
        ),
        Some(ProtectBy::VaultTransit) => (
            "vault_transit",
            json!({ "address": options.vault_address, "mount": options.vault_mount, "key": options.vault_key,
                    "namespace": options.vault_namespace }),
        ),
    };
    if let Value::Object(settings) = &mut settings {
        settings.retain(|_, value| !value.is_null());
    }
    Ok(Some(access.prepare(&Protection { provider: provider.to_owned(), settings }).await?))
}

/// Where the passphrase of a new key file comes from.
pub(crate) fn first_passphrase(file: Option<PathBuf>) -> PassphraseSource {
    PassphraseSource { file, text: None, variable: PASSPHRASE_VARIABLE, ask: on_terminal(ask_twice) }
}

/// Where the next passphrase of a key file comes from.
pub(crate) fn next_passphrase(file: Option<PathBuf>) -> PassphraseSource {
    PassphraseSource { file, text: None, variable: NEW_PASSPHRASE_VARIABLE, ask: on_terminal(ask_twice) }
}

fn on_terminal<T>(ask: T) -> Option<T> {
    stderr().is_terminal().then_some(ask)
}

/// Asks once, however many key files a command opens.
fn ask() -> Result<SecretString, ConnectorError> {
    static ANSWER: Mutex<Option<SecretString>> = Mutex::new(None);
    let mut answer = ANSWER.lock().unwrap_or_else(PoisonError::into_inner);
    match &*answer {
        Some(passphrase) => Ok(passphrase.clone()),
        None => Ok(answer.insert(prompt("passphrase of the key file: ")?).clone()),
    }
}

fn ask_twice() -> Result<SecretString, ConnectorError> {
    let passphrase = prompt("new passphrase: ")?;
    if prompt("the same again: ")?.expose_secret() != passphrase.expose_secret() {
        return Err(ConnectorError::configuration("the two passphrases are not the same"));
    }
    Ok(passphrase)
}

/// Without echo.
fn prompt(text: &str) -> Result<SecretString, ConnectorError> {
    let answer = rpassword::prompt_password(text);
    answer.map(SecretString::from).map_err(|error| {
        let error = ConnectorError::io("the terminal", &error);
        ConnectorError { kind: ErrorKind::Configuration, ..error }
    })
}
