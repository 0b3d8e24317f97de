//! Playing one side of a recorded JSON-RPC dialogue.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use serde_json::Value;

use super::printer::Printer;
use super::stdin::Stdin;
use crate::recordings::{Direction, read_dialogue};

/// How the dialogue came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All of it was played, the stream was cut, or stdin ended.
    AsPlayed,
    /// The client said something that the recording has no answer for.
    Astray(String),
}

/// Plays the agent's side of the dialogue in this file.
pub(crate) fn play(path: &Path, stdin: &Stdin, printer: &mut Printer<'_>) -> io::Result<Ended> {
    let mut ids = Ids::default();
    for line in read_dialogue(path)? {
        match line.dir {
            Direction::ToAgent => match hear(&line.msg, stdin, &mut ids) {
                Heard::Expected => {}
                Heard::Nothing => return Ok(Ended::AsPlayed),
                Heard::Astray(why) => return Ok(Ended::Astray(why)),
            },
            Direction::FromAgent => {
                let said = format!("{}\n", ids.translated(line.msg));
                if printer.print(said.as_bytes())?.is_break() {
                    return Ok(Ended::AsPlayed);
                }
            }
        }
    }
    printer.finish()?;
    Ok(Ended::AsPlayed)
}

/// Which id the client really used for a recorded request.
#[derive(Debug, Default)]
struct Ids(HashMap<String, Value>);

impl Ids {
    fn learn(&mut self, recorded: &Value, received: &Value) {
        self.0.insert(recorded.to_string(), received.clone());
    }

    /// A response gets the id of the request that came; a request of the server keeps its own.
    fn translated(&self, mut message: Value) -> Value {
        if message.get("method").is_none()
            && let Some(recorded) = message.get("id")
            && let Some(received) = self.0.get(&recorded.to_string())
        {
            message["id"] = received.clone();
        }
        message
    }
}

enum Heard {
    Expected,
    Nothing,
    Astray(String),
}

/// Waits until the client has said what it said in the recording.
fn hear(recorded: &Value, stdin: &Stdin, ids: &mut Ids) -> Heard {
    while let Some(line) = stdin.next_line() {
        let Ok(received) = serde_json::from_str::<Value>(&line) else {
            return Heard::Astray(format!("expected {}, got no JSON: {line}", name(recorded)));
        };
        if is_same_kind(recorded, &received) {
            if let (Some(old), Some(new)) = (recorded.get("id"), received.get("id")) {
                ids.learn(old, new);
            }
            return Heard::Expected;
        }
        let is_notification = received.get("method").is_some() && received.get("id").is_none();
        if !is_notification {
            return Heard::Astray(format!("expected {}, got {}", name(recorded), name(&received)));
        }
    }
    Heard::Nothing
}

/// Same method, or both responses; a response answers by the id that the server gave.
fn is_same_kind(recorded: &Value, received: &Value) -> bool {
    match (recorded.get("method"), received.get("method")) {
        (Some(recorded), Some(received)) => recorded == received,
        (None, None) => recorded.get("id") == received.get("id"),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn name(message: &Value) -> String {
    match message["method"].as_str() {
        Some(method) => method.to_owned(),
        None => format!("a response to {}", message["id"]),
    }
}
