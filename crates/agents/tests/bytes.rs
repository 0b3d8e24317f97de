//! Streams whose bytes are not what they should be, or are unusual: what stays readable is read.

use crate::answers::{answers, is_of_its_line, success};
use crate::count::{Count, Wrong, is_long};
use crate::recorded;
use crate::recorded::Recording;
use belay_agents::{Action, LineSplitter};

/// The stream as it comes from a pipe, in pieces of so many bytes.
fn in_pieces(stream: &[u8], bytes: usize) -> Vec<Vec<u8>> {
    let (mut splitter, mut lines) = (LineSplitter::new(usize::MAX), Vec::new());
    for piece in stream.chunks(bytes) {
        splitter.push(piece, |line| lines.push(line.bytes.to_vec()));
    }
    splitter.finish(|line| lines.push(line.bytes.to_vec()));
    lines
}

#[test]
fn line_ends_and_byte_order_marks_change_no_event() {
    let mut count = Count::of("line ends, byte order marks, pieces");
    let bom = b"\xef\xbb\xbf".as_slice();
    // Who reads server-sent events has taken line ends and the mark off before the driver sees their data.
    for recording in recorded::all().into_iter().filter(|one| one.answers.is_none()) {
        let lines = recording.lines();
        let whole = answers(&recording, &lines);
        let join = |before: &[u8], after: &[u8]| {
            let line = |line: &&[u8]| [before, *line, after].concat();
            lines.iter().map(line).collect::<Vec<_>>().join(&b'\n')
        };
        for (what, stream) in [
            ("CRLF", join(b"", b"\r")),
            ("a mark before each line", join(bom, b"")),
            ("a mark at the beginning", [bom, &join(b"", b"")].concat()),
            ("spaces around each line", join(b" \t", b"  ")),
            ("no line feed at the end", join(b"", b"")),
            ("a line feed at the end", [join(b"", b""), b"\n".to_vec()].concat()),
        ] {
            for bytes in [1, 7, 4096] {
                let about = || format!("{}: {what}, {bytes} bytes at once", recording.name);
                count.case(about, || {
                    let lines = in_pieces(&stream, bytes);
                    let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
                    let differs = answers(&recording, &lines) != whole;
                    Wrong { lost: usize::from(differs), ..Wrong::default() }
                });
            }
        }
    }
    count.done();
}

/// What a broken byte becomes: a bit of it, no UTF-8, a NUL, a bracket, a quote, a line feed.
const BROKEN: [fn(u8) -> u8; 6] = [|byte| byte ^ 1, |_| 0xff, |_| 0, |_| b'}', |_| b'"', |_| b'\n'];

/// Every so many bytes one is broken, in the tests of each change.
const STEP: usize = 401;

/// As [`STEP`], with full counts: at every byte it takes an hour.
const SHORT_STEP: usize = 29;

#[test]
fn a_broken_byte_costs_no_event_of_another_line() {
    let mut count = Count::of("bytes broken");
    let mut of_ids = Count::of("bytes of ids broken");
    for recording in recorded::all() {
        let lines = recording.lines();
        let whole = answers(&recording, &lines);
        let step = if is_long() { SHORT_STEP } else { STEP };
        for (at, which) in (recording.handshake()..recording.stdout.len())
            .step_by(step)
            .zip((0..BROKEN.len()).cycle())
        {
            let variants = if is_long() { 0..BROKEN.len() } else { which..which + 1 };
            for variant in variants {
                let about = || format!("{}, byte {at}, variant {variant}", recording.name);
                let broken = || wrong_with_byte(&recording, &whole, at, BROKEN[variant]);
                if is_in_id(&recording.stdout, at) {
                    // What other lines say of it cannot be told from what they say of something else.
                    of_ids.case(about, || Wrong { lost: 0, ..broken() });
                } else {
                    count.case(about, broken);
                }
            }
        }
    }
    count.done();
    of_ids.done();
}

/// True if the byte belongs to the value of a field like `threadId`.
fn is_in_id(stream: &[u8], at: usize) -> bool {
    let line = stream[..at].rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|byte| *byte == b'"').collect();
    matches!(words[..], [.., key, b":", _] if key.to_ascii_lowercase().ends_with(b"id"))
}

/// Breaks one byte. A line feed there makes two lines of one, and one at a line's end one of two.
fn wrong_with_byte(
    recording: &Recording,
    whole: &[Vec<Action>],
    at: usize,
    broken: fn(u8) -> u8,
) -> Wrong {
    let mut stream = recording.stdout.clone();
    let line = stream[..at].iter().filter(|byte| **byte == b'\n').count();
    let was = stream[at];
    stream[at] = broken(was);
    let lines = recorded::lines(&stream);
    let said = answers(recording, &lines);
    // How many lines the broken one has become, and how many it was.
    let (now, before) = match (was == b'\n', stream[at] == b'\n') {
        (false, true) => (2, 1),
        (true, false) => (1, 2),
        _ => (1, 1),
    };
    let ends = |answers: &[Vec<Action>]| {
        answers.iter().flatten().filter(|a| success(a) == Some(true)).count()
    };
    let after = said.iter().skip(line + now);
    let lost = whole
        .iter()
        .skip(line + before)
        .zip(after)
        .filter(|(whole, said)| whole.iter().any(is_of_its_line) && said.is_empty())
        .count();
    Wrong { false_successes: ends(&said).saturating_sub(ends(whole)), lost }
}
