//! bcrypt of this crate, side by side, beside the crate `bcrypt`: hashes per CPU second of one core at cost 12, median of
//! five rounds in which all take turns.
//!
//! ```sh
//! cargo run --release -p cloakroom-crypto --example bench_bcrypt
//! ```
//!
//! CPU time is the thread's, from `/proc/thread-self/schedstat`: Linux only.

#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;
use std::fs;
use std::hint::black_box;

use cloakroom_crypto::bcrypt::{LANES, hash_all};

const ROUNDS: usize = 5;
const COST: u32 = 12;

fn main() -> Result<(), Box<dyn Error>> {
    let texts: Vec<String> = (0..2 * LANES).map(|number| format!("{number:03}")).collect();
    let texts: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    let mut figures = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        figures[0].push(seconds(2 * LANES, || Ok(hash_all(black_box(&texts), COST)?))?);
        figures[1].push(seconds(1, || Ok(hash_all(black_box(&texts[..1]), COST)?))?);
        figures[2]
            .push(seconds(1, || Ok(::bcrypt::hash(black_box(texts[0]), COST).map_err(|error| error.to_string())?))?);
    }
    println!("{:>20}  {:>14}  {:>12}", "", "ms for a hash", "hashes per s");
    for (name, mut rounds) in
        [format!("{LANES} side by side"), "one".into(), "crate bcrypt".into()].into_iter().zip(figures)
    {
        rounds.sort_by(f64::total_cmp);
        let median = rounds[ROUNDS / 2];
        println!("{name:>20}  {:>14.1}  {:>12.2}", median * 1e3, 1.0 / median);
    }
    Ok(())
}

/// CPU seconds for one of so many hashes.
fn seconds<T>(hashes: usize, work: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let before = cpu_nanoseconds()?;
    black_box(work()?);
    Ok((cpu_nanoseconds()? - before) as f64 / 1e9 / hashes as f64)
}

fn cpu_nanoseconds() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("no figures")?.parse()?)
}
