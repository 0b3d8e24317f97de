//! Private keys: many lines of base64, each behind the frame that a tool prints around it.
//!
//! A frame is whatever stands before and behind the content of a line: a number, an arrow, a file's name, a diff's
//! sign, quotes, a comment, a time stamp. No frame is known by its form. The content of a key's line is base64, and
//! a run of it is longer, or better mixed, than anything that frames it.

use super::assignments::context;
use super::looks::Makeup;
use super::scan::{Scan, Shown, Tail};
use super::seen::{Mark, Run, Seen};
use super::tokens::Alphabet;
use std::ops::Range;

/// What stands in the lines before a key's first one and behind its last one.
pub(super) const MARKERS: [&str; 4] =
    ["PRIVATE KEY-----", "PRIVATE KEY BLOCK-----", "ENCRYPTED PRIVATE KEY ----", "Private-Lines: "];

const NAME: &str = "private-key";

/// The longest key, with its frames.
const KEY_BYTES_MAX: usize = 64 << 10;

/// A run of base64 this long is a key's line, whatever stands before it.
const LINE_BYTES_MIN: usize = 40;

/// A shorter one has to be better mixed.
const RUN_BYTES_MIN: usize = 16;

/// How many lines may stand in a key that are none of it: headers, an empty one, another program's.
const STRANGE_LINES_MAX: usize = 2;
const HEADER_LINES_MAX: usize = 6;

fn line_start(text: &[u8], at: usize) -> usize {
    memchr::memrchr(b'\n', &text[..at]).map_or(0, |n| n + 1)
}

fn line_end(text: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |n| at + n)
}

/// What the word that was found says of the dashes and words before it.
fn marker(text: &[u8], at: &Range<usize>) -> Option<(&'static str, usize)> {
    let from = at.start.saturating_sub(48);
    let from = from + line_start(&text[from..], at.start - from);
    let before = &text[from..at.start];
    let begin = memchr::memmem::rfind(before, b"BEGIN ");
    let end = memchr::memmem::rfind(before, b"END ");
    let (kind, n) = match (begin, end) {
        (Some(begin), Some(end)) if end > begin => ("end", end),
        (Some(begin), _) => ("begin", begin),
        (None, Some(end)) => ("end", end),
        (None, None) => return None,
    };
    let has_dashes = before[..n].ends_with(b"----");
    let words = &before[n..];
    let is_plain = words
        .iter()
        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ');
    (has_dashes && is_plain).then(|| {
        let dashes = before[..n].iter().rev().take_while(|byte| **byte == b'-').count();
        (kind, from + n - dashes)
    })
}

/// A line that ends one key, or begins one.
pub(super) fn look(text: &[u8], at: Range<usize>, scan: &mut Scan) {
    let is_putty = text[at.clone()].eq_ignore_ascii_case(b"Private-Lines: ");
    match marker(text, &at) {
        Some(("begin", from)) => body(text, from, at.end, at.end, scan),
        Some(("end", from)) => before_end(text, from, scan),
        None if is_putty => {
            let end = scan.seen.end(text, Run::Line, at.end);
            body(text, at.start, end, end, scan);
        }
        _ => {}
    }
}

/// Runs of base64 in a part of a text.
fn runs(text: &[u8], within: Range<usize>) -> impl DoubleEndedIterator<Item = Range<usize>> {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let mut all = Vec::new();
    let mut from = None;
    for at in within.clone() {
        match (is_base64(text[at]), from) {
            (true, None) => from = Some(at),
            (false, Some(begin)) => {
                all.push(begin..at);
                from = None;
            }
            _ => {}
        }
    }
    all.extend(from.map(|begin| begin..within.end));
    all.into_iter()
}

/// True for a run that is a key's, and no word or path.
fn is_of_key(run: &[u8]) -> bool {
    let it = Makeup::of(run);
    let classes = [it.lower, it.upper, it.digits].iter().filter(|count| **count > 0).count();
    match run.len() {
        LINE_BYTES_MIN.. => {
            classes == 3 || classes == 2 && it.distinct > 16 && it.lower > 0 && it.upper > 0
        }
        RUN_BYTES_MIN.. => classes == 3 && it.distinct > 8,
        _ => false,
    }
}

