//! A line of an agent, which may hold more than one clean object.
//!
//! Whatever runs around an agent writes to the same output, and not always with a line feed: terminal titles and
//! bracketed paste of a shell, the words of a wrapper or of a debugger, half a line of a process that was killed. So
//! two objects can share a line, and words can stand before, between and behind them.
//!
//! The objects are read, and the rest is told as a notice. What shares its line may also be quoted there, so it has
//! to be believed first:
//!
//! * An object at the line's beginning, with nothing but objects behind it, is read as ever. Blanks and escape
//!   sequences count for nothing.
//! * Any other is read only if the driver calls it a message of this stream ([`Claim`]).
//! * One behind other things that ends a turn is read only if nothing but objects follows on its line and no quote is
//!   open before it ([`Quotes`]). The others on its line are read all the same.
//!
//! An answer of JSON-RPC that ends a turn is no exception, although it carries the number of a request that is open.
//! Such numbers can be guessed: drivers count from 1, because the same inputs give the same events and nothing random
//! may come in, and a log of the conversation, quoted in a sentence, has the very number. So words on both sides make
//! it a quotation, whatever it says.
//!
//! An end that is not believed is not forgotten either ([`Doubt`]): where the agent is silent behind it, the turn ends as a
//! failure that shows the line. It is never an answer.

mod doubt;
mod escape;
mod pieces;
mod quotes;

use crate::lines;
use crate::protocol::{Action, Emitted, Out};
use crate::wire::{decode, without_lone_surrogates};
use belay_trace::{Event, Level, Unknown};
use pieces::{Kind, Piece, Pieces, is_blank};
use quotes::Quotes;
use serde::Deserialize;

pub(crate) use doubt::Doubt;
pub(crate) use escape::without_escapes;

/// Reads the objects of a stream.
pub(crate) trait Objects {
    /// Reads an object; `None` if it is of no kind that the driver knows, and then nothing was done.
    fn read(&mut self, object: &str, out: &mut Out) -> Option<()>;

    /// Says what an object that shares its line is to this stream. An object that [`read`](Self::read) would not know
    /// may claim anything.
    fn claim(&self, object: &str) -> Claim;

    /// Where an end is kept that was not believed. A driver whose agent does not exit by itself ends the turn at its
    /// timer, and each explains an exit by it.
    fn doubt(&mut self) -> &mut Doubt;
}

/// What an object is to the stream in which it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// No message of this stream: another session's, an answer that nobody waits for, the end of a turn that is over.
    Foreign,
    /// A message of this stream.
    Message,
    /// A message of this stream that ends its turn.
    End,
}

impl Claim {
    /// A message, if it is one of this stream.
    pub(crate) fn message_if(is_ours: bool) -> Self {
        if is_ours { Self::Message } else { Self::Foreign }
    }

    /// The end of a turn, if it is that of this stream.
    pub(crate) fn end_if(is_ours: bool) -> Self {
        if is_ours { Self::End } else { Self::Foreign }
    }
}

/// Reads one line of an agent that prints JSON objects.
///
/// What is no object becomes a notice, for programs print warnings, and an object at the line's beginning that the
/// driver does not know an unknown event: nothing vanishes.
pub(crate) fn read_line(line: &[u8], out: &mut Out, driver: &mut impl Objects) {
    let text = lines::text(line);
    // Without this check serde would take `["result"]` for an object whose fields come in order.
    let is_object = text.trim_start().starts_with('{');
    let at = out.actions.len();
    if is_object && driver.read(&without_lone_surrogates(&text), out).is_some() {
        driver.doubt().hear(&out.actions[at..]);
        return;
    }
    Mixed { text: &text, is_refused: is_object, told: 0 }.read(out, driver);
}

/// Decodes the records of one line of a session file: one, or the whole ones among those that share a line since a
/// process was killed while it wrote.
pub(crate) fn decode_each<'a, T: Deserialize<'a>>(line: &'a str, mut each: impl FnMut(T)) {
    match decode(line) {
        Some(record) => each(record),
        None => {
            let objects = Pieces::of(line).filter(|piece| piece.kind == Kind::Object);
            let objects = objects.map(|object| object.of(line));
            // The whole line may be another kind of record.
            let len = line.trim().len();
            let parts = objects.filter(|object| object.len() < len);
            parts.filter_map(decode).for_each(each);
        }
    }
}

/// The object that a line holds, if there are only blanks and escape sequences around it.
pub(crate) fn only_object(line: &str) -> Option<&str> {
    let counts = |piece: &Piece| !matches!(piece.kind, Kind::Blank | Kind::Escape);
    let mut pieces = Pieces::of(line).filter(counts);
    let object = pieces.next().filter(|piece| piece.kind == Kind::Object)?;
    pieces.next().is_none().then(|| object.of(line))
}

