use std::collections::HashMap;

use crate::anomaly::name;
use crate::{Anomalies, Anomaly, AnomalyKind, History, Key, Op, Outcome, Summary};

/// What a history tells of something that was claimed, each with the transaction that tells it.
#[derive(Debug, Default)]
struct Claimed<'h> {
    /// Acknowledged claims.
    ok: Vec<(usize, &'h Key)>,
    /// Claims of which nobody knows.
    unknown: Vec<&'h Key>,
    failed: Vec<(usize, &'h Key)>,
    /// Who was read as the owner.
    read: Vec<(usize, Option<&'h Key>)>,
}

/// Checks a history of `claim` and `owner` operations, where the first claim wins for good.
///
/// At most one claim of a thing is acknowledged, all reads name the same owner, this is the one whose claim was
/// acknowledged if there is one, and it is nobody whose claim failed or who never claimed. After an acknowledgement, or
/// a read that names an owner, no read finds the thing unclaimed.
///
/// # Errors
///
/// All contradictions of that.
///
/// ```
/// use bucketdb_history::{AnomalyKind, History, check_claims};
///
/// let file = r#"{"type":"ok","process":0,"start":0,"end":10,"ops":[["claim","a@b.c","ada"]]}
/// {"type":"ok","process":1,"start":5,"end":12,"ops":[["claim","a@b.c","grace"]]}
/// "#;
/// let anomalies = check_claims(&History::read(file.as_bytes())?).unwrap_err();
/// assert!(anomalies.contains(AnomalyKind::ClaimedTwice));
/// # Ok::<(), bucketdb_history::HistoryError>(())
/// ```
pub fn check_claims(history: &History) -> Result<Summary, Anomalies> {
    let mut things: Vec<(&Key, Claimed<'_>)> = Vec::new();
    let mut by_key: HashMap<&Key, usize> = HashMap::new();
    for (at, transaction) in history.0.iter().enumerate() {
        for op in &transaction.ops {
            let (Op::Claim { email, .. } | Op::Owner { email, .. }) = op else { continue };
            let place = *by_key.entry(email).or_insert(things.len());
            if place == things.len() {
                things.push((email, Claimed::default()));
            }
            let Some((_, thing)) = things.get_mut(place) else { continue };
            match (op, transaction.outcome) {
                (Op::Claim { owner, .. }, Outcome::Ok) => thing.ok.push((at, owner)),
                (Op::Claim { owner, .. }, Outcome::Info) => thing.unknown.push(owner),
                (Op::Claim { owner, .. }, Outcome::Fail) => thing.failed.push((at, owner)),
                (Op::Owner { owner, .. }, Outcome::Ok) => thing.read.push((at, owner.as_ref())),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    things.iter().for_each(|(email, thing)| thing.check(history, email, &mut found));
    let count = |part: fn(&Claimed<'_>) -> usize| things.iter().map(|(_, thing)| part(thing)).sum();
    let (writes, reads) = (count(|thing| thing.ok.len()), count(|thing| thing.read.len()));
    Anomalies::or(found, Summary { keys: things.len(), writes, reads, ..Summary::of(history) })
}

impl Claimed<'_> {
    fn check(&self, history: &History, email: &Key, found: &mut Vec<Anomaly>) {
        let winner = self.ok.first();
        for (second, _) in self.ok.iter().skip(1) {
            let first = winner.map_or(*second, |(first, _)| *first);
            let statement = format!("the claims of {email} by {} and {} were acknowledged", name(first), name(*second));
            found.push(Anomaly::new(AnomalyKind::ClaimedTwice, statement, history, &[first, *second]));
        }
        let first_read = self.read.iter().find_map(|(at, owner)| owner.map(|owner| (*at, owner)));
        // Whom a read must name: the winner, or else whom the first read named.
        let expected = winner.copied().or(first_read);
        for (at, owner) in &self.read {
            let reader = name(*at);
            let Some(owner) = owner else {
                self.check_unclaimed(history, email, *at, found);
                continue;
            };
            let failed = self.failed.iter().find(|(_, failed)| failed == owner);
            let may_be = self.ok.iter().map(|(_, owner)| owner).chain(&self.unknown).any(|claimer| claimer == owner);
            match (failed, expected) {
                (Some((claim, _)), _) if !may_be => {
                    let statement = format!("{reader} read that {email} is {owner}'s, whose claim failed");
                    found.push(Anomaly::new(AnomalyKind::AbortedRead, statement, history, &[*claim, *at]));
                }
                (None, _) if !may_be => {
                    let statement = format!("{reader} read that {email} is {owner}'s, who never claimed it");
                    found.push(Anomaly::new(AnomalyKind::GarbageRead, statement, history, &[*at]));
                }
                (_, Some((other, whose))) if whose != *owner => {
                    let statement = format!("{reader} says that {email} is {owner}'s, and {} {whose}'s", name(other));
                    found.push(Anomaly::new(AnomalyKind::WrongOwner, statement, history, &[other, *at]));
                }
                _ => {}
            }
        }
    }

    /// Whether the read that found nobody began after a claim was acknowledged, or after another read named an owner.
    fn check_unclaimed(&self, history: &History, email: &Key, read: usize, found: &mut Vec<Anomaly>) {
        let start = history.0.get(read).map_or(0, |reader| reader.start);
        let is_before = |claim: usize| history.0.get(claim).is_some_and(|claim| claim.end < start);
        let reads = self.read.iter().filter_map(|(at, owner)| owner.map(|owner| (*at, owner)));
        if let Some((proof, owner)) = self.ok.iter().copied().chain(reads).find(|(proof, _)| is_before(*proof)) {
            let (reader, before) = (name(read), name(proof));
            let statement = format!("{reader} read that {email} is nobody's, after {before} knew that it is {owner}'s");
            found.push(Anomaly::new(AnomalyKind::LostClaim, statement, history, &[proof, read]));
        }
    }
}
