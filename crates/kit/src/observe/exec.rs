//! A program of one's own that tells somebody: `apprise`, `notify-send`, a script.

use super::notify::channel::{Channel, Failed, Leaving};
use super::notify::{Events, Notice, Notify, text};
use crate::limits::{EXEC_POLL, EXEC_TEXT_MAX};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant};

impl Notify {
    /// Starts `command`, its program first, for each notice. In its arguments `{title}`, `{body}`, `{level}`,
    /// `{event}`, `{agent}`, `{run}` and `{trace}` stand for those of the notice, each as a whole: no shell reads them.
    ///
    /// It gets `env` as its environment, and no other; no input, and nobody reads what it prints. It is killed with all
    /// that it started in its process group when it takes more than five seconds, or longer than the end of a run
    /// waits.
    pub fn exec(
        command: impl IntoIterator<Item = String>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let mut command = command.into_iter();
        let channel = command.next().map(|program| Exec {
            program,
            args: command.collect(),
            env: env.into_iter().collect(),
            leaving: Leaving::default(),
        });
        Self::over("exec", channel, Events::default())
    }
}

struct Exec {
    program: String,
    args: Vec<String>,
    env: Vec<(OsString, OsString)>,
    leaving: Leaving,
}

impl Channel for Exec {
    fn pace(&self) -> Duration {
        Duration::from_millis(100)
    }

    fn heed(&mut self, leaving: Leaving) {
        self.leaving = leaving;
    }

    fn send(&mut self, notices: &[Notice], timeout: Duration) -> Result<(), Failed> {
        let Some(notice) = notices.first() else { return Ok(()) };
        let mut command = Command::new(&self.program);
        command
            .args(self.args.iter().map(|arg| filled(arg, notice)))
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // So that it can be ended with what it started, and no Ctrl-C of a terminal ends it.
            .process_group(0);
        let mut child = command
            .spawn()
            .map_err(|error| Failed::Off(format!("cannot start {}: {error}", self.program)))?;
        let began = Instant::now();
        match end_of(&mut child, timeout, &self.leaving) {
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(Some(status)) => Err(Failed::Never(format!("{} ended with {status}", self.program))),
            // Trying again would wait as long again.
            Ok(None) => Err(Failed::Never(format!(
                "{} was killed after {} ms",
                self.program,
                began.elapsed().as_millis()
            ))),
            Err(error) => Err(Failed::Never(format!("cannot wait for {}: {error}", self.program))),
        }
    }
}

/// Waits for it, and kills it when its time is up, or when a run that it is about waits no longer: this program may
/// end then, and nobody would be left to do it.
fn end_of(
    child: &mut Child,
    timeout: Duration,
    leaving: &Leaving,
) -> io::Result<Option<ExitStatus>> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let leaving = *leaving.lock().unwrap_or_else(PoisonError::into_inner);
        let is_left = leaving.is_some_and(|at| at > began && at <= Instant::now() + 3 * EXEC_POLL);
        if is_left || began.elapsed() >= timeout {
            if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                // It may have ended by itself just now.
                let _ = kill_process_group(group, Signal::KILL);
            }
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(EXEC_POLL);
    }
}

/// An argument with what it stands for. What was put in is not looked at again.
fn filled(arg: &str, notice: &Notice) -> String {
    let mut filled = String::new();
    let mut rest = arg;
    while let Some(begin) = rest.find('{') {
        filled.push_str(&rest[..begin]);
        rest = &rest[begin..];
        let name = rest.find('}').map(|end| &rest[..=end]);
        let value = name.and_then(|name| value(name, notice));
        match (name, value) {
            (Some(name), Some(value)) => {
                filled.push_str(&value);
                rest = &rest[name.len()..];
            }
            _ => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled.push_str(rest);
    // An agent's words are no option of the program.
    if filled.starts_with('-') && !arg.starts_with('-') { format!(" {filled}") } else { filled }
}

fn value(name: &str, notice: &Notice) -> Option<String> {
    let json = |value: serde_json::Result<serde_json::Value>| {
        value.ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let value = match name {
        "{title}" => notice.title.clone(),
        "{body}" => Notice { title: String::new(), ..notice.clone() }.plain(),
        "{level}" => json(serde_json::to_value(notice.level)),
        "{event}" => json(serde_json::to_value(notice.event)),
        "{agent}" => notice.agent.clone(),
        "{run}" => notice.run.clone(),
        "{trace}" => notice.trace.clone().unwrap_or_default(),
        _ => return None,
    };
    // An argument ends at its first NUL.
    Some(text::cut(&value.replace('\0', " "), EXEC_TEXT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::notify::Kind;
    use belay_trace::Level;

    #[test]
    fn an_argument_holds_the_words_and_no_words_are_an_option_or_a_placeholder() {
        let notice = Notice {
            event: Kind::Error,
            level: Level::Error,
            title: "a {body}".to_owned(),
            body: "--delete $(x)\0y".to_owned(),
            footer: String::new(),
            agent: "pi".to_owned(),
            run: "r1".to_owned(),
            trace: None,
        };
        for (arg, want) in [
            ("{title}: {level}", "a {body}: error"),
            ("{body}", " --delete $(x) y"),
            ("--body={body}", "--body=--delete $(x) y"),
            ("{x} {} {", "{x} {} {"),
            ("{event}/{agent}/{run}/{trace}", "error/pi/r1/"),
        ] {
            assert_eq!(filled(arg, &notice), want);
        }
    }
}
