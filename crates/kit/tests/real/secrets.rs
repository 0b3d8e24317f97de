//! Keys that real agents read with their own tools, and that a model writes, are stored and shown nowhere.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{Played, Stage, on};
use belay_testkit::model_server::{Reply, Script};
use belaykit::{Permissions, RunRequest};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Lines of a key that nobody has.
fn body(lines: usize, seed: u64) -> Vec<String> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut line = || (0..64).map(|_| char::from(BASE64[rng.usize(..64)])).collect();
    (0..lines).map(|_| line()).collect()
}

fn key(body: &[String]) -> String {
    let (begin, end) = ("-----BEGIN RSA PRIVATE", "-----END RSA PRIVATE");
    format!("{begin} KEY-----\n{}\n{end} KEY-----\n", body.join("\n"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Asserts that no part of these secrets is in a record or in a file of the run.
fn nothing_is_left(stage: &Stage, played: &Played, secrets: &[String]) {
    let shown: Vec<_> =
        played.records.iter().map(|it| serde_json::to_string(it).unwrap()).collect();
    let stored = files(&stage.state_dir()).into_iter();
    let stored: Vec<_> = stored.map(|path| (fs::read(&path).unwrap_or_default(), path)).collect();
    assert!(stored.len() > 2 && shown.len() > 3, "there is a journal");
    let mut left = Vec::new();
    for secret in secrets {
        // Half of a line is as bad as all of it.
        for half in [&secret[..secret.len() / 2], &secret[secret.len() / 2..]] {
            left.extend(shown.iter().filter(|record| record.contains(half)).cloned());
            for (file, path) in &stored {
                if let Some(at) = memchr::memmem::find(file, half.as_bytes()) {
                    let before = String::from_utf8_lossy(&file[at.saturating_sub(400)..at]);
                    left.push(format!("{} has {half} behind {before}", path.display()));
                }
            }
        }
    }
    assert!(left.is_empty(), "{} places: {:.3000}", left.len(), left.join("\n"));
}

fn a_key_that_tools_print_is_stored_and_shown_nowhere(stage: &Stage) {
    let body = body(12, 7);
    fs::write(stage.file("server.pem"), key(&body)).unwrap();
    fs::write(stage.file("old.pem"), "nothing\n").unwrap();
    let mut replies = vec![
        Reply::new().shell("cat -n server.pem"),
        Reply::new().shell("grep -rn . server.pem old.pem; nl -ba server.pem"),
        Reply::new().shell("git diff --no-index --color=always old.pem server.pem; diff old.pem server.pem"),
        Reply::new().shell("head -n 6 server.pem; echo; tail -n 5 server.pem; xxd server.pem || od -c old.pem"),
        Reply::new().shell("base64 server.pem; cat server.pem | while read line; do echo \"$line\"; sleep 0.1; done"),
        Reply::new().write_file(stage.path_for_model("copy.pem"), key(&body)),
    ];
    let path = stage.file("server.pem").to_string_lossy().into_owned();
    if stage.way.is_claude() {
        replies.push(Reply::new().tool("Read", serde_json::json!({"file_path": path})));
    } else if stage.way.is_opencode() {
        replies.push(Reply::new().tool("read", serde_json::json!({"filePath": path})));
    }
    let script = replies.into_iter().fold(Script::new(), Script::reply).reply(Reply::text("Done."));
    let played = stage.play(script, RunRequest::new("PROMPT").permissions(Permissions::Full));
    played.answered("Done.");
    assert!(stage.file("copy.pem").exists(), "the agent's own files are as they were");
    let results = played.records.iter().map(|it| serde_json::to_string(it).unwrap());
    let redacted: usize = results.map(|it| it.matches("[redacted:private-key]").count()).sum();
    assert!(redacted > 50, "the tools have printed the key: {redacted}");
    nothing_is_left(stage, &played, &body);
}
on!(a_key_that_tools_print_is_stored_and_shown_nowhere: claude, codex, opencode; claude_print, codex_exec, opencode_run);

fn a_key_that_a_model_writes_in_small_pieces_is_stored_and_shown_nowhere(stage: &Stage) {
    let body = body(3, 11);
    let token: String = body[2][..36].replace(['+', '/'], "x");
    let text = format!("Here it is:\n{}\nand the token ghp_{token} for it.", key(&body));
    let reply = Reply::text(text).piece_chars(4).chunk_delay(Duration::from_millis(150));
    let played = stage.play(Script::new().reply(reply), RunRequest::new("PROMPT"));
    let answer = &played.outcome().text;
    assert!(
        answer.contains("Here it is:") && answer.contains("[redacted:private-key]"),
        "{answer}"
    );
    let secrets: Vec<String> = body.into_iter().chain([token]).collect();
    nothing_is_left(stage, &played, &secrets);
}
on!(a_key_that_a_model_writes_in_small_pieces_is_stored_and_shown_nowhere: claude, codex, opencode; claude_print);
