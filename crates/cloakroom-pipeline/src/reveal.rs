//! The counter where values are given back: asks the policy whether somebody may, counts how much they have had, puts it
//! on record, and only then hands anything out.
//!
//! ```text
//! demand ──▶ right? ──▶ agreed? ──▶ record by record: whose, which values, open them in memory
//!                                      ──▶ within the limits of an hour? on record, under one lock ──▶ out
//! ```

pub mod approval;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cloakroom_core::policy::{RevealLevel, path_fits};
use cloakroom_core::reveal::{RevealError, Revealer, Whose};
use cloakroom_core::value::Object;
use cloakroom_core::{Cloak, Policy};
use cloakroom_crypto::CryptoError;

use crate::audit::{Action, AuditLog, AuditText, Bookmark, Entry, Event, Outcome, Refusal, RequestId};
use crate::error::ConnectorError;
use approval::{Approval, VALID_SECONDS};

/// Limits count what was seen in so many seconds.
const WINDOW_SECONDS: i64 = 60 * 60;

/// What somebody wants to see.
#[derive(Clone)]
pub struct Demand {
    /// Who.
    pub principal: AuditText,
    /// What for.
    pub purpose: AuditText,
    /// Why, in their words.
    pub reason: AuditText,
    /// How much of each value.
    pub level: RevealLevel,
    /// Only these fields of protected records, with the wildcards of paths.
    pub fields: Vec<String>,
    /// Only fields of these classes. With neither, everything that they may see.
    pub classes: Vec<String>,
    /// The person, where the record does not say it; else only records of that person are looked at.
    pub subject: Option<String>,
}

/// Why nothing is handed out any more.
#[derive(Debug)]
pub enum Stopped {
    /// It is not allowed; that is on record.
    Denied(Refusal, String),
    /// Something failed; nothing was handed out.
    Failed(ConnectorError),
}

impl From<ConnectorError> for Stopped {
    fn from(error: ConnectorError) -> Self {
        Self::Failed(error)
    }
}

/// What became of one record.
pub enum Handed {
    /// It may be shown. `closed` values should have been opened and do not open, as the texts say.
    Record {
        /// The record.
        record: Object,
        /// Values that do not open.
        closed: Vec<RevealError>,
    },
    /// It is not shown; the reason is on record.
    Refused(Refusal, String),
    /// It is another person's.
    Others,
}

/// The counter, for one demand.
pub struct Counter {
    policy: Arc<Policy>,
    revealer: Revealer,
    log: AuditLog,
    demand: Demand,
    /// Set when somebody has agreed, with the number of people.
    agreed: Option<(RequestId, u64)>,
    tally: Tally,
    /// People in this run.
    people: HashSet<String>,
    seen: Bookmark,
}

/// What a principal has seen within the window.
#[derive(Default)]
struct Tally {
    values: u64,
    /// Pseudonyms; of records that are nobody's, their place in the log.
    subjects: HashSet<String>,
}

impl Counter {
    /// Asks whether the demand may be made at all. A refusal is on record when this returns.
    ///
    /// # Errors
    /// When it may not, or that cannot be put on record.
    pub fn open(cloak: &Cloak, log: AuditLog, demand: Demand, approval: Option<&Approval>) -> Result<Self, Stopped> {
        let policy = cloak.shared_policy();
        let rules = policy.reveal_rules();
        let (who, purpose) = (demand.principal.as_str(), demand.purpose.as_str());
        let denied = if rules.is_empty() {
            Some((Refusal::NoRight, "the policy has no `reveal:` section, so nobody may see anything again".to_owned()))
        } else if !rules.knows_purpose(purpose) {
            Some((Refusal::NoPurpose, "the policy allows nothing for this purpose".to_owned()))
        } else if !rules.allows(who, purpose) {
            Some((Refusal::NoRight, format!("the policy does not allow it to {who} for this purpose")))
        } else {
            None
        };
        let mut counter = Self {
            revealer: cloak.revealer(),
            seen: Bookmark::Time(log.time(WINDOW_SECONDS)),
            policy,
            log,
            demand,
            agreed: None,
            tally: Tally::default(),
            people: HashSet::new(),
        };
        if let Some((why, text)) = denied {
            return Err(counter.deny(why, text));
        }
        if let Some(approval) = approval {
            counter.agree(approval)?;
        }
        Ok(counter)
    }

