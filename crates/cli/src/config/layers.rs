//! The files laid over each other: a project's profile over the user's, those over what holds in every profile,
//! and the environment over all. The command line comes last, where it is filled up.

use super::document::{Document, Profile, suggestion};
use super::keys::{Own, Settings};
use super::mistake::Wrong;
use super::named::OWN_KEYS;
use super::named::candidate;
use super::places::Places;
use super::setting::{self, At, Layer as _, Origin, Row, Which};
use super::value::{Chain, File, Positive};
use super::{keys, read};
use crate::fail::Fail;
use crate::say::warn;
use belaykit::{AGENTS, Agent, Candidate};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The variables that stand for settings.
const PROFILE: &str = "BELAY_PROFILE";
const AGENT: &str = "BELAY_AGENT";
const MAX_ATTEMPTS: &str = "BELAY_MAX_ATTEMPTS";
const STATE_DIR: &str = "BELAY_STATE_DIR";

/// Who names the profile.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// The command line.
    pub(crate) flag: Option<&'a str>,
    /// The run that is gone on with; it may be gone since.
    pub(crate) noted: Option<&'a str>,
}

/// The profile that was chosen.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) name: String,
    pub(crate) origin: Origin,
}

/// What the files and the environment say.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) places: Places,
    /// The files that are there.
    pub(crate) files: Vec<(Which, PathBuf)>,
    /// The names of all profiles.
    pub(crate) profiles: Vec<String>,
    pub(crate) chosen: Option<Chosen>,
    pub(crate) profile: Profile,
    pub(crate) agents: BTreeMap<String, Own>,
    pub(crate) common: keys::Common,
    pub(crate) notify: keys::Notify,
    /// The agents that the user's own file or the environment names, or else those that are built in: what the first
    /// of them may do holds a project's chain.
    own_chain: Option<At<Chain>>,
}

impl Config {
    /// Reads the files for a run in `folder`, or else where we are.
    pub(crate) fn load(wanted: Wanted<'_>, folder: Option<&Path>) -> Result<Self, Fail> {
        Self::of(Places::of(folder), wanted, &|name| env::var(name).ok())
    }

    /// What holds with these files and this environment.
    pub(super) fn of(
        places: Places,
        wanted: Wanted<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Fail> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let (user, project) = files(&places)?;
        let present = [(Which::User, &user), (Which::Project, &project)];
        let files = present.into_iter().filter_map(|(which, document)| {
            let path = document.as_ref().map(|(path, _)| path.clone())?;
            Some((which, path))
        });
        let files = files.collect();
        let document =
            |read: Option<(PathBuf, Document)>| read.map(|(_, it)| it).unwrap_or_default();
        let (mut user, mut project) = (document(user), document(project));
        let mut profiles: Vec<_> =
            user.profiles.keys().chain(project.profiles.keys()).cloned().collect();
        profiles.sort();
        profiles.dedup();

        let chosen =
            choose(wanted, variable(PROFILE), &profiles, user.common.default_profile.as_ref())?;
        let of_profile = |document: &mut Document| {
            chosen
                .as_ref()
                .and_then(|chosen| document.profiles.remove(&chosen.name))
                .unwrap_or_default()
        };
        let (user_profile, project_profile) = (of_profile(&mut user), of_profile(&mut project));
        let of_user = user_profile.clone().over(user.defaults.clone());
        let of_files = project_profile
            .over(user_profile)
            .over(project.defaults)
            .over(user.defaults)
            .held_to(&of_user);
        let mut agents = project.agents;
        for (name, own) in user.agents {
            let above = agents.remove(&name).unwrap_or_default();
            agents.insert(name, above.over(own.clone()).held_to(&own));
        }
        let mut config = Self {
            places,
            files,
            profiles,
            chosen,
            profile: of_files,
            agents,
            common: user.common,
            notify: user.notify,
            own_chain: of_user.settings.chain.clone().or_else(default_chain),
        };
        config.lay_over(variable);
        Ok(config)
    }

    /// Lays the environment over the files.
    fn lay_over(&mut self, variable: impl Fn(&str) -> Option<String>) {
        let settings = &mut self.profile.settings;
        if let Some(agent) = variable(AGENT) {
            settings.chain = Some(of(AGENT, Chain(vec![agent.clone()]), json!([agent])));
        }
        // What is wrong with this one has been told by who reads the command line.
        if let Some(number) = variable(MAX_ATTEMPTS).and_then(|number| number.parse().ok()) {
            settings.max_attempts = Some(of(MAX_ATTEMPTS, Positive(number), json!(number)));
        }
        if let Some(dir) = variable(STATE_DIR) {
            let json = json!(dir);
            self.common.state_dir = Some(of(STATE_DIR, File(dir.into()), json));
        }
    }

