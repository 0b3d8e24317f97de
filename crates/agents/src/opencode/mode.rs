//! What OpenCode may do in a run that does not say: `permission` of its configuration.

use crate::Permissions;
use crate::mode::{EffectiveMode, Unreadable, UserConfig, home, mode_argument};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Arguments of OpenCode's that allow everything, or choose an agent with rules of its own.
const ARGUMENTS: [&str; 3] = ["--auto", "--dangerously*", "--agent"];

pub(crate) fn effective(config: &dyn UserConfig, args: &[String]) -> EffectiveMode {
    if let Some(arg) = mode_argument(args, &ARGUMENTS) {
        return EffectiveMode::of_argument(arg);
    }
    match read(config) {
        Ok(mode) => mode,
        Err(unreadable) => EffectiveMode::unknown(unreadable.to_string()),
    }
}

/// The files, those that count least first.
fn places(config: &dyn UserConfig) -> Vec<PathBuf> {
    let user = home(config, "XDG_CONFIG_HOME", ".config").map(|home| home.join("opencode"));
    let mut places = Vec::new();
    places.extend(user.iter().flat_map(|folder| files_in(folder)));
    let own = config.variable("HOME").map(|home| Path::new(&home).join(".opencode"));
    places.extend(own.iter().flat_map(|folder| files_in(folder)));
    places.push(folder_file(&config.variable("OPENCODE_CONFIG")));
    let projects: Vec<_> = config.folder().ancestors().collect();
    for folder in projects.iter().rev() {
        places.extend(files_in(folder));
        places.extend(files_in(&folder.join(".opencode")));
    }
    if let Some(folder) = config.variable("OPENCODE_CONFIG_DIR") {
        places.extend(files_in(Path::new(&folder)));
    }
    places.retain(|place| !place.as_os_str().is_empty());
    places
}

fn folder_file(path: &Option<String>) -> PathBuf {
    path.as_ref().map(PathBuf::from).unwrap_or_default()
}

fn files_in(folder: &Path) -> [PathBuf; 3] {
    ["config.json", "opencode.json", "opencode.jsonc"].map(|name| folder.join(name))
}

fn read(config: &dyn UserConfig) -> Result<EffectiveMode, Unreadable> {
    let mut rules = Rules::default();
    let mut source = "opencode's default".to_owned();
    for path in places(config) {
        let Some(text) = config.file(&path)? else { continue };
        let shown = path.display().to_string();
        let value = parse(&text).ok_or_else(|| Unreadable(shown.clone()))?;
        if rules.lay_over(&value) {
            source = format!("permission in {shown}");
        }
    }
    for (name, is_whole) in [("OPENCODE_CONFIG_CONTENT", true), ("OPENCODE_PERMISSION", false)] {
        let Some(text) = config.variable(name) else { continue };
        let value = parse(&text).ok_or_else(|| Unreadable(name.to_owned()))?;
        let value = if is_whole { value } else { serde_json::json!({ "permission": value }) };
        if rules.lay_over(&value) {
            source = format!("the variable {name}");
        }
    }
    let mode = rules.mode(source);
    Ok(match agent_file(config, &rules)? {
        Some(path) => mode.at_least_within(Permissions::ReadOnly, path.display().to_string()),
        None => mode,
    })
}

