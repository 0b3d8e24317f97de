//! The moment at which a fake agent is stopped, whatever it is doing.

use std::io::{self, Write};
use std::process;
use std::thread;

use serde_json::Value;

use super::{Exit, Stop, Until, signals};

/// What the recorded id stands for until a message brings the real one.
const ID: &str = r#""$id""#;

/// Waits for the signals that stop the agent, on a thread of its own.
pub(crate) fn listen(stop: &Stop) -> io::Result<()> {
    for until in &stop.on {
        let Until::Signal(signal) = until else { continue };
        let (signal, stop) = (*signal, stop.clone());
        let mut caught = signals::Caught::default();
        caught.catch(signal)?;
        thread::spawn(move || {
            caught.wait(signal);
            obey(&stop, "");
        });
    }
    Ok(())
}

/// Ends the process if this line of stdin is one that stops it.
pub(crate) fn hear(stop: &Stop, line: &str) {
    let stops = |until: &Until| matches!(until, Until::StdinLine(text) if line.contains(text));
    if stop.on.iter().any(stops) {
        obey(stop, line);
    }
}

/// Ends the process if it stops when stdin ends.
pub(crate) fn hear_the_end(stop: &Stop) {
    if stop.on.contains(&Until::StdinEnd) {
        obey(stop, "");
    }
}

/// Prints the last words and ends, holding stdout, so that nothing comes after them.
fn obey(stop: &Stop, line: &str) {
    let id = serde_json::from_str::<Value>(line).ok().and_then(|message| {
        message.get("id").or_else(|| message.get("request_id")).map(Value::to_string)
    });
    let mut stdout = io::stdout().lock();
    for words in &stop.then {
        let words = words.replace(ID, id.as_deref().unwrap_or("null"));
        // A reader that is gone hears nothing.
        let _ = writeln!(stdout, "{words}").and_then(|()| stdout.flush());
    }
    match stop.exit {
        Exit::Code(code) => process::exit(code),
        Exit::Signal(signal) => drop(signals::die_of(signal)),
    }
}
