//! Secrets of every sort, wherever they stand and however they come.

use self::secrets::{Planted, is_leaked, pieces, planted};
use super::tokens::TOKENS;
use super::*;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

#[path = "../../tests/support/secrets.rs"]
mod secrets;

fn rules() -> Redactor {
    Redactor::new(&Redaction::default(), &Environment::default(), None)
}

fn with_env(vars: &[(&str, &str)]) -> Redactor {
    let vars = vars.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Redactor::new(&Redaction::default(), &Environment::new(vars), None)
}

/// What comes through a gate.
fn through(redactor: &Redactor, lines: &[String]) -> Vec<String> {
    let mut gate = Gate::new(redactor.clone());
    let mut out = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    for line in lines {
        match gate.push(line.as_bytes()) {
            None => out.push(text(line.as_bytes())),
            Some(passed) => out.extend(passed.iter().map(|passed| text(&passed.line))),
        }
    }
    out.extend(gate.finish().iter().map(|passed| text(&passed.line)));
    assert_eq!(out.len(), lines.len(), "no line is lost");
    out
}

fn delta(text: &str, n: usize) -> String {
    json!({"type": "stream_event", "event": {"type": "content_block_delta", "index": 0,
        "delta": {"type": "text_delta", "text": text}}, "uuid": n.to_string()})
    .to_string()
}

