//! From a request to a process: what is refused before anything starts, and what the agent is given.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::fake_run::{
    ANSWER, Seen, Stage, answer, executable, finish, finish_after, hanging, lines, patiently, play,
    read_to, run,
};
use belay_testkit::fake_agent::{Play, WaitForStdin};
use belay_testkit::recordings;
use belaykit::{
    Claude, Client, Codex, EnvMode, Environment, Event, FailureKind, HoldBack, Record, RunRequest,
    blocking,
};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is wrong comes from `check`, and as the result of a run that starts nothing.
async fn check_refused(client: &Client, request: RunRequest, kind: FailureKind, words: &str) {
    let refused = client.check(&request).unwrap_err();
    assert_eq!(refused.kind(), kind, "{refused}");
    let seen = run(client, request).await;
    assert_eq!(seen.failure(), refused.failure());
    assert!(refused.failure().message.contains(words), "{refused}");
    let tried = ["run_started", "attempt_ended", "result"];
    let not_tried = ["run_started", "result"];
    let names = seen.names();
    assert!(names == tried || names == not_tried, "{names:?}");
}

#[tokio::test]
async fn an_agent_that_cannot_be_started_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "#!/bin/sh\n").unwrap();
    let claude = || Client::new(Claude::new());
    let path = |path: &Path| [("PATH".into(), path.into())];
    let (none, not) = (FailureKind::NotInstalled, FailureKind::NotExecutable);
    for (client, kind, words) in [
        (claude().env([]), none, "the environment has no PATH"),
        (claude().env(path(dir.path())), none, "`claude` is not on the PATH"),
        (claude().program(dir.path().join("missing")), none, "missing"),
        (claude().program(dir.path()), not, "is not an executable program"),
        (claude().program(&plain), not, "is not an executable program"),
    ] {
        check_refused(&client, "p".into(), kind, words).await;
    }
}

#[tokio::test]
async fn a_request_that_cannot_work_is_refused() {
    let stage = Stage::new("claude", &answer());
    let p = || RunRequest::new("p");
    for (request, words) in [
        (RunRequest::new(""), "the prompt is empty"),
        (RunRequest::new(" \n\t"), "the prompt is empty"),
        (p().max_turns(0), "max_turns is 0"),
        (p().trace_id("../../escaped"), "cannot name a trace"),
        (p().trace_id("a/b"), "cannot name a trace"),
        (p().trace_id(""), "cannot name a trace"),
        (p().cwd("/no/such/folder"), "/no/such/folder"),
        (p().cwd(stage.agent.program()), "claude"),
        (p().model("--dangerously-skip-permissions"), "model"),
        (p().resume("-x"), "resume"),
        (p().allowed_tools(["Read,Bash"]), "allowed_tools"),
    ] {
        check_refused(&stage.claude(), request, FailureKind::InvalidRequest, words).await;
    }
    let codex = Client::new(Codex::new()).program(stage.agent.program());
    let request = p().max_output_tokens(7);
    check_refused(&codex, request, FailureKind::InvalidRequest, "max_output_tokens").await;
    assert_eq!(stage.agent.log().starts(), 0);
}

#[tokio::test]
async fn a_launcher_whose_interpreter_is_missing_is_not_executable_unless_it_stands_beside() {
    let stage = Stage::new("agent", &answer());
    let folder = stage.path("bin");
    std::fs::create_dir(&folder).unwrap();
    let launcher = folder.join("claude");
    executable(&launcher, "#!/usr/bin/env belay-test-node\n");
    let path = || [("PATH".into(), "/usr/bin:/bin".into())];
    let client = || stage.claude().program(&launcher).env(path());
    let missing = run(&client(), "p").await;
    assert_eq!(missing.failure().kind, FailureKind::NotExecutable);
    assert!(
        missing.failure().message.contains("install belay-test-node"),
        "{:?}",
        missing.failure()
    );
    assert_eq!(stage.agent.log().starts(), 0);

    let agent = stage.agent.program().display().to_string();
    executable(&folder.join("belay-test-node"), &format!("#!/bin/sh\nexec {agent} \"$@\"\n"));
    assert_eq!(run(&client(), "p").await.answer(), ANSWER);
    let path = stage.agent.log().env().remove("PATH");
    assert_eq!(path, Some(format!("/usr/bin:/bin:{}", folder.display())));

    // A launcher of another sort finds out itself.
    executable(&launcher, "#!/bin/sh\nexec belay-test-node-2 \"$@\"\n");
    let missing = run(&client(), "p").await;
    assert_eq!(missing.failure().kind, FailureKind::NotExecutable);
}

