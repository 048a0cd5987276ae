//! `cloakroom reveal`: plain text, on purpose and for a reason.

mod eax_scrypt;

use crate::args::{DocumentFormat, RevealOptions};
use crate::error::Failure;

pub(crate) async fn reveal(options: RevealOptions) -> Result<u8, Failure> {
    let RevealOptions { jsonl, format, reason, master_key_file } = options;
    if reason.trim().is_empty() {
        return Err(Failure::new(2, "--reason is empty; say why the documents are opened"));
    }
    match format {
        DocumentFormat::EaxScrypt => eax_scrypt::reveal(&jsonl, master_key_file.as_deref()).await,
    }
}
