//! What Codex's own sandbox lets a run write to, and the folders that are added to it.
//!
//! By itself it takes all of `/tmp` for a part of the workspace (0.169.0). With [`Permissions::Edit`] an agent of belay's
//! may write to its working directory, to the added folders and to the folder for temporary files, which is its own
//! ([`Launch::private_temp`]); what the user's configuration would add to that does not count.

use super::Codex;
use crate::{Launch, Permissions, RunRequest, Unsupported};
use serde_json::{Map, Value, json};

/// Codex's sandbox leaves a folder with a lock among temporary files.
const LITTER_FOLDERS: &[&str] = &["codex-bwrap-"];

/// Gives the run a folder for temporary files of its own, if it may write to it.
pub(super) fn own_temp(launch: &mut Launch, request: &RunRequest) {
    if request.permissions == Some(Permissions::Edit) {
        (launch.private_temp, launch.litter_folders) = (true, LITTER_FOLDERS);
    }
}

/// The settings of a thread. Without a mode the added folders take the place of the user's own ones.
pub(super) fn settings(request: &RunRequest) -> Result<Map<String, Value>, Unsupported> {
    let folders = request.folder_arguments(Codex::NAME, &[])?;
    let setting = match request.permissions {
        Some(Permissions::Edit) => ("sandbox_workspace_write", workspace(&folders)),
        None if !folders.is_empty() => ("sandbox_workspace_write.writable_roots", json!(folders)),
        // What may only look may look everywhere, and what may do anything has no sandbox.
        None | Some(Permissions::ReadOnly | Permissions::Ask | Permissions::Full) => {
            return Ok(Map::new());
        }
    };
    let (name, value) = setting;
    Ok([(name.to_owned(), value)].into_iter().collect())
}

/// Adds the same to a command line.
pub(super) fn bind(launch: &mut Launch, request: &RunRequest) -> Result<(), Unsupported> {
    let folders = request.folder_arguments(Codex::NAME, &[])?;
    match request.permissions {
        Some(Permissions::Edit) => {
            let workspace = workspace(&folders);
            let pairs = workspace.as_object().into_iter().flatten();
            // A JSON value without an object in it is one of TOML too.
            let pairs: Vec<_> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
            let table = format!("sandbox_workspace_write={{{}}}", pairs.join(","));
            launch.bind("--config", &table);
        }
        None => folders.iter().for_each(|folder| launch.bind("--add-dir", folder)),
        Some(Permissions::ReadOnly | Permissions::Ask | Permissions::Full) => {}
    }
    Ok(())
}

fn workspace(folders: &[String]) -> Value {
    json!({
        "exclude_slash_tmp": true, "exclude_tmpdir_env_var": false, "network_access": false,
        "writable_roots": folders,
    })
}
