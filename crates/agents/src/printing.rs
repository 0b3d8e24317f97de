//! Any program that takes a prompt and prints an answer: aider, Crush, mini-swe-agent, `llm`, a script of one's own.
//!
//! Nothing is known of it but what it prints and how it ends; where programs differ is data, one [`Form`] each.
//! `docs/agents/printing.md` has what was measured.

mod fields;
mod form;
mod known;
mod stream;
mod words;

pub use form::Form;
#[cfg(feature = "acp")]
pub(crate) use form::check_leads;

use crate::agent::{check_name, check_options};
use crate::failures::Table;
use crate::{
    Account, Agent, Capabilities, Capability, Launch, Permissions, Protocol, RunRequest, StopPlan,
    Support, TellsTools, Transport, Unsupported,
};
use std::borrow::Cow;

/// Its words are those of some provider, as far as they are anybody's.
pub(crate) const FAILURES: Table = Table { agent: Printing::NAME, rows: &[] };

/// A program that prints its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Printing {
    name: Option<&'static str>,
    command: Option<String>,
    model: Option<String>,
    form: Cow<'static, Form>,
}

/// What stands in a command for the prompt, as one argument and never as shell text.
const PROMPT: &str = "{prompt}";

/// What stands in it for the model.
const MODEL: &str = "{model}";

/// What stands in it for a file that is made for the answer.
const ANSWER: &str = "{answer}";

const CAPABILITIES: Capabilities = Capabilities::new(&[
    (Capability::StreamingDeltas, Support::Native),
    (Capability::SystemPrompt, Support::Belay),
    (Capability::AppendSystemPrompt, Support::Belay),
    (Capability::MaxTurns, Support::No),
    (Capability::MaxCost, Support::No),
    (Capability::AgentRetries, Support::Belay),
    (Capability::MaxOutputTokens, Support::No),
    (Capability::AllowedTools, Support::No),
    (Capability::DisallowedTools, Support::No),
    (Capability::Effort, Support::No),
    (Capability::PermitReadOnly, Support::No),
    (Capability::PermitAsk, Support::No),
    (Capability::PermitEdit, Support::No),
    (Capability::McpServers, Support::No),
    (Capability::AddDir, Support::No),
    (Capability::Images, Support::No),
    (Capability::OutputSchema, Support::Belay),
    (Capability::Resume, Support::No),
    (Capability::Continue, Support::No),
    (Capability::Fork, Support::No),
    (Capability::NativeInterrupt, Support::No),
    (Capability::Steer, Support::No),
    (Capability::PermissionRequests, Support::No),
    (Capability::ReportedUsage, Support::No),
    (Capability::ReportedCost, Support::No),
    (Capability::ReportedWindow, Support::No),
]);

impl Printing {
    pub(crate) const NAME: &'static str = "cmd";

    /// The program that this command starts; it is taken apart as a shell would, and no shell is run. `{prompt}` in it
    /// is the prompt, as one argument; without it the prompt goes to standard input. `{model}` is the model, and
    /// `{answer}` a file that belay makes for the answer.
    ///
    /// ```
    /// use belay_agents::{Agent, Printing, RunRequest, Transport};
    ///
    /// let agent = Printing::command("aider --yes-always --message {prompt}");
    /// let launch = agent.launch(&RunRequest::new("Say 'hi'; then stop."), Transport::Print)?;
    /// assert_eq!(launch.args, ["--yes-always", "--message", "Say 'hi'; then stop."]);
    /// # Ok::<(), belay_agents::Unsupported>(())
    /// ```
    pub fn command(command: impl Into<String>) -> Self {
        Self::of(Some(command.into()))
    }

    /// Reads what it prints in this way, in place of what is known of the program.
    #[must_use]
    pub fn form(mut self, form: Form) -> Self {
        self.form = Cow::Owned(form);
        self
    }

    /// Gives it a name of its own, by which records and limits know it.
    #[must_use]
    pub fn called(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// Puts `model` in the place of `{model}` unless a request names another.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// What stands behind `cmd:`. Some programs are known.
    pub(crate) fn of(command: Option<String>) -> Self {
        let words = command.as_deref().and_then(|command| shell_words::split(command).ok());
        let form = Cow::Borrowed(known::form_of(&words.unwrap_or_default()));
        Self { name: None, command, model: None, form }
    }

    fn unsupported(&self, option: &'static str, hint: &'static str) -> Unsupported {
        Unsupported { agent: self.name(), option, hint: Some(hint) }
    }

    /// The program and its arguments, placeholders and all.
    fn words(&self) -> Result<Vec<String>, Unsupported> {
        let command = self.command.as_deref().unwrap_or_default();
        let words = shell_words::split(command)
            .map_err(|_| self.unsupported("command", "a quote in it has no end"))?;
        match words.first() {
            Some(program) if !program.is_empty() => Ok(words),
            _ => {
                let hint = "write it behind the colon, as in 'cmd:aider --message {prompt}'";
                Err(self.unsupported("command", hint))
            }
        }
    }

    /// Whether the prompt goes to standard input.
    fn is_fed(&self) -> bool {
        !self.command.as_deref().is_some_and(|command| command.contains(PROMPT))
    }
}

impl Agent for Printing {
    fn name(&self) -> &'static str {
        self.name.unwrap_or(Self::NAME)
    }

    fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::Print]
    }

    /// Another command is another agent.
    fn command(&self) -> Option<&str> {
        self.command.as_deref()
    }

    fn tells_retries(&self, _transport: Transport) -> bool {
        !self.form.retries.is_empty()
    }

    /// Whose limits an unknown program meets is known only by its command.
    fn account(&self, _model: Option<&str>) -> Account {
        Account { part: self.command.clone(), ..Account::default() }
    }

    fn tells_tools(&self, _transport: Transport) -> TellsTools {
        TellsTools::Perhaps
    }

    fn capabilities(&self, _transport: Transport) -> Capabilities {
        CAPABILITIES
    }

    fn launch(&self, request: &RunRequest, transport: Transport) -> Result<Launch, Unsupported> {
        if transport == Transport::Interactive && self.command.is_some() {
            let hint = "belay does not know how to start it for a person; start it yourself";
            return Err(self.unsupported("interactive", hint));
        }
        let ignored = check_options(self.name(), CAPABILITIES, request)?;
        if !matches!(request.permissions, None | Some(Permissions::Full)) {
            let hint = "nobody knows what it may do: use full, or no mode and put it first";
            return Err(self.unsupported("permissions", hint));
        }
        let mut words = match self.command {
            // How `belay agents` looks for the program: there is none to look for.
            None if transport == Transport::Interactive => vec![String::new()],
            _ => self.words()?,
        }
        .into_iter();
        let mut launch = Launch::new(&words.next().unwrap_or_default());
        launch.ignored = ignored;
        let more_sigints = self.form.interrupts.saturating_sub(1);
        launch.stop = StopPlan { native: false, sigint: true, sigterm: true, more_sigints };
        let model = request.model.as_deref().or(self.model.as_deref());
        if let Some(model) = model {
            check_name(self.name(), "model", model)?;
            if !words.as_slice().iter().any(|word| word.contains(MODEL)) {
                let hint = "the command says which model it asks: put {model} where the name goes";
                return Err(self.unsupported("model", hint));
            }
        }
        if model.is_none() && words.as_slice().iter().any(|word| word.contains(MODEL)) {
            return Err(self.unsupported("command", "it has {model}: name one with --model"));
        }
        let prompt = request.composed_prompt();
        for word in words {
            // What a placeholder stands for may hold the others: each place is filled once.
            launch.args.push(filled(&word, &prompt, model.unwrap_or_default()));
        }
        launch.args.extend(request.extra_args.iter().cloned());
        let has_place = self.command.as_deref().is_some_and(|command| command.contains(ANSWER));
        launch.answer_file = match self.form.answer_file.as_deref() {
            Some(ANSWER) if !has_place => {
                let hint = "put {answer} where it is told its answer file";
                return Err(self.unsupported("command", hint));
            }
            None if !has_place => None,
            Some(named) if named != ANSWER => Some(named.to_owned()),
            _ => Some(Launch::ANSWER.to_owned()),
        };
        if self.is_fed() {
            launch.stdin = prompt;
        }
        Ok(launch)
    }

    fn protocol(&self, request: &RunRequest, _transport: Transport) -> Box<dyn Protocol> {
        let program = self.words().ok().and_then(|words| words.into_iter().next());
        let program = program.unwrap_or_else(|| self.name().to_owned());
        let mut form = self.form.clone().into_owned();
        if self.command.as_deref().is_some_and(|command| command.contains(ANSWER)) {
            form.answer_file.get_or_insert_with(|| ANSWER.to_owned());
        }
        Box::new(stream::Stream::new(form, program, request.composed_prompt(), self.is_fed()))
    }
}

/// The word with the prompt and the model in their places.
fn filled(word: &str, prompt: &str, model: &str) -> String {
    let mut filled = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let places = [(PROMPT, prompt), (MODEL, model), (ANSWER, Launch::ANSWER)];
        let place = places
            .into_iter()
            .find_map(|(place, value)| rest.strip_prefix(place).map(|behind| (value, behind)));
        let (value, behind) = place.unwrap_or(("{", &rest[1..]));
        filled.push_str(value);
        rest = behind;
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(command: &str, request: RunRequest) -> Result<Launch, Unsupported> {
        Printing::command(command).launch(&request, Transport::Print)
    }

    #[test]
    fn the_prompt_is_one_argument_or_goes_to_standard_input() {
        let prompt = "a 'b' $(c) {model} {prompt}\n-x";
        let given = launch("aider --message={prompt} -q", RunRequest::new(prompt)).unwrap();
        assert_eq!(given.args, [format!("--message={prompt}"), "-q".to_owned()]);
        assert_eq!(given.stdin, "");
        let fed = launch("sh -c 'cat {}'", RunRequest::new(prompt)).unwrap();
        assert_eq!((&*fed.args, &*fed.stdin), (&["-c".into(), "cat {}".into()][..], prompt));
    }

    #[test]
    fn a_model_goes_where_the_command_has_a_place_for_it() {
        let request = || RunRequest::new("p").model("gpt-5.5");
        assert_eq!(launch("llm -m {model}", request()).unwrap().args, ["-m", "gpt-5.5"]);
        assert_eq!(launch("llm", request()).unwrap_err().option, "model");
        let error = launch("llm -m {model}", RunRequest::new("p")).unwrap_err();
        assert!(error.to_string().contains("--model"), "{error}");
    }

    #[test]
    fn a_command_that_cannot_be_taken_apart_says_why() {
        for (command, words) in [("", "behind the colon"), ("a 'b", "no end"), ("''", "colon")] {
            let error = launch(command, RunRequest::new("p")).unwrap_err().to_string();
            assert!(error.contains(words), "{command}: {error}");
        }
    }

    #[test]
    fn what_it_may_do_is_its_own_affair() {
        for mode in [Permissions::ReadOnly, Permissions::Ask, Permissions::Edit] {
            assert!(launch("x", RunRequest::new("p").permissions(mode)).is_err(), "{mode}");
        }
        assert!(launch("x", RunRequest::new("p").permissions(Permissions::Full)).is_ok());
    }
}
