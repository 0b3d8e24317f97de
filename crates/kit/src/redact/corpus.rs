//! How much of a corpus of secrets, as tools print them, is found: whole, in JSON, and cut at every byte.

use super::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A text with secrets, written by someone who has not read the rules.
struct Case {
    id: String,
    text: String,
    secrets: Vec<String>,
}

fn joined(pieces: &Value) -> String {
    pieces.as_array().unwrap().iter().map(|piece| piece.as_str().unwrap()).collect()
}

fn read(name: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let case = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let secrets = line["secrets"].as_array().into_iter().flatten();
        Case {
            id: line["id"].as_str().unwrap().to_owned(),
            text: joined(&line["text"]),
            secrets: secrets.map(joined).collect(),
        }
    };
    text.lines().map(case).collect()
}

fn rules() -> Redactor {
    Redactor::new(&Redaction::default(), &Environment::default(), None)
}

/// A piece of an answer, as an agent prints it.
fn delta(text: &str) -> String {
    json!({"type": "stream_event", "event": {"type": "content_block_delta", "index": 0,
        "delta": {"type": "text_delta", "text": text}}})
    .to_string()
}

fn text_of(line: &[u8]) -> String {
    let line: Value = serde_json::from_slice(line).expect("JSON stays JSON");
    line["event"]["delta"]["text"].as_str().unwrap().to_owned()
}

/// What a gate lets through of a text that comes in two pieces, with a pause between them that outlasts its patience.
fn with_a_pause(redactor: &Redactor, text: &str, at: usize) -> String {
    let mut gate = Gate::new(redactor.clone());
    let mut out = String::new();
    for piece in [&text[..at], &text[at..]] {
        let line = delta(piece);
        match gate.push(line.as_bytes()) {
            None => out.push_str(piece),
            Some(passed) => passed.iter().for_each(|it| out.push_str(&text_of(&it.line))),
        }
        gate.late().iter().for_each(|it| out.push_str(&text_of(&it.line)));
    }
    gate.finish().iter().for_each(|it| out.push_str(&text_of(&it.line)));
    out
}

#[test]
fn of_the_corpus_nearly_everything_is_found() {
    let redactor = rules();
    let cases = read("secrets.jsonl");
    let (mut missed, mut secrets, mut left) = (Vec::new(), 0, 0);
    for case in &cases {
        let plain = redactor.text(&case.text);
        let line = redactor.text(&delta(&case.text)).into_owned();
        let in_json = text_of(line.as_bytes());
        secrets += case.secrets.len();
        let is_left = |secret: &&String| plain.contains(*secret) || in_json.contains(*secret);
        let seen = case.secrets.iter().filter(is_left).count();
        left += seen;
        if seen > 0 {
            missed.push(&case.id);
        }
    }
    let recall = 100.0 * (secrets - left) as f64 / secrets as f64;
    let whole = 100.0 * (cases.len() - missed.len()) as f64 / cases.len() as f64;
    println!(
        "corpus: {} of {secrets} secrets found, {recall:.2} %; {} of {} cases whole, {whole:.2} %",
        secrets - left,
        cases.len() - missed.len(),
        cases.len()
    );
    assert!(recall >= 98.0 && whole >= 97.0, "{missed:#?}");
}

#[test]
fn what_is_harmless_stays_as_it_is() {
    let redactor = rules();
    let changed: Vec<_> = read("harmless.jsonl")
        .into_iter()
        .filter(|case| redactor.text(&case.text) != case.text)
        .map(|case| format!("{}: {}", case.id, redactor.text(&case.text)))
        .collect();
    assert_eq!(changed, [""; 0]);
}

/// What docs/redaction.md promises to keep back: a run of a secret longer than this is not shown, whatever the pause.
const SHOWN_MAX: usize = 12;

#[test]
fn after_a_pause_at_any_byte_the_rest_of_a_secret_is_kept_back() {
    let redactor = rules();
    let (mut cuts, mut leaks) = (0, Vec::new());
    for (n, case) in read("secrets.jsonl").iter().enumerate() {
        let whole = redactor.text(&case.text);
        for secret in case.secrets.iter().step_by((case.secrets.len() / 3).max(1)) {
            // What is not found whole is counted above.
            if case.text.len() > 6_000
                || whole.contains(secret.as_str())
                || case.text.matches(secret.as_str()).count() != 1
            {
                continue;
            }
            let from = case.text.find(secret.as_str()).unwrap();
            // Every byte of some, and some bytes of every one.
            let step = if n % 100 == 0 { 1 } else { (secret.len() / 2).max(1) };
            for at in (from..from + secret.len())
                .step_by(step)
                .filter(|at| case.text.is_char_boundary(*at))
            {
                cuts += 1;
                let shown = with_a_pause(&redactor, &case.text, at);
                if is_shown(&shown, secret) {
                    leaks.push(format!("{} at {at}: {secret} in {shown}", case.id));
                }
            }
        }
    }
    let kept = 100.0 * (cuts - leaks.len()) as f64 / f64::from(u32::try_from(cuts).unwrap());
    println!("pauses: {} of {cuts} cuts kept back, {kept:.2} %", cuts - leaks.len());
    assert!(kept >= 99.0, "{leaks:#?}");
}

