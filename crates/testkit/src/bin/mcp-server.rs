//! A tiny MCP server; see `belay_testkit::mcp_server`.

fn main() -> std::io::Result<()> {
    belay_testkit::mcp_server::serve_stdio()
}
