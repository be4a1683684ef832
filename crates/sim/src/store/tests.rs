use std::time::Duration;

use bucketdb::{Condition, Driver, ErrorKind, Key};
use futures::future::{self, Either};

use super::*;
use crate::{Executor, GroupId, Limits, Scheduler, Trace};

const P: ProcessId = ProcessId(1);

/// Runs `body` in a world with those faults.
fn with<T, F>(faults: Faults, body: impl FnOnce(StoreWorld, Scheduler) -> F) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let executor = Executor::new(7, Limits::default());
    let scheduler = executor.scheduler();
    let world = StoreWorld::new(7, scheduler.clone(), Trace::new(scheduler.clone(), false));
    world.set_faults(faults);
    executor.run(body(world, scheduler)).unwrap()
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

#[test]
fn conditions_hold_at_the_moment_of_applying() {
    with(Faults::default(), async |world, _| {
        let (a, b) = (world.handle(P), world.handle(ProcessId(2)));
        let key = key("k");
        let puts =
            future::join(a.put(&key, "a".into(), Condition::IfAbsent), b.put(&key, "b".into(), Condition::IfAbsent));
        let (first, second) = puts.await;
        assert!(first.is_ok() != second.is_ok());
        assert_eq!(world.usage(P).lost_puts + world.usage(ProcessId(2)).lost_puts, 1);
        let etag = first.or(second).unwrap();
        let new = a.put(&key, "c".into(), Condition::IfMatch(etag.clone())).await.unwrap();
        assert_ne!(new, etag);
        assert!(a.put(&key, "d".into(), Condition::IfMatch(etag)).await.unwrap_err().is_precondition_failed());
        assert_eq!(b.get(&key).await.unwrap().body, "c");
    });
}

#[test]
fn a_request_outlives_its_client() {
    with(Faults::default(), async |world, scheduler| {
        let group = scheduler.new_group();
        let store = world.handle(P);
        scheduler.spawn(
            group,
            Box::pin(async move {
                let _ = store.put(&key("k"), "v".into(), Condition::IfAbsent).await;
            }),
        );
        scheduler.sleep(Duration::from_nanos(1)).await;
        assert_eq!(world.objects(), 0);
        scheduler.kill(group);
        scheduler.sleep(Duration::from_secs(1)).await;
        assert_eq!(world.peek(&key("k")).unwrap(), "v");
        assert_eq!(world.under_way(), 0);
    });
}

#[test]
fn an_error_may_come_before_or_after_the_effect() {
    with(Faults { fail_before: 1.0, ..Faults::default() }, async |world, _| {
        let error = world.handle(P).put(&key("k"), "v".into(), Condition::Always).await.unwrap_err();
        assert!(error.is_transient() && world.objects() == 0);
    });
    with(Faults { fail_after: 1.0, ..Faults::default() }, async |world, _| {
        let error = world.handle(P).put(&key("k"), "v".into(), Condition::Always).await.unwrap_err();
        assert!(error.is_transient() && world.objects() == 1);
        // What is no effect is told as it is.
        let error = world.handle(P).put(&key("k"), "v".into(), Condition::IfAbsent).await.unwrap_err();
        assert!(error.is_precondition_failed());
    });
    with(Faults { deny: 1.0, ..Faults::default() }, async |world, _| {
        let error = world.handle(P).put(&key("k"), "v".into(), Condition::Always).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Denied && world.objects() == 0);
    });
}

#[test]
fn lost_answers_never_come() {
    for (faults, objects) in
        [(Faults { lose_request: 1.0, ..Faults::default() }, 0), (Faults { lose_answer: 1.0, ..Faults::default() }, 1)]
    {
        with(faults, async move |world, scheduler| {
            let (store, key) = (world.handle(P), key("k"));
            let put = store.put(&key, "v".into(), Condition::Always);
            let waited = future::select(put, scheduler.sleep(Duration::from_secs(3600))).await;
            assert!(matches!(waited, Either::Right(_)));
            assert_eq!(world.objects(), objects);
        });
    }
}

