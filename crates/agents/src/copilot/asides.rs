//! What Copilot tells that an event of ours says already, or nobody needs.

/// Lines that repeat what others say, and Copilot's own household.
pub(super) fn is_aside(kind: &str) -> bool {
    const ASIDES: &[&str] = &[
        "user.message",
        "system.message",
        "assistant.turn_end",
        "assistant.idle",
        "assistant.intent",
        "assistant.usage",
        "model.call_final_result",
        "subagent.selected",
        "subagent.configured",
        "subagent.deselected",
        "subagent.completed",
        "permission.requested",
        "permission.completed",
        "session.background_tasks_changed",
        "session.skills_loaded",
        "session.custom_agents_updated",
        "session.permissions_changed",
        "session.start",
        "session.resume",
        "session.idle",
        "session.shutdown",
        "session.title_changed",
        "session.model_change",
        "session.mode_changed",
        "session.context_changed",
        "session.plan_changed",
        "session.todos_changed",
        "session.task_complete",
        "session.usage_info",
        "session.usage_record",
        "session.usage_checkpoint",
        "session.quota_observation",
        "session.workspace_file_changed",
        "session.mcp_server_tools_loaded",
    ];
    ASIDES.contains(&kind)
}
