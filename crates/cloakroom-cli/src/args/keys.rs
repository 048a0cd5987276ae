//! `cloakroom keys`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Output;

/// Which key ring.
#[derive(Args)]
pub(crate) struct KeyFileOptions {
    /// The key file (default: keys.json in CLOAKROOM_HOME or ~/.local/share/cloakroom).
    #[arg(long)]
    pub(crate) file: Option<PathBuf>,
    /// A file with the key file's passphrase that only you can read (default: the variable CLOAKROOM_PASSPHRASE).
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// Who wraps the root keys in the key file.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProtectBy {
    /// Nobody: they lie there in clear.
    None,
    /// A passphrase (scrypt, AES-256-GCM).
    Passphrase,
    /// A key in AWS KMS.
    AwsKms,
    /// A key in the Transit engine of HashiCorp Vault or OpenBao.
    VaultTransit,
}

/// The same with its settings, which the key file keeps.
#[derive(Args)]
pub(crate) struct ProtectionOptions {
    /// What protects the root keys in the key file.
    #[arg(long, value_name = "BY")]
    pub(crate) protect: Option<ProtectBy>,
    /// The KMS key: its id, ARN or alias (alias/NAME). A symmetric one.
    #[arg(
        long,
        value_name = "KEY",
        required_if_eq("protect", "aws-kms"),
        requires = "protect",
        help_heading = "AWS KMS"
    )]
    pub(crate) kms_key: Option<String>,
    /// The region of the KMS key (default: AWS_REGION, or the profile's).
    #[arg(long, value_name = "REGION", requires = "protect", help_heading = "AWS KMS")]
    pub(crate) kms_region: Option<String>,
    /// Another address of KMS: a VPC endpoint, an emulator.
    #[arg(long, value_name = "URL", requires = "protect", help_heading = "AWS KMS")]
    pub(crate) kms_endpoint: Option<String>,
    /// The address of the Vault.
    #[arg(
        long,
        value_name = "URL",
        env = "VAULT_ADDR",
        required_if_eq("protect", "vault-transit"),
        help_heading = "Vault Transit"
    )]
    pub(crate) vault_address: Option<String>,
    /// Where its Transit engine is mounted.
    #[arg(long, value_name = "PATH", default_value = "transit", help_heading = "Vault Transit")]
    pub(crate) vault_mount: String,
    /// The Transit key: of a type with associated data, such as aes256-gcm96.
    #[arg(
        long,
        value_name = "KEY",
        required_if_eq("protect", "vault-transit"),
        requires = "protect",
        help_heading = "Vault Transit"
    )]
    pub(crate) vault_key: Option<String>,
    /// The namespace, where the Vault has some.
    #[arg(long, value_name = "PATH", env = "VAULT_NAMESPACE", help_heading = "Vault Transit")]
    pub(crate) vault_namespace: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key ring with one new root key, in a file that only you can read.
    #[command(after_help = "Examples:\n  cloakroom keys init\n  cloakroom keys init --protect passphrase\n  \
        cloakroom keys init --protect aws-kms --kms-key alias/cloakroom --kms-region eu-west-1\n  \
        VAULT_TOKEN=… cloakroom keys init --protect vault-transit --vault-address https://vault.example:8200 --vault-key cloakroom\n\n\
        Keep a copy in a safe place: what is encrypted cannot be read without it. Without --protect the root key lies in the \
        file in clear; with it the file alone opens nothing, and every command needs the passphrase, KMS or Vault when it \
        starts. A passphrase comes from --passphrase-file, CLOAKROOM_PASSPHRASE, or is asked for. Credentials for AWS are \
        found where AWS tools look for them; the token for Vault in VAULT_TOKEN or ~/.vault-token.")]
    Init {
        #[command(flatten)]
        key_file: KeyFileOptions,
        #[command(flatten)]
        protection: ProtectionOptions,
    },
    /// Show the key ring's versions, what they wrap, how many people have keys, and how many random tokens there are. Never shows a key.
    #[command(after_help = "Examples:\n  cloakroom keys status\n  cloakroom keys status --data protected.jsonl\n\n\
        With --data it counts the ck1 values of a file by key version: what is counted for a retired version still needs it.")]
    Status {
        #[command(flatten)]
        key_file: KeyFileOptions,
        /// Text in which ck1 values are counted by key version: protected data, `-` for standard input.
        #[arg(long)]
        data: Option<PathBuf>,
        /// How the result is written.
        #[arg(long, default_value = "human")]
        output: Output,
    },
    /// Make a new root key and wrap the keys of people and of the token vault under it. No data is touched.
    #[command(after_help = "Examples:\n  cloakroom keys rotate\n  cloakroom keys rotate --pseudonyms\n\n\
        The old root key is kept, retired: what was made with it still opens. Pseudonyms go on as they are, so that old and new \
        records still join, unless --pseudonyms says otherwise. Programs that run must be started again to load the new key.")]
    Rotate {
        #[command(flatten)]
        key_file: KeyFileOptions,
        /// Make pseudonyms with the new key from now on: they no longer join with those made before.
        #[arg(long)]
        pseudonyms: bool,
        /// How the result is written.
        #[arg(long, default_value = "human")]
        output: Output,
    },
    /// Wrap keys anew: those of people and of the token vault under the active root key, and with --protect the root keys in their file.
    #[command(
        after_help = "Examples:\n  cloakroom keys rewrap\n  cloakroom keys rewrap --protect passphrase --new-passphrase-file new.txt\n  \
        cloakroom keys rewrap --protect aws-kms --kms-key alias/cloakroom --kms-region eu-west-1\n  \
        cloakroom keys rewrap --protect none\n\n\
        Without --protect as `rotate` does it, after a rotation that was interrupted. With it the keys stay the same and the \
        key file gets another passphrase or provider; `none` puts the keys there in clear. Copies of the file that were made \
        before open as they did: destroy them. A new passphrase comes from --new-passphrase-file, \
        CLOAKROOM_NEW_PASSPHRASE, or is asked for."
    )]
    Rewrap {
        #[command(flatten)]
        key_file: KeyFileOptions,
        #[command(flatten)]
        protection: ProtectionOptions,
        /// A file with the new passphrase that only you can read.
        #[arg(long, value_name = "FILE", requires = "protect")]
        new_passphrase_file: Option<PathBuf>,
        /// How the result is written.
        #[arg(long, default_value = "human")]
        output: Output,
    },
    /// Destroy all keys of a person: nothing that was encrypted for them opens again, in no copy of the data.
    #[command(after_help = "Example:\n  cloakroom keys erase user-4711 > receipt.json\n\n\
        Prints a receipt. Random tokens that were theirs alone are deleted, too. Copies of the key table made before open nothing of that person any more; neither do they open what else \
        was in the same shard, one person in 4,096: make a new copy afterwards. Old copies of the shard file must be destroyed. \
        Exit code 1 when there is no key for that person.")]
    Erase {
        /// The person: the value of the policy's `subject` field.
        subject: String,
        /// The tenant, where policies name one.
        #[arg(long, default_value = "default")]
        tenant: String,
        #[command(flatten)]
        key_file: KeyFileOptions,
    },
    /// Check the receipt of an erasure: whether this key ring signed it, and whether it is about somebody.
    #[command(
        after_help = "Examples:\n  cloakroom keys receipt receipt.json\n  cloakroom keys receipt receipt.json --subject user-4711\n\n\
        Exit code 1 when it was changed, signed by another key ring, or about somebody else."
    )]
    Receipt {
        /// The receipt, as `keys erase` printed it.
        receipt: PathBuf,
        /// The person it should be about.
        #[arg(long)]
        subject: Option<String>,
        /// The tenant, where policies name one.
        #[arg(long, default_value = "default")]
        tenant: String,
        #[command(flatten)]
        key_file: KeyFileOptions,
    },
    /// Try every key of a key table, or of a copy of one: whether it could be restored.
    #[command(
        after_help = "Examples:\n  cloakroom keys export-check\n  cloakroom keys export-check --table backup/keys.subjects.db\n\n\
        Exit code 1 when a key does not open."
    )]
    ExportCheck {
        /// The key table (default: the one in use).
        #[arg(long)]
        table: Option<PathBuf>,
        #[command(flatten)]
        key_file: KeyFileOptions,
        /// How the result is written.
        #[arg(long, default_value = "human")]
        output: Output,
    },
}
