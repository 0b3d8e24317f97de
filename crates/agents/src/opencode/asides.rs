//! What OpenCode 1.18.33 says and nobody needs to hear; the kinds are those of its own description (`GET /doc`).

/// Events about a session that say nothing beyond what others say of it. (1.18.33)
pub(super) fn is_aside_of_session(kind: &str) -> bool {
    const ASIDES: &[&str] = &[
        "permission.replied",
        "session.created",
        "session.updated",
        "session.diff",
        "session.compacted",
        "todo.updated",
        "message.removed",
        "message.part.removed",
        "command.executed",
    ];
    ASIDES.contains(&kind)
}

/// Events about the server and its plugins, which say nothing about the run. (1.18.33)
pub(super) fn is_aside(kind: &str) -> bool {
    const ASIDES: &[&str] = &[
        "server.connected",
        "server.heartbeat",
        "server.instance.disposed",
        "plugin.added",
        "catalog.updated",
        "reference.updated",
        "integration.updated",
        "file.edited",
        "file.watcher.updated",
        "integration.connection.updated",
        "models-dev.refreshed",
        "project.directories.updated",
        "pty.created",
        "pty.updated",
        "pty.exited",
        "pty.deleted",
        "global.disposed",
        "installation.updated",
        "installation.update-available",
        "project.updated",
        "lsp.client.diagnostics",
        "lsp.updated",
        "mcp.tools.changed",
        "vcs.branch.updated",
    ];
    ASIDES.contains(&kind)
}
