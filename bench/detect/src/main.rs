//! Measures detection: makes the corpus, writes what Cloakroom finds in it, measures speed. `run.py` calls this and
//! prints the tables; README.md says what they mean.

mod corpus;
mod find;
mod make;
mod rng;
mod speed;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Which corpus. Another number is another corpus, for checking that nothing was tuned to this one.
const SEED: u64 = 20_261_121;

const USAGE: &str = "usage:
  bench-detect corpus FOLDER MEGABYTES [SEED]
  bench-detect find FOLDER                 writes FOLDER/findings-cloakroom.jsonl
  bench-detect speed FOLDER SECONDS ROUNDS [LIBHS]   prints JSON";

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-detect: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["corpus", folder, megabytes, ref seed @ ..] => {
            let seed = seed.first().map_or(Ok(SEED), |seed| seed.parse())?;
            std::fs::create_dir_all(folder)?;
            corpus::write(Path::new(folder), megabytes.parse::<u64>()? * 1_000_000, seed)
        }
        ["find", folder] => find::write(Path::new(folder)),
        ["speed", folder, seconds, rounds, ref libhs @ ..] => {
            speed::measure(Path::new(folder), seconds.parse()?, rounds.parse()?, libhs.first().map(PathBuf::from))
        }
        _ => Err(USAGE.into()),
    }
}
