//! What the program takes from its process: environment, folders, terminal. The library takes none of it.

use belaykit::{EnvMode, Environment, HoldBack};
use clap::ValueEnum;
use std::env;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::PathBuf;

/// The environment, for whoever looks into it and starts no agent.
pub(crate) fn environment() -> Environment {
    Environment::inherit()
}

/// What the configuration says of the variables that agents see.
#[derive(Clone, Debug, Default)]
pub(crate) struct EnvConfig {
    pub(crate) pass: Vec<String>,
    pub(crate) hold_back: Vec<String>,
    /// The variables that hold secrets of belay's own.
    pub(crate) secrets: Vec<String>,
}

impl EnvConfig {
    /// The environment of agents, with the variables that the command line passes.
    pub(crate) fn environment(&self, mode: EnvMode, passed: &[String]) -> Environment {
        let mut environment = Environment::inherit().mode(mode);
        self.pass.iter().chain(passed).for_each(|name| environment.pass(name));
        self.hold_back.iter().for_each(|name| environment.hold_back(name, HoldBack::Caller));
        let own = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let own = own.filter(|name| is_own_secret(name));
        for name in own.chain(self.secrets.iter().cloned()) {
            environment.hold_back(name, HoldBack::Secret);
        }
        environment
    }
}

/// True for a variable of belay's that holds a secret, whether or not a setting names it.
fn is_own_secret(name: &str) -> bool {
    let words = ["SECRET", "TOKEN", "KEY", "PASSWORD", "WEBHOOK", "HEADERS"];
    name.strip_prefix("BELAY_")
        .is_some_and(|rest| rest.split('_').any(|word| words.contains(&word)))
}

/// Where the journals of runs are kept; `None` on a machine without a home.
pub(crate) fn state_dir(given: Option<PathBuf>) -> Option<PathBuf> {
    let absolute =
        |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let of_home = || absolute("HOME").map(|home| home.join(".local/state"));
    given.or_else(|| Some(absolute("XDG_STATE_HOME").or_else(of_home)?.join("belay")))
}

/// How many columns the terminal behind `stream` has; `None` if there is no terminal.
pub(crate) fn width(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    let known = terminal_size::terminal_size_of(stream).map(|(width, _)| usize::from(width.0));
    let known = known.filter(|columns| *columns > 0);
    stream.is_terminal().then(|| known.unwrap_or(COLUMNS))
}

/// What a terminal has that does not say.
const COLUMNS: usize = 80;

/// How many columns a picture has: those of the terminal behind `stream`, or what COLUMNS says, or 100.
pub(crate) fn columns(stream: &(impl IsTerminal + AsFd)) -> usize {
    let told = || env::var("COLUMNS").ok()?.parse().ok().filter(|columns| *columns > 0);
    width(stream).or_else(told).unwrap_or(100)
}

/// When to paint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether to paint what goes to `stream`.
    pub(crate) fn paints(self, stream: &impl IsTerminal) -> bool {
        let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
                stream.is_terminal() && !set("NO_COLOR") && !dumb
            }
        }
    }
}
