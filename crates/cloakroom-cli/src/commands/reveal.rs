//! `cloakroom reveal`: plain text, on purpose and for a reason.

mod eax_scrypt;

use cloakroom_pipeline::audit::{Action, AuditText, Outcome, Refusal};

use crate::args::{DocumentFormat, RevealOptions};
use crate::error::Failure;
use crate::trail::Trail;

pub(crate) async fn reveal(options: RevealOptions) -> Result<u8, Failure> {
    let RevealOptions { jsonl, format, reason, master_key_file } = options;
    let trail = Trail::open()?;
    let Some(reason) = reason.filter(|reason| !reason.trim().is_empty()) else {
        trail.put(Action::Reveal, Outcome::Refused(Refusal::NoReason), |event| event)?;
        return Err(Failure::new(
            4,
            "there is no --reason: say why the documents are opened; the attempt is on record",
        ));
    };
    let reason = AuditText::new("reason", &reason)?;
    match format {
        DocumentFormat::EaxScrypt => eax_scrypt::reveal(&jsonl, master_key_file.as_deref(), &trail, &reason).await,
    }
}
