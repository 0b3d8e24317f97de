//! What is installed is what the tests were written for.

use belay_testkit::real::{
    self, COPILOT_VERSION, GEMINI_VERSION, Pins, QWEN_VERSION, skip_unless_installed,
};

#[test]
fn every_cli_has_the_pinned_version() {
    let test = "every_cli_has_the_pinned_version";
    let pins = Pins::of(&real::dir());
    let found = [
        (real::claude(), "claude", pins.claude),
        (real::codex(), "codex", pins.codex),
        (real::opencode(), "opencode", pins.opencode),
        (real::pi(), "pi", pins.pi),
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
