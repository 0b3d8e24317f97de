//! The description of a process to start.

use crate::hold_back::{is_listed, is_of_outer_session, loosens};
use crate::{Cloud, HoldBack};
use std::fmt::Write as _;
use std::path::Path;

/// Everything needed to start one agent process; plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Launch {
    /// The program by name; whoever starts it finds the file.
    pub program: String,
    /// Where the native program stands, relative to the launcher script that npm puts on the PATH
    /// (links resolved). A native program dies when it is told to; a launcher leaves it running.
    pub native: Vec<String>,
    /// The arguments after the program.
    pub args: Vec<String>,
    /// Which environment variables the agent sees.
    pub env: EnvPolicy,
    /// What a one-shot command reads from its standard input: the prompt.
    pub stdin: String,
    /// Files that must exist for the time of the run, readable by their owner alone. An argument that
    /// contains a file's [`PrivateFile::placeholder`] gets its path instead.
    pub files: Vec<PrivateFile>,
    /// The server that the agent is, if it is one.
    pub server: Option<Server>,
    /// Which rungs of the stop ladder help this agent.
    pub stop: StopPlan,
    /// The flag by which the agent takes an id for its new session, a UUID, if the run is to choose one: an agent that
    /// tells its session only in the end could not be resumed after a crash, nor its use be read.
    pub new_session: Option<&'static str>,
    /// Ends of the names of hidden files that the agent leaves in the folder for temporary files at each start. Whoever
    /// starts it gives it such a folder of its own and removes them.
    pub litter: &'static [&'static str],
    /// Folders that the agent leaves there, by the beginnings of their names; they hold nothing but files of its own.
    pub litter_folders: &'static [&'static str],
    /// The agent may write to the folder for temporary files: it must be one of its own.
    pub private_temp: bool,
    /// The file that the agent writes its answer to, in its working folder: [`Launch::ANSWER`] for one of its own in a
    /// temporary folder, which an argument names by the same word.
    pub answer_file: Option<String>,
    /// Options that the agent lacks and the request was lenient about.
    pub ignored: Vec<&'static str>,
}

/// A file for the agent to read, for text that must not stand on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateFile {
    /// Its name in the folder of the run.
    pub name: &'static str,
    /// What is in it.
    pub content: String,
    /// The argument that says the same without a file, for a command line that people see. There is none
    /// for what must not be seen.
    inline: Option<String>,
}

impl PrivateFile {
    /// What an argument holds in place of the file's path.
    pub fn placeholder(&self) -> String {
        format!("{{belay-file:{}}}", self.name)
    }
}

/// A server on 127.0.0.1 that nobody else may talk to. Whoever starts it chooses a free port and a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Server {
    /// The variable by which the agent gets the password.
    pub password_env: &'static str,
    /// The name that goes with it (HTTP basic authentication).
    pub user: &'static str,
}

impl Server {
    /// What an argument holds in place of the port.
    pub const PORT: &'static str = "{belay-port}";
}

