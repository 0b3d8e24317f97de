//! What real agents do in each mode, held against one table, and what they may do in a run that does not say.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::party::{Fails, Seen, TOKENS, client, party, run};
use crate::real_run::{Stage, Way, on};
use belay_testkit::model_server::{ModelServer, Reply, Script};
use belay_testkit::real::{Sandbox, again_if_it_fails};
use belaykit::{Event, FailureKind, Permissions, RunRequest};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// The first agent fails before it has done anything, and the model of the second one calls a shell.
fn chain(from: &'static str, to: &'static str, test: &str) -> Option<(Sandbox, Seen, usize)> {
    let sandbox = Sandbox::new().unwrap();
    let first = party(from, Script::new().forever(Fails::Unauthorized.reply()), test)?;
    let marker = sandbox.project().join("marker");
    let script = Script::new()
        .reply(Reply::new().shell(format!("touch {}", marker.display())).usage(TOKENS))
        .forever(Reply::text("That is all.").usage(TOKENS));
    let second = party(to, script, test)?;
    let request = RunRequest::new("Make the marker.").cwd(sandbox.project());
    let seen =
        run(&client(&sandbox, &[&first, &second]), request.timeout(Duration::from_secs(100)));
    let asked = second.server.requests().len();
    Some((sandbox, seen, asked))
}

/// It is started, and no command of its runs.
fn is_held(from: &'static str, to: &'static str, test: &str) {
    let Some((sandbox, seen, asked)) = chain(from, to, test) else { return };
    assert!(asked > 0, "{to} was started: {:#?}", seen.records);
    assert!(!sandbox.project().join("marker").exists(), "{to} ran a command: {:#?}", seen.records);
    let bound = seen.records.iter().filter_map(|record| match &record.event {
        Event::Notice(notice) if notice.code.as_deref() == Some("permit_bound") => {
            Some(&notice.text)
        }
        _ => None,
    });
    let words: Vec<_> = bound.collect();
    assert!(words.iter().any(|words| words.contains("--permit ask")), "{words:?}");
}

/// Nothing is started, since the second one cannot be held.
fn is_refused(from: &'static str, to: &'static str, test: &str) {
    let Some((sandbox, seen, asked)) = chain(from, to, test) else { return };
    assert!(!sandbox.project().join("marker").exists());
    let error = seen.outcome.unwrap_err();
    assert_eq!((error.kind(), asked), (FailureKind::InvalidRequest, 0), "{error}");
    let words = error.to_string();
    for part in [from, to, "--permit"] {
        assert!(words.contains(part), "{part}: {words}");
    }
}

/// The user lets the first one do anything, and the second one is as free as it is by itself.
fn is_free(from: &'static str, to: &'static str, test: &str) {
    let Some((sandbox, seen, _)) = chain(from, to, test) else { return };
    assert!(fs::exists(sandbox.project().join("marker")).unwrap(), "{:#?}", seen.records);
}

macro_rules! cases {
    ($($name:ident: $do:ident($($arg:expr),+);)+) => {
        $(
            #[test]
            fn $name() {
                again_if_it_fails(stringify!($name), || $do($($arg),+, stringify!($name)));
            }
        )+
    };
}

cases! {
    opencode_behind_claude_runs_no_command: is_held("claude-code", "opencode");
    codex_behind_claude_runs_no_command: is_held("claude-code", "codex");
    pi_behind_claude_is_refused: is_refused("claude-code", "pi");
    pi_behind_opencode_is_as_free_as_opencode: is_free("opencode", "pi");
}

/// What an agent does when its model asks for it. Each letter is one thing that was done: `s` a command that writes in
/// the folder, `w` a file that the agent's own tool writes there, `S` and `W` the same outside of it, `n` a command that
/// reads the network.
const TABLE: &[(&[Way], [&str; 4])] = &[
    // read-only, ask, edit, full; `!` is refused before anything starts
    (&[Way::Claude, Way::ClaudePrint], ["", "", "sw", "swSWn"]),
    (&[Way::Codex, Way::CodexExec], ["", "", "sw", "swSWn"]),
    (&[Way::OpenCode], ["", "", "w", "swSWn"]),
    (&[Way::OpenCodeRun], ["", "", "w", "swSWn"]),
    (&[Way::Pi, Way::PiPrint], ["", "!", "!", "swSWn"]),
    (&[Way::Gemini], ["", "", "w", "swSn"]),
    (&[Way::Qwen], ["", "", "!", "swSWn"]),
    (&[Way::Copilot], ["", "", "w", "swSWn"]),
];

