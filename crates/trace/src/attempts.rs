//! What the attempts of a run came to.

use crate::{CostSource, FailureKind};
use serde::{Deserialize, Serialize};

/// What an attempt may have changed outside its own conversation, as far as belay knows.
///
/// It decides whether work can be begun again: a tool that may have changed something must not run twice.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effects {
    /// No tool was called.
    #[default]
    None,
    /// The tools that were called are known to look and to change nothing.
    ReadOnly,
    /// A tool was called that can change things.
    Possible,
    /// Files in the working directory are not what they were.
    Observed,
}

impl Effects {
    /// True if no tool was called.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// How an attempt begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Start {
    /// With the request as it is: nothing was done yet that could be done twice.
    #[default]
    Fresh,
    /// In the session of the attempt before, which is told to look at its work and go on.
    Resume,
    /// In a new session, with an account of what was done.
    Handover,
}

/// One attempt, as the result of its run lists it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct AttemptSummary {
    /// Its number, from 1.
    pub attempt: u32,
    /// The agent.
    pub agent: String,
    /// The model that was asked for, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Why it failed; `None` if it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<FailureKind>,
    /// US dollars; see `cost_source` for who says so.
    pub total_cost_usd: Option<f64>,
    /// Where `total_cost_usd` comes from.
    pub cost_source: CostSource,
    /// Wall-clock milliseconds.
    pub duration_ms: Option<u64>,
    /// The agent's own id of its session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// What it may have changed.
    pub effects: Effects,
    /// How it began.
    pub start: Start,
}
