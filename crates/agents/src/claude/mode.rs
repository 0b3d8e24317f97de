//! What Claude Code may do in a run that does not say: `permissions` of its settings files.

use super::Claude;
use super::tools::CHANGING;
use crate::Permissions;
use crate::mode::{EffectiveMode, Unreadable, UserConfig, home, json_file, mode_argument};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Arguments of Claude's that set its mode, or allow tools.
const ARGUMENTS: [&str; 12] = [
    "--permission-mode",
    "--dangerously-skip-permissions",
    "--allow-dangerously-skip-permissions",
    "--allowedTools",
    "--allowed-tools",
    "--settings",
    "--setting-sources",
    "--disallowedTools",
    "--disallowed-tools",
    "--tools",
    "--agent",
    "--agents",
];

/// Where an administrator's settings are on Linux and macOS.
const MANAGED: [&str; 2] = [
    "/etc/claude-code/managed-settings.json",
    "/Library/Application Support/ClaudeCode/managed-settings.json",
];

pub(crate) fn effective(config: &dyn UserConfig, args: &[String]) -> EffectiveMode {
    if let Some(arg) = mode_argument(args, &ARGUMENTS) {
        return EffectiveMode::of_argument(arg);
    }
    match read(config) {
        Ok(mode) => mode,
        Err(unreadable) => EffectiveMode::unknown(unreadable.to_string()),
    }
}

/// The settings files, those that count most first.
fn places(config: &dyn UserConfig) -> Vec<PathBuf> {
    let project = config.folder().join(".claude");
    let user = home(config, "CLAUDE_CONFIG_DIR", ".claude");
    MANAGED
        .iter()
        .map(PathBuf::from)
        .chain([project.join("settings.local.json"), project.join("settings.json")])
        .chain(user.map(|home| home.join("settings.json")))
        .collect()
}

