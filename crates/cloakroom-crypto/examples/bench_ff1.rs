//! FF1 of this crate beside the crate `fpe`: encryptions per CPU second of one core, median of five rounds in which
//! all take turns.
//!
//! ```sh
//! cargo run --release -p cloakroom-crypto --example bench_ff1
//! ```
//!
//! CPU time is the thread's, from `/proc/thread-self/schedstat`: Linux only.

#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;
use std::fs;
use std::hint::black_box;

use aes::Aes256;
use cloakroom_crypto::{FormatKey, KeyId, SecretKey};
use fpe::ff1::{FF1, FlexibleNumeralString};

/// Lengths of a short number, a card and the longest number.
const LENGTHS: [usize; 4] = [6, 16, 19, 36];
/// As the tweak of `token`: domain, path, kept digits, each with its length.
const TWEAK: &[u8] = b"\x00\x04card\x00\x0bcard_number\x00\x06411111\x00\x041111";
const ROUNDS: usize = 5;
const ENCRYPTIONS: u32 = 200_000;

fn main() -> Result<(), Box<dyn Error>> {
    let key = [7; 32];
    let ours = FormatKey::from_secret(KeyId::parse("aaaaaaaa")?, &SecretKey::from_bytes(key));
    let theirs = FF1::<Aes256>::new(&key, 10).map_err(|error| error.to_string())?;
    println!("{:>6}  {:>16}  {:>16}  {:>16}", "digits", "tweak kept", "new tweak", "crate fpe");
    for len in LENGTHS {
        let mut figures = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            let mut digits = vec![b'4'; len];
            let kept = ours.tweaked(len, TWEAK)?;
            figures[0].push(per_second(ENCRYPTIONS, || Ok(kept.encrypt(black_box(&mut digits))?))?);
            figures[1].push(per_second(ENCRYPTIONS, || Ok(ours.encrypt(TWEAK, black_box(&mut digits))?))?);
            let mut numerals = FlexibleNumeralString::from(vec![4; len]);
            figures[2].push(per_second(ENCRYPTIONS / 10, || {
                numerals = theirs.encrypt(TWEAK, black_box(&numerals)).map_err(|error| error.to_string())?;
                Ok(())
            })?);
        }
        let [a, b, c] = figures.map(|mut rounds| {
            rounds.sort_unstable();
            rounds[ROUNDS / 2]
        });
        println!("{len:>6}  {a:>14}/s  {b:>14}/s  {c:>14}/s");
    }
    Ok(())
}

/// How often a CPU second holds `work`.
fn per_second(times: u32, mut work: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<u64, Box<dyn Error>> {
    let before = cpu_nanoseconds()?;
    for _ in 0..times {
        work()?;
    }
    Ok(u64::from(times) * 1_000_000_000 / (cpu_nanoseconds()? - before).max(1))
}

/// CPU time of this thread so far. A thread that never sleeps has it brought up to date when it is asked for only by
/// the scheduler's tick, which is some milliseconds: runs are far longer.
fn cpu_nanoseconds() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("an empty schedstat")?.parse()?)
}
