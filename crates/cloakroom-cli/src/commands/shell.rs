//! `cloakroom completions` and `cloakroom man`

use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Arguments;
use crate::error::Failure;

pub(crate) fn completions(shell: Shell) -> Result<u8, Failure> {
    clap_complete::generate(shell, &mut Arguments::command(), "cloakroom", &mut io::stdout());
    Ok(0)
}

pub(crate) fn man(folder: Option<&Path>) -> Result<u8, Failure> {
    let written = match folder {
        Some(folder) => clap_mangen::generate_to(Arguments::command(), folder),
        None => clap_mangen::Man::new(Arguments::command()).render(&mut io::stdout()),
    };
    written.map_err(|error| Failure::new(3, format!("manual page: {error}")))?;
    Ok(0)
}