fn read(config: &dyn UserConfig) -> Result<EffectiveMode, Unreadable> {
    let mut mode: Option<EffectiveMode> = None;
    let mut allowed: Option<(Permissions, String)> = None;
    let mut kept: Vec<(Permissions, String)> = Vec::new();
    for path in places(config) {
        let Some(settings) = json_file(config, &path)? else { continue };
        let permissions = &settings["permissions"];
        if let (None, Some(name)) = (&mode, permissions["defaultMode"].as_str()) {
            mode = Some(named(name, &path));
        }
        kept.extend(keeps(&settings, &path));
        let rules = permissions["allow"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let most = rules.map(allows).max().filter(|most| *most > Permissions::Ask);
        if let Some(most) = most.filter(|most| allowed.as_ref().is_none_or(|(had, _)| had < most)) {
            allowed = Some((most, format!("permissions.allow in {}", path.display())));
        }
    }
    let mode = mode.unwrap_or_else(|| {
        EffectiveMode::known(Permissions::Ask, format!("{}'s default", Claude::NAME))
    });
    let mode = match allowed {
        Some((most, source)) if most > mode.at_most => {
            EffectiveMode::between(mode.at_least, most, source)
        }
        _ => mode,
    };
    Ok(kept.into_iter().fold(mode, |mode, (most, source)| mode.at_least_within(most, source)))
}

/// What keeps Claude from some of what its mode lets it do: rules, hooks that are asked before a tool, and a switch.
fn keeps(settings: &Value, path: &Path) -> Vec<(Permissions, String)> {
    let permissions = &settings["permissions"];
    let has_rule = |list: &str| {
        let rules = permissions[list].as_array().into_iter().flatten();
        rules.filter_map(Value::as_str).any(|rule| {
            let tool = rule.split('(').next().unwrap_or(rule).trim();
            tool == "*" || CHANGING.contains(&tool)
        })
    };
    let disables = permissions["disableBypassPermissionsMode"].as_str() == Some("disable");
    let has_hook = settings["hooks"]["PreToolUse"].as_array().is_some_and(|all| !all.is_empty());
    let kept = [
        (has_rule("deny"), Permissions::ReadOnly, "permissions.deny"),
        (has_rule("ask"), Permissions::Ask, "permissions.ask"),
        (disables, Permissions::Ask, "permissions.disableBypassPermissionsMode"),
        (has_hook, Permissions::Ask, "hooks.PreToolUse"),
    ];
    let kept = kept.into_iter().filter(|(is_there, ..)| *is_there);
    kept.map(|(_, most, key)| (most, format!("{key} in {}", path.display()))).collect()
}

/// Claude's own names of its modes (2.1.329).
fn named(name: &str, path: &Path) -> EffectiveMode {
    let source = format!("permissions.defaultMode in {}", path.display());
    match name {
        // In plan mode the user's own rules still let tools run (measured).
        "plan" => EffectiveMode::between(Permissions::ReadOnly, Permissions::Ask, source),
        "default" | "manual" | "dontAsk" => EffectiveMode::known(Permissions::Ask, source),
        "acceptEdits" => EffectiveMode::known(Permissions::Edit, source),
        // A model decides what is harmless.
        "auto" => EffectiveMode::between(Permissions::Ask, Permissions::Full, source),
        "bypassPermissions" => EffectiveMode::known(Permissions::Full, source),
        _ => EffectiveMode::unknown(source),
    }
}

/// What a rule allows: a whole tool is a mode, and what is narrower is the user's exception from asking.
fn allows(rule: &str) -> Permissions {
    let (tool, scope) = rule.split_once('(').unwrap_or((rule, ""));
    let is_whole = matches!(scope.trim_end_matches(')'), "" | "*" | ":*" | "**" | "/**");
    match tool.trim() {
        "*" => Permissions::Full,
        "Edit" | "Write" | "NotebookEdit" | "MultiEdit" if is_whole => Permissions::Edit,
        tool if is_whole && CHANGING.contains(&tool) => Permissions::Full,
        _ => Permissions::Ask,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::tests::World;
    use Permissions::{Ask, Edit, Full, ReadOnly};

    const USER: &str = "/home/u/.claude/settings.json";
    const PROJECT: &str = "/home/u/project/.claude/settings.json";

    #[track_caller]
    fn check(world: World, at_least: Permissions, at_most: Permissions) {
        let mode = effective(&world, &[]);
        assert_eq!((mode.at_least, mode.at_most), (at_least, at_most), "{mode:?}");
    }

    #[test]
    fn claude_asks_unless_its_settings_say_otherwise() {
        check(World::default(), Ask, Ask);
        for (name, at_least, at_most) in [
            ("default", Ask, Ask),
            ("acceptEdits", Edit, Edit),
            ("bypassPermissions", Full, Full),
            ("plan", ReadOnly, Ask),
            ("auto", Ask, Full),
            ("of-next-year", ReadOnly, Full),
        ] {
            let settings = format!(r#"{{"permissions":{{"defaultMode":"{name}"}}}}"#);
            check(World::default().with(USER, &settings), at_least, at_most);
        }
        check(World::default().with(USER, "not JSON"), ReadOnly, Full);
        for (keeps, at_least) in [
            (r#""deny":["Bash"]"#, ReadOnly),
            (r#""deny":["Bash(rm *)"]"#, ReadOnly),
            (r#""ask":["Write"]"#, Ask),
            (r#""disableBypassPermissionsMode":"disable""#, Ask),
            (r#""deny":["Read(./.env)"]"#, Full),
        ] {
            let settings =
                format!(r#"{{"permissions":{{"defaultMode":"bypassPermissions",{keeps}}}}}"#);
            check(World::default().with(USER, &settings), at_least, Full);
        }
        let hook = r#"{"permissions":{"defaultMode":"acceptEdits"},"hooks":{"PreToolUse":[{}]}}"#;
        check(World::default().with(USER, hook), Ask, Edit);
    }

    #[test]
    fn the_project_goes_before_the_user_and_rules_for_whole_tools_count() {
        let mode = |name| format!(r#"{{"permissions":{{"defaultMode":"{name}"}}}}"#);
        let world = World::default().with(USER, &mode("bypassPermissions"));
        check(world.with(PROJECT, &mode("acceptEdits")), Edit, Edit);
        let allow = |rule| format!(r#"{{"permissions":{{"allow":["Read","{rule}"]}}}}"#);
        for (rule, most) in [
            ("Bash(npm test)", Ask),
            ("Bash(git *)", Ask),
            ("Bash", Full),
            ("Bash(*)", Full),
            ("Edit", Edit),
            ("WebSearch", Ask),
        ] {
            check(World::default().with(PROJECT, &allow(rule)), Ask, most);
        }
    }

    #[test]
    fn an_argument_that_sets_the_mode_leaves_it_unknown() {
        let args = ["--permission-mode=acceptEdits".to_owned()];
        let mode = effective(&World::default(), &args);
        assert_eq!((mode.at_least, mode.at_most), (ReadOnly, Full));
        assert!(mode.source.contains("--permission-mode"));
    }
}
