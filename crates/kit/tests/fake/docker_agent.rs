//! Docker Agent's recordings as runs: answers, failures, chains and stops, with what the program printed beside its stream
//! and with its exit codes.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::fake_run::{
    ANSWER, Seen, Stage, executable, finish_after, patiently, read_to, run, supervisor,
};
use crate::two::{attempts, codex_answers, failovers};
use belay_testkit::fake_agent::{Exit, FakeAgent, Pause, Play, Signal, Until, WaitForStdin};
use belay_testkit::recordings::{self, Recording};
use belaykit::trace::{CostSource, Start, exit_code};
use belaykit::{
    Client, Codex, DockerAgent, EnvMode, Environment, FailureKind, IdleLimits, Permissions, Policy,
    RunRequest, Transport, Usage,
};
use serde_json::Value;
use std::time::Duration;

fn recording(name: &str) -> Recording {
    recordings::one("docker-agent", name)
}

/// The recorded program: its stream, what it printed beside it, and its exit code.
fn recorded(name: &str) -> Play {
    let recording = recording(name);
    let stderr = String::from_utf8(recording.stderr.clone()).unwrap();
    Play {
        wait_for_stdin: WaitForStdin::Eof,
        last_words: stderr.lines().map(str::to_owned).collect(),
        ..Play::file(recording.stdout_path()).exit(Exit::Code(recording.exit_code().unwrap()))
    }
}

/// The program that gives up with these words.
fn gives_up(words: &str) -> Play {
    let lines = lines("h-401");
    let last_words =
        vec![format!("Error: all models failed: error receiving from stream: {words}")];
    let play = Play::lines(lines).exit(Exit::Code(1));
    Play { wait_for_stdin: WaitForStdin::Eof, last_words, ..play }
}

fn lines(name: &str) -> Vec<String> {
    String::from_utf8(recording(name).stdout).unwrap().lines().map(str::to_owned).collect()
}

/// `docker-agent` with two files, each of which has a play, and Codex beside it.
struct Lab {
    stage: Stage,
    one: FakeAgent,
    two: FakeAgent,
    _codex: FakeAgent,
}

impl Lab {
    fn new(one: &Play, two: &Play) -> Self {
        let script =
            "case \"$*\" in *two.yaml*) exec \"$0.two\" \"$@\";; *) exec \"$0.one\" \"$@\";; esac";
        let stage = Stage::script(&Play::default(), "docker-agent", script);
        let agent = |name, play| FakeAgent::new(stage.dir.path(), name, play).unwrap();
        let (one, two) = (agent("docker-agent.one", one), agent("docker-agent.two", two));
        let codex = agent("codex", &codex_answers());
        std::fs::create_dir(stage.path("project")).unwrap();
        for file in ["one.yaml", "two.yaml"] {
            let text = format!("# {file}\nagents: {{root: {{model: m}}}}\n");
            std::fs::write(stage.path("project").join(file), text).unwrap();
        }
        Self { stage, one, two, _codex: codex }
    }

    fn client(&self, chain: Client) -> Client {
        let path = format!("{}:/usr/bin:/bin", self.stage.dir.path().display());
        let env = [("PATH".into(), path.into()), ("TMPDIR".into(), self.stage.path("").into())];
        chain
            .transport(Transport::Print)
            .supervisor(supervisor())
            .state_dir(self.stage.path("state"))
            .env(env)
    }

    fn alone(&self) -> Client {
        self.client(Client::new(DockerAgent::new("one.yaml")).policy(Policy::single()))
    }

    fn request(&self) -> RunRequest {
        let request = RunRequest::new("Do the lab task.").cwd(self.stage.path("project"));
        request.permissions(Permissions::Full)
    }

    async fn run(&self, chain: Client) -> Seen {
        run(&self.client(chain), self.request()).await
    }
}

fn tokens(usage: &Usage) -> [u64; 4] {
    [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
    ]
    .map(Option::unwrap_or_default)
}

/// What the server told, over all models.
fn told_by_the_server(recording: &Recording) -> [u64; 4] {
    let models: Vec<Value> =
        recording.meta["told_by_the_server"].as_object().unwrap().values().cloned().collect();
    ["input", "output", "cache_read", "cache_write"]
        .map(|what| models.iter().map(|model| model[what].as_u64().unwrap()).sum())
}

/// An answer, or a kind of failure and the exit code of `belay run`.
type Ended = Result<&'static str, (FailureKind, u8)>;

