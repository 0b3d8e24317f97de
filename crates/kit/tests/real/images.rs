//! Images that go with a prompt, on the real agents: the model gets their bytes.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::pi_run::pi_run;
use crate::real_run::{Stage, Way, on};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use belay_testkit::model_server::{Reply, Request, Script};
use belaykit::{FailureKind, RunRequest, Transport};
use std::fs;

fn answer() -> Script {
    Script::new().reply(Reply::text("It is red."))
}

/// Every text in the request that is an image, decoded.
fn images_of(request: &Request) -> Vec<Vec<u8>> {
    fn see(value: &serde_json::Value, found: &mut Vec<Vec<u8>>) {
        match value {
            serde_json::Value::String(text) => {
                let data = text.split_once(";base64,").map_or(text.as_str(), |(_, data)| data);
                let bytes = STANDARD.decode(data).unwrap_or_default();
                if bytes.starts_with(b"\x89PNG") {
                    found.push(bytes);
                }
            }
            serde_json::Value::Array(values) => values.iter().for_each(|value| see(value, found)),
            serde_json::Value::Object(fields) => {
                fields.values().for_each(|value| see(value, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    see(&request.body, &mut found);
    found
}

fn the_model_gets_the_image(stage: &Stage) {
    let (one, two) = (png(1), png(2));
    fs::write(stage.file("one.png"), &one).unwrap();
    // What a file is, its content says; to Copilot its name.
    let name = if stage.way == Way::Copilot { "it's two.PNG" } else { "it's two" };
    fs::write(stage.file(name), &two).unwrap();
    let request =
        RunRequest::new("What colour is it?").image(stage.file("one.png")).image(stage.file(name));
    let played = stage.play(answer(), request);
    played.answered("It is red.");
    assert_eq!(images_of(&played.requests[0]), [one, two], "{:#?}", played.requests[0].body);
    assert!(played.requests[0].body.to_string().contains("What colour is it?"));
}
on!(the_model_gets_the_image: claude; codex, codex_exec, opencode, opencode_run, pi, gemini, copilot);

#[test]
fn pi_hands_the_model_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.png");
    fs::write(&path, png(1)).unwrap();
    let request = RunRequest::new("What colour is it?").image(path);
    let test = "pi_hands_the_model_the_image";
    for transport in [Transport::Dialogue, Transport::Print] {
        let Some(run) = pi_run(test, transport, answer(), request.clone()) else { return };
        assert_eq!(run.outcome.unwrap().text, "It is red.");
        assert_eq!(images_of(&run.requests[0]), [png(1)], "{:#}", run.requests[0].body["messages"]);
        assert!(run.requests[0].body.to_string().contains("What colour is it?"));
    }
}

fn an_agent_that_takes_no_images_says_so_before_it_costs_anything(stage: &Stage) {
    fs::write(stage.file("one.png"), png(1)).unwrap();
    let request = RunRequest::new("What colour is it?").image(stage.file("one.png"));
    let played = stage.play(answer(), request.clone());
    let error = played.failed(FailureKind::InvalidRequest);
    assert_eq!(error.unsupported_option(), Some("images"));
    assert!(played.requests.is_empty());
    let played = stage.play(answer(), request.lenient(true));
    played.answered("It is red.");
    assert!(
        played
            .notices()
            .iter()
            .any(|(code, words)| *code == "option_ignored" && words.contains("images"))
    );
}
on!(an_agent_that_takes_no_images_says_so_before_it_costs_anything: claude_print);

/// A red picture of one or two pixels: a whole PNG, because some agents look into it.
fn png(pixels: usize) -> Vec<u8> {
    let data = [
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC",
        "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAB7QOjdAAAADUlEQVR4nGP4z8AARAAI/gH/xp559wAAAABJRU5ErkJggg==",
    ];
    STANDARD.decode(data[pixels - 1]).unwrap()
}
