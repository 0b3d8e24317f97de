//! What values may look like. They are those of the flags: the same words, the same times, the same limits.

mod library;
mod paths;

pub(crate) use self::paths::{File, Folder};

use super::mistake::Mistake;
use super::named::candidate;
use super::read::Reading;
use super::setting::Which;
use crate::command::run::options::{self, DurabilityName, Format};
use crate::surroundings::Color;
use belaykit::notify::Events;
use belaykit::{AGENTS, AcpForm, Form, Part};
use clap::ValueEnum;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use std::str::FromStr;
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// A value that a key can have.
pub(crate) trait Value: Clone {
    /// What it looks like.
    const FORM: &'static str;
    /// Which values alone a project's file may give.
    const IN_PROJECT_ALONE: &'static str = "";

    /// Takes it from a file.
    fn read(value: &Spanned<DeValue<'_>>, reading: &Reading<'_>) -> Result<Self, Mistake>;

    /// The value as it is shown, if that is not as it is written.
    fn json(&self) -> Option<Json> {
        None
    }

    /// Why a project's file cannot give this value.
    fn refused_in_project(&self) -> Option<String> {
        None
    }

    /// True if this lets more happen than the other.
    fn is_looser_than(&self, _other: &Self) -> bool {
        false
    }
}

fn wrong(value: &Spanned<DeValue<'_>>, wanted: &str) -> Mistake {
    let found = match value.get_ref() {
        DeValue::String(_) => "this text",
        DeValue::Integer(_) | DeValue::Float(_) => "this number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    Mistake::new(value.span(), format!("{found} does not belong here: write {wanted}"))
}

/// The text of a value.
fn text<'a>(value: &'a Spanned<DeValue<'_>>, wanted: &str) -> Result<&'a str, Mistake> {
    value.get_ref().as_str().ok_or_else(|| wrong(value, wanted))
}

fn parsed<T>(value: &Spanned<DeValue<'_>>, wanted: &str) -> Result<T, Mistake>
where
    T: FromStr,
    T::Err: ToString,
{
    let text = text(value, wanted)?;
    text.parse().map_err(|error: T::Err| Mistake::new(value.span(), error.to_string()))
}

/// A whole number of at least so much.
fn number(value: &Spanned<DeValue<'_>>, least: u64, most: u64, form: &str) -> Result<u64, Mistake> {
    let integer = value.get_ref().as_integer();
    let number = integer.and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok());
    number.filter(|n| (least..=most).contains(n)).ok_or_else(|| wrong(value, form))
}

/// The value as JSON.
pub(super) fn json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(n) => {
            i64::from_str_radix(n.as_str(), n.radix()).map_or(Json::Null, Json::from)
        }
        DeValue::Float(n) => json!(n.as_str().parse::<f64>().unwrap_or_default()),
        DeValue::Boolean(yes) => json!(yes),
        DeValue::Datetime(time) => json!(time.to_string()),
        DeValue::Array(values) => values.iter().map(|value| json(value.get_ref())).collect(),
        DeValue::Table(table) => {
            let entries = table.iter();
            entries.map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect()
        }
    }
}

impl Value for String {
    const FORM: &'static str = "a text";

    fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
        text(value, Self::FORM).map(str::to_owned)
    }
}

impl Value for bool {
    const FORM: &'static str = "`true` or `false`";

    fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
        value.get_ref().as_bool().ok_or_else(|| wrong(value, Self::FORM))
    }
}

/// Declares numbers.
macro_rules! numbers {
    ($($(#[$meta:meta])* $name:ident($type:ty), $least:literal, $form:literal;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub(crate) struct $name(pub(crate) $type);

        impl Value for $name {
            const FORM: &'static str = $form;

            fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
                let number = number(value, $least, u64::from(<$type>::MAX), Self::FORM)?;
                Ok(Self(<$type>::try_from(number).unwrap_or(<$type>::MAX)))
            }

            fn is_looser_than(&self, other: &Self) -> bool {
                self.0 > other.0
            }
        }
    )*};
}

numbers! {
    /// None, or some.
    Count(u32), 0, "a whole number";
    /// At least one.
    Positive(u32), 1, "a whole number from 1";
    /// At least one, of something of which there may be many.
    PositiveLong(u64), 1, "a whole number of tokens from 1";
}

/// An amount of money.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dollars(pub(crate) f64);

impl Value for Dollars {
    const FORM: &'static str = "an amount such as 0.50 or 5";

    fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
        let amount = match value.get_ref() {
            DeValue::Integer(n) if n.radix() == 10 => Some(n.as_str()),
            DeValue::Float(n) => Some(n.as_str()),
            _ => None,
        };
        let amount = amount.and_then(|amount| options::dollars(amount).ok());
        amount.map(Self).ok_or_else(|| wrong(value, Self::FORM))
    }

    fn is_looser_than(&self, other: &Self) -> bool {
        self.0 > other.0
    }
}

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Time(pub(crate) Duration);

impl Value for Time {
    const FORM: &'static str = r#"a time such as "90s", "10m" or "1h30m""#;

    fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
        let time = options::duration(text(value, Self::FORM)?);
        time.map(Self).map_err(|_| wrong(value, Self::FORM))
    }

    fn is_looser_than(&self, other: &Self) -> bool {
        self.0 > other.0
    }
}

