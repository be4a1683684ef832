use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::executor::Core;

/// Completes at a moment of virtual time.
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    pub(super) core: Arc<Core>,
    pub(super) until_ns: u64,
    pub(super) timer: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.core.state.lock();
        if state.now_ns >= this.until_ns {
            return Poll::Ready(());
        }
        let timer = *this.timer.get_or_insert_with(|| (this.until_ns, state.new_id()));
        match state.timers.get_mut(&timer) {
            Some(waker) if waker.will_wake(context.waker()) => {}
            _ => {
                state.timers.insert(timer, context.waker().clone());
            }
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            let removed = self.core.state.lock().timers.remove(&timer);
            drop(removed);
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sleep").field("until_ns", &self.until_ns).finish_non_exhaustive()
    }
}
