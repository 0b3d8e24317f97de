//! belay: a rope for coding agents.
// A closed terminal makes these panic: `say` and `closed_pipe_is_fine` do not.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod byte_order_mark;
mod command;
mod config;
mod fail;
mod figures;
mod fit;
mod memory;
mod notify;
mod page;
mod runtime;
mod say;
mod stored;
mod surroundings;
mod table;
mod terminal;
mod view;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    belaykit::init();
    if let Err(failure) = memory::fit_into_limit() {
        return failure.report();
    }
    // What an agent has started comes to us when both its supervisors are killed.
    belaykit_supervise::adopt_orphans();
    let arguments = match args::Cli::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return fail::usage(&error),
    };
    stored::remove_left_private_files();
    match command::dispatch(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(),
    }
}
