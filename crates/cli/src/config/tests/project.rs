//! A project's file is not trusted.

use super::*;

#[test]
fn a_project_tightens_and_never_loosens() {
    let check = |key: &str, user: &str, project: &str, holds: bool| {
        let (table, name) = key.rsplit_once('.').map_or(("", key), |(table, name)| (table, name));
        let table = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
        let line = |value: &str| match value {
            "" => String::new(),
            value => format!("{table}{name} = {value}\n"),
        };
        let shown = Scene::new(&line(user), &line(project)).shown(key, None, &[]);
        let is_project = shown.split(" instead of ").next().unwrap().contains(" project ");
        assert_eq!(is_project, holds, "{key}: {user} and {project}: {shown}");
        assert_eq!(shown.contains(" instead of "), !holds, "{shown}");
    };
    for (key, tight, loose) in [
        ("permit", r#""read-only""#, r#""full""#),
        ("timeout", r#""10m""#, r#""1h""#),
        ("idle_timeout", r#""tool=5m""#, r#""tool=2h""#),
        ("background", r#""stop""#, r#""wait""#),
        ("max_turns", "3", "4"),
        ("max_cost", "0.5", "5"),
        ("max_output_tokens", "100", "200"),
        ("policy.max_attempts", "2", "3"),
        ("policy.max_retries", "0", "1"),
        ("policy.on_limit", r#""fail""#, r#""wait""#),
        ("policy.on_limit", r#""wait""#, r#""failover""#),
        ("policy.wait_max", r#""1h""#, r#""6h""#),
        ("policy.on_effects", r#""stop""#, r#""continue""#),
        ("policy.on.network", r#""retry:1""#, r#""retry:2""#),
        ("policy.on.network", r#""stop""#, r#""wait""#),
    ] {
        check(key, loose, tight, true);
        check(key, tight, tight, true);
        if key != "permit" {
            check(key, tight, loose, false);
            check(key, "", tight, true);
        }
    }
    // Where the user says nothing, what is built in bounds how many agents are started.
    check("policy.max_attempts", "", "100", false);
    check("policy.max_retries", "", "3", false);
    check("max_turns", "", "1000", true);
    check("idle_timeout", "", r#""tool=2h""#, true);
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
