//! What people read of the keys is what the keys are.

use super::*;

#[test]
fn every_line_of_a_new_file_can_be_made_valid() {
    let root = tempfile::tempdir().unwrap();
    for which in [Which::User, Which::Project] {
        let text = starter::text(which);
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')));
        read(which, &text, root.path()).unwrap();
        // What is commented out stands beside its `#`; words have a space after it.
        let valid = text.lines().map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => rest,
            _ => line,
        });
        let valid: Vec<_> = valid.collect();
        let named = "default_profile = \"work\"";
        let valid = valid.join("\n").replace(named, "default_profile = \"NAME\"");
        read(which, &valid, root.path()).unwrap_or_else(|wrong| panic!("{}", wrong.first()));
        for (_, key) in keys() {
            let name = key.name.trim_start_matches("policy.").trim_start_matches("notify.");
            let has = valid.lines().any(|line| line.starts_with(&format!("{name} = ")));
            let may = which == Which::User || !matches!(key.in_project, InProject::No(_));
            assert_eq!(has, may, "{}", key.name);
        }
    }
}

#[test]
fn what_the_table_calls_built_in_is_what_the_library_does() {
    let scene = Scene::new("", "");
    let shown = |key| scene.shown(key, None, &[]);
    let policy = Policy::default();
    for (key, want) in [
        ("policy.max_attempts", policy.max_attempts.to_string()),
        ("policy.max_retries", policy.max_retries.to_string()),
        ("policy.on_limit", format!("\"{}\"", policy.on_limit)),
        ("policy.on_effects", format!("\"{}\"", policy.on_effects)),
        ("format", "\"text\"".to_owned()),
        ("color", "\"auto\"".to_owned()),
        ("durability", "\"normal\"".to_owned()),
    ] {
        assert_eq!(shown(key), format!("{want} built-in"));
    }
    let defaults = (Format::default(), Color::default(), DurabilityName::default());
    assert_eq!(defaults, (Format::Text, Color::Auto, DurabilityName::Normal));
    let idle = Settings::KEYS.iter().find(|key| key.name == "idle_timeout").unwrap().built_in;
    assert_eq!(idle.trim_matches('"').parse(), Ok(IdleLimits::default()));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// One row for each key.
fn table() -> String {
    let mut table = String::from(
        "| key | what it is | value | built in | in a project's file |\n|---|---|---|---|---|\n",
    );
    for (at, key) in keys() {
        let name =
            if at.is_empty() { key.name.to_owned() } else { format!("agents.NAME.{}", key.name) };
        let built_in = match key.built_in {
            "" => "–".to_owned(),
            value => format!("`{value}`"),
        };
        let in_project = match (key.in_project, key.in_project_alone) {
            (InProject::No(why), _) => format!("no: {why}"),
            (InProject::Unset, "") => "where you do not set it".to_owned(),
            (InProject::Unset, alone) => format!("{alone}; where you do not set it"),
            (InProject::Held, _) => {
                "yes; held to what the first agent of your own may do".to_owned()
            }
            (InProject::Tighter, "") => "what is tighter, yours or its".to_owned(),
            (InProject::Tighter, alone) => format!("{alone}; what is tighter, yours or its"),
            (InProject::AtMost, "") => {
                "no more than yours, or else than what is built in".to_owned()
            }
            (InProject::AtMost, alone) => {
                format!("{alone}; no more than yours, or else than what is built in")
            }
            (InProject::Below(loosest), _) => {
                format!("no more than yours, or else than `{loosest}`")
            }
        };
        let doc = key.doc.trim();
        let _ = writeln!(table, "| `{name}` | {doc} | {} | {built_in} | {in_project} |", key.form);
    }
    let _ = writeln!(
        table,
        "| `{RULES}.KIND` | What may be done about one kind of failure, instead of the built-in rule. | steps such as `\"retry:5,agent\"`, of retry:N, model, agent and wait, or `\"stop\"` | – | what is tighter, yours or its |"
    );
    table
}

#[test]
fn the_document_has_every_key() {
    let path = root().join("docs/config.md");
    let text = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- keys: begin -->\n", "<!-- keys: end -->");
    let (head, rest) = text.split_once(begin).unwrap();
    let (shown, tail) = rest.split_once(end).unwrap();
    let want = table();
    if shown != want && std::env::var_os("BELAY_WRITE_DOCS").is_some() {
        fs::write(path, format!("{head}{begin}{want}{end}{tail}")).unwrap();
        return;
    }
    assert_eq!(
        shown, want,
        "write it with BELAY_WRITE_DOCS=1 cargo test -p belay-cli the_document"
    );
}

#[test]
fn what_the_documents_show_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let mut found = 0;
    for document in ["docs/config.md", "docs/notify.md", "README.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let which =
                if block.contains(".belay/config.toml") { Which::Project } else { Which::User };
            read(which, block, folder.path())
                .unwrap_or_else(|wrong| panic!("{document}: {}", wrong.first()));
            found += 1;
        }
    }
    assert!(found >= 3, "{found}");
}