/// A file of Markdown that makes the agent which is used anew, with permissions of its own.
fn agent_file(config: &dyn UserConfig, rules: &Rules) -> Result<Option<PathBuf>, Unreadable> {
    let name = format!("{}.md", rules.agent());
    let mut folders: Vec<_> =
        places(config).iter().filter_map(|it| it.parent().map(Path::to_owned)).collect();
    folders.dedup();
    for folder in folders {
        for kind in ["agent", "agents", "mode", "modes"] {
            let path = folder.join(kind).join(&name);
            if config.file(&path)?.is_some() {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}

/// JSON with comments and trailing commas, as OpenCode takes it.
fn parse(text: &str) -> Option<Value> {
    jsonc_parser::parse_to_serde_value(text, &jsonc_parser::ParseOptions::default()).ok()
}

/// What the files say together; a later one goes before.
#[derive(Default)]
struct Rules {
    /// Of every agent.
    all: Map<String, Value>,
    /// Of the agents, by name.
    agents: Map<String, Value>,
    default_agent: Option<String>,
    /// Tools were switched on or off in the old way, which belay does not follow.
    has_switches: bool,
}

impl Rules {
    /// True if the file says anything of permissions.
    fn lay_over(&mut self, file: &Value) -> bool {
        let mut says = false;
        if let Some(permission) = file.get("permission") {
            merge(&mut self.all, permission);
            says = true;
        }
        for (name, agent) in ["agent", "mode"].into_iter().flat_map(|key| entries(file, key)) {
            if let Some(permission) = agent.get("permission") {
                let rules = self.agents.entry(name.clone()).or_insert_with(|| Map::new().into());
                if let Some(rules) = rules.as_object_mut() {
                    merge(rules, permission);
                }
                says = true;
            }
            self.has_switches |= agent.get("tools").is_some();
        }
        self.has_switches |= file.get("tools").is_some();
        if let Some(name) = file.get("default_agent").and_then(Value::as_str) {
            self.default_agent = Some(name.to_owned());
        }
        says || self.has_switches
    }

    fn agent(&self) -> &str {
        self.default_agent.as_deref().unwrap_or("build")
    }

    fn mode(&self, source: String) -> EffectiveMode {
        if self.has_switches {
            return EffectiveMode::unknown(source);
        }
        let own = self.agents.get(self.agent()).and_then(Value::as_object);
        let action = |tool: &str| {
            let rule = own
                .into_iter()
                .chain([&self.all])
                .find_map(|rules| rules.get(tool).or_else(|| rules.get("*")));
            Actions::of(rule)
        };
        let (edit, bash) = (action("edit"), action("bash"));
        let bound = |edit: Action, bash: Action| match (edit, bash) {
            (_, Action::Allow) => Permissions::Full,
            (Action::Allow, _) => Permissions::Edit,
            (Action::Deny, Action::Deny) => Permissions::ReadOnly,
            _ => Permissions::Ask,
        };
        EffectiveMode::between(bound(edit.least, bash.least), bound(edit.most, bash.most), source)
    }
}

fn entries<'a>(file: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    file.get(key).and_then(Value::as_object).into_iter().flatten()
}

/// A single word holds for every tool.
fn merge(rules: &mut Map<String, Value>, permission: &Value) {
    match permission {
        Value::Object(more) => rules.extend(more.clone()),
        word => {
            rules.clear();
            rules.insert("*".to_owned(), word.clone());
        }
    }
}

/// What happens when a tool is called, the strictest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Deny,
    Ask,
    Allow,
}

/// What can happen, depending on how a tool is called.
#[derive(Clone, Copy, Debug)]
struct Actions {
    least: Action,
    most: Action,
}

impl Actions {
    /// A tool without a rule may be used (1.18.33).
    fn of(rule: Option<&Value>) -> Self {
        let one = |rule: &Value| match rule.as_str() {
            Some("deny") => Some(Action::Deny),
            Some("ask") => Some(Action::Ask),
            Some("allow") => Some(Action::Allow),
            _ => None,
        };
        let unknown = Self { least: Action::Deny, most: Action::Allow };
        match rule {
            None => Self { least: Action::Allow, most: Action::Allow },
            Some(Value::Object(patterns)) => {
                let actions: Option<Vec<_>> = patterns.values().map(one).collect();
                let Some(mut actions) = actions else { return unknown };
                // What no pattern matches may be used.
                if !patterns.contains_key("*") {
                    actions.push(Action::Allow);
                }
                let (least, most) = (actions.iter().min(), actions.iter().max());
                least.zip(most).map_or(unknown, |(least, most)| Self { least: *least, most: *most })
            }
            Some(rule) => one(rule).map_or(unknown, |action| Self { least: action, most: action }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::tests::World;
    use Permissions::{Ask, Edit, Full, ReadOnly};

    const USER: &str = "/home/u/.config/opencode/opencode.jsonc";
    const PROJECT: &str = "/home/u/project/opencode.json";

    #[track_caller]
    fn check(world: World, at_least: Permissions, at_most: Permissions) {
        let mode = effective(&world, &[]);
        assert_eq!((mode.at_least, mode.at_most), (at_least, at_most), "{mode:?}");
    }

    #[test]
    fn opencode_may_do_anything_unless_its_configuration_says_otherwise() {
        check(World::default(), Full, Full);
        for (text, at_least, at_most) in [
            (r#"{"permission": "ask"} // mine"#, Ask, Ask),
            (r#"{"permission": {"bash": "ask",}}"#, Edit, Edit),
            (r#"{"permission": {"bash": "deny", "edit": "deny"}}"#, ReadOnly, ReadOnly),
            (r#"{"permission": {"edit": "ask"}}"#, Full, Full),
            (
                r#"{"permission": {"edit": "ask", "bash": {"*": "ask", "git *": "allow"}}}"#,
                Ask,
                Full,
            ),
            (r#"{"permission": {"bash": {"rm *": "deny"}, "edit": "ask"}}"#, Ask, Full),
            (r#"{"permission": {"*": "deny", "bash": "ask"}}"#, Ask, Ask),
            (
                r#"{"permission": "ask", "agent": {"build": {"permission": {"bash": "allow"}}}}"#,
                Full,
                Full,
            ),
            (
                r#"{"permission": "ask", "agent": {"plan": {"permission": {"bash": "allow"}}}}"#,
                Ask,
                Ask,
            ),
            (r#"{"tools": {"bash": false}}"#, ReadOnly, Full),
            (r#"{"permission": "of-next-year"}"#, ReadOnly, Full),
            ("{", ReadOnly, Full),
        ] {
            check(World::default().with(USER, text), at_least, at_most);
        }
    }

    #[test]
    fn an_agent_in_markdown_and_the_folder_in_the_home_count() {
        let build = "---\npermission:\n  bash: deny\n---\n";
        check(
            World::default().with("/home/u/.config/opencode/agent/build.md", build),
            ReadOnly,
            Full,
        );
        check(World::default().with("/home/u/.config/opencode/agent/other.md", build), Full, Full);
        let deny = r#"{"permission": {"*": "deny"}}"#;
        check(World::default().with("/home/u/.opencode/opencode.json", deny), ReadOnly, ReadOnly);
    }

    #[test]
    fn the_project_goes_before_the_user_and_the_variable_before_both() {
        let world = World::default().with(USER, r#"{"permission": "ask"}"#);
        let world = world.with(PROJECT, r#"{"permission": {"bash": "allow"}}"#);
        check(world, Full, Full);
        let world = World::default().with(PROJECT, r#"{"permission": "allow"}"#);
        check(
            world.with("$OPENCODE_PERMISSION", r#"{"bash": "deny", "edit": "deny"}"#),
            ReadOnly,
            ReadOnly,
        );
    }
}