/// Which environment variables an agent sees: all that its user has, but for some that no agent sees; in a clean
/// environment those that are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvPolicy {
    /// Names that pass in a clean environment too; a trailing `*` stands for any ending.
    pub allow: Vec<&'static str>,
    /// What passes with a switch in a clean environment.
    pub clouds: &'static [Cloud],
    /// Variables that are set.
    pub set: Vec<(&'static str, String)>,
    /// Variables that are set for a run, and not in a line for a shell, where nobody keeps belay's limits.
    pub run: Vec<(&'static str, String)>,
    /// Variables that are set for a run where the environment does not hold them: switches for what the agent does
    /// beside its work.
    pub quiet: &'static [(&'static str, &'static str)],
    /// Variables that are set and hold what must not be shown.
    pub private: Vec<(String, String)>,
}

impl EnvPolicy {
    /// What every agent needs: where programs and homes are, language, terminal, time zone, proxies, roots of trust.
    const COMMON: [&str; 31] = [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "LC_*",
        "TERM",
        "COLORTERM",
        "NO_COLOR",
        "TZ",
        "TMPDIR",
        "XDG_*",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "NODE_EXTRA_CA_CERTS",
        "SYSTEMROOT",
        "USERPROFILE",
        "APPDATA",
        "LOCALAPPDATA",
        "TEMP",
        "TMP",
    ];

    /// The common variables and those of the agent's own.
    pub fn with(own: &[&'static str]) -> Self {
        let allow = Self::COMMON.iter().chain(own).copied().collect();
        Self { allow, ..Self::default() }
    }

    /// Why the agent does not see this variable in any environment, if it does not.
    pub fn holds_back(&self, name: &str, value: &str) -> Option<HoldBack> {
        if loosens(name, value) {
            return Some(HoldBack::Permissions);
        }
        is_of_outer_session(name, value).then_some(HoldBack::OuterSession)
    }

    /// True if the variable passes in a clean environment, unless it is held back in every one.
    pub fn is_listed(&self, name: &str) -> bool {
        is_listed(&self.allow, name, "")
    }
}

/// Which rungs of the stop ladder help an agent.
///
/// Source: signals sent to each agent and what it still printed, in `docs/agents/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StopPlan {
    /// The protocol has an interrupt of its own ([`Input::Interrupt`](crate::Input::Interrupt)).
    pub native: bool,
    /// SIGINT lets the agent end its tools, and perhaps report.
    pub sigint: bool,
    /// SIGTERM ends the agent in an orderly way.
    pub sigterm: bool,
    /// How many SIGINTs more than one it takes to stop the agent.
    pub more_sigints: u32,
}

impl Launch {
    /// What an argument holds in place of the path of an answer file that is made for the agent.
    pub const ANSWER: &'static str = "{belay-answer}";

    /// A launch of `program` with nothing else.
    pub fn new(program: &str) -> Self {
        Self { program: program.to_owned(), ..Self::default() }
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl Into<String>) {
        self.args.push(arg.into());
    }

    /// Adds `--flag=value`, so that a value can never be taken for a flag.
    pub fn bind(&mut self, flag: &str, value: &str) {
        self.args.push(format!("{flag}={value}"));
    }

    /// Adds `--flag value`, for an agent that takes the next argument as the value whatever it begins with.
    pub(crate) fn pair(&mut self, flag: &str, value: &str) {
        self.args.extend([flag.to_owned(), value.to_owned()]);
    }

    /// Adds `--flag PATH` of a private file, for an agent that takes `--flag content` as well.
    pub(crate) fn pair_file(&mut self, flag: &str, name: &'static str, content: &str) {
        let inline = Some(content.to_owned());
        let file = PrivateFile { name, content: content.to_owned(), inline };
        self.args.extend([flag.to_owned(), file.placeholder()]);
        self.files.push(file);
    }

    /// Adds `--flag-file=PATH` of a private file, whose content could also be written as `--flag=content`.
    pub(crate) fn bind_file(&mut self, flag: &str, name: &'static str, content: &str) {
        let inline = Some(format!("{flag}={content}"));
        let file = PrivateFile { name, content: content.to_owned(), inline };
        self.args.push(format!("{flag}-file={}", file.placeholder()));
        self.files.push(file);
    }

    /// Adds `--flag=PATH` of a private file. What could stand in its path's place, `inline`, is none for what
    /// must not be seen.
    pub(crate) fn bind_private(
        &mut self,
        flag: &str,
        name: &'static str,
        content: String,
        inline: Option<String>,
    ) {
        let inline = inline.map(|inline| format!("{flag}={inline}"));
        let file = PrivateFile { name, content, inline };
        self.args.push(format!("{flag}={}", file.placeholder()));
        self.files.push(file);
    }

    /// Adds `--flag=@PATH` of a private file that nothing can stand in for.
    pub(crate) fn bind_private_at(&mut self, flag: &str, name: &'static str, content: String) {
        let file = PrivateFile { name, content, inline: None };
        self.args.push(format!("{flag}=@{}", file.placeholder()));
        self.files.push(file);
    }

    /// Adds `--flag PATH` of a private file that nothing can stand in for.
    pub(crate) fn pair_private(&mut self, flag: &str, name: &'static str, content: String) {
        let file = PrivateFile { name, content, inline: None };
        self.args.extend([flag.to_owned(), file.placeholder()]);
        self.files.push(file);
    }

    /// True if a command line cannot say all of it: some of it must not be seen.
    pub fn has_secrets(&self) -> bool {
        !self.env.private.is_empty() || self.files.iter().any(|file| file.inline.is_none())
    }

    /// The command line, safe to pass to `sh -c`; the prompt is not part of it, and placeholders stand for
    /// what must not be seen ([`has_secrets`](Self::has_secrets)).
    pub fn to_shell(&self) -> String {
        let mut line = String::new();
        for (name, value) in &self.env.set {
            let _ = write!(line, "{name}={} ", shell_word(value));
        }
        for (name, _) in &self.env.private {
            let _ = write!(line, "{name}='{{belay-private}}' ");
        }
        line.push_str(&shell_word(&self.program));
        for arg in &self.args {
            let file = self.files.iter().find(|file| arg.contains(&file.placeholder()));
            line.push(' ');
            let inline = file.and_then(|file| file.inline.as_ref());
            line.push_str(&shell_word(inline.unwrap_or(arg)));
        }
        line
    }
}

/// Wraps `s` in single quotes for a POSIX shell; an embedded quote becomes `'\''`.
///
/// ```
/// assert_eq!(belay_agents::shell_escape("it's"), r"'it'\''s'");
/// ```
pub fn shell_escape(s: &str) -> String {
    format!("'{}'", s.replace('\'', r"'\''"))
}

/// The same for a path; one that is not UTF-8 is written as bash, zsh and ksh take it: `$'\377 dir'`.
pub fn shell_escape_path(path: &Path) -> String {
    if let Some(text) = path.to_str() {
        return shell_escape(text);
    }
    let mut word = "$'".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'\'' | b'\\' => word.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => word.push(char::from(*byte)),
            // In octal, which ends after three digits.
            _ => {
                let _ = write!(word, "\\{byte:03o}");
            }
        }
    }
    word.push('\'');
    word
}

