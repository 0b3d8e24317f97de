//! Lines from the terminal as words to the running agent.

use crate::fail::Fail;
use belaykit::Interrupter;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::thread;

/// Says whether there is anything to listen to, before an agent costs anything.
pub(super) fn check() -> Result<(), Fail> {
    if io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Fail::usage("--interactive-steer needs a terminal to type on")
        .hint("leave it out, or do not redirect standard input"))
}

/// Passes on each line that is typed from now on.
pub(super) fn listen(run: Interrupter) -> Result<(), Fail> {
    // The thread waits for a line as long as the program lives.
    let typed = thread::Builder::new().name("belay-steer".to_owned()).spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if !line.trim().is_empty() {
                run.steer(line);
            }
        }
    });
    typed.map(drop).map_err(|error| Fail::local(format!("cannot listen to the terminal: {error}")))
}
