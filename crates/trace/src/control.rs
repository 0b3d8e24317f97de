//! What others may say to a run while it lasts, one line of text each.

use std::fmt;
use std::str::FromStr;

/// A line in the pipe of a run, [`CONTROL_FILE`](crate::journal::CONTROL_FILE).
///
/// ```
/// use belay_trace::ControlLine;
///
/// let line = ControlLine::Steer("Use\nspaces.".to_owned());
/// assert_eq!(line.to_string(), r#"steer "Use\nspaces.""#);
/// assert_eq!(line.to_string().parse(), Ok(line));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlLine {
    /// `stop`: ask the agent to stop; again insists, a third time kills.
    Stop,
    /// `steer TEXT`, the text as a JSON string: say something to the running turn.
    Steer(String),
}

/// A line says nothing that a run knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no control line: write `stop`, or `steer` and a JSON string")]
pub struct NoControlLine;

impl fmt::Display for ControlLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stop => f.write_str("stop"),
            Self::Steer(text) => write!(f, "steer {}", serde_json::Value::from(text.as_str())),
        }
    }
}

impl FromStr for ControlLine {
    type Err = NoControlLine;

    fn from_str(line: &str) -> Result<Self, NoControlLine> {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("stop", "") => Ok(Self::Stop),
            ("steer", text) => {
                serde_json::from_str(text).map(Self::Steer).map_err(|_| NoControlLine)
            }
            _ => Err(NoControlLine),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_control_line_is_refused() {
        for line in ["", "stop now", "STOP", "steer", "steer words", "steer \"a\" b", "steer 7"] {
            assert_eq!(line.parse::<ControlLine>(), Err(NoControlLine), "{line}");
        }
    }
}