#[tokio::test]
async fn what_only_the_start_can_find_out_is_the_result_of_the_run() {
    let stage = Stage::new("other", &answer());
    executable(&stage.path("claude"), "#!/no/such/interpreter\n");
    let bad_interpreter = run(&stage.claude(), "p").await;
    assert_eq!(bad_interpreter.failure().kind, FailureKind::NotExecutable);
    assert!(bad_interpreter.failure().message.contains("claude"));

    let claude = stage.claude().program(stage.agent.program());
    let nul = run(&claude, RunRequest::new("p").extra_args(["a\0b"])).await;
    assert_eq!(nul.failure().kind, FailureKind::InvalidRequest);
    let huge = RunRequest::new("p").extra_args(["x".repeat(200_000)]);
    let huge = run(&claude, huge).await;
    assert_eq!(huge.failure().kind, FailureKind::InvalidRequest);
    for seen in [bad_interpreter, nul, huge] {
        assert_eq!(seen.names(), ["run_started", "attempt_ended", "result"]);
    }
    assert_eq!(stage.agent.log().starts(), 0);
}

#[tokio::test]
async fn a_program_that_is_being_written_is_waited_for() {
    let stage = Stage::new("agent", &answer());
    let launcher = stage.path("claude");
    executable(&launcher, &format!("#!/bin/sh\nexec {} \"$@\"\n", stage.agent.program().display()));
    let writer = std::fs::OpenOptions::new().append(true).open(&launcher).unwrap();
    let written = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(writer);
    });
    assert_eq!(run(&stage.claude(), "p").await.answer(), ANSWER);
    written.await.unwrap();
}

#[tokio::test]
async fn a_codex_without_app_server_is_run_one_shot() {
    let play =
        Play { wait_for_stdin: WaitForStdin::Eof, ..play(&recordings::one("codex", "a-text")) };
    let script = "test \"$1\" = app-server && { echo \"error: unrecognized subcommand\" >&2; exit 1; }\n\
                  exec \"$0.agent\" \"$@\"";
    let stage = Stage::script(&play, "codex", script);
    let seen = run(&stage.codex(), "the prompt").await;
    assert_eq!(seen.answer(), ANSWER);
    assert_eq!(seen.notices("transport_fallback").len(), 1);
    let started: Vec<_> = seen
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::AttemptStarted(started) => Some((record.attempt, &*started.transport)),
            _ => None,
        })
        .collect();
    assert_eq!(started, [(1, "dialogue"), (2, "print")]);
    let ended: Vec<_> = seen
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::AttemptEnded(ended) => Some(ended.failure.as_ref().map(|failure| failure.kind)),
            _ => None,
        })
        .collect();
    assert_eq!(ended, [Some(FailureKind::VersionUnsupported), None]);
    assert_eq!(stage.agent.log().stdin(), ["the prompt"]);

    let dialogue_only = stage.codex().transport(belaykit::Transport::Dialogue);
    let seen = run(&dialogue_only, "p").await;
    assert_eq!(seen.failure().kind, FailureKind::VersionUnsupported);
    assert_eq!(seen.failure().message, "error: unrecognized subcommand");
}

