//! How long an agent may go without any progress.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How long an agent may go without progress, by what it is waiting for; `None` is for ever.
///
/// Progress is what shows that the work gets on ([`Event::is_progress`](belay_trace::Event::is_progress)): a word, a
/// thought, a tool call or what it prints, a plan. Signs of life are none: heartbeats, pings, blank lines, words beside
/// the protocol, messages that belay does not know, retries. After a third of a limit a notice says so, at the limit
/// the run is stopped as stalled. A pause does not count.
///
/// The defaults are generous, because healthy agents are silent for minutes: a watchdog of 180 s fired on runs
/// that were fine (openclaw, pull request 49698).
///
/// ```
/// use belay_agents::IdleLimits;
/// use std::time::Duration;
///
/// let limits: IdleLimits = "model=5m,tool=2h".parse()?;
/// assert_eq!(limits.model, Some(Duration::from_secs(300)));
/// assert_eq!(limits.start, IdleLimits::default().start);
/// # Ok::<(), belay_agents::BadIdleLimits>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct IdleLimits {
    /// From its start to its session, and between the steps in which it opens one; 3 minutes by default.
    pub start: Option<Duration>,
    /// For the model; 15 minutes by default.
    pub model: Option<Duration>,
    /// For a tool that runs; 30 minutes by default.
    pub tool: Option<Duration>,
    /// For its own retry of what has failed, as it announces it. A longer one is not waited for at all; of one
    /// that is waited for, half a minute more than announced; 10 minutes by default. Also for a response of the model,
    /// from an agent that does not report its retries, unless `model` is shorter: it may be waiting for one.
    pub retry: Option<Duration>,
    /// For a background task after the end of the agent's turn; 10 minutes by default. For a command since that
    /// end: it is stopped then and the answer stands. For a subagent since it last showed progress: its report is
    /// missing then, and the run is stopped as stalled.
    pub background: Option<Duration>,
}

impl Default for IdleLimits {
    fn default() -> Self {
        let minutes = |n: u64| Some(Duration::from_secs(n * 60));
        Self {
            start: minutes(3),
            model: minutes(15),
            tool: minutes(30),
            retry: minutes(10),
            background: minutes(10),
        }
    }
}

impl IdleLimits {
    /// No limit at all.
    pub const OFF: Self =
        Self { start: None, model: None, tool: None, retry: None, background: None };

    /// The same limit for everything.
    pub fn all(limit: Duration) -> Self {
        let limit = Some(limit);
        Self { start: limit, model: limit, tool: limit, retry: limit, background: limit }
    }
}

/// A text that names no limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no idle timeout: write a time (5m), times for start, model, tool, retry and background (model=5m,tool=2h), or off", text.escape_debug())]
pub struct BadIdleLimits {
    text: String,
}

impl FromStr for IdleLimits {
    type Err = BadIdleLimits;

    /// `5m`, `model=5m,tool=off`, `off`; what is not named keeps its default.
    fn from_str(text: &str) -> Result<Self, BadIdleLimits> {
        let bad = || BadIdleLimits { text: text.to_owned() };
        let limit = |word: &str| match word.trim() {
            "off" => Ok(None),
            word => time(word).map(Some).ok_or_else(bad),
        };
        if !text.contains('=') {
            return Ok(limit(text)?.map_or(Self::OFF, Self::all));
        }
        let mut limits = Self::default();
        for part in text.split(',') {
            let (name, word) = part.split_once('=').ok_or_else(bad)?;
            let field = match name.trim() {
                "start" => &mut limits.start,
                "model" => &mut limits.model,
                "tool" => &mut limits.tool,
                "retry" => &mut limits.retry,
                "background" => &mut limits.background,
                _ => return Err(bad()),
            };
            *field = limit(word)?;
        }
        Ok(limits)
    }
}

/// A positive time such as `90s` or `1h30m`.
fn time(word: &str) -> Option<Duration> {
    let time = word.parse::<jiff::SignedDuration>().ok()?;
    Duration::try_from(time).ok().filter(|time| !time.is_zero())
}

impl fmt::Display for IdleLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            ("start", self.start),
            ("model", self.model),
            ("tool", self.tool),
            ("retry", self.retry),
            ("background", self.background),
        ];
        for (n, (name, limit)) in all.into_iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            match limit {
                Some(limit) => write!(f, "{comma}{name}={limit:?}")?,
                None => write!(f, "{comma}{name}=off")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_keeps_its_default() {
        let limits: IdleLimits = "tool=2h,retry=off".parse().unwrap();
        let wanted = IdleLimits {
            tool: Some(Duration::from_secs(7200)),
            retry: None,
            ..IdleLimits::default()
        };
        assert_eq!(limits, wanted);
        assert_eq!("off".parse(), Ok(IdleLimits::OFF));
        assert_eq!("90s".parse(), Ok(IdleLimits::all(Duration::from_secs(90))));
    }

    #[test]
    fn what_is_no_limit_is_refused_with_the_way_to_write_it() {
        for text in
            ["", "soon", "0s", "-5m", "model", "model=", "modle=5m", "model=5m,", "5m,model=3m"]
        {
            let error = text.parse::<IdleLimits>().unwrap_err().to_string();
            assert!(error.contains("model=5m"), "{text}: {error}");
        }
    }
}
