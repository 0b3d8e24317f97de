//! harness-example, ported: `cargo run -p belaykit --example harness -- --provider codex "Explain ownership"`.
//!
//! Prints the one-shot command (`--print-cmd`), the interactive arguments (`--print-args`), or runs the agent
//! and prints its events in the seed's JSON. `belay run`, `belay run --dry-run` and `belay parse` do the same.

use belay_agents::{Candidate, Effort, Emitted, RunRequest, harness};
use belaykit::{Client, Event};
use std::env;
use std::error::Error;

#[derive(Default)]
struct Options {
    provider: Option<Candidate>,
    model: Option<String>,
    effort: Option<Effort>,
    print_cmd: bool,
    print_args: bool,
    prompt: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    belaykit::init();
    let options = parse(env::args().skip(1))?;
    let candidate = options.provider.map_or_else(|| "claude-code".parse(), Ok)?;
    let mut request = RunRequest::new(options.prompt);
    request.model = options.model;
    request.effort = options.effort;

    if options.print_cmd {
        println!("{}", candidate.agent.print_command(&request)?);
        return Ok(());
    }
    if options.print_args {
        candidate.agent.interactive_args(&request)?.iter().for_each(|arg| println!("{arg}"));
        return Ok(());
    }
    let agent = candidate.agent.clone();
    let client = Client::of(candidate.agent).env(env::vars_os()).on_event(move |record| {
        let parent_tool_id = record.parent_tool_id.clone();
        let emitted = Emitted { event: record.event.clone(), parent_tool_id };
        if let Some(event) = harness::event(agent.as_ref(), &emitted) {
            println!("{}", serde_json::json!(event));
        } else if let Event::Result(result) = &record.event {
            harness::run_result(result)
                .iter()
                .for_each(|event| println!("{}", serde_json::json!(event)));
        }
    });
    belaykit::blocking::run(&client, request)?;
    Ok(())
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, Box<dyn Error>> {
    let mut options = Options::default();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--provider" => options.provider = Some(value()?.parse()?),
            "--model" => options.model = Some(value()?),
            "--effort" => options.effort = Some(value()?.parse()?),
            "--print-cmd" => options.print_cmd = true,
            "--print-args" => options.print_args = true,
            _ => options.prompt = arg,
        }
    }
    Ok(options)
}
