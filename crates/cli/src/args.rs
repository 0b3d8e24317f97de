//! The command line: what was typed, nothing more.

use crate::command::{
    agents, breaker, completions, config, demo, doctor, handoff, interactive, logs, notify, parse,
    play, prune, replay, resume, run, runs, schema, show, steer, stop, trace,
};
use clap::{Parser, Subcommand};

/// A rope for coding agents: run any of them, get one stream of events, stop cleanly, keep the bill.
#[derive(Debug, Parser)]
#[command(name = "belay", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "\
Exit codes: 0 answered, 1 the agent failed, 2 wrong usage, 6 a limit was reached, \
69 no agent available, 75 limited, 78 login or configuration needed, 130 interrupted (docs/exit-codes.md).")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Box<run::Run>),
    Interactive(Box<interactive::Interactive>),
    Runs(runs::Runs),
    Show(show::Show),
    Logs(logs::Logs),
    Stop(stop::Stop),
    Steer(steer::Steer),
    Resume(Box<resume::Resume>),
    Handoff(handoff::Handoff),
    Replay(replay::Replay),
    Trace(trace::Trace),
    Prune(prune::Prune),
    Parse(parse::Parse),
    Agents(agents::Agents),
    Breaker(breaker::Breaker),
    Config(config::Config),
    Notify(notify::Notify),
    Demo(demo::Demo),
    Doctor(doctor::Doctor),
    Schema(schema::Schema),
    Completions(completions::Completions),
    #[command(name = play::NAME, hide = true)]
    Play(play::Play),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
