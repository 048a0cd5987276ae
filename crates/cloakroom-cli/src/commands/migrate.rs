//! `cloakroom migrate`: documents of an older system through a policy, as `protect` does it with plain records.

use cloakroom_core::Format;
use cloakroom_pipeline::audit::{Action, Outcome};
use cloakroom_pipeline::documents::{BATCH, Documents, master_key};

use super::protect::{Files, filter};
use crate::args::{DocumentFormat, MigrateOptions};
use crate::error::Failure;
use crate::load::{load, parallel};
use crate::trail::Trail;

pub(crate) async fn migrate(options: MigrateOptions) -> Result<u8, Failure> {
    let MigrateOptions { from, policy, master_key_file, input, output_file, output } = options;
    let loaded = load(&policy).await?;
    if loaded.policy.format() != Format::Json {
        return Err(Failure::new(2, "documents are JSON; leave `record.format` out of the policy"));
    }
    let files = Files { input, output: output_file };
    let limits = loaded.policy.limits();
    match from {
        DocumentFormat::EaxScrypt => {
            let master = master_key(master_key_file.as_deref())?;
            Trail::open().await?.put(Action::Migrate, Outcome::Allowed, |event| event)?;
            filter(&loaded, files, BATCH, output, |source| Box::new(Documents::new(source, master, limits, parallel())))
                .await
        }
    }
}
