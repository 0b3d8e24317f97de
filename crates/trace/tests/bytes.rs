//! Files that are not as belay wrote them: cut, broken, or made by somebody else.

use belay_trace::journal::{EVENTS_FILE, Frame, Frames, InputKind, RUNS_DIR};
use belay_trace::{Event, Record, Store, Unknown, read_file};
use std::fs;
use std::path::PathBuf;

const GOLDEN: &str = include_str!("records.golden.jsonl");

/// Every so many bytes the file is cut or broken: a prime, so that it meets every part of a record.
const STEP: usize = 19;

/// A folder of this test alone, gone when it ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("belay-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join(RUNS_DIR).join("r")).unwrap();
        Self(folder)
    }

    /// What the store reads of such a file.
    fn records(&self, events: &[u8]) -> Vec<Record> {
        fs::write(self.0.join(RUNS_DIR).join("r").join(EVENTS_FILE), events).unwrap();
        let run = Store::new(&self.0).find("r").unwrap();
        run.summary().unwrap();
        run.records().unwrap().collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn golden() -> Vec<Record> {
    GOLDEN.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn events_cut_anywhere_give_every_record_that_is_whole() {
    let (scratch, records) = (Scratch::new("cut"), golden());
    for cut in (0..=GOLDEN.len()).step_by(STEP) {
        let events = &GOLDEN.as_bytes()[..cut];
        let read = scratch.records(events);
        let feeds = events.iter().filter(|byte| **byte == b'\n').count();
        // A last line without its line feed may be whole.
        assert!(read.len() >= feeds && records.starts_with(&read), "cut at {cut}");
    }
}

#[test]
fn a_line_that_is_no_record_costs_no_other_one() {
    let (scratch, records) = (Scratch::new("garbage"), golden());
    let deep = format!(r#"{{"v":1,"x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let open = r#"{"a":"#.repeat(10_000);
    for garbage in
        [&b""[..], b"\r", b"\0\0\0", b"\xff\xfe", b"null", b"{}", deep.as_bytes(), open.as_bytes()]
    {
        let mut events = Vec::new();
        for line in GOLDEN.lines() {
            events.extend_from_slice(garbage);
            events.push(b'\n');
            // Somebody has opened and saved the file with an editor.
            events.extend(format!("{line}\r\n").into_bytes());
        }
        assert_eq!(scratch.records(&events), records, "{garbage:.40?}");
    }
}

#[test]
fn a_broken_byte_costs_one_record_or_two() {
    let (scratch, records) = (Scratch::new("broken"), golden());
    for at in (0..GOLDEN.len()).step_by(STEP) {
        for byte in [b'"', b'\n', 0xff] {
            let mut events = GOLDEN.as_bytes().to_vec();
            events[at] = byte;
            let read = scratch.records(&events);
            let kept = records.iter().filter(|record| read.contains(record)).count();
            // The line feed between two records belongs to both.
            assert!(kept + 2 >= records.len(), "byte {at} = {byte}");
        }
    }
}

#[test]
fn a_record_of_an_agents_deepest_line_is_read_back() {
    let line = "[".repeat(10_000);
    let record = Record::new("r", Event::Unknown(Unknown { line }));
    let events = format!("{}\n", serde_json::to_string(&record).unwrap());
    assert_eq!(Scratch::new("deep").records(events.as_bytes()), [record]);
}

#[test]
fn a_broken_byte_of_a_log_costs_no_frame_before_it() {
    let mut log = Vec::new();
    let mut ends = Vec::new();
    let stdout = |bytes| Frame { kind: InputKind::Stdout, at_us: 12, bytes };
    for frame in [stdout(b"{}"), stdout(b"a\nstdout 1 1\nb"), stdout(b""), stdout(b"\xff\0\r")] {
        frame.write(&mut log);
        ends.push(log.len());
    }
    let whole: Vec<Frame<'_>> = Frames::new(&log).collect();
    for at in 0..log.len() {
        for byte in 0..=u8::MAX {
            let mut broken = log.clone();
            broken[at] = byte;
            let mut frames = Frames::new(&broken);
            let read: Vec<Frame<'_>> = frames.by_ref().collect();
            let before = ends.iter().filter(|end| **end <= at).count();
            assert_eq!(read[..before], whole[..before], "byte {at} = {byte}");
            assert!(broken.ends_with(frames.rest()), "the rest is the end of the log");
        }
    }
}

#[test]
fn a_log_may_speak_of_any_length() {
    for head in [
        "stdout 0 18446744073709551615\n",
        "stdout 0 99999999999999999999\nx\n",
        "stdout 0 -1\nx\n",
    ] {
        let mut frames = Frames::new(head.as_bytes());
        assert_eq!((frames.next(), frames.rest()), (None, head.as_bytes()));
    }
}

#[test]
fn a_hostile_trace_file_is_refused_and_nothing_worse() {
    let scratch = Scratch::new("hostile");
    let path = scratch.0.join("trace.json");
    let deep = |depth: usize| {
        let (open, close) = (r#"{"id":"a","children":["#.repeat(depth), "]}".repeat(depth));
        format!("{open}{close}")
    };
    for (text, is_tree) in [
        (deep(60), true),
        (deep(1_000_000), false),
        ("[".repeat(1_000_000), false),
        (r#"{"id":"a","cost_usd":1e308,"duration_ms":-1}"#.to_owned(), true),
        (r#"{"id":"a","cost_usd":1e999}"#.to_owned(), false),
        (r#"{"id":"a","cost_usd":NaN}"#.to_owned(), false),
        (r#"{"id":"a","id":"b"}"#.to_owned(), false),
        (r#"{"id":"\ud800"}"#.to_owned(), false),
        (String::new(), false),
    ] {
        fs::write(&path, &text).unwrap();
        assert_eq!(read_file(&path).is_ok(), is_tree, "{text:.60}");
    }
}
