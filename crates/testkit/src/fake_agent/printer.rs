//! Stdout with a pace, garbage between its lines, and a place where it is cut.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use super::{Garbage, Pace, Play};

/// Prints the lines of the stream; `Break` says that the stream was cut and nothing more may come.
#[derive(Debug)]
pub(crate) struct Printer<'a> {
    pace: &'a Pace,
    garbage: &'a [Garbage],
    bytes_left: Option<u64>,
    lines: usize,
}

impl<'a> Printer<'a> {
    pub(crate) fn new(play: &'a Play) -> Self {
        Self { pace: &play.pace, garbage: &play.garbage, bytes_left: play.cut_at, lines: 0 }
    }

    /// Prints a line that has its newline already, or is the last and has none.
    pub(crate) fn print(&mut self, line: &[u8]) -> io::Result<ControlFlow<()>> {
        if self.print_garbage()?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        thread::sleep(self.gap());
        self.lines += 1;
        self.write(line)
    }

    /// Prints what comes after the last line.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.print_garbage().map(|_| ())
    }

    fn print_garbage(&mut self) -> io::Result<ControlFlow<()>> {
        let (garbage, lines) = (self.garbage, self.lines);
        for garbage in garbage.iter().filter(|garbage| garbage.after_line == lines) {
            if self.write(&garbage.bytes)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// How long to wait before the next line.
    fn gap(&self) -> Duration {
        if self.lines == 0 {
            return Duration::ZERO;
        }
        match self.pace {
            Pace::None => Duration::ZERO,
            Pace::FixedMs(ms) => Duration::from_millis(*ms),
            Pace::RecordedMs(times) => {
                let ms = match (times.get(self.lines - 1), times.get(self.lines)) {
                    (Some(before), Some(now)) => now - before,
                    _ => 0.0,
                };
                Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<ControlFlow<()>> {
        let wanted = bytes.len() as u64;
        let allowed = self.bytes_left.map_or(wanted, |left| left.min(wanted));
        let head = usize::try_from(allowed).expect("it is at most the length of a slice");
        let mut stdout = io::stdout().lock();
        stdout.write_all(&bytes[..head])?;
        stdout.flush()?;
        self.bytes_left = self.bytes_left.map(|left| left - allowed);
        Ok(if self.bytes_left == Some(0) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    }
}
