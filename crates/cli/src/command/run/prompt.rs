//! Where the prompt comes from.

use super::given_file;
use crate::fail::Fail;
use clap::Args;
use std::fs;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct Prompt {
    /// The prompt; `-` reads it from standard input. One that begins with `-` stands after `--`.
    #[arg(value_name = "PROMPT", conflicts_with = "file")]
    prompt: Option<String>,

    /// Read the prompt from a file; `-` is standard input.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    #[arg(skip)]
    known: Option<String>,
}

impl Prompt {
    /// One that is known already.
    pub(crate) fn known(prompt: String) -> Self {
        Self { prompt: None, file: None, known: Some(prompt) }
    }

    /// The prompt if the command line names one.
    pub(crate) fn named(&self) -> Result<Option<String>, Fail> {
        if self.known.is_some() {
            return Ok(self.known.clone());
        }
        let prompt = match (&self.prompt, &self.file) {
            (Some(prompt), _) if prompt == "-" => stdin()?,
            (Some(prompt), _) => prompt.clone(),
            (None, Some(file)) if file == Path::new("-") => stdin()?,
            (None, Some(file)) => from_file(file)?,
            (None, None) => return Ok(None),
        };
        nonempty(prompt, Vec::new()).map(|(prompt, _)| Some(prompt))
    }

    /// The prompt, and what is left of the arguments after `--`: if nothing else names a prompt, the first of
    /// them is it.
    pub(crate) fn read(&self, after_dashes: &[String]) -> Result<(String, Vec<String>), Fail> {
        let rest = after_dashes.to_vec();
        if let Some(prompt) = self.named()? {
            return Ok((prompt, rest));
        }
        let prompt = match after_dashes.split_first() {
            Some(_) if stdin_is_piped() => {
                return Err(Fail::usage(
                    "there are two prompts: standard input, and what follows `--`",
                )
                .hint("name one: `-` reads standard input, `< /dev/null` leaves it out"));
            }
            Some((prompt, rest)) => return nonempty(prompt.clone(), rest.to_vec()),
            None if io::stdin().is_terminal() => {
                return Err(Fail::usage("there is no prompt")
                    .hint("belay run \"PROMPT\", or -f FILE, or - for standard input"));
            }
            None => stdin()?,
        };
        nonempty(prompt, rest)
    }
}

/// True if somebody hands us something: a terminal and /dev/null are devices, a pipe and a file are not.
fn stdin_is_piped() -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    fs::metadata("/dev/stdin").is_ok_and(|stdin| !stdin.file_type().is_char_device())
}

fn nonempty(prompt: String, rest: Vec<String>) -> Result<(String, Vec<String>), Fail> {
    if prompt.trim().is_empty() {
        return Err(Fail::usage("the prompt is empty")
            .hint("belay run \"PROMPT\", or -f FILE, or - for standard input"));
    }
    Ok((prompt, rest))
}

fn from_file(path: &Path) -> Result<String, Fail> {
    let read = given_file::read(path);
    let bytes = read.map_err(|error| {
        Fail::usage(format!("cannot read the prompt file {}: {error}", path.display()))
            .hint("check the path; a prompt that begins with `-` stands after `--`")
    })?;
    text(bytes, &path.display().to_string())
}

fn stdin() -> Result<String, Fail> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|error| {
        Fail::usage(format!("cannot read the prompt from standard input: {error}"))
    })?;
    text(bytes, "standard input")
}

/// A prompt is text: an agent that was sent half of it would do half of the work.
fn text(bytes: Vec<u8>, whence: &str) -> Result<String, Fail> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Fail::usage(format!("the prompt from {whence} is not UTF-8 (byte {at})"))
            .hint("convert it with iconv")
    })
}