    /// The agents of a run: those that were named, or else those that the configuration names.
    pub(crate) fn chain(&self, named: Vec<Candidate>) -> Result<Vec<Candidate>, Fail> {
        if !named.is_empty() {
            return Ok(named.into_iter().map(|candidate| self.with_model(candidate)).collect());
        }
        let settings = &self.profile.settings;
        let chain = settings.chain.clone().or_else(default_chain);
        let names = chain.iter().flat_map(|chain| &chain.value.0);
        let candidates = names.map(|name| {
            let candidate = candidate(name).map_err(|error| {
                let fail = Fail::usage(error);
                fail.hint(format_args!("{AGENT} names the agent that is meant when none is given"))
            });
            Ok(self.with_model(candidate?))
        });
        candidates.collect()
    }

    /// The agent that a chain is held to which a project's file names.
    pub(crate) fn yardstick(&self) -> Option<Arc<dyn Agent>> {
        self.profile.settings.chain.as_ref().filter(|chain| chain.origin.is_project())?;
        let first = self.own_chain.as_ref()?.value.0.first()?;
        candidate(first).ok().map(|candidate| candidate.agent)
    }

    /// The agent with its own model, if none is named.
    pub(crate) fn with_model(&self, candidate: Candidate) -> Candidate {
        let name = candidate.agent.name();
        let model = self.agents.get(name).and_then(|own| own.model.as_ref());
        match (model, AGENTS.iter().find(|entry| entry.name == name)) {
            (Some(model), Some(entry)) if candidate.model.is_none() => {
                Candidate { agent: (entry.make)(Some(model.value.clone())), model: None }
            }
            (Some(model), None) if candidate.model.is_none() => {
                self::candidate(&format!("{name}:{}", model.value)).unwrap_or(candidate)
            }
            _ => candidate,
        }
    }

    /// Every key with its value.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        self.profile.rows(&mut rows);
        self.common.rows("", &mut rows);
        for (agent, own) in &self.agents {
            let mut of_agent = Vec::new();
            own.rows(&format!("agents.{agent}."), &mut of_agent);
            // An agent that belay knows has no command of the user's.
            let is_of_own =
                |row: &Row| row.key.rsplit('.').next().is_some_and(|key| OWN_KEYS.contains(&key));
            of_agent.retain(|row| row.origin != Origin::BuiltIn || !is_of_own(row));
            rows.extend(of_agent);
        }
        let mut notify = Vec::new();
        self.notify.rows("", &mut notify);
        // Of channels that nobody has, there is nothing to know.
        rows.extend(notify.into_iter().filter(|row| row.origin != Origin::BuiltIn));
        rows
    }
}

/// Both files, or the first that is wrong.
#[expect(clippy::type_complexity, reason = "a pair of the same")]
fn files(
    places: &Places,
) -> Result<(Option<(PathBuf, Document)>, Option<(PathBuf, Document)>), Box<Wrong>> {
    Ok((read::file(Which::User, places)?, read::file(Which::Project, places)?))
}

/// Every file with all that is wrong in it.
pub(crate) fn check(places: &Places) -> Vec<Result<Option<PathBuf>, Box<Wrong>>> {
    [Which::User, Which::Project]
        .map(|which| Ok(read::file(which, places)?.map(|(path, _)| path)))
        .into()
}

fn choose(
    wanted: Wanted<'_>,
    from_env: Option<String>,
    known: &[String],
    default: Option<&At<String>>,
) -> Result<Option<Chosen>, Fail> {
    let chosen = |name: &str, origin| Chosen { name: name.to_owned(), origin };
    let is_known = |name: &str| known.iter().any(|known| known == name);
    let named = match (wanted.flag, wanted.noted, &from_env) {
        (Some(flag), _, _) => chosen(flag, Origin::Flag("--profile")),
        (None, Some(noted), _) if is_known(noted) => chosen(noted, Origin::Flag("the run")),
        (None, Some(noted), _) => {
            warn(format_args!("the run's profile `{}` is no more", noted.escape_debug()));
            return Ok(None);
        }
        (None, None, Some(name)) => chosen(name, Origin::Environment(PROFILE)),
        (None, None, None) => {
            return Ok(default.map(|default| chosen(&default.value, default.origin.clone())));
        }
    };
    if is_known(&named.name) {
        return Ok(Some(named));
    }
    let message = format!("there is no profile `{}` ({})", named.name.escape_debug(), named.origin);
    let hint =
        suggestion(&named.name, known.iter().map(String::as_str)).unwrap_or_else(|| match known {
            [] => "no file has a profile; `belay config init` writes one down".to_owned(),
            known => format!("there are {}", known.join(", ")),
        });
    Err(Fail::usage(message).hint(hint))
}

fn of<T>(variable: &'static str, value: T, json: Json) -> At<T> {
    At { value, json, origin: Origin::Environment(variable), instead_of: None }
}

/// The agents that are meant when nobody names any.
fn default_chain() -> Option<At<Chain>> {
    let key = Settings::KEYS.iter().find(|key| key.name == "chain");
    key.and_then(|key| setting::built_in(key.built_in))
}
