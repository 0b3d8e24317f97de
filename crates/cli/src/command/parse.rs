//! `belay parse`

use crate::config::candidate;
use crate::fail::Fail;
use crate::surroundings::environment;
use crate::terminal;
use belay_agents::{
    Agent, AttemptEnd, Candidate, Emitted, Exit, LineSplitter, RunRequest, StreamParser, Transport,
    harness,
};
use belay_trace::{Event, Record, RunResult};
use belaykit::{LineRedaction, Redaction, limits};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;
use std::io::{self, ErrorKind, Read as _, Write};

/// Read a stream that an agent printed and print it as belay's events, one JSON object a line.
///
/// One `result` is printed for each turn of the stream; a stream that stops in mid-turn ends in a failure.
/// Exits with 0 if the stream could be read, whatever it says.
///
/// What an agent prints in its one-shot mode is read, and what it says in its dialogue: JSON-RPC, one message a
/// line, or the events of a server as curl saves them, with `data:` before each or without.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  claude -p --output-format stream-json --verbose hi | belay parse -a claude
  curl -sN http://127.0.0.1:4096/event | belay parse -a opencode")]
pub(crate) struct Parse {
    /// The agent that printed the stream.
    #[arg(short, long, value_name = "AGENT", value_parser = candidate)]
    agent: Candidate,

    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Print secrets as the stream has them.
    #[arg(long)]
    no_redact: bool,

    /// The stream goes on in an earlier session, whose tokens its figures may include.
    #[arg(long)]
    resumed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// belay's events.
    #[default]
    Events,
    /// The events of rumpl/harness, exactly.
    Harness,
}

impl Parse {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        match self.parse() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(0),
            Err(error) => Err(Fail::local(format!("cannot read or print the stream: {error}"))),
            Ok(()) => Ok(0),
        }
    }

    fn parse(&self) -> io::Result<()> {
        let redaction = if self.no_redact { Redaction::off() } else { Redaction::default() };
        let mut reader = Reader {
            gate: redaction.lines(&environment()),
            agent: self.agent.agent.as_ref(),
            format: self.format,
            request: if self.resumed {
                RunRequest::new("").resume("earlier")
            } else {
                RunRequest::new("")
            },
            parser: None,
            seq: 0,
            out: io::BufWriter::new(terminal::stdout_locked()),
        };
        let mut stdin = io::stdin().lock();
        let mut lines = LineSplitter::new(limits::LINE_BYTES_MAX);
        let mut chunk = vec![0; limits::READ_BYTES];
        loop {
            let n = stdin.read(&mut chunk)?;
            let mut done = Ok(());
            let mut read = |line: belay_agents::Line<'_>| {
                if done.is_ok() {
                    done = reader.redacted(line);
                }
            };
            match n {
                0 => lines.finish(&mut read),
                n => lines.push(&chunk[..n], &mut read),
            }
            done?;
            if n == 0 {
                let held = reader.gate.finish();
                held.iter().try_for_each(|line| reader.line(line, 0))?;
            }
            // What has come is shown before we wait for more.
            reader.out.flush()?;
            if n == 0 {
                return reader.end();
            }
        }
    }
}

struct Reader<'a, W: Write> {
    gate: LineRedaction,
    agent: &'a dyn Agent,
    format: Format,
    request: RunRequest,
    /// Made when the first line has shown which transport it is.
    parser: Option<StreamParser>,
    seq: u64,
    out: W,
}

impl<W: Write> Reader<'_, W> {
    /// A line that comes, and the lines that go through because of it.
    fn redacted(&mut self, line: belay_agents::Line<'_>) -> io::Result<()> {
        if line.cut > 0 {
            return self.line(line.bytes, line.cut);
        }
        self.gate.push(line.bytes).iter().try_for_each(|line| self.line(line, 0))
    }

    fn line(&mut self, line: &[u8], cut: u64) -> io::Result<()> {
        if cut > 0 {
            let bytes = line.len() as u64 + cut;
            let event = Event::OversizedLine(belay_trace::OversizedLine { bytes });
            return self.print(vec![Emitted { event, parent_tool_id: None }], Vec::new());
        }
        let (agent, request) = (self.agent, &self.request);
        let parser =
            self.parser.get_or_insert_with(|| StreamParser::new(agent, request, transport(line)));
        let events = parser.parse_bytes(line);
        let ended = parser.take_ended();
        self.print(events, ended)
    }

    fn end(&mut self) -> io::Result<()> {
        let (agent, request) = (self.agent, &self.request);
        let parser =
            self.parser.get_or_insert_with(|| StreamParser::new(agent, request, Transport::Print));
        let events = parser.finish(Exit::Code(0));
        let ended = parser.take_ended();
        self.print(events, ended)?;
        self.out.flush()
    }

    fn print(&mut self, events: Vec<Emitted>, ended: Vec<AttemptEnd>) -> io::Result<()> {
        for emitted in events {
            match self.format {
                Format::Events => self.record(emitted)?,
                Format::Harness => {
                    if let Some(event) = harness::event(self.agent, &emitted) {
                        self.object(&event)?;
                    }
                }
            }
        }
        for end in ended {
            match self.format {
                Format::Events => {
                    let event = Event::Result(result(end));
                    self.record(Emitted { event, parent_tool_id: None })?;
                }
                Format::Harness => {
                    if let Some(event) = harness::result(&end) {
                        self.object(&event)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn record(&mut self, emitted: Emitted) -> io::Result<()> {
        let mut record = Record::new("parse", emitted.event);
        (record.seq, record.attempt, record.ts) = (self.seq, 1, Timestamp::now());
        self.agent.name().clone_into(&mut record.agent);
        record.parent_tool_id = emitted.parent_tool_id;
        self.seq += 1;
        self.object(&record)
    }

    fn object(&mut self, object: &impl Serialize) -> io::Result<()> {
        // What the driver puts together may be a secret that the line did not show.
        self.out.write_all(&self.gate.whole(&serde_json::to_vec(object)?))?;
        self.out.write_all(b"\n")
    }
}

/// JSON-RPC and a server's events are spoken in dialogues only; everything else reads the same in both
/// transports.
fn transport(first_line: &[u8]) -> Transport {
    const SERVER_SENT: [&[u8]; 4] = [b":", b"data:", b"event:", b"id:"];
    let object = harness::parse_json(&String::from_utf8_lossy(first_line)).unwrap_or_default();
    let is_rpc = object.contains_key("method")
        || (object.contains_key("id") && object.contains_key("result"));
    let is_event = object.contains_key("properties")
        || SERVER_SENT.iter().any(|field| first_line.starts_with(field));
    if is_rpc || is_event { Transport::Dialogue } else { Transport::Print }
}

fn result(end: AttemptEnd) -> RunResult {
    RunResult {
        result: end.answer,
        is_error: end.failure.is_some(),
        usage: end.usage,
        failure: end.failure,
        session_id: end.session_id,
        model: end.model,
        structured: end.structured,
        denials: end.denials,
        ..RunResult::default()
    }
}
