//! What all runs of a user know about limits and failures: whoever has found out that an account is used up, or a
//! model overloaded, spares the others the same.
//!
//! Each scope (the machine, an account of an agent, one model of it) has a file of its own in
//! `STATE_DIR/breaker`. It is **open** until a time; then one run may **probe** whether it works again, while the
//! others wait for its result for a moment; an answer closes it, another failure opens it for longer. The store
//! holds bad news, and when an account has answered last: a file that is missing, damaged, foreign, too old or from the future says
//! nothing, and nobody waits for its lock for long.

mod entry;
mod fingerprint;
mod rules;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use self::entry::{Found, Key, State, hash};
pub use self::entry::{Scope, Tripped};
pub(crate) use self::fingerprint::{fingerprint, home, whose};
pub(crate) use self::rules::{Consequence, consequence};
pub(crate) use self::store::{Claim, Probe};

use jiff::Timestamp;
use std::io;
use std::path::{Path, PathBuf};

/// The breakers of a user.
///
/// ```
/// use belaykit::breaker::Breakers;
///
/// let state_dir = std::env::temp_dir().join("a folder that is not there");
/// let breakers = Breakers::new(state_dir);
/// for tripped in breakers.tripped(jiff::Timestamp::now())? {
///     println!("{}: {} until {}", tripped.who(), tripped.kind, tripped.until);
/// }
/// assert_eq!(breakers.reset(|tripped| tripped.agent.as_deref() == Some("codex"))?, 0);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Breakers {
    folder: PathBuf,
}

/// The folder of the breakers, in the state folder.
const BREAKER_DIR: &str = "breaker";

impl Breakers {
    /// Those in this state folder, which need not exist.
    pub fn new(state_dir: impl AsRef<Path>) -> Self {
        Self { folder: state_dir.as_ref().join(BREAKER_DIR) }
    }

    /// Those that are open at `now`, or wait for a probe, the longest first.
    ///
    /// # Errors
    /// When the folder is there and cannot be read; a file that cannot be read counts as closed.
    pub fn tripped(&self, now: Timestamp) -> io::Result<Vec<Tripped>> {
        let all = self.entries()?.into_iter().filter_map(|entry| entry.tripped(now));
        let mut all: Vec<Tripped> = all.collect();
        all.sort_by(|a, b| (b.until, a.who()).cmp(&(a.until, b.who())));
        Ok(all)
    }

    /// Forgets those that `wants` takes, and says how many they were. What is counted towards an opening is forgotten
    /// with them.
    ///
    /// # Errors
    /// When one of them cannot be removed, or the store stays locked.
    pub fn reset(&self, wants: impl Fn(&Tripped) -> bool) -> io::Result<usize> {
        self.remove(wants, Timestamp::now())
    }
}
