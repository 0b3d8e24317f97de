//! Agents of the user's own: `[agents.mine]` in his file, with `cmd = "…"` for a program that prints its answer or
//! `acp = "…"` for one that speaks ACP, makes `-a mine` an agent like any.
//!
//! They are read on their own, before anything else is: a command line names them, and so does a chain in the same file.
//! What is wrong with the file is told by who reads all of it.

use super::places::Places;
use super::read;
use super::setting::Which;
use belaykit::{
    AGENTS, Acp, AcpForm, Agent, Candidate, Form, Printing, UnknownAgent, shell_escape,
    shell_escape_path,
};
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// The keys that make one.
pub(super) const OWN_KEYS: [&str; 4] = ["cmd", "reads", "acp", "speaks"];

/// A text that names no agent.
#[derive(Debug)]
pub(crate) struct NoAgent(UnknownAgent);

impl fmt::Display for NoAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        match &own_names()[..] {
            [] => Ok(()),
            names => write!(f, "; your own: {}", names.join(", ")),
        }
    }
}

impl std::error::Error for NoAgent {}

/// An agent as it is written on a command line: one that belay knows, or one of the user's own.
pub(crate) fn candidate(text: &str) -> Result<Candidate, NoAgent> {
    let (name, model) = text.split_once(':').map_or((text, None), |(name, model)| {
        (name, Some(model.to_owned()).filter(|model| !model.is_empty()))
    });
    match own().get(name) {
        Some(named) => Ok(Candidate { agent: named.agent(model.clone()), model }),
        None => text.parse().map_err(NoAgent),
    }
}

/// The same, of whoever types it: a program that he names by a path from his folder is that one. In a file such a path
/// names no program, since every repository may have one of its name.
pub(crate) fn typed(text: &str) -> Result<Candidate, NoAgent> {
    let whole = || {
        let (kind @ ("cmd" | "acp"), command) = text.split_once(':')? else { return None };
        let program = command.split_whitespace().next()?;
        let is_plain = program.contains('/') && !program.contains(['\'', '"', '\\', '{']);
        let path = Path::new(program);
        if !is_plain || path.is_absolute() {
            return None;
        }
        let path = std::env::current_dir().ok()?.join(path.strip_prefix(".").unwrap_or(path));
        let rest = command.trim_start().strip_prefix(program)?;
        Some(format!("{kind}:{}{rest}", shell_escape_path(&path)))
    };
    match whole() {
        Some(whole) => candidate(&whole),
        None => candidate(text),
    }
}

/// The names of the user's own agents.
pub(crate) fn own_names() -> Vec<&'static str> {
    own().values().map(|named| named.name).collect()
}

/// How a command line names this agent: [`candidate`] makes the same one of it.
pub(crate) fn written(agent: &dyn Agent) -> String {
    match agent.command() {
        Some(command) if !is_free(agent.name()) => format!("{}:{command}", agent.name()),
        _ => agent.name().to_owned(),
    }
}

/// The same for a shell.
pub(crate) fn in_shell(written: &str) -> Cow<'_, str> {
    if written.contains(':') { shell_escape(written).into() } else { written.into() }
}

/// True for a name that an agent of one's own can have.
pub(super) fn is_free(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    let is_known = AGENTS.iter().any(|entry| entry.name == name || entry.aliases.contains(&name));
    begins && name.len() <= 40 && name.chars().all(fits) && !is_known
}

/// One of them.
#[derive(Clone, Debug)]
struct Named {
    name: &'static str,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Prints(Box<Printing>),
    Speaks(Acp),
}

impl Named {
    fn agent(&self, model: Option<String>) -> Arc<dyn Agent> {
        match (self.kind.clone(), model) {
            (Kind::Prints(agent), Some(model)) => Arc::new(agent.model(model)),
            (Kind::Prints(agent), None) => Arc::new(*agent),
            (Kind::Speaks(agent), Some(model)) => Arc::new(agent.model(model)),
            (Kind::Speaks(agent), None) => Arc::new(agent),
        }
    }

    fn of(name: &str, table: &toml::Value) -> Option<Self> {
        fn form<T: DeserializeOwned>(table: &toml::Value, key: &str) -> Option<T> {
            table.get(key).cloned().and_then(|form| form.try_into().ok())
        }
        let command = |key: &str| table.get(key).and_then(toml::Value::as_str);
        // A program has a handful of them, and names of agents live as long as it does.
        let called: &'static str = Box::leak(name.to_owned().into_boxed_str());
        let kind = match (command("cmd"), command("acp")) {
            (Some(command), None) => {
                let agent = Printing::command(command).called(called);
                let form: Option<Form> = form(table, "reads");
                Kind::Prints(Box::new(form.map_or(agent.clone(), |form| agent.form(form))))
            }
            (None, Some(command)) => {
                let agent = Acp::command(command).called(called);
                let form: Option<AcpForm> = form(table, "speaks");
                Kind::Speaks(form.map_or(agent.clone(), |form| agent.form(form)))
            }
            _ => return None,
        };
        is_free(name).then_some(Self { name: called, kind })
    }
}

fn own() -> &'static BTreeMap<String, Named> {
    static OWN: OnceLock<BTreeMap<String, Named>> = OnceLock::new();
    OWN.get_or_init(|| {
        let text = Places::of(None).user.and_then(|path| read::text(Which::User, &path).ok());
        let table = text.and_then(|text| text.parse::<toml::Table>().ok()).unwrap_or_default();
        let agents = table.get("agents").and_then(toml::Value::as_table);
        let named =
            |(name, table): (&String, &toml::Value)| Some((name.clone(), Named::of(name, table)?));
        agents.into_iter().flatten().filter_map(named).collect()
    })
}
