use super::*;
use belay_trace::{Json, Level, Text, ToolCall};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

/// A journal and where its lines stand.
struct Written {
    file: Arc<File>,
    len: u64,
}

impl Written {
    fn new() -> (Self, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let file = OpenOptions::new().create_new(true).read(true).append(true).open(path).unwrap();
        (Self { file: Arc::new(file), len: 0 }, dir)
    }

    fn write(&mut self, records: &[Arc<Record>]) -> Stored {
        let (from, mut ends, mut text) = (self.len, Vec::new(), Vec::new());
        for record in records {
            serde_json::to_writer(&mut text, record.as_ref()).unwrap();
            text.push(b'\n');
            ends.push(from + text.len() as u64);
        }
        (&*self.file).write_all(&text).unwrap();
        self.len += text.len() as u64;
        Stored { events: Arc::clone(&self.file), folder: Path::new("").into(), from, ends }
    }
}

fn record(seq: u64, event: Event) -> Arc<Record> {
    Arc::new(Record {
        seq,
        ts: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        ..Record::new("r", event)
    })
}

fn text(seq: u64, len: usize) -> Arc<Record> {
    record(seq, Event::Text(Text { text: "ä".repeat(len / 2), message_id: None }))
}

/// What serde would write again differently if it decoded it.
fn odd(seq: u64) -> Arc<Record> {
    let args = Json::parse(r#"{ "z":1.00,"a":1e2, "u":"\u00e9\u2028" }"#).unwrap();
    record(seq, Event::ToolCall(ToolCall { args, ..ToolCall::default() }))
}

fn lines<'a>(records: impl IntoIterator<Item = &'a Arc<Record>>) -> Vec<String> {
    records.into_iter().map(|record| serde_json::to_string(record.as_ref()).unwrap()).collect()
}

async fn next(reader: &mut FeedReader) -> Option<Arc<Record>> {
    std::future::poll_fn(|cx| reader.poll_next(cx)).await
}

/// Far more than fits into the queue, by number and by size.
fn many() -> Vec<Arc<Record>> {
    let n = FEED_RECORDS_MAX as u64 * 3;
    let size = |seq| if seq % 512 == 511 { FEED_BYTES_MAX / 4 } else { 200 };
    (0..n).map(|seq| if seq % 7 == 0 { odd(seq) } else { text(seq, size(seq)) }).collect()
}

#[tokio::test]
async fn what_does_not_fit_into_memory_comes_from_the_journal_in_order_and_byte_for_byte() {
    let (mut journal, _dir) = Written::new();
    let (feed, mut reader) = feed();
    let all = many();
    for batch in all.chunks(10) {
        feed.push(batch, Some(&journal.write(batch)));
    }
    {
        let state = feed.shared.lock();
        assert!(
            state.held <= FEED_RECORDS_MAX && state.bytes < FEED_BYTES_MAX + FEED_BYTES_MAX / 2
        );
        assert!(state.queue.len() <= 2 * FEED_RECORDS_MAX + 1);
    }
    drop(feed);
    let mut read = Vec::new();
    while let Some(record) = next(&mut reader).await {
        read.push(record);
    }
    assert_eq!(lines(&read), lines(&all));
}

#[tokio::test]
async fn a_reader_that_falls_behind_again_and_again_loses_nothing() {
    let (mut journal, _dir) = Written::new();
    let (feed, mut reader) = feed();
    let all = many();
    let thread = std::thread::spawn(move || {
        let mut read = Vec::new();
        while let Some(record) = reader.next_blocking() {
            if read.len() % 1000 == 0 {
                std::thread::yield_now();
            }
            read.push(record);
        }
        read
    });
    for batch in all.chunks(3) {
        feed.push(batch, Some(&journal.write(batch)));
    }
    drop(feed);
    assert_eq!(lines(&thread.join().unwrap()), lines(&all));
}

#[tokio::test]
async fn what_stands_in_no_journal_is_kept_and_comes_behind_what_does() {
    let (mut journal, _dir) = Written::new();
    let (feed, mut reader) = feed();
    let all = many();
    let (first, second) = all.split_at(all.len() / 2);
    feed.push(first, Some(&journal.write(first)));
    feed.push(second, None);
    drop(feed);
    let mut read = Vec::new();
    while let Some(record) = next(&mut reader).await {
        read.push(record);
    }
    assert_eq!(lines(&read), lines(&all));
}

#[tokio::test]
async fn what_cannot_be_read_again_is_said_in_its_place() {
    let (mut journal, _dir) = Written::new();
    let (feed, mut reader) = feed();
    let notice = |seq| record(seq, Event::notice(Level::Info, "n", "x".repeat(FEED_BYTES_MAX / 2)));
    let all: Vec<_> = (0..5).map(notice).collect();
    feed.push(&all, Some(&journal.write(&all)));
    drop(feed);
    journal.file.set_len(journal.len - 1).unwrap();
    let mut names = Vec::new();
    while let Some(record) = reader.next_blocking() {
        names.push((record.seq, record.event.type_name()));
    }
    let first = names[0];
    assert_eq!(first, (0, "notice"));
    assert_eq!(names.last().unwrap().1, "log_degraded", "{names:?}");
}

#[tokio::test]
async fn nothing_is_kept_for_a_reader_that_is_gone() {
    let (feed, reader) = feed();
    feed.push(&[text(0, 10)], None);
    drop(reader);
    feed.push(&[text(1, 10)], None);
    assert!(feed.shared.lock().queue.is_empty());
}

#[test]
fn a_stream_can_be_read_to_its_end_when_its_runtime_is_gone() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut journal, _dir) = Written::new();
    let all = many();
    let mut reader = runtime.block_on(async {
        let (feed, reader) = feed();
        feed.push(&all, Some(&journal.write(&all)));
        reader
    });
    drop(runtime);
    let mut read = Vec::new();
    let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
    while let Some(record) = other.block_on(next(&mut reader)) {
        read.push(record);
    }
    assert_eq!(lines(&read), lines(&all));
}
