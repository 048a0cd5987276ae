//! Made-up data of any size, the same on every machine.
//!
//! Record `i` depends on the kind, the seed and `i`, and on nothing else: threads can share the
//! work, a run can start in the middle, and a test can name one record. Every person, number and
//! sentence is invented here; card numbers lie under the issuers' published test prefixes and all
//! mail addresses under the domains RFC 2606 keeps for examples.
//!
//! The bytes are part of what users rely on (they compare runs and machines), so the tests hold
//! the first record of each kind against a literal.

mod customers;
mod draw;
mod logins;
mod messages;
pub(crate) mod server;
mod users;
mod words;

use draw::Draw;

/// What the records look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Application logins: user, device, IP address
    Logins,
    /// Users of a shop with card and account numbers, as an HTTP API lists them
    Users,
    /// Chat messages; about a third hold a mail address or a card number
    Messages,
    /// Customers, about 320 bytes each: the rows of the benchmarks
    Customers,
}

impl Kind {
    /// Part of every record's key, so that two kinds under one seed share nothing. Fixed by
    /// number rather than by position: a new kind must not change the old ones' bytes.
    const fn tag(self) -> u8 {
        match self {
            Self::Logins => 1,
            Self::Users => 2,
            Self::Messages => 3,
            Self::Customers => 4,
        }
    }
}

/// An endless series of records of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// What the records look like.
    pub(crate) kind: Kind,
    /// The same seed gives the same records.
    pub(crate) seed: u64,
    /// Logins only: every fiftieth record (index 32, 82, …) is a message of another type, which
    /// a pipeline must set aside without stopping.
    pub(crate) wrong_shape: bool,
}

impl Sample {
    /// Records of the right shape only.
    pub(crate) const fn new(kind: Kind, seed: u64) -> Self {
        Self { kind, seed, wrong_shape: false }
    }

    /// Appends record `index` to `out`: one JSON object on one line, without the line's end.
    pub(crate) fn write_record(&self, index: u64, out: &mut Vec<u8>) {
        match self.kind {
            Kind::Logins if self.wrong_shape && index % 50 == 32 => logins::write_wrong_shape(out),
            Kind::Logins => logins::write(self, index, out),
            Kind::Users => users::write(&mut self.draw(index), index, out),
            Kind::Messages => messages::write(&mut self.draw(index), index, out),
            Kind::Customers => customers::write(&mut self.draw(index), index, out),
        }
    }

    fn draw(&self, index: u64) -> Draw {
        Draw::new(self.seed, self.kind.tag(), index)
    }
}

#[cfg(test)]
mod tests;