/// What a gate lets through of a text that comes a line at a time, seconds apart: as lines, or as pieces of an answer.
fn line_by_line(redactor: &Redactor, text: &str, as_lines: bool) -> String {
    let mut gate = Gate::new(redactor.clone());
    let mut out = String::new();
    for piece in text.split_inclusive('\n') {
        let bare = piece.strip_suffix('\n').unwrap_or(piece);
        let line = if as_lines { bare.to_owned() } else { delta(piece) };
        let mut show = |line: &[u8]| match as_lines {
            true => out.push_str(&format!("{}\n", String::from_utf8_lossy(line))),
            false => out.push_str(&text_of(line)),
        };
        match gate.push(line.as_bytes()) {
            None => show(line.as_bytes()),
            Some(passed) => passed.iter().for_each(|it| show(&it.line)),
        }
        gate.late().iter().for_each(|it| show(&it.line));
    }
    for passed in gate.finish() {
        out.push_str(&String::from_utf8_lossy(&passed.line));
    }
    out
}

#[test]
fn what_comes_a_line_at_a_time_is_found_as_if_it_came_whole() {
    let redactor = rules();
    let (mut secrets, mut left) = (0, Vec::new());
    for case in read("secrets.jsonl") {
        let whole = redactor.text(&case.text);
        let pieces = line_by_line(&redactor, &case.text, false);
        let lines = line_by_line(&redactor, &case.text, true);
        for secret in case.secrets.iter().filter(|secret| !whole.contains(secret.as_str())) {
            secrets += 1;
            if pieces.contains(secret.as_str()) || lines.contains(secret.as_str()) {
                left.push(format!("{}: {secret:.60}", case.id));
            }
        }
    }
    let kept = 100.0 * (secrets - left.len()) as f64 / secrets as f64;
    println!("line by line: {} of {secrets} secrets found, {kept:.2} %", secrets - left.len());
    assert!(kept >= 97.0, "{left:#?}");
}

/// True if more of a secret is shown than its beginning and a few bytes.
fn is_shown(text: &str, secret: &str) -> bool {
    if secret.len() <= SHOWN_MAX {
        // Half of a short one is as bad as all of it.
        let half = secret.ceil_char_boundary(secret.len() - secret.len() / 2);
        return text.contains(&secret[half..]) && text.contains(&secret[..half]);
    }
    let ends = secret.char_indices().map(|(at, _)| at).filter(|at| at + SHOWN_MAX <= secret.len());
    // The beginning may be public.
    let mut ends = ends.skip(1).filter(|at| secret.is_char_boundary(at + SHOWN_MAX));
    ends.any(|at| text.contains(&secret[at..at + SHOWN_MAX]))
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files(&path, out);
        } else {
            out.push(path);
        }
    }
}

#[test]
fn in_ordinary_source_text_next_to_nothing_is_taken_for_a_secret() {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let mut paths = Vec::new();
    files(&home.expect("cargo has a home").join("registry/src"), &mut paths);
    let redactor = rules();
    let (mut bytes, mut shown, mut found) = (0, 0, Vec::new());
    for path in paths {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        bytes += text.len();
        for it in redactor.find(text.as_bytes()) {
            // The documents of a client for HTTP show addresses with passwords, and its tests have a key.
            if ["url-password", "private-key"].contains(&it.name) {
                shown += 1;
                continue;
            }
            let secret = String::from_utf8_lossy(&text.as_bytes()[it.at]).into_owned();
            found.push(format!("{} {secret:.60} {}", it.name, path.display()));
        }
        if bytes > 40_000_000 {
            break;
        }
    }
    let mb = bytes as f64 / 1e6;
    println!(
        "sources: {} false positives in {mb:.1} MB, and {shown} passwords in addresses and lines of keys: {found:#?}",
        found.len()
    );
    assert!(mb >= 20.0, "every build of belay has more than 20 MB of sources: {mb:.1} MB");
    assert!((found.len() as f64) < mb / 10.0, "{found:#?}");
}