fn deltas(text: &str, seed: u64) -> Vec<String> {
    let lines = pieces(text, seed).into_iter().enumerate().map(|(n, piece)| delta(piece, n));
    lines.chain([r#"{"type":"content_block_stop"}"#.to_owned()]).collect()
}

/// The text of delta lines, which have to be JSON.
fn joined(lines: &[String]) -> String {
    let text = |line: &String| {
        let line: Value = serde_json::from_str(line).expect("JSON stays JSON");
        line["event"]["delta"]["text"].as_str().unwrap_or_default().to_owned()
    };
    lines.iter().map(text).collect()
}

/// What a terminal or a cleaning shows nothing of.
const UNSEEN: [&str; 17] = [
    "\r",
    "\0",
    "\u{7}",
    "\u{8}",
    "\u{b}",
    "\u{c}",
    "\u{7f}",
    "\u{85}",
    "\u{ad}",
    "\u{200b}",
    "\u{200d}",
    "\u{202e}",
    "\u{feff}",
    "\u{9b}1m",
    "\u{1b}[0;1m",
    "\u{1b}P1;2\u{1b}\\",
    "\u{1b}]0;title\u{7}",
];

#[test]
fn what_nobody_sees_splits_no_secret() {
    let redactor = rules();
    let secret = "ghp_kJ8sN2vQ9xWm4TzR7bYc1LdF6gHa3eUp5oXi";
    for unseen in UNSEEN {
        for at in [1, 4, 11, secret.len() - 1] {
            let text = format!("it printed {}{unseen}{} there", &secret[..at], &secret[at..]);
            let escaped = serde_json::to_string(&text).unwrap();
            let ascii = belay_trace::visible_json(&escaped).into_owned();
            let nested = serde_json::to_string(&ascii).unwrap();
            for form in [text, escaped, ascii, nested] {
                let clean = redactor.text(&form);
                assert!(clean.contains("[redacted:github-token]"), "{form:?}: {clean:?}");
                assert!(!clean.contains(&secret[secret.len() - 6..]), "{form:?}: {clean:?}");
                assert!(clean.contains("it printed") && clean.contains(" there"), "{clean:?}");
            }
        }
    }
    for command in ["\u{1b}", "\u{1b}[", "\u{1b}[1;", "\u{1b}]0;", "\u{1b}P", "\u{9d}", "\u{1b}("] {
        let text = format!("{command}{secret}");
        let clean = redactor.text(&text);
        assert!(!clean.contains(&secret[5..]), "{text:?}: {clean:?}");
    }
}

#[test]
fn every_sort_of_token_can_be_found_and_planted_sorts_are_known() {
    for token in TOKENS.iter().filter(|token| token.before == 0) {
        assert!(!token.starts.is_empty() && token.body.start() <= token.body.end(), "{token:?}");
        let rule = rules();
        for start in token.starts {
            let tail =
                rule.look(start.as_bytes()).tail.expect("the beginning of a token is waited for");
            assert!(tail.context == 0, "{token:?}");
        }
    }
    let found: std::collections::BTreeSet<_> = planted(200, 1).iter().map(|it| it.rule).collect();
    assert!(found.len() > 30, "a secret of each sort is planted");
}

#[test]
fn a_thousand_planted_secrets_are_found_however_they_come() {
    let redactor = rules();
    let (mut missed, mut of) = (Vec::new(), 0);
    for (n, it) in planted(1_000, 7).iter().enumerate() {
        let mut look = |way: &str, text: &str| {
            of += 1;
            if is_leaked(text, &it.secret) {
                missed.push(format!("{way} {}: {:?} -> {text}", it.rule, it.text));
            }
        };
        let plain = redactor.text(&it.text);
        look("plain", &plain);
        assert_eq!(redactor.text(&plain), plain, "once more changes nothing");
        let line = json!({"result": it.text}).to_string();
        let line: Value = serde_json::from_str(&redactor.text(&line)).expect("JSON stays JSON");
        look("in JSON", line["result"].as_str().unwrap());
        let inner = json!({"content": it.text}).to_string();
        let line = redactor.text(&json!({"arguments": inner}).to_string()).into_owned();
        let line: Value = serde_json::from_str(&line).expect("JSON stays JSON");
        let inner: Value = serde_json::from_str(line["arguments"].as_str().unwrap()).unwrap();
        look("in JSON in JSON", inner["content"].as_str().unwrap());
        let lines = through(&redactor, &deltas(&it.text, n as u64));
        look("in pieces", &joined(&lines));
        assert_eq!(joined(&lines), plain, "in pieces it is what it is whole");
    }
    let recall = 100.0 * (of - missed.len()) as f64 / f64::from(u32::try_from(of).unwrap());
    println!("T26 rules: {} of {of} found, recall {recall:.2} %", of - missed.len());
    assert!(missed.is_empty(), "{recall}: {missed:#?}");
}

#[test]
fn values_of_the_environment_are_found_however_they_are_written() {
    let values = [
        "hunter2-hunter2",
        "pa\"ss\\wo/rd&1",
        "zwölf Boxkämpfer",
        "two\nlines of it",
        "a+b=c%d?e;f",
    ];
    let names = ["MY_TOKEN", "DB_PASSWORD", "X_SECRET", "APP_KEY", "SOME_CREDENTIAL"];
    let vars: Vec<_> = names.into_iter().zip(values).collect();
    let redactor = with_env(&vars);
    for (name, value) in vars {
        let want = format!("<[redacted:{name}]>");
        let text = format!("<{value}>");
        assert_eq!(redactor.text(&text), want);
        let json = Value::from(text.as_str()).to_string();
        assert_eq!(redactor.text(&json), format!("\"{want}\""));
        let twice = Value::from(json.as_str()).to_string();
        assert!(redactor.text(&twice).contains(&want), "{twice}");
        for seed in 0..40 {
            let lines = through(&redactor, &deltas(&format!("It is <{value}>, and {value}"), seed));
            assert_eq!(joined(&lines), format!("It is {want}, and [redacted:{name}]"));
        }
    }
}

#[test]
fn settings_paths_and_the_off_switch_change_nothing() {
    let redactor = with_env(&[
        ("MAX_TOKENS", "64000000"),
        ("KEY_FILE", "/home/u/.ssh/id"),
        ("EDITOR", "some-editor"),
    ]);
    let text = "64000000 /home/u/.ssh/id some-editor";
    assert_eq!(redactor.text(text), text);
    let off = Redactor::new(&Redaction::off().value("needle"), &Environment::default(), None);
    assert_eq!(off.text("needle"), "needle");
    assert!(Gate::new(off).push(b"{\"text\":\"sk-ant-\"}").is_none());
}

#[test]
fn what_only_looks_like_a_secret_stays() {
    let redactor = rules();
    for text in [
        "the task-list-of-everything-that-there-is-to-do",
        "sk-learn and sklearn",
        "https://example.org:8080/a@b postgres://user:$PASSWORD@host https://x:password@y",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx AKIAIOSFODNN7EXAMPLE",
        "matches!(text, \"-----BEGIN PRIVATE KEY-----\")",
        "eyJust a word, Bearer of good news, bearer token",
        "01a1ff08-3074-7d90-bf25-c517911e63d1 msg_014e10a11bae0845cdaeee3364 toolu_01A09q90qw90lq917835lq9",
    ] {
        assert_eq!(redactor.text(text), text);
    }
}

#[test]
fn a_line_without_the_beginning_of_a_secret_goes_through_at_once() {
    let mut gate = Gate::new(with_env(&[("MY_TOKEN", "hunter2-hunter2")]));
    for text in ["Hello", " world", "Gänse", "x sk", "no hun", "\\", "\"", "a://b/2"] {
        let held = gate.push(delta(text, 1).as_bytes());
        let is_beginning = [" sk", " hun"].iter().any(|end| text.ends_with(end));
        assert_eq!(held.is_some(), is_beginning, "{text}");
        gate.finish();
    }
}

#[test]
fn what_is_held_goes_through_when_its_text_ends_or_the_time_is_up() {
    let mut gate = Gate::new(rules());
    assert_eq!(gate.push(delta("see sk-ant-", 1).as_bytes()), Some(vec![]));
    assert!(gate.deadline().is_some());
    let passed = gate.push(br#"{"type":"content_block_stop"}"#).unwrap();
    assert_eq!((passed.len(), passed[0].is_changed()), (2, false));
    assert_eq!(gate.deadline(), None);

    gate.push(delta("see sk-ant-", 1).as_bytes());
    gate.push(delta("api03-abcdefgh", 2).as_bytes());
    let passed = gate.late();
    let lines: Vec<_> =
        passed.iter().map(|it| String::from_utf8(it.line.clone()).unwrap()).collect();
    assert_eq!(joined(&lines), "see [redacted:anthropic-key]");
}

#[test]
fn the_rest_of_a_secret_is_kept_back_after_any_pause() {
    let own = "swordfish-7-swordfish";
    let redactor = with_env(&[("MY_TOKEN", own)]);
    let planted = planted(60, 7);
    let all = planted.iter().map(|it| (it.text.as_str(), it.secret.as_str())).chain([(own, own)]);
    let (mut cuts, mut shown) = (0, Vec::new());
    for (text, secret) in all {
        let from = text.find(secret).unwrap_or(0);
        let ends = (1..secret.len()).filter(|n| secret.is_char_boundary(*n) && n % 3 == 1);
        for end in ends.map(|n| from + n).filter(|end| text.is_char_boundary(*end)) {
            for interrupted in [false, true] {
                let mut gate = Gate::new(redactor.clone());
                let mut out = Vec::new();
                let mut push = |gate: &mut Gate, text: &str| match gate.push(text.as_bytes()) {
                    None => out.push(text.to_owned()),
                    Some(passed) => out.extend(passed.into_iter().map(line)),
                };
                push(&mut gate, &delta(&text[..end], 1));
                if interrupted {
                    push(&mut gate, r#"{"type":"system","subtype":"status"}"#);
                }
                let late = gate.late();
                push(&mut gate, &delta(&text[end..], 1));
                out.extend(late.into_iter().chain(gate.late()).map(line));
                cuts += 1;
                let rest = &secret[secret.len() - (secret.len() / 2).max(6)..];
                if out.iter().any(|line| line.contains(rest)) {
                    shown.push(format!("{text} cut at {end}, {interrupted}: {out:?}"));
                }
            }
        }
    }
    assert!(shown.is_empty(), "{} of {cuts}: {shown:#?}", shown.len());
}

#[test]
fn a_key_without_its_first_line_is_kept_back_line_by_line() {
    let line_of = |n: usize| {
        let mut rng = fastrand::Rng::with_seed(n as u64);
        (0..64).map(|_| rng.alphanumeric()).collect::<String>()
    };
    for (frame, pauses) in [("", true), ("", false), ("   7\t", true), ("server.pem:3:", false)] {
        let mut gate = Gate::new(rules());
        let mut out = Vec::new();
        let mut shown = |passed: Option<Vec<Passed>>, own: &str| match passed {
            None => out.push(own.to_owned()),
            Some(passed) => out.extend(passed.into_iter().map(line)),
        };
        for n in 0..5 {
            let own = delta(&format!("{frame}{}\n", line_of(n)), 1);
            shown(gate.push(own.as_bytes()), &own);
            if pauses {
                shown(Some(gate.late()), "");
            }
        }
        let end = delta(&format!("{frame}-----END RSA PRIVATE KEY-----\n"), 1);
        shown(gate.push(end.as_bytes()), &end);
        shown(Some(gate.finish()), "");
        let left: Vec<_> =
            (0..5).filter(|n| out.iter().any(|it| it.contains(&line_of(*n)[..32]))).collect();
        assert_eq!(left, [0; 0], "{frame}: {out:#?}");
    }
    // Other words are no key, whatever follows.
    let mut gate = Gate::new(rules());
    assert_eq!(
        gate.push(delta(&format!("the digest is\nof {}\n", line_of(1)), 1).as_bytes()),
        None
    );
}

fn line(passed: Passed) -> String {
    String::from_utf8(passed.line).unwrap()
}

#[test]
fn two_messages_that_come_at_once_are_two_texts() {
    let it = planted(1, 3).remove(0);
    let of = |id: &str, text: &str| json!({"p": {"itemId": id, "delta": text}}).to_string();
    let lines: Vec<_> = pieces(&it.text, 5)
        .into_iter()
        .flat_map(|piece| [of("a", piece), of("b", "and so on ")])
        .collect();
    let out = through(&rules(), &lines);
    let text = |id: &str| -> String {
        let lines = out.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let lines = lines.filter(|line| line["p"]["itemId"] == id);
        lines.map(|line| line["p"]["delta"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(text("a"), rules().text(&it.text));
    assert!(text("b").starts_with("and so on and so on "));
}

#[test]
fn a_private_key_that_is_printed_line_by_line_is_taken_out() {
    let Planted { secret, .. } =
        planted(200, 2).into_iter().find(|it| it.rule == "private-key").unwrap();
    let lines: Vec<_> =
        ["before"].into_iter().chain(secret.lines()).chain(["after"]).map(str::to_owned).collect();
    let out = through(&rules(), &lines);
    assert!(!is_leaked(&out.join("\n"), &secret), "{out:#?}");
    assert_eq!((out[0].as_str(), out.last().unwrap().as_str()), ("before", "after"));
}

#[test]
fn a_part_of_a_line_is_known_as_it_was() {
    let all = planted(40, 4);
    let (one, two) = (&all[0].secret, &all[4].secret);
    let line =
        format!(r#"{{"a":"{one}","input":{{"command":"echo {two} | x {one}"}},"z":"{two}"}}"#);
    let mut gate = Gate::new(rules());
    let passed = gate.push(line.as_bytes()).unwrap().remove(0);
    let redacted = String::from_utf8(passed.line.clone()).unwrap();
    let from = redacted.find("{\"command").unwrap();
    let part = &redacted[from..=from + redacted[from..].find('}').unwrap()];
    let want = format!(r#"{{"command":"echo {two} | x {one}"}}"#);
    assert_eq!(passed.original(part.as_bytes()), Some(want.as_bytes()));
}

#[test]
fn an_event_loses_its_secrets_and_keeps_its_form() {
    let secret = planted(5, 6).remove(4).secret;
    let mut event = Event::notice(Level::Warn, "stderr", format!("\"{secret}\"\n"));
    rules().event(&mut event);
    assert_eq!(event, Event::notice(Level::Warn, "stderr", "\"[redacted:github-token]\"\n"));
}

#[test]
fn own_values_and_patterns_are_found_and_bad_patterns_refused() {
    let redaction = Redaction::default().value("swordfish").pattern(r"id=(\d{6})").unwrap();
    assert_eq!(redaction.text("swordfish id=123456"), "[redacted:value] id=[redacted:pattern]");
    assert!(Redaction::default().pattern("(").is_err());
    assert!(Redaction::default().pattern("a*").is_err());
    assert!(!format!("{redaction:?}").contains("swordfish"));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn in_the_recordings_nothing_is_taken_for_a_secret() {
    let (redactor, mut bytes, mut found) = (rules(), 0, Vec::new());
    let (mut lines, mut held) = (0, 0);
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recordings")) {
        let text = std::fs::read(&path).unwrap();
        bytes += text.len();
        let mut gate = Gate::new(redactor.clone());
        for line in text.split(|byte| *byte == b'\n') {
            lines += 1;
            held += usize::from(gate.push(line).is_some_and(|passed| passed.is_empty()));
            for it in redactor.find(line) {
                let secret = String::from_utf8_lossy(&line[it.at.clone()]).into_owned();
                found.push(format!("{} {secret} {}", it.name, path.display()));
            }
        }
    }
    let mb = bytes as f64 / 1e6;
    println!(
        "recordings: {mb:.2} MB, {} false positives; {held} of {lines} lines held",
        found.len()
    );
    assert_eq!(found, [""; 0]);
}