    /// The way back, for looking records up.
    #[must_use]
    pub fn revealer(&self) -> &Revealer {
        &self.revealer
    }

    /// Puts on record that there is no such record.
    ///
    /// # Errors
    /// When it cannot be put on record.
    pub fn nothing_found(&self) -> Result<(), ConnectorError> {
        let subject = self.demand.subject.as_deref();
        self.log.append(&self.event(Outcome::Refused(Refusal::NotFound), subject)?).map(drop)
    }

    /// Opens a batch of records. What is returned is on record, and may be handed out.
    ///
    /// # Errors
    /// When a limit is reached or somebody else must agree first, which is on record; or the log or the keys fail. Then nothing
    /// of the batch may be handed out.
    pub fn hand_out(&mut self, records: Vec<Object>) -> Result<Vec<Handed>, Stopped> {
        let mut events = Vec::new();
        let mut pseudonyms = HashMap::new();
        let mut handed = Vec::with_capacity(records.len());
        for record in records {
            handed.push(self.one(record, &mut events, &mut pseudonyms)?);
        }
        self.put_on_record(events)?;
        Ok(handed)
    }

    /// One record, open in memory, and what must be on record before it is shown.
    fn one(
        &self,
        mut record: Object,
        events: &mut Vec<Event>,
        pseudonyms: &mut HashMap<String, crate::audit::Subject>,
    ) -> Result<Handed, Stopped> {
        // `None` where only trying to open the record could tell.
        let is_theirs = self.demand.subject.as_ref().map(|subject| self.revealer.is_of(&record, subject));
        if is_theirs == Some(Some(false)) {
            return Ok(Handed::Others);
        }
        let subject = match (self.revealer.whose(&record), &self.demand.subject) {
            (Whose::Nobodys, _) => String::new(),
            (Whose::Known(subject), _) => subject.into(),
            (Whose::Unknown, Some(subject)) => subject.clone(),
            (Whose::Unknown, None) => {
                let text = "the record does not say whose it is; name the person with --subject";
                events.push(self.event(Outcome::Refused(Refusal::NotFound), None)?);
                return Ok(Handed::Refused(Refusal::NotFound, text.to_owned()));
            }
        };
        let (rules, demand) = (self.policy.reveal_rules(), &self.demand);
        let (who, purpose) = (demand.principal.as_str(), demand.purpose.as_str());
        let asks_for_all = demand.fields.is_empty() && demand.classes.is_empty();
        let mut denied = Vec::new();
        let seen = self.revealer.open(&mut record, &subject, &mut |path, class| {
            let asked = asks_for_all
                || demand.fields.iter().any(|pattern| path_fits(pattern, path))
                || class.is_some_and(|class| demand.classes.iter().any(|name| name == class));
            if !asked {
                return None;
            }
            let allowed = rules.level(who, purpose, path, class).filter(|level| *level >= demand.level);
            if allowed.is_none() {
                denied.push(path.to_owned());
            }
            allowed.map(|_| demand.level)
        });
        // A record of somebody else that happens to be looked at: none of its values opens.
        let belongs = |error: &RevealError| {
            !matches!(error.error, CryptoError::Authentication | CryptoError::UnknownSubjectKey(_))
        };
        if is_theirs == Some(None) && seen.opened.is_empty() && !seen.failed.iter().any(belongs) {
            return Ok(Handed::Others);
        }
        if let Some(failed) = seen.failed.iter().find(|error| error.error == CryptoError::KeyTable) {
            return Err(Stopped::Failed(ConnectorError::unavailable(failed.error.to_string())));
        }
        let pseudonym = match subject.as_str() {
            "" => None,
            subject => Some(match pseudonyms.get(subject) {
                Some(known) => Clone::clone(known),
                None => {
                    let made = self.log.subject(subject)?;
                    pseudonyms.insert(subject.to_owned(), made.clone());
                    made
                }
            }),
        };
        let event = |outcome| {
            let event = self.bare(outcome);
            match &pseudonym {
                Some(pseudonym) => event.subject(pseudonym.clone()),
                None => event,
            }
        };
        if !denied.is_empty() && (!asks_for_all || seen.opened.is_empty()) {
            let count = denied.len() as u64;
            denied.sort_unstable();
            denied.dedup();
            events.push(event(Outcome::Refused(Refusal::NoRight)).paths(&denied).count(count));
            let text = format!("the policy does not allow it to {who} for this purpose, at this level");
            return Ok(Handed::Refused(Refusal::NoRight, text));
        }
        for (why, paths) in by_refusal(&seen.failed) {
            let count = paths.len() as u64;
            events.push(event(Outcome::Refused(why)).paths(paths).count(count));
        }
        if seen.opened.is_empty()
            && let Some(error) = seen.failed.first()
        {
            return Ok(Handed::Refused(refusal(error), error.to_string()));
        }
        if !seen.opened.is_empty() {
            let count = seen.opened.len() as u64;
            let paths: HashSet<String> = seen.opened.into_iter().collect();
            let mut paths: Vec<_> = paths.into_iter().collect();
            paths.sort_unstable();
            events.push(event(Outcome::Allowed).paths(paths).count(count).level(demand.level.into()));
        }
        Ok(Handed::Record { record, closed: seen.failed })
    }

