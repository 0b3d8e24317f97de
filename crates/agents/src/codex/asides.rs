//! What the app-server says that no caller needs to hear.

/// Pieces of what an item's end repeats in full: the model or a tool gets on.
pub(super) fn is_piece(method: &str) -> bool {
    const PIECES: &[&str] = &[
        "turn/diff/updated",
        "item/reasoning/summaryPartAdded",
        "item/plan/delta",
        "item/commandExecution/outputDelta",
        "item/commandExecution/terminalInteraction",
        "item/fileChange/outputDelta",
        "item/fileChange/patchUpdated",
        "item/mcpToolCall/progress",
    ];
    PIECES.contains(&method)
}

/// Notifications about the server's own household.
pub(super) fn is_aside(method: &str) -> bool {
    const ASIDES: &[&str] = &[
        "thread/started",
        "thread/readState/changed",
        "thread/name/updated",
        "thread/settings/updated",
        "thread/queue/changed",
        "thread/closed",
        "thread/compacted",
        "turn/moderationMetadata",
        "serverRequest/resolved",
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
