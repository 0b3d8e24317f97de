//! Names that become file names, and are therefore checked before they do.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An agent-chosen id that pairs a tool call with its result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct ToolId(pub String);

impl From<&str> for ToolId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl From<String> for ToolId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

/// The name of a trace, safe to use as a file name.
///
/// It starts with a letter or digit, goes on with letters, digits, `.`, `_` or `-`, is at most 128 bytes
/// long and never contains `..`, so that no trace can be written outside its folder.
///
/// ```
/// use belay_trace::TraceId;
///
/// assert!(TraceId::new("hiveminer-run").is_ok());
/// assert!(TraceId::new("../../escaped").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(String);

impl TraceId {
    /// The longest id, in bytes: 255 is what file systems allow, and a suffix must still fit.
    pub const LEN_MAX: usize = 128;

    /// Checks `id`.
    ///
    /// # Errors
    /// [`BadId`] if it could not serve as a file name on every system, or could name a file elsewhere.
    pub fn new(id: impl Into<String>) -> Result<Self, BadId> {
        let id = id.into();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let ok = id.len() <= Self::LEN_MAX
            && id.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && id.bytes().all(allowed)
            && !id.contains("..");
        if ok { Ok(Self(id)) } else { Err(BadId { id }) }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An id that must not become a file name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` cannot name a trace: use letters, digits, `.`, `_` and `-`, at most 128, first a letter or digit, no `..`",
    id.escape_debug()
)]
pub struct BadId {
    /// What was offered.
    pub id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_leave_the_folder_are_refused() {
        for id in [
            "",
            ".",
            "..",
            "a..b",
            "../../x",
            "/etc/passwd",
            "a/b",
            "a\\b",
            "a\0b",
            "-rf",
            ".x",
            "a b",
            "ä",
        ] {
            assert!(TraceId::new(id).is_err(), "{id:?}");
        }
        assert!(TraceId::new("a".repeat(129)).is_err());
    }

    #[test]
    fn plain_names_and_uuids_are_ids() {
        for id in ["a", "hiveminer-run", "01a1fd39-40bd-7012-8712-c091a5d3268a", "v1.2_x"] {
            assert_eq!(TraceId::new(id).unwrap().as_str(), id);
        }
    }
}
