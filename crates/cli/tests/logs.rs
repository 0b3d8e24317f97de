//! `belay logs`: the events of a run, of one that is at work too.

use crate::stored::{Bench, hanging, stdout, with_claude};
use belay_testkit::fake_agent::{Exit, Play};
use belay_testkit::recordings;
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Stdio};

fn recorded(name: &str) -> Bench {
    let bench = with_claude(&Play::file(recordings::one("claude-code", name).stdout_path()));
    bench.belay(&["run", "look"]).output().unwrap();
    bench
}

fn events(bench: &Bench) -> String {
    fs::read_to_string(bench.run_folder().join("events.jsonl")).unwrap()
}

fn follow(bench: &Bench, args: &[&str]) -> Child {
    let args = [&["logs", "-f"], args].concat();
    bench.belay(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn rest_of(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    text
}

#[test]
fn the_events_of_a_run_that_is_over_are_printed_as_they_are_stored_and_as_text() {
    let bench = recorded("b-shell");
    assert_eq!(stdout(&mut bench.belay(&["logs", "--format", "jsonl"])), events(&bench));
    let text = stdout(&mut bench.belay(&["logs"]));
    assert!(text.contains("[tool_use] Bash") && text.contains("[result] turns=2"), "{text}");
    let hidden = stdout(&mut bench.belay(&["logs", "--hide", "tool-use"]));
    assert!(!hidden.contains("[tool_use]") && hidden.contains("[tool_result]"));
    let last = stdout(&mut bench.belay(&["logs", "--format", "jsonl", "-n", "2"]));
    assert_eq!(last.lines().count(), 2);
    assert!(events(&bench).ends_with(&last));
    assert_eq!(stdout(&mut bench.belay(&["logs", "-n", "0"])), "");
    // It is over: there is nothing to follow.
    let mut followed = follow(&bench, &["--format", "jsonl"]);
    let mut seen = String::new();
    followed.stdout.take().unwrap().read_to_string(&mut seen).unwrap();
    assert_eq!(seen, events(&bench));
    assert!(rest_of(&mut followed).ends_with(" has ended: answered\n"));
}

#[test]
fn the_agents_own_lines_are_printed_byte_for_byte_from_every_attempt() {
    let bench = recorded("b-shell");
    let own = fs::read(recordings::one("claude-code", "b-shell").stdout_path()).unwrap();
    assert_eq!(bench.belay(&["logs", "--raw"]).output().unwrap().stdout, own);
    let last = stdout(&mut bench.belay(&["logs", "--raw", "-n", "1"]));
    assert_eq!(last.lines().count(), 1);
    assert!(own.ends_with(last.as_bytes()));

    // Its dialogue is not spoken by this version, so that belay tries once more.
    let bench = Bench::new();
    let play = Play { stderr_flood: 100, ..Play::lines(["\u{1b}]0;title", "two"]) };
    bench.agent("codex", &play.exit(Exit::Code(2)));
    bench.belay(&["run", "-a", "codex", "look"]).output().unwrap();
    let attempts = fs::read_dir(bench.run_folder()).unwrap();
    let names = attempts.map(|file| file.unwrap().file_name().into_string().unwrap());
    let attempts = names.filter(|name| name.starts_with("input.")).count();
    let raw = stdout(&mut bench.belay(&["logs", "--raw"]));
    assert_eq!(raw, "\u{1b}]0;title\ntwo\n".repeat(attempts));
}

#[test]
fn a_run_is_followed_while_it_works_and_until_it_has_ended() {
    let bench = hanging();
    let mut run = bench.start_run(&["sleep"]);
    let mut followed = follow(&bench, &["--format", "jsonl"]);
    let mut lines = BufReader::new(followed.stdout.take().unwrap()).lines().map(Result::unwrap);
    // What was there, and then what comes.
    let called = lines.by_ref().find(|line| line.contains("\"tool_call\""));
    assert!(called.is_some());
    stdout(&mut bench.belay(&["stop", "latest"]));
    let rest: Vec<String> = lines.collect();
    assert!(rest[0].contains("\"interrupted\"") && rest.last().unwrap().contains("\"result\""));
    assert!(rest_of(&mut followed).ends_with(" has ended: interrupted\n"));
    run.wait().unwrap();
}

#[test]
fn whoever_follows_a_run_is_told_that_it_has_crashed() {
    let bench = hanging();
    let mut run = bench.start_run(&["sleep"]);
    for args in [&[][..], &["--raw"]] {
        let mut followed = follow(&bench, args);
        let mut first = [0; 20];
        followed.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        // Once for both: the second follows a run that has crashed already.
        run.kill().unwrap();
        run.wait().unwrap();
        let words = rest_of(&mut followed);
        assert!(words.ends_with(" has crashed: the belay that ran it is gone\n"), "{words}");
    }
    bench.end_agent();
}

#[test]
fn half_a_line_waits_for_its_end_however_long_it_gets() {
    let bench = hanging();
    let mut run = bench.start_run(&["sleep"]);
    let path = bench.run_folder().join("events.jsonl");
    let text = format!("\"text\":\"{}\"", "x".repeat(5 << 20));
    let template = events(&bench).lines().last().unwrap().to_owned();
    let line = template.replacen("\"type\":\"tool_call\"", &format!("\"type\":\"text\",{text}"), 1);
    // As the run writes it: at the end of its file, while it holds its lock.
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    let mut followed = follow(&bench, &["-n", "1", "--format", "jsonl"]);
    let mut lines = BufReader::new(followed.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), template);
    let (begin, end) = line.split_at(line.len() / 2);
    file.write_all(begin.as_bytes()).unwrap();
    // The follower has looked again since: it shows whole lines alone.
    let shown = stdout(&mut bench.belay(&["logs", "-n", "1", "--format", "jsonl"]));
    assert_eq!(shown.trim_end(), template);
    file.write_all(format!("{end}\n").as_bytes()).unwrap();
    assert_eq!(lines.next().unwrap(), line);
    stdout(&mut bench.belay(&["stop", "latest", "--now"]));
    assert!(lines.last().unwrap().contains("\"result\""));
    assert!(rest_of(&mut followed).ends_with(" has ended: interrupted\n"));
    run.wait().unwrap();
}

#[test]
fn a_reader_who_has_seen_enough_ends_the_log_without_a_word() {
    let bench = recorded("b-shell");
    for args in [&["logs"][..], &["logs", "--raw"], &["show"], &["replay"], &["runs", "--json"]] {
        let mut command = bench.belay(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(rest_of(&mut child), "", "{args:?}");
    }
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    for args in [&["logs"][..], &["logs", "-f"], &["show"], &["replay"], &["runs"], &["prune"]] {
        let output = bench.belay(args).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(words.contains("cannot write to standard output"), "{args:?}: {words}");
    }
}

#[test]
fn a_journal_that_ends_in_mid_line_is_said_to() {
    let bench = recorded("a-text");
    let path = bench.run_folder().join("events.jsonl");
    let whole = events(&bench);
    let cut = whole.len() - 10;
    fs::write(&path, &whole[..cut]).unwrap();
    let output = bench.belay(&["logs", "--format", "jsonl"]).output().unwrap();
    let left = cut - whole[..cut].rfind('\n').unwrap() - 1;
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains(&format!("in mid-line: {left} bytes are left out")), "{words}");
    assert_eq!(output.stdout.len(), cut - left);
}
