use std::future::poll_fn;
use std::task::Poll;

/// Lets other tasks of the same thread go on, once.
///
/// Work that goes on for many milliseconds without waiting for anything calls it now and then: a runtime's thread that is
/// busy with one task keeps those waiting that it has woken itself, and the sockets and timers that it looks after.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let pieces = [1, 2, 3];
/// let mut sum = 0;
/// for piece in pieces {
///     sum += piece; // … what takes long
///     bucketdb_env::yield_now().await;
/// }
/// # assert_eq!(sum, 6);
/// # }
/// ```
pub async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|context| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        // A task that is woken while it runs goes behind all others that are ready, in tokio as in the simulator.
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn others_go_on_meanwhile() {
        static STEPS: AtomicUsize = AtomicUsize::new(0);
        let other = async {
            for _ in 0..3 {
                STEPS.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        };
        let mut seen = Vec::new();
        let this = async {
            for _ in 0..3 {
                yield_now().await;
                seen.push(STEPS.load(Ordering::Relaxed));
            }
        };
        futures::future::join(this, other).await;
        assert_eq!(seen, [1, 2, 3]);
    }
}
