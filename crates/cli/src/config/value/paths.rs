//! Paths, and where they may lead.

use super::{Value, text, wrong};
use crate::config::mistake::Mistake;
use crate::config::read::Reading;
use crate::config::setting::Which;
use serde_json::{Value as Json, json};
use std::path::{Component, Path, PathBuf};
use toml::Spanned;
use toml::de::DeValue;

/// A file. A relative one is meant from the folder of the file that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File(pub(crate) PathBuf);

impl Value for File {
    const FORM: &'static str =
        r#"a path; "~/" is your home, a relative one begins beside this file"#;

    fn read(value: &Spanned<DeValue<'_>>, reading: &Reading<'_>) -> Result<Self, Mistake> {
        let path = path(value, Self::FORM, reading)?;
        Ok(Self(reading.folder.join(path)))
    }

    fn json(&self) -> Option<Json> {
        Some(json!(self.0.to_string_lossy()))
    }
}

/// A folder in which belay writes. In the user's file, a relative one is meant from where belay is called, as the
/// flag means it; a project's lies in the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Value for Folder {
    const FORM: &'static str = r#"a path; "~/" is your home"#;
    const IN_PROJECT_ALONE: &'static str = "folders in the project";

    fn read(value: &Spanned<DeValue<'_>>, reading: &Reading<'_>) -> Result<Self, Mistake> {
        let path = path(value, Self::FORM, reading)?;
        if reading.which == Which::User {
            return Ok(Self(path));
        }
        let outside = || {
            let message =
                "a project's file cannot name a folder outside of the project, or in .git";
            Mistake::new(value.span(), message)
                .hint(format!("put it into your own file, {}", reading.user_file()))
        };
        let plain = path.components().all(|part| match part {
            Component::Normal(name) => name != ".git",
            Component::CurDir => true,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => false,
        });
        let path = reading.folder.join(path);
        if plain && stays_in(&path, &reading.folder) { Ok(Self(path)) } else { Err(outside()) }
    }

    fn json(&self) -> Option<Json> {
        Some(json!(self.0.to_string_lossy()))
    }
}

fn path(
    value: &Spanned<DeValue<'_>>,
    form: &str,
    reading: &Reading<'_>,
) -> Result<PathBuf, Mistake> {
    let text = text(value, form)?;
    if text.is_empty() || text.contains('\0') {
        return Err(wrong(value, form));
    }
    match (text.strip_prefix("~/"), reading.home) {
        (Some(rest), Some(home)) => Ok(home.join(rest)),
        (Some(_), None) => Err(Mistake::new(value.span(), "there is no HOME for this `~/`")),
        (None, _) => Ok(text.into()),
    }
}

/// True if no link on the way leads out of the folder.
fn stays_in(path: &Path, folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    let there = path.ancestors().find(|path| path.symlink_metadata().is_ok());
    // A link that leads nowhere yet could lead anywhere later.
    there.and_then(|path| path.canonicalize().ok()).is_some_and(|path| path.starts_with(&folder))
}
