//! What an agent behind ACP may do in a run that does not say.

use crate::Permissions;
use crate::mode::{EffectiveMode, UserConfig, home, json_file, mode_argument};

/// Arguments that set the mode of one agent or another that speaks ACP.
const ARGUMENTS: [&str; 10] = [
    "--yolo",
    "-y",
    "--approval-mode",
    "--allowed-tools",
    "--allow-*",
    "--deny-*",
    "--dangerously*",
    "--permission-mode",
    "--sandbox",
    "--auto",
];

/// Where it is settled.
#[derive(Clone, Copy, Debug)]
pub(in crate::acp) enum OwnMode {
    /// Nobody has looked.
    Unknown,
    /// It is the agent's own, whatever its settings are: at least, and at most.
    Between(Permissions, Permissions),
    /// The agent's settings file says it.
    Settings(Settings),
    /// It is that of the agent behind it.
    Of(fn(&dyn UserConfig, &[String]) -> EffectiveMode),
}

/// A settings file below the user's home, in JSON, and one of the same name in the project.
#[derive(Clone, Copy, Debug)]
pub(in crate::acp) struct Settings {
    /// The folder below the home, and in the project; the variable that names another.
    pub(in crate::acp) folder: &'static str,
    pub(in crate::acp) variable: &'static str,
    /// Where the mode's name stands, as JSON pointers.
    pub(in crate::acp) names_at: &'static [&'static str],
    /// Where lists of tools stand that need no question.
    pub(in crate::acp) allowed_at: &'static [&'static str],
    /// The names.
    pub(in crate::acp) names: &'static [(&'static str, Permissions, Permissions)],
    /// Without a name.
    pub(in crate::acp) default: (Permissions, Permissions),
}

impl OwnMode {
    pub(in crate::acp) fn effective(
        self,
        config: &dyn UserConfig,
        args: &[String],
    ) -> EffectiveMode {
        if let Some(arg) = mode_argument(args, &ARGUMENTS) {
            return EffectiveMode::of_argument(arg);
        }
        match self {
            Self::Unknown => EffectiveMode::unknown("an agent whose default belay does not know"),
            Self::Between(at_least, at_most) => {
                EffectiveMode::between(at_least, at_most, "the agent's default")
            }
            Self::Settings(settings) => settings.effective(config),
            Self::Of(effective) => effective(config, args),
        }
    }
}

impl Settings {
    fn effective(self, config: &dyn UserConfig) -> EffectiveMode {
        let (at_least, at_most) = self.default;
        let mut mode = EffectiveMode::between(at_least, at_most, "the agent's default");
        let user = match config.variable(self.variable).filter(|_| !self.variable.is_empty()) {
            Some(folder) => Some(folder.into()),
            None => home(config, "", self.folder),
        };
        let project = config.folder().join(self.folder);
        for path in user.into_iter().chain([project]).map(|folder| folder.join("settings.json")) {
            let settings = match json_file(config, &path) {
                Ok(Some(settings)) => settings,
                Ok(None) => continue,
                Err(unreadable) => return EffectiveMode::unknown(unreadable.to_string()),
            };
            for at in self.names_at {
                let Some(name) = settings.pointer(at).and_then(|name| name.as_str()) else {
                    continue;
                };
                let source = format!("{at} in {}", path.display());
                mode = match self.names.iter().find(|(known, ..)| *known == name) {
                    Some((_, least, most)) => EffectiveMode::between(*least, *most, source),
                    None => EffectiveMode::unknown(source),
                };
            }
            for at in self.allowed_at {
                let list = settings.pointer(at).and_then(|list| list.as_array());
                if list.is_some_and(|list| !list.is_empty()) {
                    mode.at_most = Permissions::Full;
                    mode.source = format!("{at} in {}", path.display());
                }
            }
        }
        mode
    }
}

#[cfg(test)]
mod tests {
    use crate::mode::tests::World;
    use crate::{Acp, Agent as _, Permissions};
    use Permissions::{Ask, Edit, Full, ReadOnly};

    #[track_caller]
    fn check(agent: &Acp, world: &World, at_least: Permissions, at_most: Permissions) {
        let mode = agent.effective_mode(world, &[]);
        assert_eq!((mode.at_least, mode.at_most), (at_least, at_most), "{mode:?}");
    }

    #[test]
    fn gemini_and_qwen_do_what_their_settings_say() {
        let gemini = |text: &str| World::default().with("/home/u/.gemini/settings.json", text);
        check(&Acp::gemini(), &World::default(), Ask, Ask);
        let of = |mode| format!(r#"{{"general":{{"defaultApprovalMode":"{mode}"}}}}"#);
        check(&Acp::gemini(), &gemini(&of("auto_edit")), Edit, Edit);
        check(&Acp::gemini(), &gemini(&of("of-next-year")), ReadOnly, Full);
        check(&Acp::gemini(), &gemini(r#"{"tools":{"allowed":["run_shell_command"]}}"#), Ask, Full);
        check(&Acp::gemini(), &gemini("{"), ReadOnly, Full);
        let qwen = |text: &str| World::default().with("/home/u/.qwen/settings.json", text);
        check(&Acp::qwen(), &World::default(), Ask, Full);
        check(&Acp::qwen(), &qwen(r#"{"tools":{"approvalMode":"yolo"}}"#), Full, Full);
        check(&Acp::qwen(), &qwen(r#"{"tools":{"approvalMode":"default"}}"#), Ask, Ask);
    }

    #[test]
    fn a_command_counts_as_the_program_that_it_starts() {
        let of = |command: &str| Acp::of(Some(command.to_owned()));
        let world = World::default();
        check(&of("my-agent --acp"), &world, ReadOnly, Full);
        check(&of("pi-acp"), &world, Full, Full);
        check(&of("opencode acp"), &world, Full, Full);
        check(&of("claude-agent-acp"), &world, Ask, Ask);
        check(&of("gemini --acp --yolo"), &world, ReadOnly, Full);
    }
}
