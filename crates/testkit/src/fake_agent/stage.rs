//! The play from its first act to its exit.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::dialogue::{self, Ended};
use super::log::{LogLine, LogWriter};
use super::place::play_path;
use super::printer::Printer;
use super::signals::{self, Caught};
use super::stdin::Stdin;
use super::{Exit, Pause, Play, Source, Until, WaitForStdin, grandchild, stop};

/// The client left the recorded dialogue.
const EXIT_ASTRAY: i32 = 97;
/// How often a play looks for a file that it waits for, and how long: a test that failed makes it no more.
const LOOK: Duration = Duration::from_millis(5);
const FILE_MAX: Duration = Duration::from_secs(300);
/// There is no play, or it cannot be played: the test is wrong, not the runner.
const EXIT_NO_PLAY: i32 = 98;

/// Plays what stands beside `argv[0]` and ends the process; this is all of `fake-agent`'s main.
pub fn perform(argv: Vec<OsString>) -> ! {
    match play(&argv) {
        Ok(code) => process::exit(code),
        Err(error) => {
            drop(writeln!(io::stderr(), "fake-agent: {error}"));
            process::exit(EXIT_NO_PLAY)
        }
    }
}

fn play(argv: &[OsString]) -> io::Result<i32> {
    if grandchild::slept(argv)? {
        return Ok(0);
    }
    let play = read_play(argv)?;
    let mut stage = Stage::enter(&play, argv)?;
    flood_stderr(play.stderr_flood)?;
    stage.wait_for_stdin(play.wait_for_stdin);
    let beside = thread::spawn(move || flood_stderr(play.stderr_beside));
    let ended = stage.play_source(&play)?;
    beside.join().expect("a flood does not panic")?;
    play.last_words.iter().try_for_each(|line| writeln!(io::stderr(), "{line}"))?;
    stage.log.write(&LogLine::Played);
    if let Ended::Astray(why) = ended {
        writeln!(io::stderr(), "fake-agent: {why}")?;
        return Ok(EXIT_ASTRAY);
    }
    thread::sleep(Duration::from_millis(play.linger_ms));
    match play.exit {
        Exit::Code(code) => Ok(code),
        Exit::Signal(signal) => Err(signals::die_of(signal)),
    }
}

/// What a play needs around it.
struct Stage {
    log: Arc<LogWriter>,
    stdin: Stdin,
    caught: Caught,
}

impl Stage {
    /// Signals first: whoever sees our log or our first line may send one.
    fn enter(play: &Play, argv: &[OsString]) -> io::Result<Self> {
        signals::ignore(&play.ignore)?;
        play.stops.iter().try_for_each(stop::listen)?;
        let mut caught = Caught::default();
        for pause in &play.pauses {
            match &pause.until {
                Until::Signal(signal) => caught.catch(*signal)?,
                Until::StdinLine(_) | Until::StdinEnd | Until::File(_) => {}
            }
        }
        let log = Arc::new(LogWriter::open(play.log.as_deref())?);
        log.write(&start_line(argv)?);
        for child in play.grandchild.map(Into::into).iter().chain(&play.children) {
            log.write(&LogLine::Grandchild { pid: grandchild::start(child)? });
        }
        let stdin = Stdin::open(Arc::clone(&log), play.stops.clone());
        Ok(Self { log, stdin, caught })
    }

    fn wait_for_stdin(&self, wait: WaitForStdin) {
        match wait {
            WaitForStdin::No => {}
            WaitForStdin::Line => drop(self.stdin.next_line()),
            WaitForStdin::Eof => while self.stdin.next_line().is_some() {},
        }
    }

    fn play_source(&mut self, play: &Play) -> io::Result<Ended> {
        let mut printer = Printer::new(play);
        let bytes = match &play.source {
            Source::Dialogue(path) => return dialogue::play(path, &self.stdin, &mut printer),
            Source::Lines(lines) => lines.iter().flat_map(|line| with_newline(line)).collect(),
            Source::File(path) => {
                fs::read(path).map_err(|error| named(error, "cannot read source", path))?
            }
        };
        self.play_lines(play, &bytes, &mut printer)?;
        Ok(Ended::AsPlayed)
    }

    /// Prints the lines until there are no more, or none may follow.
    fn play_lines(
        &mut self,
        play: &Play,
        bytes: &[u8],
        printer: &mut Printer<'_>,
    ) -> io::Result<()> {
        let mut played = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.pause_here(&play.pauses, played, printer)?.is_break() {
                return Ok(());
            }
            if printer.print(line)?.is_break() {
                return Ok(());
            }
            played += 1;
        }
        if self.pause_here(&play.pauses, played, printer)?.is_break() {
            return Ok(());
        }
        printer.finish()
    }

    /// Waits if there is a pause here; `Break` when nothing of the source may follow.
    fn pause_here(
        &mut self,
        pauses: &[Pause],
        played: usize,
        printer: &mut Printer<'_>,
    ) -> io::Result<ControlFlow<()>> {
        for pause in pauses.iter().filter(|pause| pause.after_line == played) {
            self.wait(&pause.until);
            for line in &pause.then {
                if printer.print(&with_newline(line))?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            if !pause.resume {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn wait(&mut self, until: &Until) {
        match until {
            Until::Signal(signal) => self.caught.wait(*signal),
            Until::StdinLine(marker) => {
                while self.stdin.next_line().is_some_and(|line| !line.contains(marker)) {}
            }
            Until::StdinEnd => while self.stdin.next_line().is_some() {},
            Until::File(path) => {
                let since = Instant::now();
                while !path.exists() && since.elapsed() < FILE_MAX {
                    thread::sleep(LOOK);
                }
            }
        }
    }
}

fn read_play(argv: &[OsString]) -> io::Result<Play> {
    let program = argv.first().map(PathBuf::from).unwrap_or_default();
    let path = play_path(&located(&program));
    let bytes = fs::read(&path).map_err(|error| named(error, "cannot read play", &path))?;
    serde_json::from_slice(&bytes).map_err(|error| named(error.into(), "cannot read play", &path))
}

/// Where a program that was found through PATH lies; others name their place themselves.
fn located(program: &Path) -> PathBuf {
    if program.components().count() > 1 {
        return program.to_owned();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).map(|folder| folder.join(program));
    places.into_iter().find(|place| place.is_file()).unwrap_or_else(|| program.to_owned())
}

fn start_line(argv: &[OsString]) -> io::Result<LogLine> {
    let text = |word: OsString| word.to_string_lossy().into_owned();
    Ok(LogLine::Start {
        pid: process::id(),
        argv: argv.iter().skip(1).cloned().map(text).collect(),
        env: std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect(),
        // The log is text.
        cwd: text(std::env::current_dir()?.into_os_string()).into(),
    })
}

fn flood_stderr(mut bytes: u64) -> io::Result<()> {
    let line = [[b'!'; 79].as_slice(), b"\n"].concat();
    let mut stderr = io::stderr().lock();
    while bytes > 0 {
        let n = bytes.min(line.len() as u64);
        stderr.write_all(&line[line.len() - usize::try_from(n).expect("at most a line")..])?;
        bytes -= n;
    }
    Ok(())
}

fn with_newline(line: &str) -> Vec<u8> {
    [line.as_bytes(), b"\n"].concat()
}

fn named(error: io::Error, what: &str, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {}: {error}", path.display()))
}
