//! What an agent can honour, as data: errors, tables and `belay agents` come from it.

use serde::{Serialize, Serializer};

/// Something that a caller may want of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Capability {
    /// Text and reasoning arrive in pieces while the model writes.
    StreamingDeltas,
    /// [`RunRequest::system_prompt`](crate::RunRequest::system_prompt).
    SystemPrompt,
    /// [`RunRequest::append_system_prompt`](crate::RunRequest::append_system_prompt).
    AppendSystemPrompt,
    /// [`RunRequest::max_turns`](crate::RunRequest::max_turns).
    MaxTurns,
    /// [`RunRequest::max_cost_usd`](crate::RunRequest::max_cost_usd), in mid-turn: what the agent uses is
    /// known while it works.
    MaxCost,
    /// [`RunRequest::agent_retries`](crate::RunRequest::agent_retries).
    AgentRetries,
    /// [`RunRequest::max_output_tokens`](crate::RunRequest::max_output_tokens).
    MaxOutputTokens,
    /// [`RunRequest::allowed_tools`](crate::RunRequest::allowed_tools).
    AllowedTools,
    /// [`RunRequest::disallowed_tools`](crate::RunRequest::disallowed_tools).
    DisallowedTools,
    /// [`RunRequest::effort`](crate::RunRequest::effort).
    Effort,
    /// [`Permissions::ReadOnly`](crate::Permissions::ReadOnly) is kept.
    PermitReadOnly,
    /// [`Permissions::Ask`](crate::Permissions::Ask) is kept.
    PermitAsk,
    /// [`Permissions::Edit`](crate::Permissions::Edit) is kept.
    PermitEdit,
    /// [`RunRequest::agent_mode`](crate::RunRequest::agent_mode).
    AgentMode,
    /// [`RunRequest::mcp_servers`](crate::RunRequest::mcp_servers).
    McpServers,
    /// [`RunRequest::add_dirs`](crate::RunRequest::add_dirs).
    AddDir,
    /// [`RunRequest::images`](crate::RunRequest::images).
    Images,
    /// [`RunRequest::output_schema`](crate::RunRequest::output_schema).
    OutputSchema,
    /// [`Session::Resume`](crate::Session::Resume).
    Resume,
    /// [`Session::Continue`](crate::Session::Continue).
    Continue,
    /// [`Session::Fork`](crate::Session::Fork).
    Fork,
    /// The agent has an interrupt of its own, which keeps the bill.
    NativeInterrupt,
    /// Words of the caller reach the running turn.
    Steer,
    /// The caller can answer permission requests.
    PermissionRequests,
    /// The agent reports tokens.
    ReportedUsage,
    /// The agent reports money.
    ReportedCost,
    /// The agent reports the size of the context window.
    ReportedWindow,
}

/// Who honours a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Support {
    /// The agent itself.
    Native,
    /// belay, for the agent.
    Belay,
    /// belay, by what the agent writes down about its session while it works: a limit is kept up to a second late.
    Account,
    /// Nobody.
    No,
}

/// What one agent can honour over one transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    rows: &'static [(Capability, Support)],
    without: &'static [Capability],
    with: &'static [(Capability, Support)],
}

impl Capabilities {
    /// The table of an agent; what it does not name, nobody honours.
    pub const fn new(rows: &'static [(Capability, Support)]) -> Self {
        Self { rows, without: &[], with: &[] }
    }

    /// The same, but for what another transport lacks.
    pub(crate) const fn without(self, without: &'static [Capability]) -> Self {
        Self { without, ..self }
    }

    /// The same, but for rows that are otherwise.
    #[cfg(feature = "acp")]
    pub(crate) const fn with(self, with: &'static [(Capability, Support)]) -> Self {
        Self { with, ..self }
    }

    /// Who honours `capability`; nobody if the agent's table does not name it.
    pub fn support(self, capability: Capability) -> Support {
        let row = self.rows().find(|(name, _)| *name == capability);
        row.map_or(Support::No, |(_, support)| support)
    }

    /// Every row, in the order of the documentation.
    pub fn rows(self) -> impl Iterator<Item = (Capability, Support)> {
        self.rows.iter().map(move |(capability, support)| {
            let lacks = self.without.contains(capability);
            let other = self.with.iter().find(|(name, _)| name == capability);
            let support = other.map_or(*support, |(_, support)| *support);
            (*capability, if lacks { Support::No } else { support })
        })
    }
}

impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.rows())
    }
}
