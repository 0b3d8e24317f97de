//! The commands that belay runs for its agent, as far as the loop has to do with them.

use super::Attempt;
use crate::runner::terminals::Report;
use belay_agents::{Input, TerminalId, TerminalOrder};
use belay_trace::{Event, Level};
use tokio::time::Instant;

impl Attempt<'_> {
    pub(super) fn terminal(&mut self, id: TerminalId, order: TerminalOrder) {
        if order == TerminalOrder::Start {
            // The agent need not tell what it has run.
            self.runner.chain.may_do_unseen();
        }
        self.terminals.order(id, order, self.passed.as_ref(), self.ends_at);
    }

    /// Something has become of a terminal.
    pub(super) fn told(&mut self, report: &Report) {
        match report.news() {
            Some((id, news)) => self.input(Input::Terminal { id, news }),
            None => self.idle.progress(Instant::now()),
        }
    }

    /// The agent is gone, and its commands go with it.
    pub(super) fn end_terminals(&mut self) {
        let running = self.terminals.running();
        if !running.is_empty() && !self.is_stopping() {
            let words =
                format!("ended what the agent left open in terminals: {}", running.join("; "));
            self.runner.publisher.event(Event::notice(Level::Warn, "terminal", words));
        }
        self.terminals.kill();
    }
}
