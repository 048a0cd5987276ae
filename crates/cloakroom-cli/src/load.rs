//! From a pipeline file's name to everything that a run needs.

use std::path::Path;
use std::sync::Arc;

use cloakroom_core::tokens::TokenVault;
use cloakroom_core::{Cloak, Policy, PolicyConfig};
use cloakroom_crypto::{KeyRing, RootKey};
use cloakroom_pipeline::accounts::Accounts;
use cloakroom_pipeline::config::{BatchConfig, ConfigError};
use cloakroom_pipeline::context::SourceContext;
use cloakroom_pipeline::dead_letter::DeadLetters;
use cloakroom_pipeline::documents;
use cloakroom_pipeline::keys::tokens::Rehearsal;
use cloakroom_pipeline::keys::{self, Keys};
use cloakroom_pipeline::metrics::Metrics;
use cloakroom_pipeline::run::Rejected;
use cloakroom_pipeline::state::StateStore;
use cloakroom_pipeline::{Pipeline, Source};

use crate::error::Failure;
use crate::protectors::access;
use crate::registry::{File, MetricsConfig, SinkConfig, sink_context};

/// A pipeline file, read and its policy compiled.
pub(crate) struct Loaded {
    pub(crate) file: File,
    pub(crate) name: String,
    pub(crate) keys: Option<Keys>,
    pub(crate) policy: Arc<Policy>,
}

/// Reads and compiles a pipeline file.
pub(crate) async fn load(path: &Path) -> Result<Loaded, Failure> {
    let shown = path.display().to_string();
    let file = File::parse(&read_text(path)?, &shown)?;
    compile(file, &shown).await
}

/// The same for telling what a policy would do: random tokens are drawn and not kept, no vault is made.
pub(crate) async fn rehearsal(path: &Path) -> Result<Loaded, Failure> {
    let shown = path.display().to_string();
    let file = File::parse(&read_text(path)?, &shown)?;
    compile_with(file, &shown, |keys| keys.vault().map(|_| Arc::new(Rehearsal) as Arc<dyn TokenVault>)).await
}

/// Reads a file that people write.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => Failure::new(2, format!("{shown}: not UTF-8 text")),
        _ => Failure::new(2, format!("{shown}: {error}")),
    })
}

/// Compiles a pipeline file that was read. `shown` names it in messages.
pub(crate) async fn compile(file: File, shown: &str) -> Result<Loaded, Failure> {
    compile_with(file, shown, Keys::vault).await
}

async fn compile_with(
    file: File,
    shown: &str,
    vault: impl Fn(&Keys) -> Option<Arc<dyn TokenVault>>,
) -> Result<Loaded, Failure> {
    let name = file.name_or(shown);
    let keys = keys::load(&file.keys, &access()).await?;
    let config = PolicyConfig { tokens: keys.as_ref().and_then(vault), ..file.policy(&name)? };
    let policy = Policy::compile(&config, keys.as_ref().map(|keys| &keys.provider));
    let policy = Arc::new(policy.map_err(|error| ConfigError::from_policy(shown, error))?);
    Ok(Loaded { file, name, keys, policy })
}

impl Loaded {
    /// The keys, which a run needs for its dead letters even when the policy needs none.
    pub(crate) fn keys(&self) -> Result<&Keys, Failure> {
        self.keys.as_ref().ok_or_else(|| {
            Failure::new(2, "there is no key ring, and records that cannot be delivered are kept encrypted; make one with `cloakroom keys init`, or set CLOAKROOM_KEY")
        })
    }

    /// Where this pipeline's dead letters are.
    pub(crate) fn dead_letters(&self) -> Result<DeadLetters, Failure> {
        // The key first: without one nothing is made.
        let ring = Arc::clone(&self.keys()?.ring);
        Ok(DeadLetters::new(StateStore::open(&self.file.state.file()?)?, ring)?)
    }

    /// How many records may travel together. Where whole records are sealed, or values hashed slowly, each takes
    /// milliseconds: a batch must not take minutes.
    pub(crate) fn batch(&self, wanted: BatchConfig) -> BatchConfig {
        let most = if self.policy.is_slow() { documents::BATCH.records } else { usize::MAX };
        BatchConfig { records: wanted.records.min(most), ..wanted }
    }

    /// What sources are given. `once`: take what is there now and end. Without a key ring fingerprints are made with a key of this run only.
    pub(crate) fn source_context(&self, once: bool) -> Result<SourceContext, Failure> {
        let own;
        let ring: &KeyRing = match &self.keys {
            Some(keys) => &keys.ring,
            None => {
                own = RootKey::generate("")
                    .and_then(|root| KeyRing::new(vec![root]))
                    .map_err(cloakroom_pipeline::ConnectorError::from)?;
                &own
            }
        };
        let fingerprint = ring.fingerprint_key("source").map_err(cloakroom_pipeline::ConnectorError::from)?;
        Ok(SourceContext {
            pipeline: self.name.clone(),
            policy: Arc::clone(&self.policy),
            batch: self.batch(self.file.batch),
            retry: self.file.retry,
            fingerprint: Arc::new(fingerprint),
            once,
        })
    }

    /// The pipeline's own source.
    pub(crate) fn source(&self, once: bool) -> Result<Box<dyn Source>, Failure> {
        let source = self.file.source.as_ref().ok_or_else(|| missing("source"))?;
        Ok(source.build(&self.source_context(once)?)?)
    }

    /// What publishes the numbers of a run, if the file says where to.
    pub(crate) fn metrics(&self) -> Result<Option<Metrics>, Failure> {
        let Some(metrics) = &self.file.metrics else { return Ok(None) };
        if metrics.is_stdout() && self.file.sink.as_ref().is_some_and(SinkConfig::is_stdout) {
            return Err(Failure::new(
                2,
                "records and metrics both go to standard output; give `metrics.emf.path` a file",
            ));
        }
        Ok(Some(metrics.build(&self.name)?))
    }

    /// True when records or metrics have taken standard output, so that nothing else may go there.
    pub(crate) fn is_stdout_taken(&self) -> bool {
        self.file.sink.as_ref().is_some_and(SinkConfig::is_stdout)
            || self.file.metrics.as_ref().is_some_and(MetricsConfig::is_stdout)
    }

    /// Puts a pipeline together with some source.
    pub(crate) async fn pipeline(&self, source: Box<dyn Source>) -> Result<Pipeline, Failure> {
        let sink = self.file.sink.as_ref().ok_or_else(|| missing("sink"))?;
        let state = std::path::absolute(self.file.state.file()?).ok();
        let files = sink.sqlite_files().into_iter().filter_map(|file| std::path::absolute(file).ok());
        if files.into_iter().any(|file| Some(file) == state) {
            return Err(Failure::new(
                2,
                "`path` of the sqlite sink and `state.path` are the same file; give each its own",
            ));
        }
        let metrics = self.metrics()?;
        let sink = sink.build(&sink_context(&self.name, &self.policy))?;
        let letters = self.dead_letters()?;
        Ok(Pipeline {
            accounts: Some(Accounts::begin(letters.state().clone(), &self.name).await?),
            metrics,
            name: self.name.clone(),
            source,
            cloak: Cloak::new(Arc::clone(&self.policy)),
            sink,
            rejected: Rejected::Sealed(letters),
            retry: self.file.retry,
            parallel: parallel(),
            whole: false,
        })
    }
}

/// Batches at work at once: every core has one, and one more waits, so that none stands idle.
pub(crate) fn parallel() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from) + 1
}

fn missing(section: &str) -> Failure {
    Failure::new(2, format!("the pipeline file has no `{section}:` section"))
}
