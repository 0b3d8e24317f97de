//! What is installed is what the tests were written for.

use belay_testkit::real::{
    self, CLAUDE_VERSION, CODEX_VERSION, COPILOT_VERSION, GEMINI_VERSION, OPENCODE_VERSION,
    PI_VERSION, QWEN_VERSION, skip_unless_installed,
};

#[test]
fn every_cli_has_the_pinned_version() {
    let test = "every_cli_has_the_pinned_version";
    let found = [
        (real::claude(), "claude", CLAUDE_VERSION),
        (real::codex(), "codex", CODEX_VERSION),
        (real::opencode(), "opencode", OPENCODE_VERSION),
        (real::pi(), "pi", PI_VERSION),
        (real::gemini(), "gemini", GEMINI_VERSION),
        (real::qwen(), "qwen", QWEN_VERSION),
        (real::copilot(), "copilot", COPILOT_VERSION),
    ];
    let agents = found.map(|(agent, what, version)| {
        let agent = skip_unless_installed(agent, what, test);
        assert_eq!(agent.as_ref().map_or(version, |agent| &agent.version), version);
        agent
    });
    if agents.iter().all(Option::is_some) {
        // Nothing to do: it neither needs npm nor the network.
        real::install(&real::dir()).unwrap();
    }
}