/// The lines behind a key's first one; what stands before `keep` is how the key is known.
fn body(text: &[u8], begin: usize, from: usize, keep: usize, scan: &mut Scan) {
    let limit = text.len().min(begin + KEY_BYTES_MAX);
    if from < scan.seen.keys_until {
        return;
    }
    let is_added = begin.checked_sub(1).is_some_and(|at| text[at] == b'+');
    let mut at = from;
    let (mut lines, mut strange) = (0, 0);
    // A short run may be the key's last line, or a part of a frame.
    let mut short: Option<Range<usize>> = None;
    let mut last_line = from;
    let mut resume = from;
    let mut found: Vec<Range<usize>> = Vec::new();
    loop {
        let end = scan.seen.end(text, Run::Line, at).min(limit);
        let next = begin_marker(text, at..end);
        let marker = end_marker(&text[at..next.unwrap_or(end)]).or(next.map(|next| next - at));
        scan.seen.keys_until = marker.map_or(end, |n| at + n);
        let content = at..marker.map_or(end, |n| at + n);
        let mut all: Vec<_> = runs(text, content.clone()).collect();
        if is_added
            && let Some(first) = all.first_mut()
            && at != from
            && text[first.start] == b'+'
        {
            first.start += 1;
        }
        let own: Vec<_> =
            all.iter().filter(|run| is_of_key(&text[(*run).clone()])).cloned().collect();
        let last = all.last().cloned().filter(|run| !run.is_empty());
        if own.is_empty() {
            if marker.is_some() || end == text.len() {
                // The line before was the last one.
                found.extend(short.take().filter(|_| lines > 0));
            }
            if marker.is_none() {
                let is_blank = last.is_none();
                let before = short.take();
                if lines > 0
                    && before.is_none()
                    && !is_blank
                    && is_last_word(text, last.as_ref(), end)
                {
                    short = last.clone();
                } else if !is_blank || lines > 0 {
                    strange += 1;
                }
            }
        } else {
            lines += 1;
            strange = 0;
            short = None;
            // Words before the first of them are its frame, a word behind the last one is the key's last.
            let upto = if lines > 0 && own.len() > 1 || marker.is_some() {
                all.last().cloned().filter(|run| run.start > own[own.len() - 1].start)
            } else {
                None
            };
            found.extend(own);
            found.extend(upto.filter(|run| run.len() < RUN_BYTES_MIN));
            resume = last_line;
            last_line = at;
        }
        if marker.is_some() || end >= limit && limit < text.len() {
            push(scan, found);
            return;
        }
        let most = if lines == 0 { HEADER_LINES_MAX } else { STRANGE_LINES_MAX };
        if strange > most {
            push(scan, found);
            return;
        }
        if end >= text.len() {
            let touching = last.filter(|run| run.end == text.len());
            let hold = match (&short, touching) {
                (Some(short), _) => short.start,
                (None, Some(run)) => run.start,
                (None, None) => text.len(),
            };
            if lines > 0 {
                found.extend(short.filter(|run| run.end > run.start));
            }
            let shown = if hold == text.len() { Shown::Nothing } else { Shown::Body };
            let dispensable = if resume > keep { keep..resume } else { 0..0 };
            push(scan, found);
            let context = context(text, begin);
            scan.open(Tail { context, dispensable, hold, shown, name: NAME });
            return;
        }
        at = end + 1;
    }
}

fn push(scan: &mut Scan, found: Vec<Range<usize>>) {
    found.into_iter().for_each(|at| scan.found(at, NAME));
}

/// True for a run behind which a line has nothing but what closes it.
fn is_last_word(text: &[u8], run: Option<&Range<usize>>, end: usize) -> bool {
    run.is_some_and(|run| !text[run.end..end].iter().any(u8::is_ascii_alphanumeric))
}

/// Where another key begins in a line: it is found by its own first line.
fn begin_marker(text: &[u8], line: Range<usize>) -> Option<usize> {
    const SORTS: [&[u8]; 3] = [b"PRIVATE KEY-----", b"PRIVATE KEY BLOCK-----", b"PRIVATE KEY ----"];
    let words = memchr::memmem::find_iter(&text[line.clone()], b"PRIVATE KEY");
    let words = words.map(|n| line.start + n);
    let mut words = words.filter(|at| SORTS.iter().any(|sort| text[*at..].starts_with(sort)));
    words.find_map(|at| match marker(text, &(at..at)) {
        Some(("begin", from)) if from >= line.start => Some(from),
        _ => None,
    })
}