/// Each recording with its answer, or its kind of failure and the exit code of `belay run`.
const ALL: [(&str, Ended); 17] = [
    ("a-text", Ok("Hello from the lab. It answers in several pieces.")),
    ("b-shell", Ok("Done: one and two.")),
    ("c-tools", Ok("Three calls.")),
    ("c-write", Ok("Written.")),
    ("d-reason", Ok("Thought.")),
    ("e-deny", Ok("I was not allowed.")),
    ("f-sub", Ok("The helper said 42.")),
    ("g-429-forever", Err((FailureKind::RateLimited, exit_code::RETRY_LATER))),
    ("g-429-once", Ok("After a pause.")),
    ("h-401", Err((FailureKind::Auth, exit_code::CONFIGURATION))),
    ("h-nokey", Err((FailureKind::Auth, exit_code::CONFIGURATION))),
    ("int-int-pid", Err((FailureKind::Interrupted, exit_code::INTERRUPTED))),
    ("int-term-group", Err((FailureKind::Interrupted, exit_code::INTERRUPTED))),
    ("m-max-iter-noyolo", Err((FailureKind::LimitReached, exit_code::LIMIT))),
    ("p-resume-1", Ok("Remember 7919.")),
    ("p-resume-2", Ok("It was 7919.")),
    ("u-anthropic", Ok("Done.")),
];

#[tokio::test]
async fn each_recording_is_a_run_with_its_answer_its_tokens_and_its_kind() {
    for (name, want) in ALL {
        let recording = recording(name);
        let lab = Lab::new(&recorded(name), &Play::default());
        let seen = run(&lab.alone(), lab.request()).await;
        match want {
            Ok(answer) => assert_eq!(seen.answer(), answer, "{name}"),
            Err((kind, code)) => {
                assert_eq!(seen.failure().kind, kind, "{name}: {:?}", seen.failure());
                assert_eq!(exit_code::of_failure(kind), code, "{name}");
            }
        }
        assert_eq!(lab.one.log().stdin().join("\n"), "Do the lab task.", "{name}");
        let usage = &seen.result().usage;
        assert_eq!(tokens(usage), told_by_the_server(&recording), "{name}");
        // It had no price for any of them; belay's list has one for a model that providers sell.
        match name {
            "u-anthropic" => {
                assert_eq!(usage.cost_source, CostSource::Priced);
                assert!(usage.total_cost_usd.is_some_and(|cost| cost > 0.01), "{usage:?}");
            }
            _ => assert_eq!(
                (usage.total_cost_usd, usage.cost_source),
                (None, CostSource::Unknown),
                "{name}"
            ),
        }
    }
}