    /// Counts and writes, or refuses and writes that.
    fn put_on_record(&mut self, events: Vec<Event>) -> Result<(), Stopped> {
        if events.is_empty() {
            return Ok(());
        }
        let Self { log, tally, people, demand, policy, agreed, seen, .. } = self;
        let who = demand.principal.as_str();
        let limits = policy.reveal_rules().limits();
        let above = policy.reveal_rules().approval_above();
        let refused = |why| Event::new(demand.principal.clone(), Action::Reveal, Outcome::Refused(why));
        let count = events.len() as u64;
        let ((), next) = {
            let mut verdict = Ok(());
            let decide = |recent: &[Entry]| {
                recent.iter().filter(|entry| entry.principal == who).for_each(|entry| tally.add(entry));
                for (index, (subject, values)) in events.iter().filter_map(Event::seen).enumerate() {
                    let subject = subject.unwrap_or_else(|| format!("{} of {}", index, tally.values));
                    tally.values += values;
                    people.insert(subject.clone());
                    tally.subjects.insert(subject);
                }
                let persons = people.len() as u64;
                verdict = match agreed {
                    Some((_, most)) if persons > *most => {
                        Err((Refusal::NoApproval, format!("these are more than the {most} people that were agreed to")))
                    }
                    Some(_) => Ok(()),
                    None if above.is_some_and(|above| persons > above) => Err((
                        Refusal::NoApproval,
                        "so many people at once need a second person who agrees; ask with --request FILE".to_owned(),
                    )),
                    None if tally.values > limits.values => {
                        Err((Refusal::RateLimited, format!("the limit is {} values an hour", limits.values)))
                    }
                    None if tally.subjects.len() as u64 > limits.subjects => {
                        Err((Refusal::RateLimited, format!("the limit is {} people an hour", limits.subjects)))
                    }
                    None => Ok(()),
                };
                match &verdict {
                    Ok(()) => (events, ()),
                    Err((why, _)) => (
                        vec![refused(*why).purpose(demand.purpose.clone()).reason(demand.reason.clone()).count(count)],
                        (),
                    ),
                }
            };
            let done = log.append_after(seen, decide)?;
            if let Err((why, text)) = verdict {
                return Err(Stopped::Denied(why, text));
            }
            done
        };
        *seen = next;
        Ok(())
    }