/// A line that is not one known object.
struct Mixed<'a> {
    text: &'a str,
    /// The driver has been given the whole line, and did not know it.
    is_refused: bool,
    /// Up to here everything was read, or told.
    told: usize,
}

/// Where an object stands on its line.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// There is nothing before it.
    leads: bool,
    /// A quote is open before it.
    is_quoted: bool,
    /// There are words behind it.
    is_followed: bool,
}

impl Place {
    /// True if an object here is no less than a line of its own.
    fn is_clean(self) -> bool {
        self.leads && !self.is_followed
    }

    fn admits(self, claim: Claim) -> bool {
        match claim {
            Claim::Foreign => false,
            Claim::Message => true,
            Claim::End => self.leads || !(self.is_quoted || self.is_followed),
        }
    }
}

impl Mixed<'_> {
    fn read(mut self, out: &mut Out, driver: &mut impl Objects) {
        let is_words = |piece: &Piece| piece.kind == Kind::Words;
        let last_words = Pieces::of(self.text).filter(is_words).last().map(|words| words.start);
        let (mut quotes, mut first, mut has_objects) = (Quotes::default(), None, false);
        for piece in Pieces::of(self.text) {
            match piece.kind {
                Kind::Blank | Kind::Escape => continue,
                Kind::Words => quotes.read(piece.of(self.text)),
                Kind::Object => {
                    let place = Place {
                        leads: first.is_none(),
                        is_quoted: quotes.is_open(),
                        is_followed: last_words.is_some_and(|words| words > piece.start),
                    };
                    self.object(piece, place, out, driver);
                    has_objects = true;
                }
            }
            first.get_or_insert(piece);
        }
        self.finish(first.filter(|_| !has_objects), out);
    }

    fn object(&mut self, piece: Piece, place: Place, out: &mut Out, driver: &mut impl Objects) {
        let object = piece.of(self.text);
        let at = out.actions.len();
        let event = match self.tell(object, place, out, driver) {
            Told::Known => {
                driver.doubt().hear(&out.actions[at..]);
                None
            }
            Told::Unknown if place.leads => Some(unknown(object)),
            Told::Doubted => return driver.doubt().raise(self.text, out),
            Told::Unknown | Told::NotBelieved => return,
        };
        let words = self.take(piece.start, piece.end);
        // What stands before the object is told before what it says.
        let before = words.into_iter().chain(event);
        let before = before.map(|event| Action::Emit(Emitted { event, parent_tool_id: None }));
        out.actions.splice(at..at, before);
    }

    /// Has the driver read an object, if it is to be believed.
    fn tell(&self, object: &str, place: Place, out: &mut Out, driver: &mut impl Objects) -> Told {
        if self.is_refused && place.leads && object.len() == self.text.trim().len() {
            return Told::Unknown;
        }
        let object = without_lone_surrogates(object);
        if !place.is_clean() {
            match driver.claim(&object) {
                claim if place.admits(claim) => {}
                Claim::End => return Told::Doubted,
                Claim::Foreign | Claim::Message => return Told::NotBelieved,
            }
        }
        match driver.read(&object, out) {
            Some(()) => Told::Known,
            None => Told::Unknown,
        }
    }

    /// What is left behind the last object, or all of a line without objects, of which this is the first piece.
    fn finish(mut self, words: Option<Piece>, out: &mut Out) {
        let event = match words {
            // An object that breaks off.
            Some(words) if words.of(self.text).starts_with('{') => Some(unknown(self.text)),
            _ => self.take(self.text.len(), self.text.len()),
        };
        event.into_iter().for_each(|event| out.event(event));
    }

    /// A notice of what was not told up to `start`; all is told up to `end` then.
    fn take(&mut self, start: usize, end: usize) -> Option<Event> {
        let rest = &self.text[self.told..start];
        let is_behind = self.told > 0;
        self.told = end;
        let shown = without_escapes(rest);
        let shown = shown.trim_end();
        let shown = if is_behind { shown.trim_start() } else { shown };
        if shown.chars().all(is_blank) {
            // Nothing that anybody would want to read, and nothing that may vanish.
            let words = "control sequences for a terminal";
            return (!rest.trim().is_empty()).then(|| Event::notice(Level::Debug, "stdout", words));
        }
        Some(Event::notice(Level::Warn, "stdout", shown))
    }
}

/// What became of an object.
enum Told {
    Known,
    Unknown,
    /// It may be no message of this stream.
    NotBelieved,
    /// It would end the turn, and may be quoted.
    Doubted,
}

