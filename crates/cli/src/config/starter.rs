//! A first file: every key with its reason, commented out.

use super::keys::{Common, Notify, Own, Settings};
use super::named::OWN_KEYS;
use super::setting::{InProject, Key, Which};
use std::fmt::Write as _;

/// What the file begins with.
const OF_USER: &str = "\
# How belay works for you. Every line that begins with `#` can be made valid by taking the `#` away.
# What holds is the command line, then the environment, then a profile, then what stands at the top of this file;
# a project's .belay/config.toml goes before this one where it may. `belay config show` says what holds, and why.
";

const OF_PROJECT: &str = "\
# How belay works in this project. Every line that begins with `#` can be made valid by taking the `#` away.
# Whoever clones the project runs with this: it can tighten what is allowed, and not loosen it. What decides about
# permissions, programs and secrets stands in each user's own file; `belay config show` says what holds, and why.
";

/// The text of a new file.
pub(crate) fn text(which: Which) -> String {
    let mut text = match which {
        Which::User => OF_USER,
        Which::Project => OF_PROJECT,
    }
    .to_owned();
    let may = |key: &&Key| which == Which::User || !matches!(key.in_project, InProject::No(_));
    let (policy, plain): (Vec<&Key>, Vec<&Key>) =
        Settings::KEYS.iter().filter(may).partition(|key| key.name.starts_with("policy."));
    for key in Common::KEYS.iter().filter(may).chain(plain) {
        entry(&mut text, key, key.name, which);
    }
    text.push_str("\n# What happens when an agent fails.\n#[policy]\n");
    for key in policy {
        entry(&mut text, key, key.name.trim_start_matches("policy."), which);
    }
    text.push_str(
        "\n# Other rules for kinds of failure: retry:N, model, agent and wait in this order, or stop.\n\
         #[policy.on]\n#overloaded = \"retry:5,agent\"\n",
    );
    text.push_str(
        "\n# A profile holds any of the keys above but those of the whole file: belay run -P NAME\n\
         #[profiles.NAME]\n#chain = [\"codex\"]\n#policy.max_attempts = 2\n",
    );
    text.push_str("\n# What belay shall know of one agent.\n#[agents.codex]\n");
    let of_own = |key: &&Key| OWN_KEYS.contains(&key.name);
    for key in Own::KEYS.iter().filter(may).filter(|key| !of_own(key)) {
        entry(&mut text, key, key.name, which);
    }
    if which == Which::User {
        for (name, command) in [("mine", "cmd"), ("other", "acp")] {
            let head = format!("\n# An agent of your own: belay run -a {name}\n#[agents.{name}]\n");
            text.push_str(&head);
            let form = if command == "cmd" { "reads" } else { "speaks" };
            let keys = Own::KEYS.iter().filter(|key| [command, form].contains(&key.name));
            keys.for_each(|key| entry(&mut text, key, key.name, which));
        }
    }
    if which == Which::User {
        text.push_str("\n# Whom runs are told to (docs/notify.md).\n#[notify]\n");
    }
    for key in Notify::KEYS.iter().filter(may) {
        entry(&mut text, key, key.name.trim_start_matches("notify."), which);
    }
    text
}

fn entry(text: &mut String, key: &Key, name: &str, which: Which) {
    let doc = key.doc.trim();
    let built_in = match key.built_in {
        "" => String::new(),
        value => format!("; built in is {value}"),
    };
    let (form, example) = match (which, key.in_project_alone, name) {
        (Which::Project, alone, "permit") => (alone, "\"read-only\""),
        (Which::Project, alone, _) if !alone.is_empty() => (alone, key.example),
        _ => (key.form, key.example),
    };
    let _ = write!(text, "\n# {doc}\n# It is {form}{built_in}.\n#{name} = {example}\n");
}