fn row(way: Way) -> [&'static str; 4] {
    let (_, row) = TABLE.iter().find(|(ways, _)| ways.contains(&way)).unwrap();
    *row
}

fn of(way: Way, mode: Permissions) -> &'static str {
    row(way)[Permissions::ALL.iter().position(|known| *known == mode).unwrap()]
}

/// One thing that the model asks for, and how it is seen that it was done.
struct Deed {
    letter: char,
    reply: Reply,
    is_done: Box<dyn Fn() -> bool>,
}

fn deeds(stage: &Stage) -> Vec<Deed> {
    let outside = stage.project().with_file_name("outside");
    fs::create_dir_all(&outside).unwrap();
    let file = |letter, path: PathBuf, reply| {
        let is_done = Box::new(move || path.exists());
        Deed { letter, reply, is_done }
    };
    let touch = |path: &PathBuf| Reply::new().shell(format!("touch {}", path.display()));
    let write = |path: &PathBuf| Reply::new().write_file(path.to_string_lossy(), "one\n");
    let [by_shell, by_tool] = ["by-shell", "by-tool"].map(|name| stage.file(name));
    let [shell_outside, tool_outside] = ["by-shell", "by-tool"].map(|name| outside.join(name));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = thread::spawn(move || listener.accept().is_ok());
    let connect =
        format!("python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}), 5)'");
    vec![
        file('s', by_shell.clone(), touch(&by_shell)),
        file(
            'w',
            by_tool.clone(),
            Reply::new().write_file(stage.path_for_model("by-tool"), "one\n"),
        ),
        file('S', shell_outside.clone(), touch(&shell_outside)),
        file('W', tool_outside.clone(), write(&tool_outside)),
        Deed {
            letter: 'n',
            reply: Reply::new().shell(connect),
            is_done: Box::new(move || heard.is_finished()),
        },
    ]
}

/// What is done in a mode: the letters of the deeds, or `!` if it is refused. An agent that ends its turn with a denial
/// is asked for one thing a run.
fn done(stage: &Stage, mode: Option<Permissions>, configure: fn(&Stage)) -> String {
    let gives_up = matches!(stage.way, Way::Qwen | Way::OpenCodeRun);
    let mut request = RunRequest::new("PROMPT");
    request.permissions = mode;
    if stage.way == Way::Copilot {
        // Another model is offered no tool that writes a whole file.
        request = request.model("mock-model");
    }
    let deeds = deeds(stage);
    let runs = if gives_up { deeds.chunks(1) } else { deeds.chunks(deeds.len()) };
    for deeds in runs {
        let script =
            deeds.iter().fold(Script::new(), |script, deed| script.reply(deed.reply.clone()));
        let server = ModelServer::start(script.forever(Reply::text("Done."))).unwrap();
        let vars = stage.vars(&server);
        configure(stage);
        let client = stage.client_with(vars);
        let played = stage.play_on(&server, &client, request.clone(), |_, _| {});
        if let Err(error) = &played.outcome {
            match error.kind() {
                FailureKind::InvalidRequest if played.requests.is_empty() => return "!".to_owned(),
                FailureKind::PermissionDenied if gives_up => {}
                _ => panic!("{played:#?}"),
            }
        }
    }
    deeds.iter().filter(|deed| (deed.is_done)()).map(|deed| deed.letter).collect()
}

fn is_as_the_table_says(stage: &Stage, mode: Permissions) {
    let done = done(stage, Some(mode), |_| {});
    assert_eq!(done, of(stage.way, mode), "{mode} on {:?}", stage.way);
}