fn unknown(line: &str) -> Event {
    Event::Unknown(Unknown { line: line.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Knows objects of the type `known`, and believes those that say so.
    #[derive(Default)]
    struct Reader(Vec<String>, Doubt);

    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
        #[serde(default)]
        ours: bool,
    }

    impl Objects for Reader {
        fn read(&mut self, object: &str, _: &mut Out) -> Option<()> {
            let head: Head<'_> = decode(object)?;
            self.0.push(head.kind.to_owned());
            (head.kind != "news").then_some(())
        }

        fn claim(&self, object: &str) -> Claim {
            let Some(head) = decode::<Head<'_>>(object) else { return Claim::Foreign };
            if head.kind == "end" { Claim::end_if(head.ours) } else { Claim::message_if(head.ours) }
        }

        fn doubt(&mut self) -> &mut Doubt {
            &mut self.1
        }
    }

    const MESSAGE: &str = r#"{"type":"message","ours":true}"#;
    const END: &str = r#"{"type":"end","ours":true}"#;
    const FOREIGN: &str = r#"{"type":"message"}"#;
    const NEWS: &str = r#"{"type":"news","ours":true}"#;

    /// What was given to the driver.
    fn read(line: &str) -> Vec<String> {
        let (mut reader, mut out) = (Reader::default(), Out::default());
        read_line(line.as_bytes(), &mut out, &mut reader);
        reader.0
    }

    #[test]
    fn an_object_is_given_to_the_driver_once_or_never() {
        for (line, want) in [
            (MESSAGE.to_owned(), vec!["message"]),
            (FOREIGN.to_owned(), vec!["message"]),
            (format!("\x1b[0m{FOREIGN}\x07 "), vec!["message"]),
            (NEWS.to_owned(), vec!["news"]),
            (format!("{FOREIGN}{FOREIGN}"), vec!["message"]),
            (format!("words {FOREIGN}"), vec![]),
            (format!("words {MESSAGE}{NEWS}{END}"), vec!["message", "news", "end"]),
            (format!("{MESSAGE} words {END}"), vec!["message", "end"]),
            (format!("{END} words"), vec!["end"]),
            (format!("words {END} words"), vec![]),
            (format!("words {MESSAGE}{END} words"), vec!["message"]),
            (format!("words {END}{MESSAGE} words"), vec!["message"]),
            (format!("{MESSAGE}{END} words {MESSAGE}"), vec!["message", "message"]),
            (format!("words '{END}"), vec![]),
            (format!("words {END}{FOREIGN}\x1b[0m"), vec!["end"]),
            (format!(r#"{{"type":"end","text":{MESSAGE:?}"#), vec![]),
        ] {
            assert_eq!(read(&line), want, "{line}");
        }
    }

    #[test]
    fn the_records_that_share_a_line_of_a_file_are_all_read() {
        let kinds = |line: &str| {
            let mut kinds = Vec::new();
            decode_each(line, |head: Head<'_>| kinds.push(head.kind.to_owned()));
            kinds
        };
        assert_eq!(kinds(MESSAGE), ["message"]);
        assert_eq!(kinds(&format!(r#"{{"type":"message","te{MESSAGE}"#)), ["message"]);
        assert_eq!(kinds(&format!("{MESSAGE}{END}{{}}")), ["message", "end"]);
        assert_eq!(kinds(r#"{"a":{"type":"message"}}"#), [""; 0]);
    }

    /// `cargo test --release -p belay-agents --lib clean_line -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement, for a release build"]
    #[expect(clippy::disallowed_types, reason = "a measurement needs a clock")]
    fn a_clean_line_takes_no_longer_than_its_reader() {
        let text = "x".repeat(400);
        let line = format!(r#"{{"ours":true,"text":"{text}","type":"message"}}"#);
        let (mut reader, mut out) = (Reader::default(), Out::default());
        let mut time = |framed: bool| {
            let began = std::time::Instant::now();
            for _ in 0..200_000 {
                reader.0.clear();
                if framed {
                    read_line(line.as_bytes(), &mut out, &mut reader);
                } else {
                    let text = lines::text(line.as_bytes());
                    assert!(text.trim().starts_with('{'));
                    assert!(reader.read(&without_lone_surrogates(&text), &mut out).is_some());
                }
            }
            began.elapsed()
        };
        let best = |time: &mut dyn FnMut() -> Duration| (0..9).map(|_| time()).min();
        let before = best(&mut || time(false)).unwrap_or_default();
        let after = best(&mut || time(true)).unwrap_or_default();
        let ratio = after.as_secs_f64() / before.as_secs_f64();
        println!("200,000 lines: {before:?} as it was, {after:?} as it is, {ratio:.3} times");
    }
}
