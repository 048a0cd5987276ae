//! `cloakroom rules`: what is looked for, whether it works and what it costs.

mod bench;
mod show;
mod test;

use crate::args::RulesCommand;
use crate::error::Failure;

pub(crate) fn rules(command: RulesCommand) -> Result<u8, Failure> {
    match command {
        RulesCommand::List(options) => show::list(&options),
        RulesCommand::Show(options) => show::show(&options),
        RulesCommand::Test(options) => test::test(&options),
        RulesCommand::Bench(options) => bench::bench(&options),
    }
}
