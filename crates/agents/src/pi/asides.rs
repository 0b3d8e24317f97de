//! What Pi tells that an event of ours says already, or nobody needs.

/// Lines that repeat what others say, and Pi's own household.
pub(super) fn is_aside(kind: &str) -> bool {
    const ASIDES: &[&str] = &[
        "turn_start",
        "turn_end",
        "agent_end",
        "queue_update",
        "entry_appended",
        "session_info_changed",
        "thinking_level_changed",
        "summarization_retry_attempt_start",
        "summarization_retry_finished",
    ];
    ASIDES.contains(&kind)
}
