use bucketdb_driver::MemoryDriver;

use super::*;
use crate::{DatabaseId, ObjectKind, SlotNames};

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

async fn put(store: &dyn Driver, name: &str) {
    store.put(&key(name), name.to_owned().into(), Condition::Always).await.unwrap();
}

fn branch_of(
    store: &MemoryDriver,
    parent: (Arc<dyn Driver>, &Layout),
    name: &str,
    fork: u64,
) -> (BranchDriver, Layout) {
    let origin = BranchOrigin { database: DatabaseId([1; 16]), id: [fork as u8; 16], fork: Seq(fork) };
    let layout = parent.1.branch(name);
    (BranchDriver::new(Arc::new(store.clone()), parent, &layout, &origin), layout)
}

/// All pages of a listing, each one of which must be in order.
async fn list(driver: &dyn Driver, prefix: &str, after: Option<&Key>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut page = match after {
        Some(after) => driver.list_after(prefix, after).await.unwrap(),
        None => driver.list(prefix, None).await.unwrap(),
    };
    loop {
        found.extend(page.objects.iter().map(|listed| listed.key.as_str().to_owned()));
        assert!(found.is_sorted_by(|one, other| one < other));
        match page.next {
            Some(next) => page = driver.list(prefix, Some(&next)).await.unwrap(),
            None => return found,
        }
    }
}

async fn body(driver: &dyn Driver, text: &str) -> Option<Bytes> {
    driver.get(&key(text)).await.ok().map(|object| object.body)
}

#[tokio::test]
async fn names_up_to_the_fork_are_read_from_the_parent_and_never_written() {
    let store = MemoryDriver::new();
    let root = Layout::new("db").unwrap();
    let (driver, layout) = branch_of(&store, (Arc::new(store.clone()), &root), "x", 50);
    let names = |seq: u64| {
        let mut names: Vec<String> = ObjectKind::ALL.map(|kind| Layout::unique_name(kind, Seq(seq), [9; 16])).to_vec();
        names.push(Layout::slot_name(Seq(seq)));
        names.push(Layout::record_name(SlotNames::PerSession, Seq(seq), crate::SessionId([7; 16])));
        names
    };
    for name in names(50) {
        let (shared, seen) = (format!("db/{name}"), format!("{}{name}", layout.prefix()));
        put(&store, &shared).await;
        assert_eq!(body(&driver, &seen).await.as_deref(), Some(shared.as_bytes()));
        let error = driver.put(&key(&seen), "x".into(), Condition::Always).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permanent);
        driver.delete(&key(&seen)).await.unwrap();
        driver.delete_many(&[key(&seen)]).await.unwrap();
        assert_eq!(body(&driver, &seen).await.as_deref(), Some(shared.as_bytes()));
    }
    for name in names(51).into_iter().chain(["head".to_owned(), "restoring".to_owned()]) {
        let seen = format!("{}{name}", layout.prefix());
        put(&store, &format!("db/{name}")).await;
        assert_eq!(body(&driver, &seen).await, None, "the parent's");
        put(&driver, &seen).await;
        let own = format!("{}{}/{name}", layout.prefix(), "32".repeat(16));
        assert_eq!(body(&store, &own).await.as_deref(), Some(seen.as_bytes()));
        driver.delete_many(&[key(&seen)]).await.unwrap();
        assert_eq!(body(&store, &own).await, None);
        assert!(body(&store, &format!("db/{name}")).await.is_some());
    }
    // Branches of the branch, and what is beside it, are where they seem to be.
    for other in ["db/branch/x/branch/y/origin", "db/branch/x2/head", "elsewhere"] {
        put(&driver, other).await;
        assert!(body(&store, other).await.is_some());
    }
}

#[tokio::test]
async fn a_listing_is_the_parents_records_up_to_the_fork_and_then_its_own() {
    let store = MemoryDriver::new();
    let root = Layout::new("db").unwrap();
    let slot = |prefix: &str, seq: u64| format!("{prefix}{}", Layout::slot_name(Seq(seq)));
    // More than two pages of each, with a gap, and more in the parent behind the fork.
    for seq in (1..40).chain(300..4_000) {
        put(&store, &slot("db/", seq)).await;
    }
    put(&store, "db/log/unknown").await;
    let (one, layout) = branch_of(&store, (Arc::new(store.clone()), &root), "x", 2_500);
    let prefix = layout.prefix();
    for seq in 2_501..4_700 {
        put(&one, &slot(prefix, seq)).await;
    }
    for name in ["head", "restoring"] {
        put(&one, &format!("{prefix}{name}")).await;
    }
    let records = |seqs: &mut dyn Iterator<Item = u64>| seqs.map(|seq| slot(prefix, seq)).collect::<Vec<_>>();
    let all = records(&mut (1..40).chain(300..4_700));
    assert_eq!(list(&one, &layout.log_prefix(), None).await, all);
    for from in [1, 20, 100, 1_500, 2_499, 2_500, 2_501, 3_000, 4_699, 4_700] {
        let expected = records(&mut (1..40).chain(300..4_700).filter(|seq| *seq >= from));
        assert_eq!(list(&one, &layout.log_prefix(), Some(&layout.just_before(Seq(from)))).await, expected, "{from}");
    }
    let whole = list(&one, prefix, None).await;
    assert_eq!(whole.len(), all.len() + 2);
    assert_eq!(whole.iter().filter(|name| name.contains("/log/")).count(), all.len());
    let one_slot = slot(prefix, 7);
    assert_eq!(list(&one, &one_slot, None).await, [one_slot]);
    // A branch of the branch, which has some of each.
    let (two, second) = branch_of(&store, (Arc::new(one), &layout), "y", 2_600);
    put(&two, &slot(second.prefix(), 2_601)).await;
    let expected: Vec<String> = (1..40).chain(300..2_602).map(|seq| slot(second.prefix(), seq)).collect();
    assert_eq!(list(&two, &second.log_prefix(), None).await, expected);
    assert_eq!(body(&two, &slot(second.prefix(), 7)).await.as_deref(), Some(slot("db/", 7).as_bytes()));
    assert_eq!(body(&two, &slot(second.prefix(), 2_550)).await.as_deref(), Some(slot(prefix, 2_550).as_bytes()));
}
