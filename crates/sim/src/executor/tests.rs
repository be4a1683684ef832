use std::sync::atomic::AtomicU64;

use futures::channel::oneshot;
use futures::future;

use super::*;

fn executor(seed: u64) -> Executor {
    Executor::new(seed, Limits { polls: 100_000, time: Duration::from_secs(3600) })
}

/// Counts its own drop.
struct Counted(Arc<AtomicU64>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn time_passes_only_when_nobody_is_ready() {
    let executor = executor(1);
    let scheduler = executor.scheduler();
    let times = executor.run(async move {
        let before = scheduler.now();
        future::join(scheduler.sleep(Duration::from_secs(7)), scheduler.sleep(Duration::from_secs(60))).await;
        (before, scheduler.now())
    });
    assert_eq!(times, Ok((Duration::ZERO, Duration::from_secs(60))));
}

#[test]
fn the_seed_chooses_the_order_and_nothing_else_does() {
    let order = |seed, reversed: bool| {
        let executor = executor(seed);
        let scheduler = executor.scheduler();
        let order = Arc::new(Mutex::new(Vec::new()));
        let seen = order.clone();
        executor
            .run(async move {
                let mut senders = Vec::new();
                for number in 0..8 {
                    let (sender, receiver) = oneshot::channel::<()>();
                    let seen = seen.clone();
                    scheduler.spawn(
                        GroupId::WORLD,
                        Box::pin(async move {
                            receiver.await.unwrap();
                            seen.lock().push(number);
                        }),
                    );
                    senders.push(sender);
                }
                scheduler.sleep(Duration::from_secs(1)).await;
                if reversed {
                    senders.reverse();
                }
                senders.into_iter().for_each(|sender| sender.send(()).unwrap());
                scheduler.sleep(Duration::from_secs(1)).await;
            })
            .unwrap();
        order.lock().clone()
    };
    assert_eq!(order(5, false), order(5, true));
    assert!((0..20).any(|seed| order(seed, false) != order(5, false)));
}

#[test]
fn a_killed_process_is_gone_wherever_it_waits() {
    let executor = executor(2);
    let scheduler = executor.scheduler();
    let drops = Arc::new(AtomicU64::new(0));
    let counted = (0..3).map(|_| Counted(drops.clone())).collect::<Vec<_>>();
    let outcome = executor.run(async move {
        let group = scheduler.new_group();
        for counted in counted {
            let inner = scheduler.clone();
            scheduler.spawn(
                group,
                Box::pin(async move {
                    let _counted = counted;
                    inner.sleep(Duration::from_secs(100)).await;
                    panic!("it was killed before");
                }),
            );
        }
        scheduler.sleep(Duration::from_secs(1)).await;
        scheduler.kill(group);
        scheduler.spawn(group, Box::pin(async { panic!("dead processes start nothing") }));
        scheduler.sleep(Duration::from_secs(1000)).await;
        scheduler.is_alive(group)
    });
    assert_eq!(outcome, Ok(false));
    assert_eq!(drops.load(Ordering::Relaxed), 3);
}

#[test]
fn a_paused_process_makes_no_step_until_it_is_resumed() {
    let executor = executor(3);
    let scheduler = executor.scheduler();
    let woke = executor.run(async move {
        let group = scheduler.new_group();
        let (sender, receiver) = oneshot::channel();
        let inner = scheduler.clone();
        scheduler.spawn(
            group,
            Box::pin(async move {
                inner.sleep(Duration::from_secs(5)).await;
                let _ = sender.send(inner.now());
            }),
        );
        scheduler.sleep(Duration::from_secs(1)).await;
        scheduler.pause(group);
        scheduler.sleep(Duration::from_secs(59)).await;
        scheduler.resume(group);
        receiver.await
    });
    assert_eq!(woke, Ok(Ok(Duration::from_secs(60))));
}

#[test]
fn what_cannot_end_is_reported() {
    assert_eq!(executor(1).run(future::pending::<()>()), Err(Stuck::Deadlock));
    let endless = executor(1);
    let scheduler = endless.scheduler();
    let forever = async move {
        loop {
            scheduler.sleep(Duration::from_secs(60)).await;
        }
    };
    assert_eq!(endless.run::<()>(forever), Err(Stuck::TimeLimit(Duration::from_secs(3600))));
    let spinning = future::poll_fn::<(), _>(|context| {
        context.waker().wake_by_ref();
        Poll::Pending
    });
    assert_eq!(executor(1).run(spinning), Err(Stuck::PollLimit(100_001)));
    assert_eq!(executor(1).run(async { panic!("oh") }), Err::<(), _>(Stuck::Panic("oh".into())));
}

#[test]
fn a_timer_that_is_dropped_leaves_nothing_behind() {
    let executor = executor(4);
    let scheduler = executor.scheduler();
    let inner = scheduler.clone();
    let done = executor.run(async move {
        let long = inner.sleep(Duration::from_secs(50));
        let short = inner.sleep(Duration::from_secs(1));
        drop(future::select(long, short).await);
        inner.now()
    });
    assert_eq!(done, Ok(Duration::from_secs(1)));
    assert!(scheduler.core.state.lock().timers.is_empty());
}
