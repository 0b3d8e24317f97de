//! What is known of each agent: the cells of the table in `docs/agents/acp.md`, which `cargo xtask matrix` writes from
//! what the tests have seen.

use belay_testkit::real::PresetAgent;

/// A cell and what it says; a time that follows is not compared.
type Cell = (&'static str, &'static str);

/// What all of them show that show nothing else.
const COMMON: &[Cell] = &[
    ("answer", "yes"),
    ("full", "runs and writes"),
    ("401", "`auth`"),
    ("429", "`rate_limited`"),
    ("500", "`server_error`"),
    ("dead server", "`network`"),
    ("SIGINT", "`interrupted`, 0 left"),
    ("SIGKILL", "0 left"),
];

/// What this one shows.
pub(super) fn of(agent: PresetAgent) -> impl Iterator<Item = Cell> {
    let own: &[Cell] = match agent {
        PresetAgent::Kilo => &[
            ("tool", "command, output, exit code 3"),
            ("usage", "a part, marked so"),
            ("cost", "partial, a lower bound"),
            ("resume", "a part, marked so"),
            // Its own settings ask.
            ("unsaid", "nothing"),
            ("read-only", "refused"),
            ("ask", "refused"),
            ("edit", "refused"),
            ("dead server", "tried again, untold, for 150 s and more"),
        ],
        PresetAgent::Cline => &[
            ("tool", "command, output"),
            ("usage", "exact"),
            // It asks for `gpt-4o` where it does not know the model, and a price of that is told here too.
            ("cost", "priced, right"),
            ("resume", "exact"),
            ("unsaid", "nothing"),
            ("read-only", "nothing"),
            ("ask", "nothing"),
            ("edit", "refused"),
        ],
        PresetAgent::Droid => &[
            ("tool", "command, failed"),
            ("usage", "not told"),
            ("cost", "not known"),
            ("resume", "not told"),
            ("unsaid", "nothing"),
            ("read-only", "nothing"),
            ("ask", "nothing"),
            ("edit", "refused"),
            ("500", "tried again, untold, for 150 s and more"),
        ],
        PresetAgent::Nanocoder => &[
            ("tool", "command, output"),
            ("usage", "not told"),
            ("cost", "not known"),
            ("resume", "not told"),
            ("unsaid", "writes"),
            ("read-only", "nothing"),
            ("ask", "nothing"),
            ("edit", "writes"),
        ],
        PresetAgent::Vibe => &[
            ("tool", "command, output"),
            ("usage", "a part, marked so"),
            ("cost", "partial, a lower bound"),
            ("resume", "right, marked partial"),
            ("unsaid", "writes"),
            ("read-only", "nothing"),
            ("ask", "nothing"),
            ("edit", "writes"),
        ],
        PresetAgent::Hermes => &[
            ("tool", "command, output, failed"),
            ("usage", "a part, marked so"),
            ("cost", "not known"),
            ("resume", "not told"),
            ("unsaid", "runs"),
            ("read-only", "refused"),
            ("ask", "refused"),
            ("edit", "refused"),
        ],
        PresetAgent::FastAgent => &[
            ("tool", "command, output, failed"),
            ("usage", "not told"),
            ("cost", "not known"),
            ("resume", "not told"),
            ("unsaid", "runs and writes"),
            ("read-only", "refused"),
            ("ask", "refused"),
            ("edit", "refused"),
        ],
        PresetAgent::OpenHands => &[
            ("tool", "command, output"),
            ("usage", "not told"),
            ("cost", "not known"),
            ("resume", "not told"),
            ("unsaid", "nothing"),
            ("read-only", "nothing"),
            ("ask", "nothing"),
            ("edit", "refused"),
            ("429", "tried again, untold, for 150 s and more"),
            ("500", "tried again, untold, for 150 s and more"),
            ("dead server", "tried again, untold, for 150 s and more"),
        ],
    };
    let common = COMMON.iter().filter(|(cell, _)| own.iter().all(|(other, _)| other != cell));
    own.iter().chain(common).copied()
}
