//! The caller's own handler and output, on a thread of their own: they may take their time.

use crate::Client;
use crate::client::{Handler, Output};
use crate::feed::{Feed, FeedReader, feed};
use belay_trace::{Event, Record};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use tokio::sync::oneshot;

/// Starts the thread of the client's handler and output, if it has one of them. Beside the feed comes what
/// resolves when they have seen everything that the feed was given.
pub(super) fn start(client: &Client) -> io::Result<Option<(Feed, oneshot::Receiver<()>)>> {
    let (mut handler, mut output) = (client.on_event.clone(), client.output.clone());
    if handler.is_none() && output.is_none() {
        return Ok(None);
    }
    let (feed, mut records): (Feed, FeedReader) = feed();
    let (done, seen) = oneshot::channel();
    thread::Builder::new().name("belay-handler".to_owned()).spawn(move || {
        while let Some(record) = records.next_blocking() {
            call_handler(&mut handler, &record);
            write_output(&mut output, &record);
        }
        // A run that was given up does not wait for us.
        let _ = done.send(());
    })?;
    Ok(Some((feed, seen)))
}

/// A handler that panics poisons its lock, and is thereby off for every run of the client.
fn call_handler(handler: &mut Option<Handler>, record: &Record) {
    let Some(shared) = handler else { return };
    let call = AssertUnwindSafe(|| match shared.lock() {
        Ok(mut handler) => {
            handler(record);
            true
        }
        Err(_) => false,
    });
    if !catch_unwind(call).unwrap_or(false) {
        *handler = None;
    }
}

/// Writes the text of the main conversation; an output that panics is off like a handler that does.
fn write_output(output: &mut Option<Output>, record: &Record) {
    let Some(shared) = output else { return };
    let Event::Text(text) = &record.event else { return };
    if record.parent_tool_id.is_some() {
        return;
    }
    let write = AssertUnwindSafe(|| match shared.lock() {
        Ok(mut output) => {
            output.write_all(text.text.as_bytes()).and_then(|()| output.flush()).is_ok()
        }
        Err(_) => false,
    });
    if !catch_unwind(write).unwrap_or(false) {
        *output = None;
    }
}
