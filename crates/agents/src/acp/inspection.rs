//! What an agent over ACP says of itself before anything is asked of a model: for who wants to know whether it works.

use super::classify::AUTH_REQUIRED;
use super::options::{Hello, Opened, PROTOCOL_VERSION};
use super::rpc::{Message, RpcError, Say};
use crate::wire::decode;
use Readiness::{NotReady, Ready, Unknown};
use serde_json::json;
use std::path::Path;

/// A short conversation with an agent: its name, what it can do, and whether it opens a session.
///
/// It starts nothing itself: feed it the lines that the agent prints, and write what it says.
#[derive(Debug, Default)]
pub struct Inspection {
    hello: Option<Hello>,
    opened: Option<Result<Opened, RpcError>>,
}

/// What to do with a line that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Nothing,
    /// This is to be written to the agent's standard input.
    Say(Vec<u8>),
    /// It has said all that is wanted.
    Enough,
}

/// One thing that an agent has said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Learned {
    /// What it is about: `protocol`, `can`, `modes`, `models`, `login`.
    pub about: &'static str,
    /// What it says, in words.
    pub words: String,
    /// Whether a run can start with it.
    pub standing: Readiness,
}

/// What something that an agent has said means for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Nothing is in its way.
    Ready,
    /// Nobody knows.
    Unknown,
    /// It cannot start.
    NotReady,
}

