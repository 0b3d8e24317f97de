//! Texts within a text: what stands there in base64, or as a hexadecimal dump.

use super::plain::Plain;
use super::scan::{Found, Scan, Shown, Tail, scan};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::memmem::Finder;
use std::ops::Range;
use std::sync::LazyLock;

/// Tolerant of padding that is missing, or cut.
const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);

/// A shorter run of base64 holds no text with a secret in it.
const RUN_BYTES_MIN: usize = 40;

/// The longest text in base64 that is looked into.
const RUN_BYTES_MAX: usize = 64 << 10;

/// Looks into what is encoded.
pub(super) fn look(text: &[u8], into: &mut Scan) {
    base64(text, into);
    dumps(text, into);
}

const BASE64_BYTES: [bool; 256] = {
    let mut bytes = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let is_sign = byte == b'+' as usize || byte == b'/' as usize || byte == b'=' as usize;
        bytes[byte] = (byte as u8).is_ascii_alphanumeric() || is_sign;
        byte += 1;
    }
    bytes
};

fn is_base64(byte: u8) -> bool {
    BASE64_BYTES[usize::from(byte)]
}

fn base64(text: &[u8], into: &mut Scan) {
    // A run this long has a byte at one of these places.
    let mut at = RUN_BYTES_MIN - 1;
    let mut after = 0;
    while at < text.len() {
        if !is_base64(text[at]) {
            at += RUN_BYTES_MIN;
            continue;
        }
        let from = at - text[after..at].iter().rev().take_while(|byte| is_base64(**byte)).count();
        let to = at + text[at..].iter().take_while(|byte| is_base64(**byte)).count();
        after = to;
        if to - from >= RUN_BYTES_MIN {
            after = run(text, from..to, into);
        }
        at = after + RUN_BYTES_MIN - 1;
    }
    beginning(text, into);
}

/// The text may end in the middle of a run that begins with a secret.
fn beginning(text: &[u8], into: &mut Scan) {
    let end = text.iter().rev().take(RUN_BYTES_MIN).take_while(|byte| is_base64(**byte));
    let from = text.len() - end.count();
    let run = &text[from..];
    if !(4..RUN_BYTES_MIN).contains(&run.len()) {
        return;
    }
    let Ok(decoded) = BASE64.decode(decodable(run)) else { return };
    if !decoded.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
        return;
    }
    let Some(tail) = scan(&decoded).tail else { return };
    if tail.shown >= Shown::Beginning && decoded.len() - tail.hold >= GLIMPSE_BYTES_MIN {
        into.open_at(from, from + tail.hold / 3 * 4, tail.shown.max(Shown::Little), tail.name);
    }
}

/// Fewer bytes of what may be a secret are nothing to wait for: any word in base64 may have them.
const GLIMPSE_BYTES_MIN: usize = 3;

/// A single character behind groups of four is nothing yet.
fn decodable(run: &[u8]) -> &[u8] {
    &run[..run.len() - usize::from(run.len() % 4 == 1)]
}

/// Looks into a run and the lines that continue it; tells where they end.
fn run(text: &[u8], first: Range<usize>, into: &mut Scan) -> usize {
    let mut lines = vec![first.clone()];
    let mut all = text[first].to_vec();
    while let Some(next) = next_line(text, lines[lines.len() - 1].end) {
        all.extend_from_slice(&text[next.clone()]);
        lines.push(next);
        if all.len() > RUN_BYTES_MAX {
            break;
        }
    }
    let end = lines[lines.len() - 1].end;
    let Ok(decoded) = BASE64.decode(decodable(&all)) else { return end };
    let beginning = &decoded[..decoded.len().min(64)];
    let is_text = |byte: &&u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    if beginning.iter().filter(is_text).count() * 20 < beginning.len() * 19 {
        return end;
    }
    let inner = scan(&Plain::of(&decoded).text);
    let name = inner.found.first().map(|found| found.name);
    if let Some(name) = name {
        into.found.extend(lines.iter().map(|at| Found { at: at.clone(), name }));
    }
    let is_open = end == text.len() || text[end..].iter().all(u8::is_ascii_whitespace);
    if is_open && decoded.len() >= RUN_BYTES_MIN / 2 {
        let is_glimpsed = |tail: &Tail| {
            tail.shown >= Shown::Beginning && decoded.len() - tail.hold >= GLIMPSE_BYTES_MIN
        };
        let tail = inner.tail.filter(is_glimpsed);
        let is_secret = name.is_some() || tail.is_some();
        let last = &lines[lines.len() - 1];
        let (hold, shown) = match is_secret && last.end == text.len() {
            true => (if lines.len() > 1 { last.start } else { lines[0].start }, Shown::Body),
            false => (text.len(), Shown::Nothing),
        };
        let name = name.or(tail.map(|tail| tail.name)).unwrap_or("secret");
        into.open_at(lines[0].start, hold, shown, name);
    }
    end
}

