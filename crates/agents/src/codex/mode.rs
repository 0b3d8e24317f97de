//! What Codex may do in a run that does not say: `sandbox_mode` of its `config.toml`.

use crate::Permissions;
use crate::mode::{EffectiveMode, Unreadable, UserConfig, home, mode_argument};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Arguments of Codex's that set its sandbox, or read other settings.
const ARGUMENTS: [&str; 10] = [
    "--sandbox",
    "-s",
    "--ask-for-approval",
    "-a",
    "--full-auto",
    "--yolo",
    "--dangerously*",
    "--profile",
    "-p",
    "--permissions-profile",
];

/// An administrator's settings, below the user's.
const SYSTEM: &str = "/etc/codex/config.toml";

/// What an administrator forbids.
const REQUIREMENTS: &str = "/etc/codex/requirements.toml";

pub(crate) fn effective(config: &dyn UserConfig, args: &[String]) -> EffectiveMode {
    // `-c sandbox_mode=…`, `-csandbox_mode=…`, `--config=sandbox_mode=…`
    let overrides = |arg: &&String| {
        ["sandbox", "permissions", "profile", "approval"].iter().any(|key| arg.contains(key))
    };
    let arg = mode_argument(args, &ARGUMENTS).or(args.iter().find(overrides).map(String::as_str));
    if let Some(arg) = arg {
        return EffectiveMode::of_argument(arg);
    }
    match read(config) {
        Ok(mode) => mode,
        Err(unreadable) => EffectiveMode::unknown(unreadable.to_string()),
    }
}

fn read(config: &dyn UserConfig) -> Result<EffectiveMode, Unreadable> {
    let user = home(config, "CODEX_HOME", ".codex").map(|home| home.join("config.toml"));
    let user = match &user {
        Some(path) => settings(config, path)?.map(|table| (table, path.as_path())),
        None => None,
    };
    let system = settings(config, Path::new(SYSTEM))?.map(|table| (table, Path::new(SYSTEM)));
    let said = user.iter().chain(&system).find_map(|(table, path)| stated(table, path));
    let trusted = user.as_ref().is_some_and(|(table, _)| is_trusted(table, config.folder()));
    let mut mode = said.unwrap_or_else(|| match trusted {
        true => EffectiveMode::known(Permissions::Edit, "codex's default in a trusted project"),
        false => EffectiveMode::known(Permissions::Ask, "codex's default"),
    });
    // A trusted project goes before the user, and each folder on the way to it before those above.
    for folder in config.folder().ancestors().filter(|_| trusted) {
        let path = folder.join(".codex/config.toml");
        if user.as_ref().is_some_and(|(_, own)| *own == path) {
            continue;
        }
        if let Some(project) = settings(config, &path)?.and_then(|table| stated(&table, &path)) {
            mode = mode.with_and_without(project);
        }
    }
    if config.file(Path::new(REQUIREMENTS))?.is_some() {
        mode = mode.at_least_within(Permissions::ReadOnly, REQUIREMENTS.to_owned());
    }
    Ok(mode)
}

/// What a file says, by itself or by the profile that it chooses.
fn stated(table: &Table, path: &Path) -> Option<EffectiveMode> {
    let profile = table.get("profile").and_then(Value::as_str);
    let profile = profile.and_then(|name| table.get("profiles")?.get(name)?.as_table());
    if let Some(key) = ["default_permissions", "permissions"]
        .into_iter()
        .find(|key| [Some(table), profile].into_iter().flatten().any(|t| t.contains_key(*key)))
    {
        return Some(EffectiveMode::unknown(format!("{key} in {}", path.display())));
    }
    let of = |key| profile.and_then(|table| table.get(key)).or_else(|| table.get(key));
    let source = format!("sandbox_mode in {}", path.display());
    let approval = of("approval_policy").and_then(Value::as_str);
    let Some(sandbox) = of("sandbox_mode") else {
        // It asks, whatever the sandbox is elsewhere.
        let asks = approval == Some("untrusted");
        let source = format!("approval_policy in {}", path.display());
        return asks
            .then(|| EffectiveMode::between(Permissions::ReadOnly, Permissions::Edit, source));
    };
    Some(match sandbox.as_str() {
        Some("read-only") if approval == Some("never") => {
            EffectiveMode::known(Permissions::ReadOnly, source)
        }
        Some("workspace-write" | "danger-full-access") if approval == Some("untrusted") => {
            EffectiveMode::between(Permissions::Ask, Permissions::Full, source)
        }
        Some("read-only") => EffectiveMode::known(Permissions::Ask, source),
        Some("workspace-write") => EffectiveMode::known(Permissions::Edit, source),
        Some("danger-full-access") => EffectiveMode::known(Permissions::Full, source),
        _ => EffectiveMode::unknown(source),
    })
}

