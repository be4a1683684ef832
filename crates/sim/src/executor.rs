//! Runs tasks on virtual time, on one thread, in an order that the seed chooses.
//!
//! Ready tasks are kept in ascending order of their ids, and the seed picks the next one: so the order in which they
//! were woken, which libraries may leave to chance, has no influence. When no task is ready, the clock jumps to the
//! next timer. A *group* of tasks is one life of one simulated process: it can be killed, which drops its tasks where they
//! stand, or paused, which leaves them unpolled however many of their timers elapse.

mod sleep;

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;

pub use self::sleep::Sleep;
use crate::random::nanoseconds;
use crate::{Limits, SimRandom, Stuck};

/// One life of one simulated process; [`GroupId::WORLD`] is what is outside of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(u64);

impl GroupId {
    /// The store, whoever does harm, and the observer. Cannot be killed or paused.
    pub const WORLD: Self = Self(0);
}

/// Owns the tasks of a simulation. Dropping it drops them all.
#[derive(Debug)]
pub struct Executor {
    scheduler: Scheduler,
    limits: Limits,
}

/// A handle to an [`Executor`]: starts tasks, sleeps, kills and pauses. Cheap to clone.
#[derive(Clone)]
pub struct Scheduler {
    core: Arc<Core>,
}

struct Core {
    woken: Arc<Woken>,
    state: Mutex<State>,
}

/// The tasks that were woken since the last look, in whatever order.
type Woken = Mutex<Vec<u64>>;

struct State {
    now_ns: u64,
    polls: u64,
    random: SimRandom,
    tasks: BTreeMap<u64, Task>,
    /// In ascending order.
    ready: Vec<u64>,
    groups: BTreeMap<GroupId, Group>,
    timers: BTreeMap<(u64, u64), Waker>,
    next_id: u64,
}

#[derive(Default)]
struct Group {
    paused: bool,
    /// Woken while the group was paused.
    held: Vec<u64>,
}

struct Task {
    group: GroupId,
    /// Taken out while it is polled.
    body: Option<Body>,
}

struct Body {
    future: BoxFuture<'static, ()>,
    waker: Waker,
    flag: Arc<TaskWaker>,
}

struct TaskWaker {
    id: u64,
    queued: AtomicBool,
    woken: Arc<Woken>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.woken.lock().push(self.id);
        }
    }
}

impl Executor {
    /// An executor whose choices `seed` determines.
    #[must_use]
    pub fn new(seed: u64, limits: Limits) -> Self {
        let state = State {
            now_ns: 0,
            polls: 0,
            random: SimRandom::stream(seed, "schedule"),
            tasks: BTreeMap::new(),
            ready: Vec::new(),
            groups: BTreeMap::from([(GroupId::WORLD, Group::default())]),
            timers: BTreeMap::new(),
            next_id: 1,
        };
        let core = Core { woken: Arc::default(), state: Mutex::new(state) };
        Self { scheduler: Scheduler { core: Arc::new(core) }, limits }
    }

    /// The handle to hand out.
    #[must_use]
    pub fn scheduler(&self) -> Scheduler {
        self.scheduler.clone()
    }

    /// How often a task was polled.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.scheduler.core.state.lock().polls
    }

    /// Runs all tasks until `main`, a task of the world, is done.
    ///
    /// # Errors
    /// If it never will be.
    pub fn run<T: Send + 'static>(&self, main: impl Future<Output = T> + Send + 'static) -> Result<T, Stuck> {
        let done = Arc::new(Mutex::new(None));
        let result = done.clone();
        self.scheduler.spawn(
            GroupId::WORLD,
            Box::pin(async move {
                let value = main.await;
                *result.lock() = Some(value);
            }),
        );
        loop {
            if let Some(value) = done.lock().take() {
                return Ok(value);
            }
            self.step()?;
        }
    }

    /// Polls one task, or lets time pass until one is ready.
    fn step(&self) -> Result<(), Stuck> {
        let core = &self.scheduler.core;
        let (id, mut body) = {
            let mut state = core.state.lock();
            loop {
                state.take_woken(&core.woken);
                match state.choose() {
                    Some(chosen) => break chosen,
                    None => state.jump(self.limits.time)?,
                }
            }
        };
        body.flag.queued.store(false, Ordering::Relaxed);
        let mut context = Context::from_waker(&body.waker);
        let polled = catch_unwind(AssertUnwindSafe(|| body.future.as_mut().poll(&mut context)));
        let dropped = {
            let mut state = core.state.lock();
            state.polls += 1;
            if state.polls > self.limits.polls {
                return Err(Stuck::PollLimit(state.polls));
            }
            match (&polled, state.tasks.get_mut(&id)) {
                (Ok(Poll::Pending), Some(task)) => {
                    task.body = Some(body);
                    None
                }
                // Done, or killed meanwhile.
                _ => {
                    state.tasks.remove(&id);
                    Some(body)
                }
            }
        };
        // What a future does when it is dropped may need the lock.
        drop(dropped);
        polled.map(|_| ()).map_err(|panic| Stuck::Panic(panic_message(&*panic)))
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        loop {
            let tasks = std::mem::take(&mut self.scheduler.core.state.lock().tasks);
            if tasks.is_empty() {
                break;
            }
            drop(tasks);
        }
        self.scheduler.core.state.lock().timers.clear();
    }
}