impl Inspection {
    /// What is said first.
    pub fn hello() -> Vec<u8> {
        let info = json!({"name": "belay", "title": "belay", "version": env!("CARGO_PKG_VERSION")});
        let offers =
            json!({"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false});
        let params = json!({"protocolVersion": PROTOCOL_VERSION, "clientCapabilities": offers, "clientInfo": info});
        line(&Say::request(1, "initialize", params))
    }

    /// Takes a line of the agent's; `cwd` is where its session would be.
    pub fn hear(&mut self, text: &str, cwd: &Path) -> Heard {
        let Some(message) = decode::<Message<'_>>(text) else { return Heard::Nothing };
        let Some(id) = message.id.filter(|_| message.method.is_none()) else {
            return match message.id.filter(|_| message.method.is_some()) {
                Some(id) => Heard::Say(line(&Say::no_such_method(id))),
                None => Heard::Nothing,
            };
        };
        let result = message.result.map_or("null", serde_json::value::RawValue::get);
        match id.get() {
            "1" if self.hello.is_none() && message.error.is_none() => {
                let hello: Hello = decode(result).unwrap_or_default();
                let is_ours = hello.version().is_ok();
                self.hello = Some(hello);
                if !is_ours {
                    return Heard::Enough;
                }
                let params = json!({"cwd": cwd.to_string_lossy(), "mcpServers": []});
                Heard::Say(line(&Say::request(2, "session/new", params)))
            }
            "1" | "2" => {
                self.opened = Some(match message.error {
                    Some(error) => Err(error),
                    None => Ok(decode(result).unwrap_or_default()),
                });
                Heard::Enough
            }
            _ => Heard::Nothing,
        }
    }

    /// What was learned, in the order in which it is told.
    pub fn learned(&self) -> Vec<Learned> {
        let mut learned = Vec::new();
        let mut say = |about, words: String, standing| {
            learned.push(Learned { about, words, standing });
        };
        let Some(hello) = &self.hello else {
            let words = match &self.opened {
                Some(Err(error)) => format!("it refuses to begin: {}", error.message),
                _ => "it does not answer in the Agent Client Protocol".to_owned(),
            };
            say("protocol", words, NotReady);
            return learned;
        };
        let name =
            hello.agent_info.as_ref().map(|info| format!("{} {}, ", info.name, info.version));
        let name = name.unwrap_or_default();
        let version = hello.version();
        let is_ours = version.is_ok();
        let version = version.map_or_else(|other| other, |ours| ours.to_string());
        let end = if is_ours { "" } else { ", which belay does not speak" };
        say(
            "protocol",
            format!("{name}version {version} of the protocol{end}"),
            if is_ours { Ready } else { NotReady },
        );
        if !is_ours {
            return learned;
        }
        say("can", can(hello), Ready);
        match &self.opened {
            Some(Ok(opened)) => {
                let modes = opened.offered_modes().join(", ");
                let current = opened.current_mode().map(|mode| format!("; it starts in `{mode}`"));
                if !modes.is_empty() {
                    say("modes", format!("{modes}{}", current.unwrap_or_default()), Ready);
                }
                let models = opened.offered_models();
                if !models.is_empty() {
                    let current = opened.model().map(|model| format!("; it starts with `{model}`"));
                    let current = current.unwrap_or_default();
                    say("models", format!("{}{current}", models.join(", ")), Ready);
                }
                say("login", "it opens a session".to_owned(), Ready);
            }
            Some(Err(error)) if error.code == AUTH_REQUIRED => {
                say(
                    "login",
                    format!("it wants a login: {}{}", error.message, ways(hello)),
                    NotReady,
                );
            }
            Some(Err(error)) => {
                say(
                    "login",
                    format!("it opens no session: {}{}", error.message, ways(hello)),
                    NotReady,
                );
            }
            None => {
                let words = "it opened no session in time: it is slow, or waits for a login";
                say("login", words.to_owned(), Unknown);
            }
        }
        learned
    }
}

fn can(hello: &Hello) -> String {
    let can = &hello.agent_capabilities;
    let each = [
        ("load sessions", can.load_session),
        ("resume sessions", can.session_capabilities.resume.is_some()),
        ("list sessions", can.session_capabilities.list.is_some()),
        ("images", can.prompt_capabilities.image),
        ("MCP servers over HTTP", can.mcp_capabilities.http),
    ];
    let each: Vec<_> = each.iter().filter(|(_, can)| *can).map(|(name, _)| *name).collect();
    if each.is_empty() { "nothing beyond a prompt".to_owned() } else { each.join(", ") }
}

fn ways(hello: &Hello) -> String {
    let names = hello.auth_methods.iter().map(|way| match way.name.as_str() {
        "" => way.id.as_str(),
        name => name,
    });
    let names = names.collect::<Vec<_>>().join(", ");
    if names.is_empty() { String::new() } else { format!(" (it offers: {names})") }
}

fn line<T: serde::Serialize>(message: &Say<'_, T>) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(message).expect("our own messages encode");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(lines: &[&str]) -> Vec<(&'static str, String, Readiness)> {
        let mut inspection = Inspection::default();
        for line in lines {
            inspection.hear(line, Path::new("/work"));
        }
        let learned = inspection.learned().into_iter();
        learned.map(|it| (it.about, it.words, it.standing)).collect()
    }

    #[test]
    fn an_agent_says_what_it_can_and_whether_it_wants_a_login() {
        let hello = r#"{"id":1,"result":{"protocolVersion":1,"agentInfo":{"name":"x","version":"2"},"agentCapabilities":{"loadSession":true},"authMethods":[{"id":"a","name":"A"}]}}"#;
        let session = r#"{"id":2,"result":{"sessionId":"s","modes":{"currentModeId":"ask","availableModes":[{"id":"ask","name":"A"},{"id":"yolo","name":"Y"}]}}}"#;
        assert_eq!(
            learn(&[hello, session]),
            [
                ("protocol", "x 2, version 1 of the protocol".into(), Ready),
                ("can", "load sessions".into(), Ready),
                ("modes", "ask, yolo; it starts in `ask`".into(), Ready),
                ("login", "it opens a session".into(), Ready),
            ]
        );
        let refused = r#"{"id":2,"error":{"code":-32000,"message":"Log in first"}}"#;
        let login = learn(&[hello, refused]).pop().unwrap();
        assert_eq!(
            login,
            ("login", "it wants a login: Log in first (it offers: A)".into(), NotReady)
        );
    }

    #[test]
    fn a_session_is_asked_for_behind_the_greeting_and_not_of_another_version() {
        let hear = |line: &str| Inspection::default().hear(line, Path::new("/work"));
        let said = hear(r#"{"id":1,"result":{"protocolVersion":1}}"#);
        assert!(
            matches!(said, Heard::Say(line) if String::from_utf8_lossy(&line).contains("session/new"))
        );
        assert_eq!(hear(r#"{"id":1,"result":{"protocolVersion":2}}"#), Heard::Enough);
        for other in ["-1", "\"2\"", "1.5", "[]"] {
            let line = format!(r#"{{"id":1,"result":{{"protocolVersion":{other}}}}}"#);
            assert_eq!(hear(&line), Heard::Enough, "{other}");
        }
        for ours in ["\"1\"", "1.0", "null"] {
            let line = format!(r#"{{"id":1,"result":{{"protocolVersion":{ours}}}}}"#);
            assert!(matches!(hear(&line), Heard::Say(_)), "{ours}");
        }
        assert_eq!(hear("Starting up..."), Heard::Nothing);
        let other = learn(&[r#"{"id":1,"result":{"protocolVersion":2}}"#]);
        assert_eq!(other[0].2, NotReady, "{other:?}");
        let slow = learn(&[r#"{"id":1,"result":{"protocolVersion":1}}"#]).pop().unwrap();
        assert_eq!(slow.2, Unknown, "{slow:?}");
        assert!(learn(&["hello"])[0].1.contains("does not answer"));
    }
}