#[tokio::test]
async fn in_a_clean_environment_the_agent_sees_its_list_and_what_is_passed_on() {
    let stage = Stage::new("claude", &answer());
    let path = stage.dir.path().to_str().unwrap().to_owned();
    let vars = [
        ("PATH", path.as_str()),
        ("HOME", "/home/me"),
        ("LC_ALL", "C"),
        ("ANTHROPIC_API_KEY", "sk-ours"),
        ("OPENAI_API_KEY", "sk-theirs"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("LD_PRELOAD", "/evil.so"),
        ("NODE_OPTIONS", "--inspect"),
        ("CLAUDECODE", "1"),
        ("CLAUDE_CODE_ENTRYPOINT", "cli"),
        ("DISABLE_AUTOUPDATER", "0"),
        ("MY_KEY", "mine"),
        ("MY_OTHER", "mine"),
    ];
    let os = |text: &str| OsString::from(text);
    let all = Environment::new(vars.map(|(name, value)| (os(name), os(value))));
    let mut environment = all.clone().mode(EnvMode::Clean);
    environment.pass("MY_K*");
    let request = RunRequest::new("p").max_output_tokens(99);
    let seen = run(&Client::new(Claude::new()).environment(environment), request).await;
    let run_id = &seen.outcome.as_ref().unwrap().run_id;
    let want = [
        ("PATH", path.as_str()),
        ("HOME", "/home/me"),
        ("LC_ALL", "C"),
        ("ANTHROPIC_API_KEY", "sk-ours"),
        ("CLAUDE_CODE_MAX_OUTPUT_TOKENS", "99"),
        // The limit on background tasks is belay's.
        ("CLAUDE_CODE_PRINT_BG_WAIT_CEILING_MS", "0"),
        ("DISABLE_AUTOUPDATER", "1"),
        // What Claude does beside its work.
        ("DISABLE_TELEMETRY", "1"),
        ("DISABLE_ERROR_REPORTING", "1"),
        ("CLAUDE_CODE_DISABLE_FEEDBACK_SURVEY", "1"),
        ("MY_KEY", "mine"),
        // By which everything is known that the agent starts.
        ("BELAY_RUN_ID", run_id),
    ];
    let want: BTreeMap<String, String> =
        want.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(stage.agent.log().env(), want);
    assert!(seen.notices("env_held_back")[0].contains("OPENAI_API_KEY"));

    // In the one that it inherits, all but the marks of an outer session. What would do the fake harm is left out.
    let mut environment = all;
    environment.hold_back("LD_PRELOAD", HoldBack::Caller);
    let request = RunRequest::new("p").max_output_tokens(99);
    let seen = run(&Client::new(Claude::new()).environment(environment), request).await;
    let mut want = want;
    for (name, value) in vars {
        let is_held_back = ["LD_PRELOAD", "CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT"].contains(&name);
        if name != "DISABLE_AUTOUPDATER" && !is_held_back {
            want.insert(name.to_owned(), value.to_owned());
        }
    }
    want.insert("BELAY_RUN_ID".to_owned(), seen.outcome.as_ref().unwrap().run_id.clone());
    assert_eq!(stage.agent.log().env(), want);
    let words = "claude-code does not see CLAUDECODE, CLAUDE_CODE_ENTRYPOINT (marks of an outer agent session); LD_PRELOAD \
                 (held back by configuration)";
    assert_eq!(seen.notices("env_held_back"), [words]);
}

#[tokio::test]
async fn the_prompt_goes_by_standard_input_and_nowhere_else() {
    let prompt = format!("-x --version \"quoted\" \u{1f600}\n{}", "long ".repeat(200_000));
    let stage = Stage::new("claude", &answer());
    let client = stage.claude().leading_args(["exec", "-i", "sandbox"]);
    let request = RunRequest::new(&prompt).model("opus").cwd(stage.dir.path());
    let seen = run(&client, request).await;
    assert_eq!(seen.answer(), ANSWER);

    let log = stage.agent.log();
    let argv = log.argv();
    assert_eq!(argv[..4], ["exec", "-i", "sandbox", "--print"]);
    assert!(argv.contains(&"--model=opus".to_owned()));
    assert!(argv.iter().all(|arg| !arg.contains("quoted")));
    assert_eq!(log.cwd().unwrap(), stage.dir.path().canonicalize().unwrap());
    let stdin: Vec<serde_json::Value> =
        log.stdin().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let message = serde_json::json!({"role": "user", "content": prompt});
    assert_eq!(stdin, [serde_json::json!({"type": "user", "message": message})]);

    let Event::AttemptStarted(started) = &seen.records[1].event else {
        panic!("{:?}", seen.names())
    };
    assert_eq!(started.command[1..], argv);
    assert_eq!(Path::new(&started.command[0]), stage.agent.program());
}

/// The private files that a run's command names, with mode and content, as they are when the run's handler
/// sees the first event with this name.
type Files = Arc<Mutex<Vec<(PathBuf, u32, String)>>>;

fn looking_at_files(client: Client, files: &Files) -> Client {
    let files = Arc::clone(files);
    client.on_event(move |record: &Record| {
        let Event::AttemptStarted(started) = &record.event else { return };
        for arg in &started.command {
            if let Some((flag, path)) = arg.split_once('=')
                && flag.ends_with("-file")
            {
                let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
                let content = std::fs::read_to_string(path).unwrap();
                files.lock().unwrap().push((path.into(), mode, content));
            }
        }
    })
}

/// Runs until the files were looked at: their agent waits for that.
async fn look_at_files(client: Client, files: &Files, request: RunRequest) {
    let mut run = looking_at_files(client, files).start(request);
    let records = read_to(&mut run, "attempt_started").await;
    let interrupter = run.interrupter();
    let seen = tokio::spawn(finish_after(records, run));
    while files.lock().unwrap().len() < 2 && !seen.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    interrupter.interrupt();
    seen.await.unwrap();
}

fn check_files(files: &Files) {
    let files = std::mem::take(&mut *files.lock().unwrap());
    let seen: Vec<_> = files.iter().map(|(_, mode, content)| (*mode, content.as_str())).collect();
    assert_eq!(seen, [(0o600, "be brief"), (0o600, "and kind")]);
    for (path, ..) in files {
        assert!(path.is_absolute() && !path.exists(), "{}", path.display());
        assert!(!path.parent().unwrap().exists(), "its folder goes too");
    }
}

#[tokio::test]
async fn system_prompts_are_private_files_for_the_time_of_the_attempt() {
    let request =
        || RunRequest::new("p").system_prompt("be brief").append_system_prompt("and kind");
    let files = Files::default();
    for play in [hanging(), Play { linger_ms: 60_000, ..Play::default() }] {
        let stage = Stage::new("claude", &play);
        look_at_files(stage.claude(), &files, request()).await;
        check_files(&files);
        let state = stage.path("state");
        look_at_files(stage.claude().state_dir(&state), &files, request()).await;
        check_files(&files);

        // An agent in another folder must find them, however the state folder was written.
        let up = "../".repeat(std::env::current_dir().unwrap().components().count());
        let relative = format!("{up}{}", stage.path("state").strip_prefix("/").unwrap().display());
        let client = stage.claude().state_dir(relative);
        look_at_files(client, &files, request().cwd(stage.dir.path())).await;
        check_files(&files);
        assert!(stage.agent.log().argv().iter().all(|arg| !arg.contains("be brief")));
    }

    let stage = Stage::new("other", &answer());
    executable(&stage.path("claude"), "#!/no/such/interpreter\n");
    run(&stage.claude(), request()).await;
    // The place is there for the next launch, and nothing is in it.
    let left = std::fs::read_dir(stage.dir.path()).unwrap().flatten();
    let ours = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("belay-"));
    for folder in ours {
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{folder:?}");
    }
}

