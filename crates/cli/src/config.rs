//! The files in which a user, and a project, write down how belay shall work; the library reads none.
//!
//! A file is read into a document, whose keys are one table (`keys`): what they are called, which values they
//! take, and whether a project may set them. The documents of both files are then laid over each other, key by
//! key, and every value keeps the place that it comes from.

mod document;
mod fill;
pub(crate) mod keys;
mod layers;
mod mistake;
mod named;
pub(crate) mod places;
mod read;
mod setting;
pub(crate) mod starter;
mod trace_place;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use self::layers::{Config, Wanted, check};
pub(crate) use self::named::{NoAgent, candidate, in_shell, own_names, typed, written};
pub(crate) use self::setting::{At, Origin, Row, Which};
pub(crate) use self::trace_place::TracePlace;
pub(crate) use self::value::{File, Names};

use crate::say::warn;
use belay_trace::visible_line;
use std::path::PathBuf;
use std::sync::Once;

/// Where the user's file says that journals are. Whoever looks for a run, or stops one, is not kept from it by a
/// mistake in a file: he is warned.
pub(crate) fn state_dir() -> Option<PathBuf> {
    match read::user() {
        Ok(document) => Some(document?.common.state_dir?.value.0),
        Err(wrong) => {
            static WARN: Once = Once::new();
            WARN.call_once(|| {
                let wrong = wrong.first();
                let wrong = visible_line(&wrong);
                warn(format_args!("{wrong}; journals are looked for in the usual place"));
            });
            None
        }
    }
}

/// Where the files say that traces are. Whoever looks at one is not kept from it by a mistake in a file either.
pub(crate) fn trace_dir() -> Option<PathBuf> {
    match Config::load(Wanted::default(), None) {
        Ok(config) => Some(config.profile.settings.trace_dir?.value.0),
        Err(_) => {
            warn(
                "the configuration has a mistake (`belay config check` shows it); traces are looked for in .belay/traces",
            );
            None
        }
    }
}
