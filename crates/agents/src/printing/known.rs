//! Programs that only print and were looked at.

use super::Form;
use std::path::Path;
use std::sync::LazyLock;

/// What is known of the program of a command.
pub(super) fn form_of(words: &[String]) -> &'static Form {
    static PLAIN: LazyLock<Form> = LazyLock::new(Form::default);
    let name = words.first().map(Path::new).and_then(Path::file_name);
    match name.and_then(|name| name.to_str()) {
        Some("aider") => &AIDER,
        Some("mini") if words.iter().any(|word| word.contains("{answer}")) => &MINI,
        Some("mini") => &MINI_SCREEN,
        _ => &PLAIN,
    }
}

fn owned(leads: &[&str]) -> Vec<String> {
    leads.iter().map(|lead| (*lead).to_owned()).collect()
}

/// aider 0.86.2 with `--yes-always --no-pretty --message {prompt}`: the answer stands between a banner and a line of
/// tokens, which are an estimate; a failure ends with exit code 0.
static AIDER: LazyLock<Form> = LazyLock::new(|| Form {
    answer_after: owned(&["Aider v", "Repo-map:", "Git repo:", "Added "]),
    answer_before: owned(&["Tokens: "]),
    asides: owned(&[
        "Cost: ",
        "Model: ",
        "Main model: ",
        "Weak model: ",
        "Warning for ",
        "Applied edit to ",
        "Commit ",
        "https://aider.chat/",
        "You can skip this check",
        "Update git ",
        "Creating empty file ",
        "Add .aider",
        "Initial repo scan",
        "Release history:",
        // What it says of each class of failures.
        "The API provider",
    ]),
    failures: owned(&["litellm."]),
    retries: owned(&["Retrying in "]),
    ..Form::default()
});

/// mini-swe-agent 2.4.6 with `-o {answer}`: its trajectory has the answer, and what it has cost.
static MINI: LazyLock<Form> = LazyLock::new(|| Form {
    answer_file: Some("{answer}".to_owned()),
    answer: Some("/info/submission".to_owned()),
    cost: Some("/info/model_stats/instance_cost".to_owned()),
    retries: owned(&["Retrying "]),
    ..Form::default()
});

/// Without a trajectory there is what it draws on the screen.
static MINI_SCREEN: LazyLock<Form> =
    LazyLock::new(|| Form { retries: owned(&["Retrying "]), ..Form::default() });
