//! What holds of what the files say.

mod documents;
mod mistakes;
mod project;

use super::keys::{Common, Notify, Own, RULES, Settings};
use super::layers::{Config, Wanted};
use super::mistake::Wrong;
use super::places::Places;
use super::read;
use super::setting::{InProject, Key, Which};
use super::starter;
use crate::command::run::options::{DurabilityName, Format};
use crate::surroundings::Color;
use belaykit::{IdleLimits, Policy};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A home and a project with files.
struct Scene {
    root: TempDir,
}

impl Scene {
    fn new(user: &str, project: &str) -> Self {
        let scene = Self { root: tempfile::tempdir().unwrap() };
        let places = scene.places();
        for (path, text) in [(places.user.unwrap(), user), (places.project[0].clone(), project)] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        scene
    }

    fn places(&self) -> Places {
        let home = self.root.path().canonicalize().unwrap();
        Places {
            user: Some(home.join(".config/belay/config.toml")),
            project: vec![home.join("project/.belay/config.toml")],
            home: Some(home),
        }
    }

    fn load(&self, profile: Option<&str>, variables: &[(&str, &str)]) -> Config {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let wanted = Wanted { flag: profile, noted: None };
        Config::of(self.places(), wanted, &variable).unwrap()
    }

    /// A setting, and where it comes from.
    fn shown(&self, key: &str, profile: Option<&str>, variables: &[(&str, &str)]) -> String {
        let rows = self.load(profile, variables).rows();
        let row = rows.into_iter().find(|row| row.key == key).unwrap();
        let home = self.root.path().canonicalize().unwrap();
        let mut shown = format!("{} {}", row.value, row.origin);
        if let Some(instead) = row.instead_of {
            let _ = write!(shown, " instead of {} {}", instead.0, instead.1);
        }
        shown.replace(&*home.to_string_lossy(), "~")
    }
}

/// Reads one file, of which a project's lies in the given folder.
fn read(which: Which, text: &str, root: &Path) -> Result<(), Box<Wrong>> {
    let places = Places {
        user: Some("/home/u/.config/belay/config.toml".into()),
        home: Some("/home/u".into()),
        project: vec![root.join(".belay/config.toml")],
    };
    let path = match which {
        Which::User => places.user.clone().unwrap(),
        Which::Project => places.project[0].clone(),
    };
    read::document(which, &path, text, &places).map(drop)
}

#[track_caller]
fn refused(which: Which, text: &str, want: &str) {
    let root = tempfile::tempdir().unwrap();
    let wrong = read(which, text, root.path()).unwrap_err();
    let first = wrong.first();
    let (_, first) = first.split_once("config.toml:").unwrap();
    assert_eq!(first, want, "{text}");
}

/// All keys, as they stand in a file.
fn keys() -> impl Iterator<Item = (&'static str, &'static Key)> {
    let of = |table: &'static str, keys: &'static [Key]| keys.iter().map(move |key| (table, key));
    of("", Common::KEYS)
        .chain(of("", Settings::KEYS))
        .chain(Own::KEYS.iter().map(|key| match key.name {
            "cmd" => ("[agents.mine]\n", key),
            "reads" => ("[agents.mine]\ncmd = 'x'\n", key),
            "acp" => ("[agents.mine]\n", key),
            "speaks" => ("[agents.mine]\nacp = 'x'\n", key),
            _ => ("[agents.codex]\n", key),
        }))
        .chain(of("", Notify::KEYS))
}