    /// Takes an approval, once.
    fn agree(&mut self, approval: &Approval) -> Result<(), Stopped> {
        let earliest = self.log.time(VALID_SECONDS);
        let name = match approval.fits(&self.demand, &self.policy, &earliest) {
            Ok(name) => name,
            Err((why, text)) => return Err(self.deny(why, text)),
        };
        let Some(id) = RequestId::parse(&approval.request.id) else {
            return Err(self.deny(Refusal::NoApproval, "the approval has no name".to_owned()));
        };
        let name = AuditText::new("name of the approver", &name)?;
        let begins = Event::new(self.demand.principal.clone(), Action::Approved, Outcome::Allowed)
            .purpose(self.demand.purpose.clone())
            .reason(self.demand.reason.clone())
            .count(approval.request.subjects)
            .request(id)
            .approver(name);
        let text = id.to_string();
        let refused = self.bare(Outcome::Refused(Refusal::NoApproval)).request(id);
        let since = Bookmark::Time(earliest);
        let (used, _) = self.log.append_after(&since, |recent| {
            let used = recent.iter().any(|entry| {
                entry.action == Action::Approved.as_str() && entry.request.as_deref() == Some(text.as_str())
            });
            (vec![if used { refused } else { begins }], used)
        })?;
        if used {
            return Err(Stopped::Denied(Refusal::NoApproval, "the approval was used before; ask again".to_owned()));
        }
        self.agreed = Some((id, approval.request.subjects));
        Ok(())
    }

    /// Puts a refusal of the whole demand on record.
    fn deny(&self, why: Refusal, text: String) -> Stopped {
        let event = self.event(Outcome::Refused(why), self.demand.subject.as_deref());
        match event.and_then(|event| self.log.append(&event)) {
            Ok(_) => Stopped::Denied(why, text),
            Err(error) => Stopped::Failed(error),
        }
    }

    fn event(&self, outcome: Outcome, subject: Option<&str>) -> Result<Event, ConnectorError> {
        let event = self.bare(outcome);
        match subject {
            Some(subject) => Ok(event.subject(self.log.subject(subject)?)),
            None => Ok(event),
        }
    }

    fn bare(&self, outcome: Outcome) -> Event {
        let Demand { principal, purpose, reason, .. } = &self.demand;
        let event =
            Event::new(principal.clone(), Action::Reveal, outcome).purpose(purpose.clone()).reason(reason.clone());
        match self.agreed {
            Some((id, _)) => event.request(id),
            None => event,
        }
    }
}

impl Tally {
    /// What was agreed to does not count: it has a limit of its own.
    fn add(&mut self, entry: &Entry) {
        if entry.action != Action::Reveal.as_str()
            || entry.outcome != Outcome::Allowed.as_str()
            || entry.request.is_some()
        {
            return;
        }
        self.values += entry.count;
        self.subjects.insert(entry.subject.clone().unwrap_or_else(|| format!("line {}", entry.seq)));
    }
}

/// What is written about a value that does not open.
fn refusal(error: &RevealError) -> Refusal {
    match error.error {
        CryptoError::Erased => Refusal::Erased,
        CryptoError::UnknownKey(_) | CryptoError::UnknownSubjectKey(_) => Refusal::UnknownKey,
        _ => Refusal::NotAuthentic,
    }
}

fn by_refusal(failed: &[RevealError]) -> Vec<(Refusal, Vec<&str>)> {
    let mut groups: Vec<(Refusal, Vec<&str>)> = Vec::new();
    for error in failed {
        let why = refusal(error);
        match groups.iter_mut().find(|(known, _)| *known == why) {
            Some((_, paths)) => paths.push(&error.path),
            None => groups.push((why, vec![&error.path])),
        }
    }
    groups
}

#[cfg(test)]
mod tests;