/// The user's own configuration allows everything; that of Codex does in each test.
fn allowing(stage: &Stage) {
    let change = |path: &str, more: Value| {
        let path = stage.sandbox.home().join(path);
        let text = fs::read_to_string(&path).unwrap_or_else(|_| "{}".to_owned());
        let mut settings: Value = serde_json::from_str(&text).unwrap();
        for (key, value) in more.as_object().unwrap() {
            settings[key] = value.clone();
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, settings.to_string()).unwrap();
    };
    match stage.way {
        Way::Claude | Way::ClaudePrint => {
            let allow = json!(["Bash", "Write", "Edit", "WebFetch"]);
            let permissions = json!({"allow": allow, "defaultMode": "acceptEdits"});
            change(".claude/settings.json", json!({"permissions": permissions}));
        }
        Way::OpenCode | Way::OpenCodeRun => {
            let rules = json!({"edit": "allow", "bash": "allow", "external_directory": "allow"});
            let build = json!({"build": {"permission": rules}});
            change(".config/opencode/opencode.json", json!({"permission": rules, "agent": build}));
        }
        Way::Gemini => {
            let tools = json!({"allowed": ["run_shell_command", "write_file"]});
            let general = json!({"disableAutoUpdate": true, "defaultApprovalMode": "auto_edit"});
            change(".gemini/settings.json", json!({"tools": tools, "general": general}));
        }
        Way::Qwen => {
            let tools = json!({"approvalMode": "yolo", "allowed": ["run_shell_command"]});
            let permissions = json!({"allow": ["Bash", "Write", "Edit"]});
            change(".qwen/settings.json", json!({"tools": tools, "permissions": permissions}));
        }
        Way::Codex | Way::CodexExec | Way::Pi | Way::PiPrint | Way::Copilot => {}
    }
}

/// What the user allows does not loosen a mode that only looks.
fn read_only_is_no_more_whatever_the_user_allows(stage: &Stage) {
    let done = done(stage, Some(Permissions::ReadOnly), allowing);
    assert_eq!(done, of(stage.way, Permissions::ReadOnly), "{:?}", stage.way);
}
on!(read_only_is_no_more_whatever_the_user_allows: opencode; claude, claude_print, gemini, qwen);

fn ask_is_no_more_whatever_the_user_allows(stage: &Stage) {
    let done = done(stage, Some(Permissions::Ask), allowing);
    assert_eq!(done, of(stage.way, Permissions::Ask), "{:?}", stage.way);
}
on!(ask_is_no_more_whatever_the_user_allows: opencode; claude, claude_print, gemini);

fn edit_is_no_more_whatever_the_user_allows(stage: &Stage) {
    let done = done(stage, Some(Permissions::Edit), allowing);
    assert_eq!(done, of(stage.way, Permissions::Edit), "{:?}", stage.way);
}
on!(edit_is_no_more_whatever_the_user_allows: opencode; gemini);

fn read_only_is_what_the_table_says(stage: &Stage) {
    is_as_the_table_says(stage, Permissions::ReadOnly);
}
on!(read_only_is_what_the_table_says: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, gemini, qwen, copilot);

fn ask_is_what_the_table_says(stage: &Stage) {
    is_as_the_table_says(stage, Permissions::Ask);
}
on!(ask_is_what_the_table_says: gemini; claude, claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, qwen, copilot);

fn edit_is_what_the_table_says(stage: &Stage) {
    is_as_the_table_says(stage, Permissions::Edit);
}
on!(edit_is_what_the_table_says: claude, codex, opencode, copilot; claude_print, codex_exec, opencode_run, pi, pi_print, gemini, qwen);

fn full_is_what_the_table_says(stage: &Stage) {
    is_as_the_table_says(stage, Permissions::Full);
}
on!(full_is_what_the_table_says: pi; claude, claude_print, codex, codex_exec, opencode, opencode_run, pi_print, gemini, qwen, copilot);

/// What is done without a mode lies between what belay says that it may do at least and at most.
fn no_mode_is_what_the_effective_one_says(stage: &Stage) {
    let server = ModelServer::start(Script::new()).unwrap();
    let request = RunRequest::new("PROMPT").cwd(stage.project());
    let effective = stage.client(&server).effective_mode(&request);
    let done = done(stage, None, |_| {});
    let row = |mode| of(stage.way, mode);
    // OpenCode lets everything be done and asks about paths outside of the folder.
    let asks_about = if stage.way.is_opencode() { "!SW" } else { "!" };
    let least = row(effective.at_least).chars().filter(|deed| !asks_about.contains(*deed));
    let misses = least.filter(|deed| !done.contains(*deed)).count();
    assert_eq!(misses, 0, "{effective:?}: only {done}");
    let most = row(effective.at_most);
    assert!(most == "!" || done.chars().all(|deed| most.contains(deed)), "{effective:?}: {done}");
}
on!(no_mode_is_what_the_effective_one_says: qwen; claude, claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, gemini, copilot);
