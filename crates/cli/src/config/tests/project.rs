//! A project's file is not trusted.

use super::*;

/// For each key that a project may set: something tight, something loose, and whether the loose one holds where the
/// user's file says nothing.
const KEYS: [(&str, &str, &str, bool); 21] = [
    ("timeout", r#""10m""#, r#""1h""#, true),
    ("idle_timeout", r#""tool=5m""#, r#""tool=2h""#, false),
    ("background", r#""stop""#, r#""wait""#, true),
    ("effort", r#""low""#, r#""max""#, true),
    ("max_turns", "3", "1000", true),
    ("max_cost", "0.5", "500", true),
    ("max_output_tokens", "100", "200000", true),
    ("policy.max_attempts", "2", "100", false),
    ("policy.max_retries", "0", "3", false),
    ("policy.agent_retries", "0", "50", false),
    ("policy.on_limit", r#""fail""#, r#""failover""#, true),
    ("policy.wait_max", r#""1h""#, r#""24h""#, false),
    ("policy.on_effects", r#""stop""#, r#""continue""#, true),
    ("policy.on.network", r#""retry:1""#, r#""retry:50,model,agent,wait""#, false),
    ("policy.on.auth", r#""stop""#, r#""retry:9,agent""#, false),
    ("env.mode", r#""clean""#, r#""inherit""#, true),
    ("agents.codex.max_concurrent", "1", "50", true),
    // What is neither tight nor loose is the user's, if it is set.
    ("agents.codex.model", r#""mine""#, r#""its""#, true),
    ("context_window", "1000", "2000000", true),
    ("trace_dir", r#"".mine""#, r#"".its""#, true),
    ("no_trace", "false", "true", true),
];

/// What holds of a key when the user's and the project's file say this; and whether it is the project's.
fn holds(key: &str, user: &str, project: &str) -> (String, bool) {
    let (table, name) = key.rsplit_once('.').map_or(("", key), |(table, name)| (table, name));
    let table = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
    let line = |value: &str| match value {
        "" => String::new(),
        value => format!("{table}{name} = {value}\n"),
    };
    let shown = Scene::new(&line(user), &line(project)).shown(key, None, &[]);
    let is_project = shown.split(" instead of ").next().unwrap().contains(" project ");
    assert_eq!(!is_project, shown.contains(" instead of "), "{shown}");
    (shown, is_project)
}

#[test]
fn a_project_tightens_and_never_loosens() {
    for (key, tight, loose, holds_alone) in KEYS {
        let is_fixed = matches!(in_project(key), InProject::Unset);
        let (shown, holds_tight) = holds(key, loose, tight);
        assert_eq!(holds_tight, !is_fixed, "{shown}");
        let (shown, holds_loose) = holds(key, tight, loose);
        assert!(!holds_loose, "{shown}");
        let (shown, holds_beside_nothing) = holds(key, "", loose);
        assert_eq!(holds_beside_nothing, holds_alone, "{shown}");
        // Without a word of the user's, limits are not waited for at all.
        assert_eq!(holds(key, "", tight).1, key != "policy.wait_max", "{key}");
    }
    assert!(holds("permit", r#""full""#, r#""read-only""#).1);
    assert!(holds("policy.on_limit", r#""failover""#, r#""wait""#).1);
    assert!(!holds("policy.on_limit", r#""wait""#, r#""failover""#).1);
}

/// What a project may do with a key, by its whole name.
fn in_project(name: &str) -> InProject {
    let own = name.strip_prefix("agents.codex.");
    let known = keys().find(|(table, key)| match own {
        Some(own) => table.starts_with("[agents") && key.name == own,
        None => table.is_empty() && key.name == name,
    });
    known.map_or(InProject::Tighter, |(_, key)| key.in_project)
}

#[test]
fn every_key_that_a_project_may_set_was_tried_in_both_directions() {
    for (table, key) in keys() {
        let name = if table.is_empty() {
            key.name.to_owned()
        } else {
            format!("agents.codex.{}", key.name)
        };
        match key.in_project {
            // A project says `read-only` or nothing; its chain is held to the user's own.
            InProject::No(_) | InProject::Held => {}
            _ if key.name == "permit" => {}
            _ => assert!(KEYS.iter().any(|(tried, ..)| *tried == name), "{name}"),
        }
    }
}

#[test]
fn a_chain_that_a_project_names_is_held_to_the_users_own_first_agent() {
    let yardstick = |user: &str, project: &str, env: &[(&str, &str)]| {
        let config = Scene::new(user, project).load(None, env);
        config.yardstick().map(|agent| agent.name())
    };
    let project = "chain = ['opencode']\n";
    assert_eq!(yardstick("", project, &[]), Some("claude-code"));
    assert_eq!(yardstick("chain = ['codex:a', 'claude']\n", project, &[]), Some("codex"));
    assert_eq!(yardstick("chain = ['codex']\n", "", &[]), None);
    assert_eq!(yardstick("", project, &[("BELAY_AGENT", "pi")]), None, "the user has named it");
}

#[test]
fn a_project_is_held_to_the_users_profile_and_to_his_defaults() {
    let user = "max_cost = 1\n[profiles.p]\nmax_cost = 10\n[profiles.q]\n";
    let scene = Scene::new(user, "[profiles.p]\nmax_cost = 20\n[profiles.q]\nmax_cost = 20\n");
    let (file, its) = ("user ~/.config/belay/config.toml", "project ~/project/.belay/config.toml");
    let shown = |profile| scene.shown("max_cost", Some(profile), &[]);
    assert_eq!(shown("p"), format!("10 {file}:3, profile p instead of 20 {its}:2, profile p"));
    assert_eq!(shown("q"), format!("1 {file}:1 instead of 20 {its}:4, profile q"));
}

#[test]
fn a_projects_file_sets_what_its_table_row_says() {
    let root = tempfile::tempdir().unwrap();
    for (table, key) in keys() {
        let text = format!("{table}{} = {}\n", key.name, key.example);
        let read = read(Which::Project, &text, root.path());
        // The example of this one is more than a project may ask for.
        let refused = matches!(key.in_project, InProject::No(_)) || key.name == "permit";
        assert_eq!(read.is_err(), refused, "{}", key.name);
        if let Err(wrong) = read {
            let first = wrong.first();
            assert!(first.contains("a project's file cannot set"), "{first}");
            assert!(wrong.mistakes[0].hint.as_ref().unwrap().contains("/home/u/.config/belay"));
        }
    }
}

#[test]
fn what_would_loosen_run_or_send_is_refused_to_a_project() {
    let why = "whoever wrote it would decide what an agent may do here";
    for mode in ["full", "edit"] {
        let want = format!("1:10: a project's file cannot set this `permit`: {why}");
        refused(Which::Project, &format!("permit = '{mode}'"), &want);
    }
    for text in [
        "[profiles.p]\npermit = 'full'",
        "profiles.p.permit = 'full'",
        "profiles = { p = { permit = 'full' } }",
        "[agents.claude]\nprogram = '/tmp/x'",
        "[agents]\ncodex = { args = ['-c', 'x'] }",
        "[agents.codex]\npass_env = ['*']",
        "[agents.docker]\nmodel = 'evil.yaml'",
        "chain = ['claude', 'docker-agent:evil.yaml']",
        "default_profile = 'p'\n[profiles.p]",
        "price_file = 'free.toml'",
        "state_dir = 'runs'",
        "idle_timeout = 'off'",
        "idle_timeout = 'tool=off'",
        "[profiles.p]\nidle_timeout = 'off'",
        "trace_dir = '/tmp'",
        "trace_dir = '../x'",
        "trace_dir = 'a/../../x'",
        "trace_dir = '~/x'",
        "trace_dir = '.git/hooks'",
        "trace_dir = 'leads-out'",
        "trace_dir = 'leads-out/deep/below'",
        "trace_dir = 'leads-nowhere'",
    ] {
        let root = tempfile::tempdir().unwrap();
        let link = |to: &str, name| std::os::unix::fs::symlink(to, root.path().join(name)).unwrap();
        link("/tmp", "leads-out");
        link("/no/such", "leads-nowhere");
        let wrong = read(Which::Project, text, root.path()).expect_err(text);
        assert!(wrong.first().contains("a project's file cannot"), "{text}: {}", wrong.first());
        let own = text.replace("'leads-nowhere'", "'x'");
        read(Which::User, &own, root.path()).expect(text);
    }
}
