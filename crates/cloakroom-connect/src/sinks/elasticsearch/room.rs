//! How large a request may be: as configured, less while the server has too little room, and never again what it has no
//! place for at all.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde_json::Value;

/// No body is made smaller than this for the sake of others.
const SMALLEST: usize = 1024;

/// The size of bodies. Many requests are under way and none of them is exact about it: the next ones are.
pub(super) struct Room {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Room {
    pub(super) fn new(most: usize) -> Self {
        Self { now: AtomicUsize::new(most), most: AtomicUsize::new(most) }
    }

    pub(super) fn bytes(&self) -> usize {
        self.now.load(Relaxed)
    }

    /// A body of this size was refused; `ever`: and will be, whatever else the server does.
    pub(super) fn refused(&self, bytes: usize, ever: bool) {
        if ever {
            self.most.fetch_min(bytes.saturating_sub(1).max(SMALLEST), Relaxed);
        }
        self.now.fetch_min((bytes / 2).max(SMALLEST), Relaxed);
    }

    /// A body of this size was taken: if it was about as large as may be, the next one may be a bit larger.
    pub(super) fn taken(&self, bytes: usize) {
        let now = self.bytes();
        if bytes >= now / 2 {
            self.now.store((now + now / 16).min(self.most.load(Relaxed)), Relaxed);
        }
    }
}

/// Whether a request that was refused for want of memory is more than the server ever has for one. It says so in numbers:
/// `coordinating_operation_bytes=1034, max_coordinating_and_primary_bytes=512`
/// (<https://www.elastic.co/guide/en/elasticsearch/reference/current/index-modules-indexing-pressure.html>).
pub(super) fn never_fits(answer: &[u8]) -> bool {
    let reason = || {
        let body: Value = serde_json::from_slice(answer).ok()?;
        let reason = body.get("error")?.get("reason")?.as_str()?;
        let number = |name: &str| {
            let (_, rest) = reason.split_once(name)?;
            let (_, rest) = rest.split_once('=')?;
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse::<u64>().ok()
        };
        Some(number("coordinating_operation_bytes")? > number("max_coordinating_")?)
    };
    reason().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_shrink_at_once_and_grow_slowly() {
        let room = Room::new(100_000);
        room.taken(100_000);
        assert_eq!(room.bytes(), 100_000);
        room.refused(100_000, false);
        room.refused(90_000, false);
        assert_eq!(room.bytes(), 45_000);
        room.taken(2_000);
        assert_eq!(room.bytes(), 45_000, "a small one proves nothing");
        room.taken(44_000);
        assert_eq!(room.bytes(), 47_812);
        for _ in 0..100 {
            room.taken(room.bytes());
        }
        assert_eq!(room.bytes(), 100_000);
        room.refused(60_000, true);
        for _ in 0..100 {
            room.taken(room.bytes());
        }
        assert_eq!(room.bytes(), 59_999, "what never fits is not tried again");
        room.refused(10, true);
        assert_eq!(room.bytes(), SMALLEST);
    }

    #[test]
    fn what_never_fits_is_told_from_what_does_not_fit_now() {
        let answer = |operation: u32, most: &str| {
            let reason = format!(
                "rejected execution of coordinating operation [coordinating_and_primary_bytes=7000, replica_bytes=0, \
                 all_bytes=7000, coordinating_operation_bytes={operation}, {most}=8000]"
            );
            never_fits(serde_json::json!({ "error": { "reason": reason }, "status": 429 }).to_string().as_bytes())
        };
        for most in ["max_coordinating_and_primary_bytes", "max_coordinating_bytes"] {
            assert!(answer(8_001, most) && !answer(8_000, most), "{most}");
        }
        assert!(!never_fits(b"Too Many Requests") && !never_fits(br#"{"error":"busy"}"#));
    }
}