#[test]
fn duplicates_and_delayed_requests_arrive() {
    let longest_delay = Duration::from_secs(300);
    with(Faults { duplicate: 1.0, longest_delay, ..Faults::default() }, async move |world, scheduler| {
        let store = world.handle(P);
        store.put(&key("k"), "v".into(), Condition::IfAbsent).await.unwrap();
        world.remove(&key("k"));
        assert_eq!((world.objects(), world.under_way()), (0, 1));
        scheduler.sleep(longest_delay).await;
        assert_eq!((world.objects(), world.under_way()), (1, 0));
        assert_eq!(world.fault_counts().duplicates_applied, 1);
    });
    with(Faults { delay: 1.0, longest_delay, ..Faults::default() }, async move |world, scheduler| {
        let before = scheduler.now();
        world.handle(P).put(&key("k"), "v".into(), Condition::IfAbsent).await.unwrap();
        assert!(scheduler.now() - before > Duration::from_millis(100));
    });
}

#[test]
fn listings_lag_and_pages_join() {
    let list_lag = Duration::from_secs(5);
    with(Faults { list_lag, ..Faults::default() }, async move |world, scheduler| {
        world.set_page_keys(2);
        let store = world.handle(P);
        for number in 0..5 {
            store.put(&key(&format!("k/{number}")), "v".into(), Condition::Always).await.unwrap();
        }
        let mut sizes = Vec::new();
        for _ in 0..20 {
            sizes.push(store.list("k/", None).await.unwrap().objects.len());
        }
        assert!(sizes.contains(&0), "{sizes:?}");
        scheduler.sleep(list_lag).await;
        let mut all = Vec::new();
        let mut next = None;
        loop {
            let page = store.list("k/", next.as_deref()).await.unwrap();
            all.extend(page.objects.into_iter().map(|listed| listed.key.as_str().to_owned()));
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(all, ["k/0", "k/1", "k/2", "k/3", "k/4"]);
    });
}

#[test]
fn a_lying_store_overwrites_and_says_created() {
    with(Faults { lie: 1.0, ..Faults::default() }, async |world, _| {
        let store = world.handle(P);
        store.put(&key("k"), "a".into(), Condition::IfAbsent).await.unwrap();
        store.put(&key("k"), "b".into(), Condition::IfAbsent).await.unwrap();
        assert_eq!(world.peek(&key("k")).unwrap(), "b");
        assert_eq!(world.fault_counts().lies, 1);
    });
}

#[test]
fn of_what_a_lying_store_overwrote_the_archive_has_what_the_next_record_continues() {
    with(Faults { lie: 1.0, ..Faults::default() }, async |world, _| {
        let store = world.handle(P);
        let (first, second) = (key("db/log/00000000000000000001"), key("db/log/00000000000000000002"));
        for body in ["a", "b", "c"] {
            store.put(&first, body.into(), Condition::IfAbsent).await.unwrap();
        }
        let archived = || world.records(|records| records.created(&first).cloned()).unwrap();
        assert_eq!(archived(), "c");
        let behind_b = [b"before it: ", &blake3::hash(b"b").as_bytes()[..16], b"; and so on"].concat();
        store.put(&second, behind_b.into(), Condition::IfAbsent).await.unwrap();
        assert_eq!(archived(), "b");
    });
}

#[test]
fn a_process_that_is_cut_off_reaches_nothing_and_others_do() {
    with(Faults::default(), async |world, scheduler| {
        world.set_reach(P, Reach::Refused);
        let cut_off = world.handle(P);
        assert!(cut_off.put(&key("k"), "v".into(), Condition::Always).await.unwrap_err().is_transient());
        world.handle(ProcessId(2)).put(&key("k"), "v".into(), Condition::Always).await.unwrap();
        world.set_reach(P, Reach::NoAnswers);
        let key = key("k");
        let get = cut_off.get(&key);
        assert!(matches!(future::select(get, scheduler.sleep(Duration::from_secs(99))).await, Either::Right(_)));
        world.heal();
        assert_eq!(cut_off.get(&key).await.unwrap().body, "v");
        assert!(scheduler.is_alive(GroupId::WORLD));
    });
}
