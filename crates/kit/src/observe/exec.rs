//! A program of one's own that tells somebody: `apprise`, `notify-send`, a script.

use super::notify::channel::{Channel, Failed, Leaving};
use super::notify::{Events, Notice, Notify, text};
use crate::limits::{EXEC_END, EXEC_TEXT_MAX};
use belaykit_supervise::{Exit, Tool};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

impl Notify {
    /// Starts `command`, its program first, for each notice, which comes as JSON on standard input and in variables:
    /// `BELAY_EVENT`, `BELAY_LEVEL`, `BELAY_TITLE`, `BELAY_BODY`, `BELAY_AGENT`, `BELAY_RUN` and `BELAY_TRACE`. No word
    /// of an agent is ever an argument.
    ///
    /// It gets `env` as its environment besides, and no other; nobody reads what it prints. A program without a slash
    /// is looked for on the `PATH` of `env`. It is killed with all that it started when it takes more than five
    /// seconds, or longer than the end of a run waits.
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

impl Exec {
    fn path(&self) -> Option<PathBuf> {
        if self.program.contains('/') {
            return std::path::absolute(Path::new(&self.program)).ok();
        }
        let (_, paths) = self.env.iter().find(|(name, _)| name == "PATH")?;
        crate::program::on(paths, &self.program)
    }
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
        let program = self
            .path()
            .ok_or_else(|| Failed::Off(format!("cannot find {} on the PATH", self.program)))?;
        let tool = Tool::new(&program, timeout)
            .args(&self.args)
            .env(self.env.iter().cloned())
            .env(variables(notice))
            .stdin(json_of(notice).to_string());
        let began = Instant::now();
        let ended = tool.run_while(|| {
            // This program may end then, and would end it.
            let leaving = *self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
            !leaving.is_some_and(|at| at > began && at <= Instant::now() + EXEC_END)
        });
        let ended = ended
            .map_err(|error| Failed::Off(format!("cannot start {}: {error}", self.program)))?;
        // Trying again would wait as long again.
        Err(Failed::Never(match ended.exit {
            Some(Exit::Code(0)) => return Ok(()),
            Some(Exit::Code(code)) => format!("{} ended with exit code {code}", self.program),
            Some(Exit::Signal(signal)) => format!("{} ended with signal {signal}", self.program),
            None if ended.is_cut => format!("{} was killed: it prints too much", self.program),
            None => {
                format!("{} was killed after {} ms", self.program, began.elapsed().as_millis())
            }
        }))
    }
}

/// The notice, whole.
fn json_of(notice: &Notice) -> Value {
    let mut json = json!({"v": 1});
    if let (Value::Object(json), Ok(Value::Object(notice))) =
        (&mut json, serde_json::to_value(notice))
    {
        json.extend(notice);
    }
    json
}

/// The notice for a shell, its texts cut to what a variable can hold.
fn variables(notice: &Notice) -> Vec<(&'static str, String)> {
    let json = json_of(notice);
    let word = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    let body = Notice { title: String::new(), ..notice.clone() }.plain();
    let variables = [
        ("BELAY_EVENT", word("event")),
        ("BELAY_LEVEL", word("level")),
        ("BELAY_TITLE", notice.title.clone()),
        ("BELAY_BODY", body),
        ("BELAY_AGENT", notice.agent.clone()),
        ("BELAY_RUN", notice.run.clone()),
        ("BELAY_TRACE", notice.trace.clone().unwrap_or_default()),
    ];
    // A variable ends at its first NUL.
    variables
        .map(|(name, value)| (name, text::cut(&value.replace('\0', " "), EXEC_TEXT_MAX)))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::notify::Kind;
    use belay_trace::Level;

    #[test]
    fn the_words_of_an_agent_are_data_and_never_arguments() {
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("told");
        let script = r#"printf '%s\n' "$#" "$BELAY_TITLE" "$BELAY_BODY" > "$0"; cat >> "$0""#;
        let mut exec = Exec {
            program: "sh".to_owned(),
            args: vec!["-c".to_owned(), script.to_owned(), told.display().to_string()],
            env: vec![("PATH".into(), "relative:/usr/bin:/bin".into())],
            leaving: Leaving::default(),
        };
        let notice = Notice {
            event: Kind::Error,
            level: Level::Error,
            title: "a {body} $(touch x)".to_owned(),
            body: "--delete `id`\0\n; rm".to_owned(),
            footer: String::new(),
            agent: "pi".to_owned(),
            run: "r1".to_owned(),
            trace: None,
        };
        exec.send(std::slice::from_ref(&notice), Duration::from_secs(60)).unwrap();
        let told = std::fs::read_to_string(told).unwrap();
        let (words, json) = told.split_once("{\"").unwrap();
        assert_eq!(words, "0\na {body} $(touch x)\n--delete `id` \n; rm\n");
        let json: Value = serde_json::from_str(&format!("{{\"{json}")).unwrap();
        assert_eq!(json["body"], notice.body);
        assert_eq!((&json["v"], &json["event"]), (&1.into(), &"error".into()));
    }
}
