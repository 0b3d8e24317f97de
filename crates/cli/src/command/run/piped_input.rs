//! What is piped into the program beside a prompt: `git diff | belay run "review this"`.

use crate::fail::Fail;
use crate::say::{say, warn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, SeekFrom, fcntl_getfl, fstat, seek};
use rustix::io::{Errno, read};
use std::io;
use std::os::fd::AsFd;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the first byte may take. A program that has something to say has begun by then, and a pipe that is open and
/// silent (ssh, CI, a parent that forgot it) costs a run no more. Claude Code waits as long.
const FIRST_BYTE: Timespec = Timespec { tv_sec: 3, tv_nsec: 0 };

/// More than any model reads, and less than what is piped by mistake. Claude Code has the same limit.
const BYTES_MAX: usize = 10 << 20;

/// How long it may stand still in the middle before that is said.
const SILENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// What is worth one call of the system.
const READ_BYTES: usize = 64 << 10;

const TO_LEAVE_OUT: &str = "--no-stdin leaves standard input out, as < /dev/null does";

/// What is whole by then joins the prompt before anything is started; most of what is piped is.
const WHOLE_AT_ONCE: Duration = Duration::from_millis(200);

/// Standard input that is read while the run is prepared.
#[derive(Debug)]
pub(crate) struct PipedInput(Receiver<Result<Vec<u8>, Fail>>);

impl PipedInput {
    /// Begins to read what is piped; nothing if nothing is.
    pub(crate) fn start() -> Result<Option<Self>, Fail> {
        if !is_piped() {
            return Ok(None);
        }
        let (tell, told) = mpsc::channel();
        in_background(move || {
            // Who does not wait for it does not want it.
            let _ = tell.send(read_waiting(&io::stdin(), Some(&FIRST_BYTE)));
        })?;
        Ok(Some(Self(told)))
    }

    /// Puts what is whole by now behind the prompt, and gives back what is not.
    pub(crate) fn join_at_once(self, prompt: &mut String) -> Result<Option<Self>, Fail> {
        match self.0.recv_timeout(WHOLE_AT_ONCE) {
            Ok(bytes) => join_bytes(bytes?, prompt).map(|()| None),
            Err(_) => Ok(Some(self)),
        }
    }

    /// Waits for the end of it, says how much there was, and puts it behind the prompt.
    pub(crate) fn join_to(self, prompt: &mut String) -> Result<(), Fail> {
        let bytes = self.0.recv().map_err(|_| Fail::local("cannot read standard input"))??;
        join_bytes(bytes, prompt)
    }

    /// The prompt with all of it, when there is an end of it.
    pub(crate) fn later(
        self,
        mut prompt: String,
    ) -> Result<impl Future<Output = Result<String, String>> + Send + 'static, Fail> {
        let (tell, told) = oneshot::channel();
        in_background(move || {
            let joined = self.join_to(&mut prompt).map(|()| prompt);
            // The run may be over.
            let _ = tell.send(joined.map_err(|fail| fail.in_words()));
        })?;
        Ok(async { told.await.unwrap_or_else(|_| Err("cannot read standard input".to_owned())) })
    }
}

fn in_background(work: impl FnOnce() + Send + 'static) -> Result<(), Fail> {
    let started = thread::Builder::new().name("belay-stdin".to_owned()).spawn(work);
    started.map(drop).map_err(|error| {
        Fail::local(format!("cannot read standard input: {error}")).hint(TO_LEAVE_OUT)
    })
}

fn join_bytes(bytes: Vec<u8>, prompt: &mut String) -> Result<(), Fail> {
    if bytes.is_empty() {
        return Ok(());
    }
    let input = text(bytes)?;
    say(format_args!("read {} bytes from standard input", input.len()));
    join(prompt, &input);
    Ok(())
}

/// True if somebody hands us something: through a pipe or a socket, or a file of which nothing was read. A file of which
/// something was read is that of the shell's loop that we are in; a terminal and /dev/null are devices.
pub(crate) fn is_piped() -> bool {
    let stdin = io::stdin();
    let Ok(stat) = fstat(&stdin) else { return false };
    // Nothing can come through one that is open for writing alone.
    let may_read =
        fcntl_getfl(&stdin).is_ok_and(|flags| (flags & OFlags::RWMODE) != OFlags::WRONLY);
    if !may_read {
        return false;
    }
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo | FileType::Socket => true,
        FileType::RegularFile => seek(&stdin, SeekFrom::Current(0)).is_ok_and(|at| at == 0),
        _ => false,
    }
}

