//! What the first agent of a chain may do binds the others, also when the request does not say.

use crate::Client;
use belay_agents::{
    EffectiveMode, Permissions, RunRequest, Session, Unreadable, UserConfig, WithoutProject,
};
use belay_trace::{Failure, FailureKind, read_regular};
use std::borrow::Cow;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// No configuration file is larger.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The mode in which each candidate of a chain is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModeBound {
    /// By candidate; none is started as the request says.
    modes: Vec<Option<Permissions>>,
    /// What the first one may do, and where that stands.
    source: String,
}

impl ModeBound {
    /// Looks at what each agent of the chain may do by itself.
    ///
    /// # Errors
    /// A [`Failure`] if a later one can do more than the first, and cannot be kept from it.
    pub(crate) fn of(client: &Client, request: &RunRequest) -> Result<Self, Failure> {
        if !Self::is_needed(client, request) {
            return Ok(Self::default());
        }
        let (first, from) = client.yardstick();
        let own = first.effective_mode(request);
        let bound = own.at_least;
        let mut modes = vec![None; from];
        for n in from..client.chain().count() {
            let turn = client.turn(n);
            modes.push(turn.mode_within(&first, &own, request)?);
        }
        let source = format!("what {} may do: {bound} ({})", first.agent_name(), own.source);
        Ok(Self { modes, source })
    }

    /// True if the request does not say what may be done, and there is somebody to hold.
    pub(crate) fn is_needed(client: &Client, request: &RunRequest) -> bool {
        request.permissions.is_none() && client.chain().nth(client.yardstick().1).is_some()
    }

    /// The mode that the candidate gets in place of its own.
    pub(crate) fn mode(&self, n: usize) -> Option<Permissions> {
        self.modes.get(n).copied().flatten()
    }

    /// The request as the candidate gets it.
    pub(crate) fn apply<'a>(&self, request: &'a RunRequest, n: usize) -> Cow<'a, RunRequest> {
        match self.mode(n) {
            Some(mode) => Cow::Owned(request.clone().permissions(mode)),
            None => Cow::Borrowed(request),
        }
    }

    /// What to say when a candidate is held to it.
    pub(crate) fn words(&self, agent: &str, mode: Permissions) -> String {
        format!(
            "{agent} is started with --permit {mode}: without it, it could do more than {}",
            self.source
        )
    }
}

impl Client {
    /// What the agent whose turn it is may do in a run that does not say: by its own default, and by the user's
    /// configuration of it.
    pub fn effective_mode(&self, request: &RunRequest) -> EffectiveMode {
        let mut request = self.own(request);
        request.permissions = None;
        let launch = self.launch(&request, self.transports()[0]);
        let env = launch.map(|launch| self.env.for_agent(&launch.env)).unwrap_or_default();
        let folder = request.cwd.clone().or_else(|| std::env::current_dir().ok());
        let config = Files { env, folder: folder.unwrap_or_default() };
        let of = |config: &dyn UserConfig| self.agent.effective_mode(config, &request.extra_args);
        // Agents believe some files of a project; a repository binds nobody to more than its user has.
        of(&config).with_and_without(of(&WithoutProject(&config)))
    }

    /// The mode in which this candidate stays within what the first one may do.
    fn mode_within(
        &self,
        first: &Self,
        bound: &EffectiveMode,
        request: &RunRequest,
    ) -> Result<Option<Permissions>, Failure> {
        let own = self.effective_mode(request);
        // Another command or another file is another agent, whatever both are called.
        let is_same = self.agent.identity(None) == first.agent.identity(None)
            && (own.mode().is_some() || self.agent.model() == first.agent.model());
        if is_same || own.at_most <= bound.at_least {
            return Ok(None);
        }
        let mode = bound.at_least;
        let (agent, named) = (self.agent_name(), first.agent_name());
        let refused = |why: &str| {
            Err(Failure::new(
                FailureKind::InvalidRequest,
                format!(
                    "{agent} cannot be held to what {named}, the first agent, may do without --permit: {mode} \
                     ({}); {why}. Choose with --permit what all of them may do, or leave {agent} out",
                    bound.source
                ),
            ))
        };
        if own.is_argument {
            return refused(&format!("{} is set for it", own.source));
        }
        let mut request = self.own(request).permissions(mode);
        (request.model, request.session) = (None, Session::New);
        match self.agent.launch(&request, self.transports()[0]) {
            Ok(_) => Ok(Some(mode)),
            Err(error) if error.option == "permissions" => {
                refused(error.hint.unwrap_or("it does not keep that mode"))
            }
            // Something else is wrong with it, which is told where it is looked for.
            Err(_) => Ok(Some(mode)),
        }
    }
}

/// The file system and the environment as the agent will see them.
struct Files {
    env: Vec<(OsString, OsString)>,
    folder: PathBuf,
}

impl UserConfig for Files {
    fn variable(&self, name: &str) -> Option<String> {
        // A later one of the same name goes before.
        let (_, value) = self.env.iter().rev().find(|(key, _)| key == name)?;
        value.to_str().filter(|value| !value.is_empty()).map(str::to_owned)
    }

    fn file(&self, path: &Path) -> Result<Option<String>, Unreadable> {
        let unreadable = || Unreadable(path.display().to_string());
        let Ok(data) = fs::metadata(path) else { return Ok(None) };
        if !data.is_file() || data.len() > FILE_BYTES_MAX {
            return Err(unreadable());
        }
        let bytes = read_regular(path).map_err(|_| unreadable())?;
        String::from_utf8(bytes).map(Some).map_err(|_| unreadable())
    }

    fn folder(&self) -> &Path {
        &self.folder
    }
}
