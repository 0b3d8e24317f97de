//! What the app-server says that no caller needs to hear.

/// Notifications about the server's own household, and output that an item's end repeats in full.
pub(super) fn is_aside(method: &str) -> bool {
    const ASIDES: &[&str] = &[
        "thread/started",
        "thread/status/changed",
        "thread/readState/changed",
        "thread/name/updated",
        "thread/settings/updated",
        "thread/queue/changed",
        "thread/closed",
        "thread/compacted",
        "turn/diff/updated",
        "turn/moderationMetadata",
        "serverRequest/resolved",
        "item/reasoning/summaryPartAdded",
        "item/plan/delta",
        "item/commandExecution/outputDelta",
        "item/commandExecution/terminalInteraction",
        "item/fileChange/outputDelta",
        "item/fileChange/patchUpdated",
        "item/mcpToolCall/progress",
        "model/verification",
        "account/updated",
        "skills/changed",
        "project/changed",
        "app/list/updated",
    ];
    const HOUSEHOLDS: &[&str] =
        &["remoteControl/", "mcpServer/", "hook/", "fs/", "thread/environment/", "thread/goal/"];
    ASIDES.contains(&method) || HOUSEHOLDS.iter().any(|prefix| method.starts_with(prefix))
}
