//! Days that exist, for numbers with a date in them.

/// True when some year has this day: 29 February is one, 31 April is none.
#[must_use]
pub(crate) fn day_exists(month: u32, day: u32) -> bool {
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 29,
        _ => 0,
    };
    (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days() {
        assert!(day_exists(2, 29) && day_exists(12, 31));
        for (month, day) in [(0, 1), (13, 1), (1, 0), (1, 32), (2, 30), (4, 31)] {
            assert!(!day_exists(month, day), "{month} {day}");
        }
    }
}
