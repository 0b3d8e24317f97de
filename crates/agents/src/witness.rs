//! The other witness of a turn: what an agent says of it elsewhere than in its stream.
//!
//! Streams end early, fall silent, or lose their last line while the agent works on. Nearly every agent tells the same
//! turn a second time: a server answers for its sessions, others keep a file of each session. Whoever runs a driver
//! feeds it an [`Input::Doubt`](crate::Input::Doubt) before a stall is believed, and when the process is gone with a
//! turn open; the driver asks ([`Action::Http`](crate::Action::Http), [`Action::AskSession`](crate::Action::AskSession)),
//! tells what it learns as it tells its stream, no event twice, and says at last how the turn stands.

mod session_file;
mod silent_calls;

pub(crate) use session_file::{Line, Reader, Statement, Witnessed};
pub(crate) use silent_calls::{SilentLine, SilentReader};

use std::fmt;
use std::str::FromStr;

/// Why an agent's other witness is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// The stream has shown no progress for as long as it may.
    Silent,
    /// The process is gone, and a turn is open.
    Gone,
}

impl Doubt {
    const ALL: [Self; 2] = [Self::Silent, Self::Gone];

    /// The name in a journal.
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Gone => "gone",
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Doubt {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|doubt| doubt.name() == name).ok_or(())
    }
}

/// How a turn stands, by the agent's other witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// The agent works on it. Whether it gets on, the progress says that was told with it.
    Working,
    /// It is over, and was ended.
    Ended,
    /// The witness has nothing on it, or cannot be asked.
    Unknown,
}