#[tokio::test]
async fn a_stop_ends_it_with_what_it_has_used() {
    for (name, signal) in [("int-int-pid", Signal::Int), ("int-term-group", Signal::Int)] {
        let mut lines = lines(name);
        let call = lines.iter().position(|line| line.contains(r#""type":"tool_call""#)).unwrap();
        let then = lines.split_off(call + 1);
        let pause =
            Pause { after_line: call + 1, until: Until::Signal(signal), then, resume: false };
        let play =
            Play { wait_for_stdin: WaitForStdin::Eof, pauses: vec![pause], ..Play::lines(lines) };
        let lab = Lab::new(&play, &Play::default());
        let mut run = lab.alone().start(lab.request());
        let records = read_to(&mut run, "tool_call").await;
        run.interrupter().interrupt();
        let seen = finish_after(records, run).await;
        assert_eq!(seen.failure().kind, FailureKind::Interrupted);
        assert_eq!(tokens(&seen.result().usage), told_by_the_server(&recording(name)));
        assert!(seen.took < Duration::from_secs(3), "{:?}", seen.took);
    }
}

const URL: &str = "POST \"http://gateway.test/v1/chat/completions\"";

/// The failures that another file or agent can do something about, and whether belay starts the program a second time.
fn failures() -> Vec<(Play, FailureKind, usize)> {
    let body = |message: &str, code: &str| {
        format!(r#"{{"message": "{message}", "type": "x", "code": "{code}"}}"#)
    };
    let of = |words: String| gives_up(&words);
    vec![
        (recorded("h-401"), FailureKind::Auth, 1),
        (recorded("h-nokey"), FailureKind::Auth, 1),
        (recorded("g-429-forever"), FailureKind::RateLimited, 1),
        (of(format!("{URL}: 500 Internal Server Error {}", body("no", "x"))), FailureKind::ServerError, 1),
        (of(format!("{URL}: 503 Service Unavailable ")), FailureKind::Overloaded, 1),
        (of(format!("{URL}: 402 Payment Required {}", body("no", "insufficient_quota"))), FailureKind::Billing, 1),
        (of("Post \"http://127.0.0.1:9/v1\": dial tcp 127.0.0.1:9: connect: connection refused".to_owned()), FailureKind::Network, 1),
        // It has not tried this again itself.
        (of("unexpected EOF".to_owned()), FailureKind::Network, 3),
        (
            Play {
                last_words: vec![
                    "Error: The conversation has exceeded the model's context window and automatic compaction is not \
                     enabled. Try running /compact"
                        .to_owned(),
                ],
                ..gives_up("")
            },
            FailureKind::ContextOverflow,
            1,
        ),
    ]
}

#[tokio::test]
async fn a_chain_goes_on_from_each_failure_to_the_next_agent_in_its_time() {
    for (play, kind, starts) in failures() {
        let lab = Lab::new(&play, &Play::default());
        let seen = lab.run(Client::new(DockerAgent::new("one.yaml")).or(Codex::new())).await;
        assert_eq!(seen.answer(), ANSWER, "{kind}");
        assert_eq!(attempts(&seen)[0], ("docker-agent", Some(kind), Start::Fresh));
        assert_eq!(lab.one.log().starts(), starts, "{kind}: {:?}", play.last_words);
        assert!(seen.took < Duration::from_secs(20), "{kind}: {:?}", seen.took);
    }
}

#[tokio::test]
async fn another_file_is_handed_over_to_as_another_agent() {
    for (play, kind, _) in failures() {
        let lab = Lab::new(&play, &recorded("a-text"));
        let chain = || Client::new(DockerAgent::new("one.yaml")).or(DockerAgent::new("two.yaml"));
        let seen = lab.run(chain()).await;
        assert_eq!(seen.answer(), "Hello from the lab. It answers in several pieces.", "{kind}");
        let [failover] = failovers(&seen)[..] else { panic!("{kind}: one failover") };
        assert_eq!(
            (failover.from.as_str(), failover.to.as_str(), failover.failure.kind),
            ("docker-agent:one.yaml", "docker-agent:two.yaml", kind)
        );
        // What is known of the first file is not held against the second.
        let starts = lab.two.log().starts();
        let again = lab.run(chain()).await;
        assert!(again.outcome.is_ok(), "{kind}");
        assert_eq!(lab.two.log().starts(), starts + 1, "{kind}");
    }
}

#[tokio::test]
async fn a_silent_wait_for_a_response_is_said_has_its_limit_and_is_not_repeated() {
    let mut begun = lines("a-text");
    let started = begun.iter().position(|line| line.contains("stream_started")).unwrap();
    begun.truncate(started + 2);
    let waits = Play { wait_for_stdin: WaitForStdin::Eof, linger_ms: 60_000, ..Play::lines(begun) };
    let lab = Lab::new(&waits, &Play::default());
    let mut idle = IdleLimits::default();
    idle.retry = Some(Duration::from_millis(1500));
    let client = lab.client(Client::new(DockerAgent::new("one.yaml")).or(Codex::new()));
    let seen = run(&client, lab.request().idle(idle)).await;
    assert_eq!(seen.answer(), ANSWER);
    assert_eq!(attempts(&seen)[0].1, Some(FailureKind::Stalled));
    assert_eq!(lab.one.log().starts(), 1);
    let told = seen.notices("idle");
    assert!(told[0].contains("while waiting for a response"), "{told:?}");
    assert!(seen.took < Duration::from_secs(15), "{:?}", seen.took);
}

#[tokio::test]
async fn a_missing_key_is_named_and_belay_says_when_it_held_it_back() {
    let lab = Lab::new(&recorded("h-nokey"), &Play::default());
    let path = format!("{}:/usr/bin:/bin", lab.stage.dir.path().display());
    let vars = [("PATH".into(), path.into()), ("LAB_KEY".into(), "a-key-of-the-lab".into())];
    let env = Environment::new(vars).mode(EnvMode::Clean);
    let client = lab.alone().environment(env);
    let seen = run(&client, lab.request()).await;
    assert_eq!(seen.failure().kind, FailureKind::Auth);
    let message = &seen.failure().message;
    for words in ["must be set: LAB_KEY", "LAB_KEY is set, and was held back"] {
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn no_word_of_a_prompt_is_taken_for_a_command_and_one_image_is_attached() {
    let lab = Lab::new(&recorded("a-text"), &Play::default());
    let image = lab.stage.path("a.png");
    std::fs::write(&image, b"\x89PNG\r\n\x1a\n").unwrap();
    let mut request = lab.request().image(image.clone());
    request.prompt = "read /attach key.pem now".to_owned();
    let seen = run(&lab.alone(), request).await;
    assert!(seen.outcome.is_ok());
    assert_eq!(lab.one.log().stdin(), ["read /attach\tkey.pem now"]);
    assert_eq!(seen.notices("prompt_escaped").len(), 1);
    let attached = format!("--attach={}", image.display());
    let argv = lab.one.log().argv();
    let attach: Vec<_> = argv.iter().filter(|arg| arg.starts_with("--attach")).collect();
    assert_eq!(attach, [&attached]);
}

#[tokio::test]
async fn the_latest_session_of_the_folder_is_the_one_that_belay_has_kept() {
    let lab = Lab::new(&recorded("p-resume-1"), &recorded("a-text"));
    let wanted = || lab.request().continue_latest();
    let none = run(&lab.alone(), wanted()).await;
    assert_eq!(none.failure().kind, FailureKind::InvalidRequest);
    assert!(
        none.failure().message.contains("docker-agent:one.yaml has no session to continue"),
        "{none:?}"
    );
    assert_eq!(lab.one.log().starts(), 0);

    assert!(run(&lab.alone(), lab.request()).await.outcome.is_ok());
    // Of another file, which is another agent.
    let other = lab.client(Client::new(DockerAgent::new("two.yaml")).policy(Policy::single()));
    assert!(run(&other, lab.request()).await.outcome.is_ok());
    assert!(run(&lab.alone(), wanted()).await.outcome.is_ok());
    let session = "--session=1f02bc8c-00d7-434a-bce5-da469448a661".to_owned();
    assert!(lab.one.log().argv().contains(&session), "{:?}", lab.one.log().argv());
    // Elsewhere there is none.
    std::fs::create_dir(lab.stage.path("elsewhere")).unwrap();
    let seen = run(&lab.alone(), wanted().cwd(lab.stage.path("elsewhere"))).await;
    assert_eq!(seen.failure().kind, FailureKind::InvalidRequest);
}

#[tokio::test]
async fn the_doctor_says_whether_a_file_loads_before_the_first_run() {
    let words = "case \"$*\" in --version) echo 'docker-agent version v1.32.3';; *--dry-run*) \
                 if [ -n \"$LAB_KEY\" ]; then echo ok; else printf 'Error: The following environment variables must be \
                 set:\\n - LAB_KEY\\n\\n' >&2; exit 1; fi;; esac";
    let stage = Stage::new("unused", &Play::default());
    executable(&stage.path("docker-agent"), &format!("#!/bin/sh\n{words}\n"));
    let examine = async |env: Environment, agent: DockerAgent| {
        let client = Client::new(agent).supervisor(supervisor()).environment(env);
        let findings = patiently(client.examine()).await.findings;
        findings.into_iter().find(|finding| finding.about == "agent")
    };
    let vars = |key: Option<&str>| {
        let path = format!("{}:/usr/bin:/bin", stage.dir.path().display());
        let key = key.map(|key| ("LAB_KEY".into(), key.into()));
        Environment::new([("PATH".into(), path.into())].into_iter().chain(key))
    };
    let one = || DockerAgent::new("one.yaml");
    let found = examine(vars(Some("a-key-of-the-lab")), one()).await.unwrap();
    assert_eq!(found.found, "one.yaml loads, and its variables are set");
    let found = examine(vars(None), one()).await.unwrap();
    assert_eq!(found.found, "one.yaml: The following environment variables must be set: LAB_KEY");
    let held = vars(Some("a-key-of-the-lab")).mode(EnvMode::Clean);
    let found = examine(held, one()).await.unwrap();
    assert!(found.found.contains("LAB_KEY is set, and was held back"), "{found:?}");
    // Nobody has named a file.
    assert_eq!(examine(vars(None), DockerAgent::default()).await, None);
}
