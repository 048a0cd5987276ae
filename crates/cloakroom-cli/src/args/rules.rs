//! The arguments of `cloakroom rules`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Output;

#[derive(Subcommand)]
pub(crate) enum RulesCommand {
    /// List the rules: what is looked for.
    List(ListOptions),
    /// Show one rule whole: its regex, checks, context words, confidence, examples, references.
    Show(ShowOptions),
    /// Run the examples of rules, built in or your own.
    Test(TestOptions),
    /// Measure what rules cost, alone and together.
    Bench(BenchOptions),
}

#[derive(Args)]
#[command(after_help = "Examples:\n  cloakroom rules list\n  cloakroom rules list --entity CREDIT_CARD --all\n  \
    cloakroom rules list --all --format json")]
pub(crate) struct ListOptions {
    /// Only rules of this entity.
    #[arg(long)]
    pub(crate) entity: Option<String>,
    /// Those too that are used only when asked (`scan --also`, `scan --entities`).
    #[arg(long)]
    pub(crate) all: bool,
    /// Rules of your own, too: a YAML file or a folder of them. May be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) rules: Vec<PathBuf>,
    /// How the list is written.
    #[arg(long, default_value = "human")]
    pub(crate) format: Output,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  cloakroom rules show credit-card\n  cloakroom rules show badge --rules mine.yaml")]
pub(crate) struct ShowOptions {
    /// The rule's id.
    pub(crate) id: String,
    /// Rules of your own: a YAML file or a folder of them. May be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) rules: Vec<PathBuf>,
    /// How the rule is written.
    #[arg(long, default_value = "human")]
    pub(crate) format: Output,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  cloakroom rules test                the built-in rules\n  \
    cloakroom rules test mine.yaml      your own, alone and beside the built-in ones\n\n\
    In an example `[[ ]]` marks exactly what must be found; in a counter-example nothing may be found:\n\n  \
    rules:\n  \
    - id: badge\n    \
    entity: BADGE_NUMBER\n    \
    description: Number on an employee's badge\n    \
    regex: '\\bBX-\\d{4}\\b'\n    \
    confidence: 0.3\n    \
    with_context: 0.9\n    \
    context: [badge]\n    \
    examples: ['badge [[BX-1234]]']\n    \
    counter_examples: ['part BX-1234']\n\n\
    Exit codes: 0 all is well, 1 an example fails, 2 a rule that cannot be read.")]
pub(crate) struct TestOptions {
    /// Files of rules, or folders of them (default: the built-in rules).
    #[arg(value_name = "FILE|FOLDER")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  cloakroom rules bench app.log\n  cloakroom rules bench --rules mine.yaml app.log --format json\n\n\
    Each rule is measured alone, on one thread, and the whole selection as `scan` uses it. A rule alone costs more than \
    its share of the whole, where rules are searched for at once."
)]
pub(crate) struct BenchOptions {
    /// The text to search (default: generated logins, users, customers and messages).
    pub(crate) file: Option<PathBuf>,
    /// Measure these rules and not the built-in ones: a YAML file or a folder of them. May be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) rules: Vec<PathBuf>,
    /// How the result is written.
    #[arg(long, default_value = "human")]
    pub(crate) format: Output,
}
