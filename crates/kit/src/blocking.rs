//! Running agents without async code.

use crate::{Client, Error, NotObserved, Outcome, RunRequest, Trace};
use belay_trace::{Failure, FailureKind};

/// Runs `request` and waits for its outcome; events go to the client's own handler.
///
/// ```no_run
/// use belaykit::{Claude, Client, blocking};
///
/// let client = Client::new(Claude::new()).env(std::env::vars_os());
/// let answer = blocking::run(&client, "What does this project do?")?;
/// println!("{}", answer.text);
/// # Ok::<(), belaykit::Error>(())
/// ```
///
/// # Errors
/// [`Error`] if the run did not answer.
///
/// # Panics
/// When it is called from within an async runtime, which it would block.
pub fn run(client: &Client, request: impl Into<RunRequest>) -> Result<Outcome, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(client.run(request)),
        Err(error) => {
            let failure =
                Failure::new(FailureKind::LocalIo, format!("cannot start a runtime: {error}"));
            Err(Error::new(failure, Outcome::default()))
        }
    }
}

/// Ends a trace, like [`Trace::end`].
///
/// # Errors
/// [`NotObserved`] with what observers could not do for the trace.
///
/// # Panics
/// When it is called from within an async runtime, which it would block.
pub fn end(trace: Trace) -> Result<(), NotObserved> {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(trace.end()),
        Err(error) => Err(NotObserved { errors: vec![format!("cannot start a runtime: {error}")] }),
    }
}
