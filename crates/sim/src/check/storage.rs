use std::time::Duration;

use bucketdb::simulation::{blobs_in_use, checkpointed, referred_to};
use bucketdb::{Database, Error, Freshness, Key};

use crate::StoreWorld;
use crate::check::outcomes::numbered;
use crate::check::{Row, Truth, Violation};
use crate::cluster::DATABASE_PREFIX;
use crate::config::Storage;
use crate::workload::{BACKUP_PREFIX, Operation, RESTORED_PREFIX, SUCCESSORS_PREFIX, Tables};

/// Every checkpoint that ever was holds what the log up to it adds up to. `archive` is the database on a store that forgot
/// nothing.
pub(crate) async fn check_checkpoints(archive: &Database, truth: &Truth) -> Vec<Violation> {
    let rule = "every checkpoint equals the replay of the log up to it";
    let mut violations = Vec::new();
    for checkpoint in &truth.checkpoints {
        let covers = checkpoint.covers;
        let expected = truth.rows_at(covers, &Tables::NAMES);
        match checkpointed(archive, checkpoint).await {
            Ok(documents) => {
                let row = |logged: bucketdb::simulation::Logged| {
                    Some((logged.table, logged.key.trim_matches('"').to_owned(), logged.document?))
                };
                let is_ours = |row: &Row| Tables::NAMES.contains(&row.0.as_str());
                let mut rows: Vec<Row> = documents.into_iter().filter_map(row).filter(is_ours).collect();
                rows.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
                if rows != expected {
                    let missing = expected.iter().find(|row| !rows.contains(row));
                    let surplus = rows.iter().find(|row| !expected.contains(row));
                    let seq = checkpoint.seq;
                    let detail = format!("that at {seq}, of {covers}, lacks {missing:?} and has {surplus:?}");
                    violations.push(Violation::new(rule, detail, Vec::new()));
                }
            }
            Err(error) => {
                let detail = format!("that at {} cannot be read: {error}", checkpoint.seq);
                violations.push(Violation::new(rule, detail, Vec::new()));
            }
        }
    }
    violations
}

/// "It is not kept any more" is said only of what was given up, or was held for longer than is promised.
pub(crate) fn check_expiry(
    history: &[Operation],
    truth: &Truth,
    storage: &Storage,
    clocks_hold: bool,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (token, operation) in numbered(history).filter(|(_, operation)| operation.outcome.is_expired()) {
        let Some(ended) = operation.ended else { continue };
        let at = operation.reads_at.unwrap_or(operation.known);
        let is_given_up = at.0 < truth.floor_at(ended.time);
        let staleness = match operation.freshness {
            Freshness::Bounded(age) => age,
            _ => Duration::ZERO,
        };
        // Clocks may run a little wrong, and what is kept in memory for readers is bounded.
        let held = ended.time.saturating_sub(operation.began.time) + staleness * 2;
        let was_held_long = held >= storage.promised() * 7 / 10 || !clocks_hold;
        let is_dropped = storage.earlier_bytes < 1 << 20;
        if !(is_given_up || was_held_long || is_dropped) {
            let detail = format!("{operation}, at {at} and held for {held:?}");
            violations.push(Violation::new("what may be read is kept", detail, vec![token]));
        }
    }
    violations
}

/// A verification of the whole database finds nothing.
pub(crate) async fn check_verification(db: &Database) -> Vec<Violation> {
    let rule = "a verification of a sound database finds nothing";
    match db.verify(|_| ()).await {
        Ok(verification) => {
            let violation = |finding: &bucketdb::Finding| Violation::new(rule, format!("{finding:?}"), Vec::new());
            verification.findings.iter().map(violation).collect()
        }
        Err(error) => vec![Violation::new(rule, error.to_string(), Vec::new())],
    }
}

/// Nothing lies outside the layout.
pub(crate) fn check_layout(keys: &[Key]) -> Vec<Violation> {
    let stranger = keys.iter().find(|key| !is_in_layout(key.as_str()));
    let violation = |key: &Key| Violation::new("all objects fit the layout", key.to_string(), Vec::new());
    stranger.map(violation).into_iter().collect()
}

fn is_in_layout(key: &str) -> bool {
    match key.split_once('/') {
        Some((DATABASE_PREFIX, name)) => is_object(name) || is_of_branch(name),
        // Whoever was killed while it tried the store left what that takes.
        Some((SUCCESSORS_PREFIX, name)) => is_object(name) || name.starts_with("probe/"),
        Some((BACKUP_PREFIX, _)) => true,
        Some((place, name)) => place.starts_with(RESTORED_PREFIX) && (is_object(name) || name == "restoring"),
        None => false,
    }
}

/// Whether it is of a branch, or of one of that.
fn is_of_branch(name: &str) -> bool {
    let Some((branch, rest)) = name.strip_prefix("branch/").and_then(|rest| rest.split_once('/')) else { return false };
    let is_own = rest.split_once('/').is_some_and(|(id, name)| id.len() == 32 && is_object(name));
    branch.starts_with('b') && (rest == "origin" || is_own || is_of_branch(rest))
}

fn is_object(name: &str) -> bool {
    let is_seq = |digits: &str| digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    match name.split_once('/') {
        None => name == "head",
        Some(("log", digits)) => is_seq(digits),
        Some(("manifest" | "run" | "blob", rest)) => {
            rest.split_once('-').is_some_and(|(digits, id)| is_seq(digits) && id.len() == 32)
        }
        Some(_) => false,
    }
}

/// After everything was cleaned up, only what is referred to is left.
pub(crate) async fn check_leftovers(db: &Database, world: &StoreWorld) -> Vec<Violation> {
    let rule = "what nobody refers to is removed in the end";
    // What a branch has is its own affair.
    let is_of = |key: &Key, kind: &str| {
        let name = key.as_str().strip_prefix(DATABASE_PREFIX);
        name.is_some_and(|name| name.starts_with(kind))
    };
    let unique = |key: &Key| is_of(key, "/run/") || is_of(key, "/manifest/");
    let left: Vec<String> = world.keys().iter().filter(|key| unique(key)).map(ToString::to_string).collect();
    let is_blob = |key: &Key| is_of(key, "/blob/");
    let blobs: Vec<String> = world.keys().iter().filter(|key| is_blob(key)).map(ToString::to_string).collect();
    let needed = async { Ok::<_, Error>((referred_to(db, &left)?, blobs_in_use(db).await?)) };
    match needed.await {
        Ok((needed, (live, kept))) => {
            let orphan = left.iter().find(|key| !needed.contains(key));
            let orphan = orphan.or_else(|| blobs.iter().find(|key| !live.contains(key) && !kept.contains(key)));
            let lost = live.iter().find(|key| !blobs.contains(key)).map(|key| format!("{key} is not there"));
            let details = orphan.cloned().into_iter().chain(lost);
            details.map(|detail| Violation::new(rule, detail, Vec::new())).collect()
        }
        Err(error) => vec![Violation::new(rule, error.to_string(), Vec::new())],
    }
}
