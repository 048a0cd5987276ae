//! Keys per CPU second of one core, as documents `eax-scrypt` need them (N = 4096), by each kernel of this machine and by the
//! crate `scrypt`: median of five rounds in which all take turns.
//!
//! ```sh
//! cargo run --release -p cloakroom-scrypt --example bench_scrypt
//! ```
//!
//! CPU time is the thread's, from `/proc/thread-self/schedstat`: Linux only.

use std::error::Error;
use std::fs;
use std::hint::black_box;

use cloakroom_scrypt::{Input, Kernel, Scrypt};

const N: usize = 4096;
const ROUNDS: usize = 5;
const KEYS: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let password: [&[u8]; 2] = [b"user.4711", b"a master key for measuring"];
    let salts: Vec<[u8; 32]> = (0..KEYS).map(|n| [n as u8; 32]).collect();
    let inputs: Vec<Input<'_>> = salts.iter().map(|salt| Input { password: &password, salt }).collect();
    let params = scrypt::Params::new(N.ilog2() as u8, 8, 1)?;
    let kernels = Kernel::available();
    let mut figures = vec![Vec::new(); kernels.len() + 1];
    for _ in 0..ROUNDS {
        for (kernel, figures) in kernels.iter().zip(&mut figures) {
            let mut scrypt = Scrypt::with_kernel(*kernel, N);
            figures.push(per_second(|| drop(black_box(scrypt.derive(&inputs))))?);
        }
        let one_by_one = || {
            for input in &inputs {
                let mut key = [0; 32];
                let _ = scrypt::scrypt(&input.password.concat(), input.salt, &params, &mut key);
                black_box(key);
            }
        };
        if let Some(figures) = figures.last_mut() {
            figures.push(per_second(one_by_one)?);
        }
    }
    let names = kernels.iter().map(|kernel| format!("{kernel:?}")).chain(["crate scrypt".to_owned()]);
    for (name, mut rounds) in names.zip(figures) {
        rounds.sort_unstable();
        println!("{name:<14} {:>6}/s", rounds[ROUNDS / 2]);
    }
    Ok(())
}

/// Keys per second of this thread's CPU time.
fn per_second(work: impl FnOnce()) -> Result<u64, Box<dyn Error>> {
    let began = cpu_nanoseconds()?;
    work();
    Ok(KEYS as u64 * 1_000_000_000 / (cpu_nanoseconds()? - began).max(1))
}

fn cpu_nanoseconds() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().ok_or("no figures in schedstat")?.parse()?)
}
