//! Work that may block, on a thread that nobody has to wait for: not the loop of a run, and not the end of the program.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use tokio::sync::oneshot;

/// What comes of such work: nothing, if it panics.
#[derive(Debug)]
pub(crate) struct Aside<T>(oneshot::Receiver<T>);

/// Begins the work. Where no thread can be started it is done at once, since something has to do it.
pub(crate) fn begin<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Aside<T> {
    let (done, result) = oneshot::channel();
    let work = Arc::new(Mutex::new(Some(move || drop(done.send(work())))));
    let of_thread = Arc::clone(&work);
    let take = |work: &Mutex<Option<_>>| work.lock().unwrap_or_else(PoisonError::into_inner).take();
    let thread = thread::Builder::new().name("belay-aside".to_owned());
    let started = thread.spawn(move || {
        let work = take(&of_thread);
        if let Some(work) = work {
            work();
        }
    });
    if started.is_err()
        && let Some(work) = take(&work)
    {
        work();
    }
    Aside(result)
}

impl<T> Future for Aside<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll(context).map(Result::ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_elsewhere_and_a_panic_is_its_own() {
        let here = thread::current().id();
        assert_ne!(begin(move || thread::current().id()).await, Some(here));
        assert_eq!(begin(|| -> u32 { panic!("on purpose") }).await, None);
    }

    #[test]
    fn a_runtime_does_not_wait_for_it() {
        let began = std::time::Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            drop(begin(|| thread::sleep(std::time::Duration::from_secs(60))));
        });
        drop(runtime);
        assert!(began.elapsed() < std::time::Duration::from_secs(30));
    }
}
