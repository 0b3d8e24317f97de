//! Runs that are stored: finding one by what a person types, and what its folder says of it.

use crate::fail::Fail;
use crate::{config, surroundings};
use belay_trace::journal::{REQUEST_FILE, attempt_request_file};
use belay_trace::read_regular;
use belay_trace::{Store, StoredRun};
use belaykit::RunRequest;
use clap::Args;
use std::collections::HashMap;
use std::env;
use std::io;
use std::path::PathBuf;

/// The variable that names the folder of the journals.
const STATE_DIR: &str = "BELAY_STATE_DIR";

/// Where stored runs are looked for.
#[derive(Debug, Args)]
pub(crate) struct StateDir {
    /// Where the journals are [default: the configuration's `state_dir`, or $XDG_STATE_HOME/belay or
    /// ~/.local/state/belay].
    #[arg(long, value_name = "DIR", env = STATE_DIR)]
    state_dir: Option<PathBuf>,
}

impl StateDir {
    /// The journals of this user.
    pub(crate) fn store(&self) -> Result<Store, Fail> {
        store(self.state_dir.clone())
    }

    /// The folder that was named.
    pub(crate) fn named(&self) -> Option<PathBuf> {
        self.state_dir.clone()
    }

    /// The folder itself.
    pub(crate) fn folder(&self) -> Result<PathBuf, Fail> {
        folder(self.state_dir.clone())
    }

    /// The run that a person means.
    pub(crate) fn find(&self, id: &str) -> Result<StoredRun, Fail> {
        find(&self.store()?, id)
    }
}

/// The journals of this user.
pub(crate) fn store(given: Option<PathBuf>) -> Result<Store, Fail> {
    folder(given).map(Store::new)
}

/// belay's own folder.
pub(crate) fn folder(given: Option<PathBuf>) -> Result<PathBuf, Fail> {
    let folder = surroundings::state_dir(given.or_else(config::state_dir)).ok_or_else(|| {
        Fail::usage("there is no HOME to look for journals in")
            .hint("name the folder with --state-dir")
    })?;
    belaykit::remove_left_private_files(Some(&folder), &env::temp_dir());
    Ok(folder)
}

/// Removes the secrets that killed runs have left on disk: with every command, whatever it is for.
pub(crate) fn remove_left_private_files() {
    let state_dir = surroundings::state_dir(env::var_os(STATE_DIR).map(PathBuf::from));
    for place in [state_dir.as_deref(), None] {
        belaykit::remove_left_private_files(place, &env::temp_dir());
    }
}

/// The run that a person means.
pub(crate) fn find(store: &Store, id: &str) -> Result<StoredRun, Fail> {
    store.find(id).map_err(|error| {
        let hint = match error.matches {
            0 if store.runs().is_ok_and(|runs| runs.is_empty()) => {
                "there are no runs yet: belay run \"…\""
            }
            0 => "`belay runs --all` lists them; `latest` is the newest",
            _ => "give more of the id; `belay runs --all` lists them",
        };
        Fail::not_found(error).hint(hint)
    })
}

/// True if the folder of the journals comes from the environment, which the next command shares.
pub(crate) fn is_from_env() -> bool {
    env::var_os(STATE_DIR).is_some_and(|dir| !dir.is_empty())
}

pub(crate) fn unreadable(error: io::Error) -> Fail {
    Fail::local(format!("cannot read the journals: {error}"))
}

/// The request of a run.
pub(crate) fn request(run: &StoredRun) -> Result<RunRequest, Fail> {
    let path = run.folder().join(REQUEST_FILE);
    let unreadable = |error: &dyn std::fmt::Display| {
        Fail::local(format!("cannot read the request of run {}: {error}", run.id()))
            .hint(format_args!("it should be in {}", path.display()))
    };
    let text = read_regular(&path).map_err(|error| unreadable(&error))?;
    serde_json::from_slice(&text).map_err(|error| unreadable(&error))
}

/// What of a stored request cannot be used once more, because a secret was taken out of it.
pub(crate) fn redacted(request: &RunRequest) -> Option<&'static str> {
    let servers = serde_json::to_string(&request.mcp_servers).unwrap_or_default();
    let system = [&request.system_prompt, &request.append_system_prompt];
    let is_redacted = |text: &String| text.contains("[redacted:");
    if is_redacted(&servers) {
        Some("its MCP servers")
    } else if request.extra_args.iter().any(is_redacted) {
        Some("its further arguments")
    } else if system.into_iter().flatten().any(is_redacted) {
        Some("its system prompt")
    } else {
        None
    }
}

/// The request of one attempt of a run, where it differs from the run's.
pub(crate) fn attempt_request(run: &StoredRun, attempt: u32) -> Option<RunRequest> {
    let text = read_regular(&run.folder().join(attempt_request_file(attempt))).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Short names of runs: the end of the id, which is random, and as much of it as no other run has.
#[derive(Debug)]
pub(crate) struct ShortIds(HashMap<String, usize>);

/// Fewer characters than these are no longer a name that stays unique when more runs come.
const SHORT: usize = 8;

impl ShortIds {
    pub(crate) fn of(runs: &[StoredRun]) -> Self {
        Self::of_ids(runs.iter().map(StoredRun::id))
    }

    /// The same for ids of any sort.
    pub(crate) fn of_ids<'a>(ids: impl Iterator<Item = &'a str>) -> Self {
        let mut backwards: Vec<Vec<char>> = ids.map(|id| id.chars().rev().collect()).collect();
        backwards.sort_unstable();
        let common = |a: &[char], b: &[char]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
        // Whoever shares the most with a name stands next to it.
        let shared = backwards.windows(2).map(|pair| common(&pair[0], &pair[1]));
        let shared: Vec<usize> = std::iter::once(0).chain(shared).chain([0]).collect();
        let lengths = backwards.iter().zip(shared.windows(2)).map(|(id, around)| {
            let length = (around[0].max(around[1]) + 1).max(SHORT).min(id.len());
            (id.iter().rev().collect(), length)
        });
        Self(lengths.collect())
    }

    pub(crate) fn get<'a>(&self, id: &'a str) -> &'a str {
        let length = self.0.get(id).copied().unwrap_or(usize::MAX);
        let from = id.char_indices().rev().take(length).last();
        from.map_or(id, |(at, _)| &id[at..])
    }
}

/// The short name of one run.
pub(crate) fn short_id(store: &Store, id: &str) -> String {
    ShortIds::of(&store.runs().unwrap_or_default()).get(id).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_trace::journal::{EVENTS_FILE, RUNS_DIR};

    #[test]
    fn a_short_id_is_the_end_of_the_id_as_far_as_no_other_run_has_it() {
        let state = tempfile::tempdir().unwrap();
        let ids = ["a-11112222", "b-01112222", "c-z01112222", "short", "d-33334444"];
        for id in ids {
            let folder = state.path().join(RUNS_DIR).join(id);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(EVENTS_FILE), "").unwrap();
        }
        let store = Store::new(state.path());
        let short = ShortIds::of(&store.runs().unwrap());
        let shown = ids.map(|id| short.get(id));
        assert_eq!(shown, ["11112222", "-01112222", "z01112222", "short", "33334444"]);
        for id in ids {
            assert_eq!(store.find(short.get(id)).unwrap().id(), id);
        }
        assert_eq!(short.get("unknown-id"), "unknown-id");
    }
}
