use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::cluster::Cluster;
use crate::{GroupId, Reach, Scheduler, SimRandom, StoreWorld};

/// What can be done to processes and to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// A process crashes and comes back.
    Crash,
    /// All processes crash at once and come back.
    CrashAll,
    /// A process is stopped for a while, its clocks going on.
    Pause,
    /// A machine sleeps for a while, and its monotonic clock with it.
    Suspend,
    /// A process cannot reach the store.
    CutOff,
    /// The credentials of a process expire for a while.
    Expire,
    /// A wall clock jumps.
    Skew,
    /// A machine is copied, and both go on.
    CloneMachine,
    /// The store fails most requests of everybody for a while.
    BrownOut,
}

impl Harm {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Crash,
        Self::CrashAll,
        Self::Pause,
        Self::Suspend,
        Self::CutOff,
        Self::Expire,
        Self::Skew,
        Self::CloneMachine,
        Self::BrownOut,
    ];
}

/// Does harm until it is told to stop. Clones are the same.
#[derive(Clone)]
pub(crate) struct Nemesis {
    shared: Arc<Shared>,
}

struct Shared {
    scheduler: Scheduler,
    world: StoreWorld,
    cluster: Cluster,
    harms: Vec<(Harm, u64)>,
    calm: Duration,
    stopped: Mutex<bool>,
    /// Machines that were copied; more than a few would only make a run longer.
    clones: Mutex<u32>,
}

/// How many machines are copied in a run, at most.
const MAX_CLONES: u32 = 2;

impl Nemesis {
    pub(crate) fn new(
        scheduler: Scheduler,
        world: StoreWorld,
        cluster: Cluster,
        (harms, calm): (Vec<(Harm, u64)>, Duration),
    ) -> Self {
        let (stopped, clones) = (Mutex::new(false), Mutex::new(0));
        Self { shared: Arc::new(Shared { scheduler, world, cluster, harms, calm, stopped, clones }) }
    }

    /// Does harm after harm.
    pub(crate) async fn run(self, mut random: SimRandom) {
        let total = self.shared.harms.iter().map(|(_, weight)| weight).sum();
        if total == 0 {
            return;
        }
        loop {
            let pause = random.duration(Duration::ZERO, self.shared.calm);
            self.shared.scheduler.sleep(pause).await;
            if self.is_stopped() {
                return;
            }
            let mut place = random.below(total);
            for (harm, weight) in &self.shared.harms {
                if place < *weight {
                    self.harm(*harm, &mut random);
                    break;
                }
                place -= weight;
            }
        }
    }

    /// Does no more harm, and undoes nothing later.
    pub(crate) fn stop(&self) {
        *self.shared.stopped.lock() = true;
    }

    fn is_stopped(&self) -> bool {
        *self.shared.stopped.lock()
    }

    fn harm(&self, harm: Harm, random: &mut SimRandom) {
        let Shared { cluster, world, .. } = &*self.shared;
        let (ms, minute) = (Duration::from_millis(1), Duration::from_secs(60));
        let running = cluster.running();
        let Some(process) = random.pick(&running).copied() else { return };
        match harm {
            Harm::Crash => {
                cluster.kill(process);
                self.later(random.magnitude(ms, minute), move |cluster, _| cluster.start(process));
            }
            Harm::CrashAll => {
                for process in running {
                    cluster.kill(process);
                    self.later(random.magnitude(ms, minute), move |cluster, _| cluster.start(process));
                }
            }
            Harm::Pause | Harm::Suspend => {
                cluster.pause(process);
                let pause = random.magnitude(ms, 180 * minute);
                let frozen = if harm == Harm::Suspend { pause } else { Duration::ZERO };
                self.later(pause, move |cluster, _| cluster.resume(process, frozen));
            }
            Harm::CutOff | Harm::Expire => {
                let ways = [Reach::Refused, Reach::NoRequests, Reach::NoAnswers];
                let way = random.pick(&ways).copied().unwrap_or_default();
                world.set_reach(process, if harm == Harm::Expire { Reach::Denied } else { way });
                let duration = random.magnitude(10 * ms, 5 * minute);
                self.later(duration, move |_, world| world.set_reach(process, Reach::Whole));
            }
            Harm::Skew => {
                let most = random.magnitude(ms, 60 * 24 * 30 * minute).as_millis();
                let most = u64::try_from(most).unwrap_or(u64::MAX);
                let skew_ms = i64::try_from(random.below(2 * most)).unwrap_or(0) - i64::try_from(most).unwrap_or(0);
                cluster.skew(process, skew_ms);
            }
            Harm::CloneMachine => {
                let mut clones = self.shared.clones.lock();
                if *clones < MAX_CLONES {
                    *clones += 1;
                    cluster.clone_machine(process);
                }
            }
            Harm::BrownOut => {
                world.set_brown_out(*random.pick(&[0.3, 0.8, 1.0]).unwrap_or(&1.0));
                self.later(random.magnitude(100 * ms, 2 * minute), |_, world| world.set_brown_out(0.0));
            }
        }
    }

    /// Undoes a harm after a while, unless everything was healed before.
    fn later(&self, after: Duration, undo: impl FnOnce(&Cluster, &StoreWorld) + Send + 'static) {
        let nemesis = self.clone();
        let undone = async move {
            nemesis.shared.scheduler.sleep(after).await;
            if !nemesis.is_stopped() {
                undo(&nemesis.shared.cluster, &nemesis.shared.world);
            }
        };
        self.shared.scheduler.spawn(GroupId::WORLD, Box::pin(undone));
    }

    /// Ends all harm: everybody runs, nobody is cut off. Wall clocks stay wrong.
    pub(crate) fn heal(&self) {
        self.stop();
        self.shared.world.heal();
        for process in self.shared.cluster.processes() {
            self.shared.cluster.resume(process, Duration::ZERO);
            self.shared.cluster.start(process);
        }
    }
}