impl State {
    fn take_woken(&mut self, woken: &Woken) {
        let mut woken = woken.lock();
        for id in woken.drain(..) {
            let Some(task) = self.tasks.get(&id) else { continue };
            match self.groups.get_mut(&task.group) {
                Some(group) if group.paused => group.held.push(id),
                _ => {
                    if let Err(place) = self.ready.binary_search(&id) {
                        self.ready.insert(place, id);
                    }
                }
            }
        }
    }

    /// Takes one of the ready tasks, any.
    fn choose(&mut self) -> Option<(u64, Body)> {
        while !self.ready.is_empty() {
            let index = match self.ready.len() {
                1 => 0,
                many => self.random.below(many as u64) as usize,
            };
            let id = self.ready.remove(index);
            if let Some(body) = self.tasks.get_mut(&id).and_then(|task| task.body.take()) {
                return Some((id, body));
            }
        }
        None
    }

    /// Lets time pass until the next timer, and wakes whoever set one for that moment.
    fn jump(&mut self, limit: Duration) -> Result<(), Stuck> {
        let Some((&(at_ns, _), _)) = self.timers.first_key_value() else { return Err(Stuck::Deadlock) };
        if at_ns > nanoseconds(limit) {
            return Err(Stuck::TimeLimit(limit));
        }
        self.now_ns = self.now_ns.max(at_ns);
        while let Some(timer) = self.timers.first_entry() {
            if timer.key().0 > self.now_ns {
                break;
            }
            timer.remove().wake();
        }
        Ok(())
    }

    fn new_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }
}

impl Scheduler {
    /// Virtual time since the simulation began.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.core.state.lock().now_ns)
    }

    /// Completes once that much virtual time has passed.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        let until_ns = self.core.state.lock().now_ns.saturating_add(nanoseconds(duration));
        Sleep { core: self.core.clone(), until_ns, timer: None }
    }

    /// Starts a task in a group; drops it if the group is dead.
    pub fn spawn(&self, group: GroupId, future: BoxFuture<'static, ()>) {
        let mut state = self.core.state.lock();
        if !state.groups.contains_key(&group) {
            drop(state);
            drop(future);
            return;
        }
        let id = state.new_id();
        let flag = Arc::new(TaskWaker { id, queued: AtomicBool::new(false), woken: self.core.woken.clone() });
        let waker = Waker::from(flag.clone());
        state.tasks.insert(id, Task { group, body: Some(Body { future, waker: waker.clone(), flag }) });
        waker.wake();
    }

    /// Begins the life of a process.
    #[must_use]
    pub fn new_group(&self) -> GroupId {
        let mut state = self.core.state.lock();
        let group = GroupId(state.new_id());
        state.groups.insert(group, Group::default());
        group
    }

    /// Ends the life of a process: drops all its tasks wherever they wait.
    pub fn kill(&self, group: GroupId) {
        if group == GroupId::WORLD {
            return;
        }
        let mut state = self.core.state.lock();
        state.groups.remove(&group);
        let (killed, left) = std::mem::take(&mut state.tasks).into_iter().partition(|(_, task)| task.group == group);
        state.tasks = left;
        drop(state);
        drop::<BTreeMap<u64, Task>>(killed);
    }

    /// Stops polling the tasks of a group.
    pub fn pause(&self, group: GroupId) {
        if group == GroupId::WORLD {
            return;
        }
        let mut state = self.core.state.lock();
        let State { groups, ready, tasks, .. } = &mut *state;
        let Some(paused) = groups.get_mut(&group) else { return };
        paused.paused = true;
        ready.retain(|id| {
            let stays = tasks.get(id).is_none_or(|task| task.group != group);
            if !stays {
                paused.held.push(*id);
            }
            stays
        });
    }

    /// Polls the tasks of a paused group again.
    pub fn resume(&self, group: GroupId) {
        let mut state = self.core.state.lock();
        let Some(resumed) = state.groups.get_mut(&group) else { return };
        resumed.paused = false;
        let held = std::mem::take(&mut resumed.held);
        self.core.woken.lock().extend(held);
    }

    /// Whether a group lives.
    #[must_use]
    pub fn is_alive(&self, group: GroupId) -> bool {
        self.core.state.lock().groups.contains_key(&group)
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Scheduler").finish_non_exhaustive()
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests;
