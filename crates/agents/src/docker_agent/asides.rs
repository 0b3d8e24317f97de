//! What Docker Agent tells that an event of ours says already, or nobody needs.

/// Lines that repeat what others say, and the runtime's own household.
pub(super) fn is_aside(kind: &str) -> bool {
    const ASIDES: &[&str] = &[
        "user_message",
        "team_info",
        "toolset_info",
        "agent_switching",
        "session_title",
        "session_summary",
        "session_plan_updated",
        "runtime_paused",
        "hook_started",
        "hook_finished",
        "message_added",
        "sub_session_completed",
        "connection_restored",
    ];
    ASIDES.contains(&kind)
}