/// All of standard input, as a prompt that was asked for: it may take its time.
pub(crate) fn read_prompt() -> Result<Vec<u8>, Fail> {
    read_waiting(&io::stdin(), None)
}

/// Reads to the end. Where the first byte does not come in time, that is said, and nothing is read.
fn read_waiting(input: &impl AsFd, first: Option<&Timespec>) -> Result<Vec<u8>, Fail> {
    let failed = |error: Errno| {
        Fail::usage(format!("cannot read standard input: {}", io::Error::from(error)))
            .hint(TO_LEAVE_OUT)
    };
    let mut bytes = Vec::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut silent = false;
    loop {
        let patience = if bytes.is_empty() { first } else { Some(&SILENCE) };
        match poll(&mut [PollFd::new(input, PollFlags::IN)], patience) {
            Ok(0) if bytes.is_empty() => {
                warn(format_args!("nothing came from standard input in 3 s; it is left out"));
                say(format_args!("hint: --no-stdin or < /dev/null saves the wait"));
                return Ok(bytes);
            }
            Ok(0) => {
                if !silent {
                    let so_far = bytes.len();
                    say(format_args!("reading standard input: {so_far} bytes so far, and no end"));
                }
                silent = true;
                continue;
            }
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(failed(error)),
        }
        match read(input, &mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(failed(error)),
        }
        if bytes.len() > BYTES_MAX {
            let message = format!("standard input has more than {} MiB", BYTES_MAX >> 20);
            return Err(Fail::usage(message).hint(
                "put it into a file and name the file in the prompt, or leave it out with --no-stdin",
            ));
        }
    }
}

/// Half of an input would make half of an answer, so what is no text is an error.
fn text(bytes: Vec<u8>) -> Result<String, Fail> {
    let wrong = |what: &str, at: usize| {
        let message = format!("standard input is no text: {what} at byte {at}");
        Fail::usage(message).hint(format_args!("convert it with iconv; {TO_LEAVE_OUT}"))
    };
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err(wrong("a NUL", at));
    }
    String::from_utf8(bytes)
        .map_err(|error| wrong("what is not UTF-8", error.utf8_error().valid_up_to()))
}

/// Puts the input behind the prompt, between marks, as `codex exec` does; marks that it does not hold itself.
fn join(prompt: &mut String, input: &str) {
    let mut mark = "stdin".to_owned();
    let mut n = 2;
    while input.contains(&format!("</{mark}>")) {
        mark = format!("stdin-{n}");
        n += 1;
    }
    let end = if input.ends_with('\n') { "" } else { "\n" };
    prompt.truncate(prompt.trim_end_matches('\n').len());
    prompt.push_str(&format!("\n\n<{mark}>\n{input}{end}</{mark}>\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, want: &str) {
        let mut prompt = "Review this.".to_owned();
        join(&mut prompt, input);
        assert_eq!(prompt, want);
    }

    #[test]
    fn an_input_stands_behind_the_prompt_between_marks_of_its_own() {
        check("a\nb\n", "Review this.\n\n<stdin>\na\nb\n</stdin>\n");
        check("a", "Review this.\n\n<stdin>\na\n</stdin>\n");
        check("</stdin>", "Review this.\n\n<stdin-2>\n</stdin>\n</stdin-2>\n");
        check(
            "</stdin></stdin-2>\n",
            "Review this.\n\n<stdin-3>\n</stdin></stdin-2>\n</stdin-3>\n",
        );
    }

    #[test]
    fn what_is_no_text_is_an_error_that_says_where() {
        let said = |bytes: &[u8]| format!("{:?}", text(bytes.to_vec()).unwrap_err());
        assert!(said(b"ab\xff").contains("not UTF-8 at byte 2"), "{}", said(b"ab\xff"));
        assert!(said(b"a\0b").contains("a NUL at byte 1"), "{}", said(b"a\0b"));
    }
}