/// The run that continues one on the next line, behind nothing but spaces.
fn next_line(text: &[u8], from: usize) -> Option<Range<usize>> {
    let skipped = text[from..]
        .iter()
        .take(40)
        .take_while(|byte| b" \t\r\n\"',\\+|".contains(byte) || **byte >= 0x80)
        .count();
    let gap = &text[from..from + skipped];
    if !gap.contains(&b'\n') {
        return None;
    }
    let from = from + skipped;
    let len = text[from..].iter().take_while(|byte| is_base64(**byte)).count();
    let is_word = text.get(from + len).is_none_or(|byte| b"\r\n\"' ,".contains(byte));
    (len >= 4 && is_word).then(|| from..from + len)
}

/// The offset of a dump begins with it; a searcher is made once, pieces of text are short.
static OFFSET: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"00000"));

/// How long a line of a dump may be.
const DUMP_LINE_BYTES_MAX: usize = 256;

/// A line of a dump: where its bytes stand, in hexadecimal and as characters.
struct DumpLine {
    bytes: Vec<u8>,
    hex: Vec<Range<usize>>,
    /// Where the characters begin, one for each byte.
    characters: usize,
    at: Range<usize>,
}

/// Dumps of `xxd` and `hexdump -C`.
fn dumps(text: &[u8], into: &mut Scan) {
    let mut at = 0;
    while let Some(n) = OFFSET.find(&text[at..]) {
        let begin = at + n;
        let mut lines: Vec<DumpLine> = Vec::new();
        let mut from = begin;
        while let Some(line) = dump_line(text, from) {
            let end = line.at.end;
            lines.push(line);
            let next = &text[(end + 1).min(text.len())..text.len().min(end + 200)];
            // The next offset stands behind the same frame.
            let next = &next[..memchr::memchr(b'\n', next).unwrap_or(next.len())];
            match memchr::memmem::find(next, b"0000") {
                Some(n) => from = end + 1 + n,
                None => break,
            }
        }
        at = lines.last().map_or(begin + 5, |line| line.at.end);
        if !lines.is_empty() {
            dump(text, &lines, into);
        }
    }
}

fn dump(text: &[u8], lines: &[DumpLine], into: &mut Scan) {
    let bytes: Vec<u8> = lines.iter().flat_map(|line| line.bytes.iter().copied()).collect();
    let inner = scan(&bytes);
    let (mut first, mut found) = (0, &inner.found[..]);
    for line in lines {
        let last = first + line.bytes.len();
        found = &found[found.partition_point(|found| found.at.end <= first)..];
        for found in found.iter().take_while(|found| found.at.start < last) {
            let (from, to) = (found.at.start.max(first), found.at.end.min(last));
            if from < to {
                let (from, to) = (from - first, to - first);
                into.found(line.hex[from].start..line.hex[to - 1].end, found.name);
                let characters = line.characters + from..line.characters + to;
                into.found(characters.start..characters.end.min(line.at.end), found.name);
            }
        }
        first = last;
    }
    let end = &lines[lines.len() - 1];
    let rest = &text[(end.at.end + 1).min(text.len())..];
    if rest.len() < 100
        && !rest.contains(&b'\n')
        && let Some(tail) = inner.tail
    {
        let mut before = 0;
        let of = lines.iter().find(|line| {
            before += line.bytes.len();
            before > tail.context
        });
        let context = of.unwrap_or(end).at.start;
        let is_held = end.at.end == text.len() || !rest.is_empty();
        let hold = match is_held {
            true if rest.is_empty() => end.at.start,
            true => end.at.end + 1,
            false => text.len(),
        };
        let shown = if is_held { Shown::Body } else { Shown::Nothing };
        into.open(Tail { context, dispensable: 0..0, hold, shown, name: tail.name });
    }
}

/// The line of a dump whose offset begins here.
fn dump_line(text: &[u8], from: usize) -> Option<DumpLine> {
    let digits = text[from..].iter().take(9).take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits != 8 || from > 0 && text[from - 1].is_ascii_alphanumeric() {
        return None;
    }
    let limit = text.len().min(from + DUMP_LINE_BYTES_MAX);
    let end = memchr::memchr(b'\n', &text[from..limit]).map_or(limit, |n| from + n);
    let end = memchr::memmem::find(&text[from..end], b"\"}").map_or(end, |n| from + n);
    let mut at = from + digits + usize::from(text.get(from + digits) == Some(&b':'));
    let mut line = DumpLine { bytes: Vec::new(), hex: Vec::new(), characters: end, at: from..end };
    let mut spaces;
    loop {
        spaces = text[at..end].iter().take_while(|byte| **byte == b' ').count();
        at += spaces;
        let Some(pair) = text.get(at..at + 2).filter(|_| at + 2 <= end) else { break };
        let is_pair = pair.iter().all(u8::is_ascii_hexdigit);
        let is_columns_end = spaces >= 2 && line.bytes.len() != 8 && !line.bytes.is_empty();
        if !is_pair || is_columns_end || line.bytes.len() == 16 {
            break;
        }
        let pair = std::str::from_utf8(pair).ok()?;
        line.bytes.push(u8::from_str_radix(pair, 16).ok()?);
        line.hex.push(at..at + 2);
        at += 2;
    }
    line.characters = (at + usize::from(text.get(at) == Some(&b'|'))).min(end);
    (!line.bytes.is_empty()).then_some(line)
}
