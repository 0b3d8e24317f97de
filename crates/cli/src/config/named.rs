//! Agents of the user's own: `[agents.mine] cmd = "…"` in his file makes `-a mine` a program that prints its answer.
//!
//! They are read on their own, before anything else is: a command line names them, and so does a chain in the same file.
//! What is wrong with the file is told by who reads all of it.

use super::places::Places;
use super::read;
use super::setting::Which;
use belaykit::{AGENTS, Agent, Candidate, Form, Printing, UnknownAgent};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// One of them.
#[derive(Clone, Debug)]
struct Named {
    name: &'static str,
    command: String,
    form: Option<Form>,
}

/// An agent as it is written on a command line: one that belay knows, or one of the user's own.
pub(crate) fn candidate(text: &str) -> Result<Candidate, UnknownAgent> {
    static NAMED: OnceLock<BTreeMap<String, Named>> = OnceLock::new();
    let named = NAMED.get_or_init(of_user);
    let (name, model) = text.split_once(':').map_or((text, None), |(name, model)| {
        (name, Some(model.to_owned()).filter(|model| !model.is_empty()))
    });
    match named.get(name) {
        Some(named) => {
            let agent = named.agent();
            let agent = match &model {
                Some(model) => agent.model(model.as_str()),
                None => agent,
            };
            Ok(Candidate { agent: Arc::new(agent), model })
        }
        None => text.parse(),
    }
}

/// How a command line names this agent: [`candidate`] makes the same one of it.
pub(crate) fn written(agent: &dyn Agent) -> String {
    match agent.command() {
        Some(command) if !is_free(agent.name()) => format!("{}:{command}", agent.name()),
        _ => agent.name().to_owned(),
    }
}

/// True for a name that an agent of one's own can have.
pub(super) fn is_free(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    let is_known = AGENTS.iter().any(|entry| entry.name == name || entry.aliases.contains(&name));
    begins && name.len() <= 40 && name.chars().all(fits) && !is_known
}

impl Named {
    fn agent(&self) -> Printing {
        let agent = Printing::command(self.command.as_str()).called(self.name);
        match self.form.clone() {
            Some(form) => agent.form(form),
            None => agent,
        }
    }
}

fn of_user() -> BTreeMap<String, Named> {
    let text = Places::of(None).user.and_then(|path| read::text(Which::User, &path).ok());
    let table = text.and_then(|text| text.parse::<toml::Table>().ok()).unwrap_or_default();
    let agents = table.get("agents").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    let named = |(name, value): (String, toml::Value)| {
        let command = value.get("cmd")?.as_str()?.to_owned();
        let form = value.get("reads").cloned().and_then(|reads| reads.try_into().ok());
        // A program has a handful of them, and names of agents live as long as it does.
        let leaked: &'static str = Box::leak(name.clone().into_boxed_str());
        is_free(&name).then_some((name, Named { name: leaked, command, form }))
    };
    agents.into_iter().filter_map(named).collect()
}
