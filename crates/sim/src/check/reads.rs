use std::collections::BTreeMap;

use bucketdb::Freshness;

use crate::GroupId;
use crate::check::outcomes::numbered;
use crate::check::truth::{Clock, Span};
use crate::check::{Truth, Violation};
use crate::workload::{Operation, Outcome, Seen};

/// What is known at a moment of how far the log has come.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The greatest position that any finished operation shows.
    anywhere: u64,
    /// The greatest position that a finished operation of a life shows.
    of_life: BTreeMap<GroupId, u64>,
}

/// Every read is answered from one position; that position is as late as was asked for, and never before one that the
/// same process has shown. Commits take positions behind everything that was known when they were asked for.
///
/// `clocks_off_ms` says how far wall clocks are off at most, if that is known.
pub(crate) fn check_reads(
    history: &[Operation],
    truth: &Truth,
    clocks_hold: bool,
    clocks_off_ms: Option<u64>,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut moments: Vec<(u64, u64, bool)> = Vec::new();
    for (token, operation) in numbered(history) {
        moments.push((operation.began.event, token, true));
        moments.extend(operation.ended.map(|ended| (ended.event, token, false)));
    }
    moments.sort_unstable();
    let mut known = Known::default();
    let mut at_begin: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    // What was known anywhere, by the time at which it became known.
    let mut anywhere_at: Vec<(std::time::Duration, u64)> = Vec::new();
    for (_, token, begins) in moments {
        let index = usize::try_from(token - 1).unwrap_or(usize::MAX);
        let Some(operation) = history.get(index) else { continue };
        if begins {
            let of_life = known.of_life.get(&operation.life).copied().unwrap_or_default();
            at_begin.insert(token, (known.anywhere, of_life));
            continue;
        }
        let (anywhere, of_life) = at_begin.get(&token).copied().unwrap_or_default();
        let mut shown = 0;
        if let Some(seq) = committed_at(operation, token, truth) {
            if seq <= anywhere.max(of_life) {
                let detail =
                    format!("{operation}, at {seq}, and position {anywhere} was known before it was asked for");
                violations.push(Violation::new("commits follow what was known before them", detail, vec![token]));
            }
            shown = seq;
        }
        if !operation.reads.is_empty() {
            let ended = operation.ended.unwrap_or(operation.began);
            let clock = Clock::between(operation.began.time, ended.time, clocks_off_ms);
            let least = match operation.freshness {
                Freshness::Strict => anywhere.max(of_life),
                Freshness::Bounded(age) if age.is_zero() => anywhere.max(of_life),
                Freshness::Bounded(age) if clocks_hold => {
                    let old_enough = operation.began.time.saturating_sub(age * 2);
                    let place = anywhere_at.partition_point(|(time, _)| *time < old_enough);
                    let bounded = place.checked_sub(1).and_then(|last| anywhere_at.get(last));
                    bounded.map_or(of_life, |(_, seq)| (*seq).max(of_life))
                }
                Freshness::Bounded(_) | Freshness::Local => of_life,
            };
            if let Some(position) = operation.reads_at {
                violations.extend(check_past(operation, token, truth, clock, position.0));
            }
            let is_of_the_past = operation.reads_at.is_some() && operation.freshness == Freshness::Local;
            match position_of(operation, truth, clock, if is_of_the_past { 0 } else { least }) {
                Ok(position) => shown = shown.max(position),
                Err((rule, detail)) => {
                    let mut tokens = vec![token];
                    tokens.extend(operation.reads.iter().filter_map(|read| match read.seen {
                        Seen::Token(token) => Some(token),
                        _ => None,
                    }));
                    violations.push(Violation::new(rule, format!("{operation}: {detail}"), tokens));
                }
            }
        }
        let of_life = known.of_life.entry(operation.life).or_default();
        *of_life = (*of_life).max(shown);
        if shown > known.anywhere {
            known.anywhere = shown;
            anywhere_at.push((operation.ended.map(|ended| ended.time).unwrap_or_default(), shown));
        }
    }
    violations
}

/// Where an acknowledged operation wrote.
fn committed_at(operation: &Operation, token: u64, truth: &Truth) -> Option<u64> {
    match operation.outcome {
        Outcome::Ok(Some(seq)) => Some(seq.0),
        Outcome::Ok(None) => truth.of_token(token).first().map(|event| event.seq.0),
        _ => None,
    }
}

/// The first position that may have been read, `least` or later being possible, at which everything was as it was read.
fn position_of(operation: &Operation, truth: &Truth, clock: Clock, least: u64) -> Result<u64, (&'static str, String)> {
    let mut common = vec![Span(0, u64::MAX)];
    for read in &operation.reads {
        let spans = truth.spans(read, clock);
        if spans.is_empty() {
            return Err(("what is read was committed", format!("{read} never was in the log")));
        }
        common = common.iter().flat_map(|one| spans.iter().filter_map(|other| intersection(*one, *other))).collect();
    }
    if common.is_empty() {
        return Err(("what is read together was there together", "no position shows all of it".to_owned()));
    }
    let found = common.iter().find(|span| span.1 >= least);
    let stale = || {
        let last = common.last().map(|span| span.1).unwrap_or_default();
        let detail = format!("it was so up to position {last}, and position {least} had to be seen");
        ("reads are as fresh as was asked for and never go backwards", detail)
    };
    // A later one is possible too: only the first is proved.
    found.map(|span| span.0).ok_or_else(stale)
}

/// What was read as of a position was so at that position.
fn check_past(operation: &Operation, token: u64, truth: &Truth, clock: Clock, position: u64) -> Option<Violation> {
    let wrong = operation.reads.iter().find(|read| {
        let spans = truth.spans(read, clock);
        !spans.iter().any(|span| span.0 <= position && position <= span.1)
    })?;
    let detail = format!("{operation}: {wrong} was not so at {position}");
    Some(Violation::new("the past never changes", detail, vec![token]))
}

fn intersection(one: Span, other: Span) -> Option<Span> {
    let span = Span(one.0.max(other.0), one.1.min(other.1));
    (span.0 <= span.1).then_some(span)
}

#[cfg(test)]
mod tests;