/// Like [`shell_escape`], but leaves a word alone that means itself in every shell.
pub(crate) fn shell_word(s: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:,@%+".contains(&b);
    // zsh expands a word that begins with `=`, and `a=b` at the beginning of a line is an assignment, so a
    // `=` is plain only inside a flag.
    let is_flag = s.starts_with("--");
    let all_plain = s.bytes().all(|b| plain(b) || (is_flag && b == b'='));
    if all_plain && !s.is_empty() { s.to_owned() } else { shell_escape(s) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_environment_is_a_list_of_names() {
        let policy = EnvPolicy::with(&["FOO_*"]);
        for name in ["PATH", "LC_ALL", "FOO_KEY"] {
            assert!(policy.is_listed(name), "{name}");
        }
        for name in ["AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "NODE_OPTIONS", "path", "FO"] {
            assert!(!policy.is_listed(name), "{name}");
        }
    }

    #[test]
    fn shell_words_are_quoted_when_they_must_be() {
        for (word, want) in [
            ("--model=opus", "--model=opus"),
            ("", "''"),
            ("=x", "'=x'"),
            ("A=b", "'A=b'"),
            ("--x=$(id)", "'--x=$(id)'"),
            ("a b", "'a b'"),
            ("~", "'~'"),
            ("it's", r"'it'\''s'"),
        ] {
            assert_eq!(shell_word(word), want);
        }
    }
}