/// Where a line says that the key ends.
fn end_marker(line: &[u8]) -> Option<usize> {
    let end = memchr::memmem::find(line, b"----END ")
        .or_else(|| memchr::memmem::find(line, b"Private-MAC"))?;
    let dashes = line[..end].iter().rev().take_while(|byte| **byte == b'-').count();
    Some(end - dashes)
}

/// The lines before the end of a key whose beginning is not there.
fn before_end(text: &[u8], end: usize, scan: &mut Scan) {
    // What stands before another end was looked at there.
    let first = end.saturating_sub(KEY_BYTES_MAX).max(scan.seen.key_end);
    scan.seen.key_end = end;
    if is_begun(text, end, &mut scan.seen) {
        return;
    }
    let mut found = Vec::new();
    let frame = scan.seen.line_start(text, end).max(first);
    let mut at = frame;
    let mut content = at..end;
    let (mut short, mut is_near) = (None, true);
    loop {
        let all: Vec<_> = runs(text, content.clone()).collect();
        let own: Vec<_> =
            all.iter().filter(|run| is_of_key(&text[(*run).clone()])).cloned().collect();
        let last = all.last().cloned();
        if own.is_empty() {
            if at != frame {
                if !is_near || !is_last_word(text, last.as_ref(), content.end) {
                    break;
                }
                short = last;
                is_near = false;
            }
        } else {
            is_near = false;
            let is_tail = |run: &Range<usize>| run.start > own[own.len() - 1].start;
            found.extend(last.filter(|run| is_tail(run) && content.end == end));
            found.extend(own);
            found.extend(short.take());
        }
        if at <= first || at == 0 {
            // A line that was cut begins anywhere.
            break;
        }
        let before = at - 1;
        at = first + line_start(&text[first..], before - first);
        content = at..before;
    }
    push(scan, found);
}

/// How wide the lines of keys are: PEM and PGP, OpenSSH.
const WIDTHS: [usize; 2] = [64, 70];

/// The largest RSA key that anybody uses has a hundred lines.
const LINES_MAX: usize = 110;

/// A text that has nothing but lines of a key so far: how the key began may never have been printed (Codex 0.169.0 leaves
/// out what a command prints before its first event), and its end may come.
pub(super) fn headless(text: &[u8], scan: &mut Scan) {
    if scan.tail.is_some() || !scan.found.is_empty() || text.len() > LINES_MAX * 256 {
        return;
    }
    let Some((complete, cut)) = memchr::memrchr(b'\n', text).map(|at| text.split_at(at + 1)) else {
        return;
    };
    let mut hold = None;
    let mut from = 0;
    let lines = complete.split_inclusive(|byte| *byte == b'\n');
    for (n, line) in lines.enumerate() {
        let content = line.trim_ascii_end();
        let last = runs(content, 0..content.len()).next_back();
        let own = last.filter(|run| {
            run.end == content.len()
                && WIDTHS.contains(&run.len())
                && is_of_key(&content[run.clone()])
        });
        match own {
            Some(run) => hold = hold.or(Some(from + run.start)),
            // The first line may have been cut.
            None if n == 0 && content.len() < WIDTHS[1] && is_base64(content) => {}
            None => return,
        }
        from += line.len();
    }
    if let Some(hold) = hold.filter(|_| is_base64(cut)) {
        scan.open_at(0, hold, Shown::Little, NAME);
    }
}

fn is_base64(text: &[u8]) -> bool {
    text.iter().all(|byte| Alphabet::Base64.has(*byte))
}

/// True if a key that ends here began before, and has not ended since.
fn is_begun(text: &[u8], at: usize, seen: &mut Seen) -> bool {
    let begin = seen.last(text, Mark::KeyBegins, at);
    let end = seen.last(text, Mark::KeyEnds, at);
    begin.is_some_and(|begin| at - begin <= KEY_BYTES_MAX && end.is_none_or(|end| end < begin))
}

