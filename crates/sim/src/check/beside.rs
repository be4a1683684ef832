use std::collections::{BTreeMap, BTreeSet};

use bucketdb::simulation::{backups_beside, builder_beside, database_id};
use bucketdb::{Database, Error, LogError, Point, Seq};

use crate::check::agreement::rows;
use crate::check::{Truth, Violation};
use crate::workload::{BACKUP_PREFIX, Beside, RESTORED_PREFIX, SUCCESSORS_PREFIX, Tables, wrong_with};

/// Every backup that was acknowledged is there, and each restores what the database held at its moment.
pub(crate) async fn check_backups(db: &Database, beside: &Beside, truth: &Truth) -> Vec<Violation> {
    let rule = "a backup is whole, and shows its moment";
    match wrong_backups(db, beside, truth).await {
        Ok(wrong) => wrong.into_iter().map(|detail| Violation::new(rule, detail, Vec::new())).collect(),
        Err(error) => vec![Violation::new(rule, error.to_string(), Vec::new())],
    }
}

async fn wrong_backups(db: &Database, beside: &Beside, truth: &Truth) -> Result<Option<String>, Error> {
    let backups = backups_beside(db, BACKUP_PREFIX)?;
    let moments: Vec<Seq> = backups.moments().await?.into_iter().map(|moment| moment.seq).collect();
    if let Some(lost) = beside.backups.iter().find(|seq| !moments.contains(seq)) {
        return Ok(Some(format!("there is none of {lost}")));
    }
    if let Some(finding) = backups.verify(|_| ()).await?.first() {
        return Ok(Some(finding.what.clone()));
    }
    // What they have in common is most of it.
    let some = [moments.first(), moments.get(moments.len() / 2), moments.last()];
    for seq in some.into_iter().flatten().collect::<BTreeSet<_>>() {
        let prefix = format!("{RESTORED_PREFIX}of-{seq}");
        if let Some(wrong) = wrong_with_restored(db, (&backups, *seq, &prefix), truth).await? {
            return Ok(Some(format!("what is restored of {seq} {wrong}")));
        }
    }
    Ok(None)
}

async fn wrong_with_restored(
    db: &Database,
    (backups, seq, prefix): (&bucketdb::Backups, Seq, &str),
    truth: &Truth,
) -> Result<Option<String>, Error> {
    let (copy, _) = builder_beside(db, prefix).restore(backups, Some(Point::Seq(seq)), |_| ()).await?;
    let expected = truth.rows_at(seq, &Tables::NAMES);
    let found = rows(&Tables::open(&copy).await?, &Tables::NAMES).await?;
    let missing = expected.iter().find(|row| !found.contains(row));
    let surplus = found.iter().find(|row| !expected.contains(row));
    if missing.is_some() || surplus.is_some() {
        return Ok(Some(format!("lacks {missing:?} and has {surplus:?}")));
    }
    let findings = copy.verify(|_| ()).await?.findings;
    Ok(findings.first().map(|finding| format!("is damaged: {}", finding.what)))
}

/// Of the databases that were at one place one after the other, the last one has what was acknowledged of it, and nothing of
/// the others.
pub(crate) async fn check_successors(db: &Database, beside: &Beside) -> Vec<Violation> {
    let violation = |detail: String| {
        let rule = "a database that was dropped has nothing to do with the next one";
        vec![Violation::new(rule, detail, Vec::new())]
    };
    match wrong_with_last(db, beside).await {
        Ok(None) => Vec::new(),
        Ok(Some(wrong)) => violation(wrong),
        Err(error) => violation(error.to_string()),
    }
}

async fn wrong_with_last(db: &Database, beside: &Beside) -> Result<Option<String>, Error> {
    let last = match builder_beside(db, SUCCESSORS_PREFIX).open().await {
        Ok(last) => last,
        Err(Error::Log(LogError::NoDatabase { .. } | LogError::Dropped { .. })) => {
            let is_lost = !beside.may_be_dropped && !beside.written.is_empty();
            return Ok(is_lost.then(|| "nobody dropped it, and it is not there".to_owned()));
        }
        Err(error) => return Err(error),
    };
    let id = database_id(&last).to_string();
    if beside.dropped.contains(&id) {
        return Ok(Some(format!("{id} was dropped, and is opened")));
    }
    let nothing = BTreeMap::new();
    if let Some(wrong) = wrong_with(&last, beside.written.get(&id).unwrap_or(&nothing)).await? {
        return Ok(Some(wrong));
    }
    let findings = last.verify(|_| ()).await?.findings;
    Ok(findings.first().map(|finding| finding.what.clone()))
}