/// Declares values that are words of a flag.
macro_rules! words {
    ($($type:ty, $form:literal;)*) => {$(
        impl Value for $type {
            const FORM: &'static str = $form;

            fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
                let word = <Self as ValueEnum>::from_str(text(value, Self::FORM)?, false);
                word.map_err(|_| wrong(value, Self::FORM))
            }
        }
    )*};
}

words! {
    Format, r#""text", "jsonl", "json" or "quiet""#;
    Color, r#""auto", "always" or "never""#;
    DurabilityName, r#""relaxed", "normal" or "strict""#;
}

/// The texts of a list.
fn list<'a, 'b>(
    value: &'a Spanned<DeValue<'b>>,
    form: &str,
) -> Result<&'a [Spanned<DeValue<'b>>], Mistake> {
    Ok(value.get_ref().as_array().ok_or_else(|| wrong(value, form))?)
}

/// A list of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names(pub(crate) Vec<String>);

impl Value for Names {
    const FORM: &'static str = r#"a list of texts, ["…"]"#;

    fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
        let texts = list(value, Self::FORM)?.iter().map(|entry| text(entry, "a text"));
        Ok(Self(texts.map(|text| text.map(str::to_owned)).collect::<Result<_, _>>()?))
    }
}

/// What people are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told(pub(crate) Events);

impl Value for Told {
    const FORM: &'static str = r#"a list of "error", "result", "start" and "tool_use""#;

    fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
        let mut events =
            Events { on_error: false, on_result: false, on_start: false, on_tool_use: false };
        for entry in list(value, Self::FORM)? {
            let switch = match text(entry, "the name of an event")? {
                "error" => &mut events.on_error,
                "result" => &mut events.on_result,
                "start" => &mut events.on_start,
                "tool_use" => &mut events.on_tool_use,
                _ => return Err(wrong(entry, Self::FORM)),
            };
            *switch = true;
        }
        Ok(Self(events))
    }
}

/// Parts of the text format.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hidden(pub(crate) Vec<Part>);

impl Value for Hidden {
    const FORM: &'static str = "a list of parts, as `--hide` knows them";

    fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
        let part = |entry: &Spanned<DeValue<'_>>| {
            let word = text(entry, "the name of a part")?;
            let found = Part::ALL.into_iter().find(|(_, name)| *name == word);
            found.map(|(part, _)| part).ok_or_else(|| {
                let names = Part::ALL.map(|(_, name)| name).join(", ");
                Mistake::new(entry.span(), format!("there is no part `{word}`: use {names}"))
            })
        };
        Ok(Self(list(value, Self::FORM)?.iter().map(part).collect::<Result<_, _>>()?))
    }
}

/// Agents in order, as they are written on a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain(pub(crate) Vec<String>);

impl Value for Chain {
    const FORM: &'static str = r#"a list of agents such as ["claude:opus", "codex"]"#;
    const IN_PROJECT_ALONE: &'static str = "agents and models; no files";

    fn read(value: &Spanned<DeValue<'_>>, reading: &Reading<'_>) -> Result<Self, Mistake> {
        let agents = list(value, Self::FORM)?;
        if agents.is_empty() {
            return Err(wrong(value, Self::FORM));
        }
        let agent = |entry: &Spanned<DeValue<'_>>| {
            let candidate = candidate(text(entry, "an agent")?)
                .map_err(|error| Mistake::new(entry.span(), error.to_string()))?;
            if reading.which == Which::Project && runs_a_file(candidate.agent.name()) {
                let message = "a project's file cannot name an agent that is a file: it would decide which programs run";
                return Err(Mistake::new(entry.span(), message)
                    .hint(format!("put it into your own file, {}", reading.user_file())));
            }
            text(entry, "an agent").map(str::to_owned)
        };
        Ok(Self(agents.iter().map(agent).collect::<Result<_, _>>()?))
    }
}

/// True if the agent is described by a file, which says what is run.
pub(super) fn runs_a_file(agent: &str) -> bool {
    AGENTS.iter().find(|entry| entry.name == agent).is_none_or(|entry| entry.runs_a_file)
}

/// How the output of an agent of one's own is read.
#[derive(Clone, Debug)]
pub(crate) struct Reads;

impl Value for Reads {
    const FORM: &'static str = r#"a table such as { failures = ["FATAL"] }"#;

    fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
        own(value, Self::FORM, "docs/agents/printing.md has all keys", Form::check)?;
        Ok(Self)
    }
}

/// What an agent of one's own that speaks ACP does in ways of its own.
#[derive(Clone, Debug)]
pub(crate) struct Speaks;

impl Value for Speaks {
    const FORM: &'static str = r#"a table such as { modes = { edit = "code" } }"#;

    fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
        own(value, Self::FORM, "docs/agents/acp.md has all keys", AcpForm::check)?;
        Ok(Self)
    }
}

/// A table of the library's own.
fn own<T: DeserializeOwned>(
    value: &Spanned<DeValue<'_>>,
    form: &str,
    hint: &str,
    check: impl Fn(&T) -> Result<(), String>,
) -> Result<(), Mistake> {
    if !matches!(value.get_ref(), DeValue::Table(_)) {
        return Err(wrong(value, form));
    }
    let read: Result<T, _> = serde_json::from_value(json(value.get_ref()));
    let checked = read.map_err(|error| error.to_string()).and_then(|read| check(&read));
    checked.map_err(|words| Mistake::new(value.span(), words).hint(hint))
}
