//! What is installed is what the tests were written for.

use belay_testkit::real::{self, CLAUDE_VERSION, CODEX_VERSION, skip_unless_installed};

#[test]
fn both_clis_have_the_pinned_versions() {
    let test = "both_clis_have_the_pinned_versions";
    let claude = skip_unless_installed(real::claude(), "claude", test);
    let codex = skip_unless_installed(real::codex(), "codex", test);
    if let Some(claude) = &claude {
        assert_eq!(claude.version, CLAUDE_VERSION);
    }
    if let Some(codex) = &codex {
        assert_eq!(codex.version, CODEX_VERSION);
    }
    if claude.is_some() && codex.is_some() {
        // Nothing to do: it neither needs npm nor the network.
        real::install(&real::dir()).unwrap();
    }
}
