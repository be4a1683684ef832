use crate::anomaly::name;
use crate::list_append::list::{Action, Lists, What};
use crate::{Anomaly, AnomalyKind, History};

/// What a transaction knows of a list that it has worked on.
struct Known<'h> {
    list: usize,
    /// Its last read.
    read: Option<&'h [u64]>,
    /// What it appended after that.
    appended: Vec<u64>,
}

/// Looks in each acknowledged transaction for reads that contradict what it did and read before: the first of each.
pub(super) fn check(history: &History, lists: &Lists<'_>, found: &mut Vec<Anomaly>) {
    for actions in lists.actions.chunk_by(|one, other| one.transaction == other.transaction) {
        let mut known: Vec<Known<'_>> = Vec::new();
        for action in actions {
            if let Some(problem) = contradiction(lists, &mut known, action) {
                let statement = format!("{} {problem}", name(action.transaction));
                found.push(Anomaly::new(AnomalyKind::Internal, statement, history, &[action.transaction]));
                break;
            }
        }
    }
}

fn contradiction<'h>(lists: &Lists<'h>, known: &mut Vec<Known<'h>>, action: &Action<'h>) -> Option<String> {
    let list = lists.lists.get(action.list)?;
    let key = list.key;
    let at = known.iter().position(|known| known.list == action.list).unwrap_or(known.len());
    if at == known.len() {
        known.push(Known { list: action.list, read: None, appended: Vec::new() });
    }
    let known = known.get_mut(at)?;
    match action.what {
        What::Append(value) => {
            known.appended.push(value);
            let has_it = known.read.is_some_and(|read| read.contains(&value));
            has_it.then(|| format!("read {value} in {key} before it appended it"))
        }
        What::Read(values) => {
            let before = values.strip_suffix(known.appended.as_slice());
            let agrees = before.is_some_and(|before| known.read.is_none_or(|read| before == read));
            known.read = Some(values);
            known.appended.clear();
            (!agrees).then(|| format!("did not read in {key} what it had read and appended there before"))
        }
    }
}
