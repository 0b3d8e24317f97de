//! A preset of a user's own, as data: what belay shall know of an agent that it has no preset for.

mod session_log;

pub(super) use session_log::SessionLog;
pub use session_log::SessionLogForm;

use super::preset::{GENERIC, Modes, OwnWords, Preset, Rule, Usage};
use serde::{Deserialize, Serialize};

/// What an agent that speaks ACP does otherwise than the protocol says, or leaves open.
///
/// A *lead* is how a text begins. What is left out is read as for an unknown agent.
///
/// ```
/// use belay_agents::{Acp, AcpForm, Agent};
///
/// let form: AcpForm = serde_json::from_str(
///     r#"{"modes": {"read-only": "plan", "edit": "code"}, "usage": {"of": "session", "exact": true}}"#,
/// )?;
/// let agent = Acp::command("my-agent --acp").called("mine").form(form);
/// assert_eq!(agent.name(), "mine");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AcpForm {
    /// The agent's own modes for what a run permits. Once one is named, a mode that is not is refused.
    pub modes: Option<ModesForm>,
    /// What its figures of tokens are.
    pub usage: Option<UsageForm>,
    /// Leads of a last message that is the failure of its turn, if no token was counted.
    pub failures: Vec<String>,
    /// Leads of messages that announce that a response is asked for once more: what came of it is void.
    pub retries: Vec<String>,
    /// Leads of messages that are the agent's own and none of the model's.
    pub asides: Vec<String>,
    /// The file in which the agent writes down what each response has used.
    pub session_log: Option<SessionLogForm>,
}

/// The agent's own modes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ModesForm {
    /// It looks, and asks before anything else.
    pub read_only: Option<String>,
    /// It asks before it does anything.
    pub ask: Option<String>,
    /// It edits files in its folder unasked.
    pub edit: Option<String>,
    /// It does everything unasked.
    pub full: Option<String>,
}

/// What an agent's figures of tokens are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct UsageForm {
    /// What they are a sum of.
    pub of: UsageOf,
    /// The input tokens contain those from the cache.
    pub input_has_cached: bool,
    /// The output tokens leave out the thoughts, which are told apart.
    pub thoughts_apart: bool,
    /// Everything that is paid for is in them, and each token once.
    pub exact: bool,
}

/// What an agent's figures of tokens are a sum of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum UsageOf {
    /// With the prompt's answer: of the prompt.
    #[default]
    Prompt,
    /// With the prompt's answer: of the session so far.
    Session,
    /// With the prompt's answer: of its last response.
    LastResponse,
    /// With each response: of that.
    Response,
    /// Of nothing: it tells none.
    Nothing,
}

impl AcpForm {
    /// The preset. A program has a handful of them, and each lives as long as it does.
    pub(super) fn preset(self) -> &'static Preset {
        let mut preset = GENERIC.clone();
        if let Some(ModesForm { read_only, ask, edit, full }) = self.modes {
            let kept = |mode: Option<String>| mode.map(leaked);
            let (read_only, ask) = (kept(read_only), kept(ask));
            preset.modes =
                Modes { read_only, ask, edit: kept(edit), full: kept(full), by_name: false };
        }
        if let Some(usage) = self.usage {
            preset.usage = usage.rule();
        }
        let leads = |leads: Vec<String>| leads.into_iter().map(leaked).collect::<Vec<_>>();
        preset.own_words = OwnWords {
            retries: leads(self.retries)
                .into_iter()
                .map(|lead| (lead, ""))
                .collect::<Vec<_>>()
                .leak(),
            uncounted_failures: leads(self.failures).leak(),
            ..OwnWords::UNMEASURED
        };
        preset.household = leads(self.asides).leak();
        if let Some(form) = self.session_log {
            preset.session_log = Some(Box::leak(Box::new(form.log())));
        }
        Box::leak(Box::new(preset))
    }

    /// What is wrong with it.
    ///
    /// # Errors
    /// In words, with the key.
    pub fn check(&self) -> Result<(), String> {
        let leads =
            [("failures", &self.failures), ("retries", &self.retries), ("asides", &self.asides)];
        crate::printing::check_leads(&leads)?;
        self.session_log.as_ref().map_or(Ok(()), SessionLogForm::check)
    }
}

impl UsageForm {
    fn rule(self) -> Usage {
        let rule = match self.of {
            UsageOf::Prompt => Rule::PerPrompt,
            UsageOf::Session => Rule::SessionDifference,
            UsageOf::LastResponse => Rule::LastStep,
            UsageOf::Response => Rule::EachResponse,
            UsageOf::Nothing => Rule::Untold,
        };
        let Self { input_has_cached, thoughts_apart, exact, .. } = self;
        Usage { rule, input_has_cached, thoughts_apart, exact, total_decides: false }
    }
}

fn leaked(text: String) -> &'static str {
    text.leak()
}
