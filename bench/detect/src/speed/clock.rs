//! CPU time of this thread: what other programs do meanwhile does not count.

pub fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a whole `timespec` that outlives the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// How long a call takes, and what it gives.
pub fn timed<T>(call: impl FnOnce() -> T) -> (f64, T) {
    let began = cpu_seconds();
    let result = call();
    (cpu_seconds() - began, result)
}