#[test]
fn what_stands_nearer_holds_key_by_key() {
    let user = "effort = 'max'\nmax_turns = 9\nappend_system_prompt = 'u'\n[profiles.p]\neffort = 'high'\n";
    let project = "effort = 'medium'\n[profiles.p]\neffort = 'low'\n";
    let check = |user: &str, project: &str, profile, want: &str| {
        let scene = Scene::new(user, project);
        assert_eq!(scene.shown("effort", profile, &[]), want);
        if !user.is_empty() {
            let of_user = r#""u" user ~/.config/belay/config.toml:3"#;
            assert_eq!(scene.shown("append_system_prompt", profile, &[]), of_user);
        }
    };
    let of_project = "project ~/project/.belay/config.toml";
    let of_user = "user ~/.config/belay/config.toml";
    check(user, project, Some("p"), &format!(r#""low" {of_project}:3, profile p"#));
    check(user, "effort = 'medium'", Some("p"), &format!(r#""high" {of_user}:5, profile p"#));
    check(user, project, None, &format!(r#""medium" {of_project}:1"#));
    check(user, "", None, &format!(r#""max" {of_user}:1"#));
    check("", "", None, "null built-in");
}

#[test]
fn the_environment_stands_above_the_files() {
    let user = "chain = ['codex']\nstate_dir = 'runs'\n[policy]\nmax_attempts = 3\n[profiles.p]\n[profiles.q]\n";
    let scene =
        Scene::new(&format!("default_profile = 'p'\n{user}"), "[profiles.q]\nchain = ['pi']\n");
    let shown = |key, profile, variables: &[_]| scene.shown(key, profile, variables);
    let file = "~/.config/belay/config.toml";
    assert_eq!(shown("chain", None, &[]), format!(r#"["codex"] user {file}:2"#));
    let agent = ("BELAY_AGENT", "claude:opus");
    assert_eq!(shown("chain", None, &[agent]), r#"["claude:opus"] environment BELAY_AGENT"#);
    assert_eq!(shown("policy.max_attempts", None, &[]), format!("3 user {file}:5"));
    let attempts = ("BELAY_MAX_ATTEMPTS", "1");
    assert_eq!(shown("policy.max_attempts", None, &[attempts]), "1 environment BELAY_MAX_ATTEMPTS");
    let runs = r#""~/.config/belay/runs" user"#;
    assert_eq!(shown("state_dir", None, &[]), format!("{runs} {file}:3"));
    let dir = ("BELAY_STATE_DIR", "/x");
    assert_eq!(shown("state_dir", None, &[dir]), r#""/x" environment BELAY_STATE_DIR"#);

    let chosen = |flag, variables: &[_]| scene.load(flag, variables).chosen.unwrap().name;
    let profile = ("BELAY_PROFILE", "q");
    assert_eq!(chosen(None, &[]), "p");
    assert_eq!(chosen(None, &[profile]), "q");
    assert_eq!(chosen(Some("p"), &[profile]), "p");
    assert_eq!(chosen(None, &[("BELAY_PROFILE", "")]), "p");
    let of_profile = r#"["pi"] project ~/project/.belay/config.toml:2, profile q"#;
    assert_eq!(shown("chain", None, &[profile]), of_profile);
}

#[test]
fn rules_and_agents_are_laid_over_each_other_too() {
    let scene = Scene::new(
        "[policy.on]\nrefused = 'agent'\noverloaded = 'stop'\n[agents.claude]\nmodel = 'opus'\nprogram = 'c'\n",
        "[policy.on]\nnetwork = 'retry:1'\nrefused = 'stop'\n[agents.claude-code]\nmodel = 'sonnet'\n",
    );
    let shown = |key| scene.shown(key, None, &[]);
    let (user, project) =
        ("user ~/.config/belay/config.toml", "project ~/project/.belay/config.toml");
    assert_eq!(shown("policy.on.refused"), format!(r#""stop" {project}:3"#));
    assert_eq!(shown("policy.on.overloaded"), format!(r#""stop" {user}:3"#));
    assert_eq!(shown("policy.on.network"), format!(r#""retry:1" {project}:2"#));
    assert_eq!(
        shown("agents.claude-code.model"),
        format!(r#""opus" {user}:5 instead of "sonnet" {project}:5"#)
    );
    assert_eq!(shown("agents.claude-code.program"), format!(r#""~/.config/belay/c" {user}:6"#));
}