/// True for a folder that the user has told Codex to trust, or one below it.
fn is_trusted(table: &Table, folder: &Path) -> bool {
    let Some(projects) = table.get("projects").and_then(Value::as_table) else { return false };
    let trusted =
        |project: &Value| project.get("trust_level").and_then(Value::as_str) == Some("trusted");
    projects.iter().any(|(path, project)| trusted(project) && folder.starts_with(path))
}

fn settings(config: &dyn UserConfig, path: &Path) -> Result<Option<Table>, Unreadable> {
    let Some(text) = config.file(path)? else { return Ok(None) };
    let unreadable = |_| Unreadable(PathBuf::from(path).display().to_string());
    text.parse().map(Some).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::tests::World;
    use Permissions::{Ask, Edit, Full, ReadOnly};

    #[track_caller]
    fn check(text: &str, at_least: Permissions, at_most: Permissions) {
        let mode = effective(&World::default().with("/home/u/.codex/config.toml", text), &[]);
        assert_eq!((mode.at_least, mode.at_most), (at_least, at_most), "{text}: {mode:?}");
    }

    #[test]
    fn codex_is_confined_as_its_configuration_says() {
        check("", Ask, Ask);
        check("sandbox_mode = 'read-only'", Ask, Ask);
        check("sandbox_mode = 'read-only'\napproval_policy = 'never'", ReadOnly, ReadOnly);
        check("sandbox_mode = 'workspace-write'", Edit, Edit);
        check("sandbox_mode = 'danger-full-access'", Full, Full);
        check("sandbox_mode = 'of-next-year'", ReadOnly, Full);
        check("default_permissions = 'mine'", ReadOnly, Full);
        check("sandbox_mode = ", ReadOnly, Full);
        let profile = "profile = 'p'\nsandbox_mode = 'read-only'\n[profiles.p]\n";
        check(&format!("{profile}sandbox_mode = 'danger-full-access'"), Full, Full);
        check("[projects.'/home/u']\ntrust_level = 'trusted'", Edit, Edit);
        check("[projects.'/home/other']\ntrust_level = 'trusted'", Ask, Ask);
        check("[projects.'/home/u']\ntrust_level = 'untrusted'", Ask, Ask);
    }

    #[test]
    fn a_trusted_project_and_a_policy_that_asks_take_from_what_binds_others() {
        let user = "sandbox_mode = 'danger-full-access'\n";
        let trust = "[projects.'/home/u/project']\ntrust_level = 'trusted'\n";
        let of = |user: &str, project: &str| {
            let world = World::default().with("/home/u/.codex/config.toml", user);
            let mode = effective(&world.with("/home/u/project/.codex/config.toml", project), &[]);
            (mode.at_least, mode.at_most)
        };
        let project = "sandbox_mode = 'read-only'\napproval_policy = 'never'";
        assert_eq!(of(&format!("{user}{trust}"), project), (ReadOnly, Full));
        assert_eq!(of(user, project), (Full, Full), "codex does not read it");
        assert_eq!(of(&format!("{user}approval_policy = 'untrusted'"), ""), (Ask, Full));
    }

    #[test]
    fn an_argument_that_sets_the_sandbox_leaves_it_unknown() {
        for args in [
            &["-sread-only"][..],
            &["-c", "sandbox_mode=x"],
            &["--yolo"],
            &["-p", "x"],
            &["-c", "profile=p"],
        ] {
            let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
            assert_eq!(effective(&World::default(), &args).mode(), None, "{args:?}");
        }
        let args = ["-c".to_owned(), "model_verbosity=low".to_owned()];
        assert_eq!(effective(&World::default(), &args).mode(), Some(Ask));
    }
}