#[test]
fn a_run_needs_no_runtime_of_the_callers() {
    let stage = Stage::new("claude", &answer());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&seen);
    let client = stage.claude().on_event(move |record| {
        theirs.lock().unwrap().push(record.event.type_name());
    });
    assert_eq!(blocking::run(&client, "p").unwrap().text, ANSWER);
    assert_eq!(seen.lock().unwrap().last(), Some(&"result"));
    let error = blocking::run(&client, "").unwrap_err();
    assert_eq!(error.kind(), FailureKind::InvalidRequest);
    assert_eq!(error.to_string(), "claude-code: the prompt is empty");
}

/// Twenty runs at once, each with an answer of its own.
async fn check_twenty() {
    let own = |n: usize| format!("This is answer number {n}.");
    let stream = lines("claude-code", "a-text");
    let stages: Vec<_> = (0..20)
        .map(|n| {
            let lines = stream.iter().map(|line| line.replace(ANSWER, &own(n)));
            let play = Play { wait_for_stdin: WaitForStdin::Line, ..Play::lines(lines) };
            Stage::new("claude", &play)
        })
        .collect();
    let shared = Client::new(Claude::new()).state_dir(stages[0].path("state"));
    let runs: Vec<_> = stages
        .iter()
        .map(|stage| {
            let client = shared.clone().env(stage.env());
            tokio::spawn(finish(client.start("p")))
        })
        .collect();
    for (n, run) in runs.into_iter().enumerate() {
        let seen: Seen = patiently(run).await.unwrap();
        assert_eq!(seen.answer(), own(n));
        let texts: Vec<_> = seen
            .records
            .iter()
            .filter_map(|record| match &record.event {
                Event::Text(text) => Some(text.text.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(texts, [own(n)]);
    }
    assert_eq!(std::fs::read_dir(stages[0].path("state/runs")).unwrap().count(), 20);
}

#[tokio::test]
async fn twenty_runs_at_once_share_a_thread() {
    check_twenty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_runs_at_once_share_many_threads() {
    check_twenty().await;
}
