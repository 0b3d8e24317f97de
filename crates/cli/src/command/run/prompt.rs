//! Where the prompt comes from.

use super::given_file;
use super::piped_input::{self, PipedInput};
use crate::byte_order_mark::without_mark;
use crate::fail::Fail;
use clap::Args;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct Prompt {
    /// The prompt; `-` reads it from standard input. One that begins with `-` stands after `--`.
    #[arg(value_name = "PROMPT", conflicts_with = "file")]
    prompt: Option<String>,

    /// Read the prompt from a file; `-` is standard input.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Leave standard input alone. Without it, what is piped or redirected into the program joins the prompt:
    /// git diff | belay run "review this".
    #[arg(long)]
    no_stdin: bool,

    #[arg(skip)]
    known: Option<Asked>,
}

/// What is asked, and what is still read that joins it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) prompt: String,
    pub(crate) piped: Option<PipedInput>,
}

impl Prompt {
    /// One that is known already.
    pub(crate) fn known(asked: Asked) -> Self {
        Self { prompt: None, file: None, no_stdin: false, known: Some(asked) }
    }

    /// The prompt if the command line names one, with what is piped in beside it.
    pub(crate) fn named(&mut self) -> Result<Option<Asked>, Fail> {
        if self.known.is_some() {
            return Ok(self.known.take());
        }
        let prompt = match (&self.prompt, &self.file) {
            (Some(prompt), _) if prompt == "-" => return self.whole_stdin().map(Some),
            (None, Some(file)) if file == Path::new("-") => return self.whole_stdin().map(Some),
            (Some(prompt), _) => prompt.clone(),
            (None, Some(file)) => from_file(file)?,
            (None, None) => return Ok(None),
        };
        self.beside_stdin(nonempty(prompt)?).map(Some)
    }

    /// A prompt that standard input joins.
    fn beside_stdin(&self, prompt: String) -> Result<Asked, Fail> {
        let piped = if self.no_stdin { None } else { PipedInput::start()? };
        Ok(Asked { prompt, piped })
    }

    /// A prompt that standard input is.
    fn whole_stdin(&self) -> Result<Asked, Fail> {
        if self.no_stdin {
            return Err(Fail::usage("--no-stdin leaves out the prompt that - reads")
                .hint("belay run \"PROMPT\" --no-stdin, or - without --no-stdin"));
        }
        let prompt = text(piped_input::read_prompt()?, "standard input")?;
        Ok(Asked { prompt: nonempty(prompt)?, piped: None })
    }

    /// The prompt, and what is left of the arguments after `--`: if nothing else names a prompt, the first of
    /// them is it.
    pub(crate) fn read(&mut self, after_dashes: &[String]) -> Result<(Asked, Vec<String>), Fail> {
        if let Some(asked) = self.named()? {
            return Ok((asked, after_dashes.to_vec()));
        }
        let asked = match after_dashes.split_first() {
            // It may be meant as an argument of the agent's.
            Some(_) if !self.no_stdin && piped_input::is_piped() => {
                return Err(Fail::usage(
                    "there are two prompts: standard input, and what follows `--`",
                )
                .hint("to send both, write the prompt before `--` or into a file (-f FILE); `--no-stdin` leaves standard input out"));
            }
            Some((prompt, rest)) => {
                let asked = Asked { prompt: nonempty(prompt.clone())?, piped: None };
                return Ok((asked, rest.to_vec()));
            }
            None if self.no_stdin || io::stdin().is_terminal() => {
                return Err(Fail::usage("there is no prompt")
                    .hint("belay run \"PROMPT\", or -f FILE, or - for standard input"));
            }
            None => self.whole_stdin()?,
        };
        Ok((asked, Vec::new()))
    }
}

fn nonempty(prompt: String) -> Result<String, Fail> {
    if prompt.trim().is_empty() {
        return Err(Fail::usage("the prompt is empty")
            .hint("belay run \"PROMPT\", or -f FILE, or - for standard input"));
    }
    Ok(prompt)
}

fn from_file(path: &Path) -> Result<String, Fail> {
    let read = given_file::read(path);
    let bytes = read.map_err(|error| {
        Fail::usage(format!("cannot read the prompt file {}: {error}", path.display()))
            .hint("check the path; a prompt that begins with `-` stands after `--`")
    })?;
    text(bytes, &path.display().to_string())
}

/// A prompt is text: an agent that was sent half of it would do half of the work.
fn text(bytes: Vec<u8>, whence: &str) -> Result<String, Fail> {
    String::from_utf8(without_mark(bytes)).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Fail::usage(format!("the prompt from {whence} is not UTF-8 (byte {at})"))
            .hint("convert it with iconv")
    })
}