/// How the body of a private key begins: headers of DER, and of OpenSSH's own format, in base64.
pub(super) const BODIES: [&str; 6] = [
    "IBAAKCAQ",
    "IBAAKBgQ",
    "IBADANBgkqhkiG9w0BAQEFAASC",
    "MHcCAQEEI",
    "MIGkAgEBBD",
    "b3BlbnNzaC1rZXktdjE",
];

/// A key without the line that says so.
pub(super) fn bare(text: &[u8], at: Range<usize>, scan: &mut Scan) {
    let before = text[at.start.saturating_sub(8)..at.start].iter().rev();
    let from = at.start - before.take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let is_der = text[from..].starts_with(b"MI")
        || text[at.clone()].starts_with(b"M")
        || text[at.clone()].starts_with(b"b3");
    if !is_der {
        return;
    }
    let len = scan.seen.end(text, Run::Of(Alphabet::Base64), from) - from;
    let line = scan.seen.line_start(text, from);
    let begin = scan.seen.last(text, Mark::KeyBegins, from);
    let has_marker = begin.is_some_and(|begin| begin >= line.saturating_sub(400));
    if !has_marker && (len >= LINE_BYTES_MIN || from + len == text.len()) {
        body(text, from, from, at.end, scan);
    }
}

/// The parts of a private key that `openssl -text` prints, in hexadecimal and on lines of their own.
pub(super) const PARTS: [&str; 8] = [
    "privateExponent:\n",
    "prime1:\n",
    "prime2:\n",
    "exponent1:\n",
    "exponent2:\n",
    "coefficient:\n",
    "priv:\n",
    "privateExponent:\r\n",
];

pub(super) fn part(text: &[u8], at: Range<usize>, scan: &mut Scan) {
    let mut from = at.end;
    if from < scan.seen.parts_until {
        return;
    }
    while from < text.len() {
        let end = line_end(text, from);
        let line = &text[from..end];
        let is_hex = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b':';
        let len = line.trim_ascii_end().iter().rev().take_while(|byte| is_hex(byte)).count();
        let upto = from + line.trim_ascii_end().len();
        let digits = &text[upto - len..upto];
        let is_part = len >= 2 && (digits.contains(&b':') || end == text.len());
        if end == text.len() {
            scan.open_at(at.start, upto - len, Shown::of(len), NAME);
        }
        if !is_part {
            return;
        }
        scan.found(upto - len..upto, NAME);
        from = end + 1;
        scan.seen.parts_until = from;
    }
    if from >= text.len() {
        scan.open_at(at.start, text.len(), Shown::Nothing, NAME);
    }
}

/// The secret members of a key in JSON (RFC 7517), which stand beside `"kty"`.
pub(super) fn web_key(text: &[u8], at: Range<usize>, scan: &mut Scan) {
    const SECRET: [&[u8]; 7] = [b"d", b"p", b"q", b"dp", b"dq", b"qi", b"k"];
    if at.start < scan.seen.web_keys_until {
        return;
    }
    let from = scan.seen.last(text, Mark::Brace, at.start);
    let from = from.filter(|from| at.start - from <= 8 << 10).unwrap_or(at.start);
    let limit = text.len().min(at.end + (8 << 10));
    let end = memchr::memchr(b'}', &text[at.end..limit]).map_or(limit, |n| at.end + n);
    scan.seen.web_keys_until = end;
    let quotes: Vec<usize> =
        memchr::memchr_iter(b'"', &text[from..end]).map(|n| from + n).collect();
    let mut pairs = quotes.chunks_exact(4);
    for pair in &mut pairs {
        let value = pair[2] + 1..pair[3];
        if SECRET.contains(&&text[pair[0] + 1..pair[1]]) && value.len() >= 16 {
            scan.found(value, NAME);
        }
    }
    if end == text.len() {
        let (hold, shown) = match pairs.remainder() {
            [name, close, value] if SECRET.contains(&&text[name + 1..*close]) => {
                (value + 1, Shown::of(text.len() - value - 1))
            }
            _ => (text.len(), Shown::Nothing),
        };
        scan.open_at(from, hold, shown, NAME);
    }
}
