//! The verbs, one file each.

pub(crate) mod agents;
pub(crate) mod breaker;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod handoff;
pub(crate) mod interactive;
pub(crate) mod logs;
pub(crate) mod notify;
pub(crate) mod parse;
pub(crate) mod play;
pub(crate) mod prune;
pub(crate) mod replay;
pub(crate) mod resume;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod schema;
pub(crate) mod show;
pub(crate) mod steer;
pub(crate) mod stop;
pub(crate) mod trace;

use crate::args::{Cli, Command};
use crate::fail::Fail;

/// Carries a command out; the number is the exit code.
pub(crate) fn dispatch(cli: Cli) -> Result<u8, Fail> {
    match cli.command {
        Command::Run(run) => run.run(),
        Command::Interactive(interactive) => interactive.run(),
        Command::Runs(runs) => runs.run(),
        Command::Show(show) => show.run(),
        Command::Logs(logs) => logs.run(),
        Command::Stop(stop) => stop.run(),
        Command::Steer(steer) => steer.run(),
        Command::Resume(resume) => resume.run(),
        Command::Handoff(handoff) => handoff.run(),
        Command::Replay(replay) => replay.run(),
        Command::Trace(trace) => trace.run(),
        Command::Prune(prune) => prune.run(),
        Command::Parse(parse) => parse.run(),
        Command::Agents(agents) => agents.run(),
        Command::Breaker(breaker) => breaker.run(),
        Command::Config(config) => config.run(),
        Command::Notify(notify) => notify.run(),
        Command::Demo(demo) => demo.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Schema(schema) => schema.run(),
        Command::Completions(completions) => completions.run(),
        Command::Play(play) => play.run(),
    }
}
