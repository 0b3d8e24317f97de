//! What a command has printed and nobody has read yet: its last part, without secrets.

use crate::limits;
use crate::redact::{Gate, Passed, Redactor};
use belay_agents::{Line, LineSplitter, keep_last_bytes};
use belaykit_supervise::Output;
use tokio::time::Instant;

/// The unread output of one command, of both its pipes in the order of their lines.
#[derive(Debug)]
pub(super) struct Printed {
    pipes: [Pipe; 2],
    text: Text,
    /// Something was left out at its end.
    is_cut: bool,
    /// The line that was printed last when the command got on last, and when that was.
    got_on: Option<(Vec<u8>, Instant)>,
}

/// One of its pipes.
#[derive(Debug)]
struct Pipe {
    lines: LineSplitter,
    gate: Gate,
}

#[derive(Debug)]
struct Text {
    text: String,
    bytes_max: usize,
    has_gap: bool,
}

impl Printed {
    pub(super) fn new(redactor: &Redactor, bytes_max: usize) -> Self {
        let pipe = || Pipe {
            lines: LineSplitter::new(limits::TERMINAL_LINE_BYTES_MAX),
            gate: Gate::new(redactor.clone()),
        };
        let text = Text { text: String::new(), bytes_max, has_gap: false };
        Self { pipes: [pipe(), pipe()], text, is_cut: false, got_on: None }
    }

    /// Takes a piece of a pipe. True if the command gets on: it prints something else than when it did so last.
    pub(super) fn take(&mut self, piece: Output) -> bool {
        let (n, bytes) = match piece {
            Output::Stdout(bytes) => (0, bytes),
            Output::Stderr(bytes) => (1, bytes),
            Output::StdoutEnd | Output::StderrEnd => return false,
        };
        let (Pipe { lines, gate }, text) = (&mut self.pipes[n], &mut self.text);
        lines.push(&bytes, |line| text.line(line, gate));
        self.gets_on(&bytes)
    }

    /// Leaves out a piece: what is kept ends before it.
    pub(super) fn skip(&mut self, piece: &Output) {
        self.is_cut |= matches!(piece, Output::Stdout(_) | Output::Stderr(_));
    }

    fn gets_on(&mut self, bytes: &[u8]) -> bool {
        let now = Instant::now();
        let last = bytes.trim_ascii_end();
        let from = memchr::memrchr2(b'\n', b'\r', last).map_or(0, |at| at + 1);
        let last = &last[from..];
        let is_news = match &self.got_on {
            Some((line, at)) => now >= *at + limits::TERMINAL_PROGRESS && line != last,
            None => true,
        };
        if is_news {
            self.got_on = Some((last.to_vec(), now));
        }
        is_news
    }

    /// When something has been held for long enough that may be the beginning of a secret.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pipes.iter().filter_map(|pipe| pipe.gate.deadline()).min()
    }

    /// Lets through what was held for long enough.
    pub(super) fn late(&mut self) {
        let now = Instant::now();
        for Pipe { gate, .. } in &mut self.pipes {
            if gate.deadline().is_some_and(|at| at <= now) {
                self.text.passed(gate.late());
            }
        }
    }

    /// Nothing more is printed: a last line may have no end.
    pub(super) fn finish(&mut self) {
        for Pipe { lines, gate } in &mut self.pipes {
            let mut is_open = false;
            lines.finish(|line| {
                // Half a line may be half a secret.
                if self.is_cut {
                    return;
                }
                is_open = true;
                self.text.line(line, gate);
            });
            self.text.passed(gate.finish());
            if is_open {
                self.text.text.pop();
            }
        }
    }

    /// What was printed since the last time, and whether more was printed before it than is kept.
    pub(super) fn read(&mut self) -> (String, bool) {
        self.text.cut();
        (std::mem::take(&mut self.text.text), std::mem::take(&mut self.text.has_gap))
    }
}

impl Text {
    fn line(&mut self, line: Line<'_>, gate: &mut Gate) {
        if line.cut > 0 {
            // What of it is a secret cannot be told.
            let bytes = line.bytes.len() as u64 + line.cut;
            return self.add(format!("[a line of {bytes} bytes is left out]").as_bytes());
        }
        match gate.push(line.bytes) {
            None => self.add(line.bytes),
            Some(passed) => self.passed(passed),
        }
    }

    fn passed(&mut self, passed: Vec<Passed>) {
        passed.iter().for_each(|passed| self.add(&passed.line));
    }

    fn add(&mut self, line: &[u8]) {
        self.text.push_str(&String::from_utf8_lossy(line));
        self.text.push('\n');
        // Not with each line: what is kept would be moved each time.
        if self.text.len() / 2 > self.bytes_max.max(limits::READ_BYTES) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.has_gap |= keep_last_bytes(&mut self.text, self.bytes_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(bytes_max: usize) -> Printed {
        let secret = [("API_TOKEN".into(), "hunter2-hunter2-hunter2".into())];
        let env = crate::Environment::new(secret);
        Printed::new(&Redactor::new(&crate::Redaction::default(), &env, None), bytes_max)
    }

    fn stdout(text: &str) -> Output {
        Output::Stdout(text.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn lines_are_read_once_and_a_last_line_without_its_end_at_the_end() {
        let mut printed = printed(100);
        printed.take(stdout("a\nb"));
        assert_eq!(printed.read(), ("a\n".to_owned(), false));
        printed.take(Output::Stderr(b"e\n".to_vec()));
        printed.finish();
        assert_eq!(printed.read(), ("e\nb".to_owned(), false));
        assert_eq!(printed.read(), (String::new(), false));
    }

    #[tokio::test]
    async fn a_flood_costs_what_is_kept() {
        let mut printed = printed(10);
        for n in 0..200_000 {
            printed.take(stdout(&format!("{n}\n")));
            assert!(printed.text.text.len() < 4 * limits::READ_BYTES);
        }
        assert_eq!(printed.read(), ("98\n199999\n".to_owned(), true));
    }

    #[tokio::test]
    async fn what_is_left_out_leaves_no_half_of_a_secret() {
        let mut printed = printed(1000);
        printed.take(stdout("one\ntoken=hunter2-hun"));
        printed.skip(&stdout("ter2-hunter2\n"));
        printed.finish();
        let (text, _) = printed.read();
        assert_eq!(text, "one\n");
    }

    #[tokio::test]
    async fn secrets_are_taken_out_also_in_pieces() {
        let mut printed = printed(1000);
        printed.take(stdout("token=hunter2-hun"));
        printed.take(stdout("ter2-hunter2\n"));
        printed.take(Output::Stderr(b"hunter2-hunter2-hunter2".to_vec()));
        printed.finish();
        let (text, _) = printed.read();
        assert!(!text.contains("hunter2-hunter2"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_line_again_is_no_progress() {
        let mut printed = printed(1000);
        assert!(printed.take(stdout("a\n")));
        assert!(!printed.take(stdout("b\n")));
        tokio::time::advance(limits::TERMINAL_PROGRESS).await;
        assert!(!printed.take(stdout("x\na\n")));
        assert!(printed.take(stdout("10%\r20%")));
    }
}
