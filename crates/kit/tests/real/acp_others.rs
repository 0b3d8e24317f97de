//! Agents over ACP that belay also has a driver for: what is known of each of them is right.
//!
//! OpenCode and Copilot speak ACP themselves, Claude, Codex and Pi through adapters, which start the installed ones.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{Played, SLEEP, Stage, TOKENS, Way, counted, processes_of, times};
use belay_agents::Acp;
use belay_testkit::model_server::{ModelServer, Reply, Script, Tokens};
use belay_testkit::real::{self, RealAgent, again_if_it_fails, skip_unless_installed};
use belaykit::{Event, FailureKind, Permissions, RunRequest};
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

/// An agent, or an adapter of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    OpenCode,
    Copilot,
    ClaudeAgentAcp,
    CodexAcp,
    PiAcp,
}

impl Who {
    fn named(name: &str) -> Self {
        match name {
            "opencode" => Self::OpenCode,
            "copilot" => Self::Copilot,
            "claude_agent_acp" => Self::ClaudeAgentAcp,
            "codex_acp" => Self::CodexAcp,
            "pi_acp" => Self::PiAcp,
            _ => panic!("there is no `{name}`"),
        }
    }

    fn way(self) -> Way {
        match self {
            Self::OpenCode => Way::OpenCode,
            Self::Copilot => Way::Copilot,
            Self::ClaudeAgentAcp => Way::Claude,
            Self::CodexAcp => Way::Codex,
            Self::PiAcp => Way::Pi,
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::OpenCode => "opencode acp",
            Self::Copilot => "copilot --acp",
            Self::ClaudeAgentAcp => "claude-agent-acp",
            Self::CodexAcp => "codex-acp",
            Self::PiAcp => "pi-acp",
        }
    }

    fn adapter(self) -> Option<fn() -> Option<RealAgent>> {
        match self {
            Self::OpenCode | Self::Copilot => None,
            Self::ClaudeAgentAcp => Some(real::claude_agent_acp),
            Self::CodexAcp => Some(real::codex_acp),
            Self::PiAcp => Some(real::pi_acp),
        }
    }

    /// The variable that names the agent which an adapter starts.
    fn inner(self) -> Option<&'static str> {
        match self {
            Self::OpenCode | Self::Copilot => None,
            Self::ClaudeAgentAcp => Some("CLAUDE_CODE_EXECUTABLE"),
            Self::CodexAcp => Some("CODEX_PATH"),
            Self::PiAcp => Some("PI_ACP_PI_COMMAND"),
        }
    }
}

/// An installed one of them.
struct Place {
    who: Who,
    stage: Stage,
    /// The agent that an adapter starts.
    inner: Option<(OsString, OsString)>,
}

impl Place {
    fn enter(who: Who, test: &str) -> Option<Self> {
        let mut stage = Stage::enter(who.way(), test)?;
        let agent = Acp::command(who.command());
        stage.acp = Some(if who == Who::PiAcp { agent.model("lab/mock-model") } else { agent });
        let inner = who.inner().map(|name| (name.into(), stage.program.program.clone().into()));
        if let Some(find) = who.adapter() {
            stage.program = skip_unless_installed(find(), who.command(), test)?;
        }
        Some(Self { who, stage, inner })
    }

    fn play(&self, script: Script, request: impl Into<RunRequest>) -> Played {
        self.play_with(script, request, |_, _| {})
    }

    fn play_with(
        &self,
        script: Script,
        request: impl Into<RunRequest>,
        watch: impl FnMut(&belaykit::Record, &belaykit::Run),
    ) -> Played {
        let server = ModelServer::start(script).unwrap();
        let mut vars = self.stage.vars(&server);
        vars.extend(self.inner.clone());
        self.stage.play_on(&server, &self.stage.client_with(vars), request, watch)
    }

    /// The run has used this many responses, so far as the agent tells; what it does not tell makes the sum partial.
    #[track_caller]
    fn used(&self, played: &Played, responses: u64) {
        let tokens = times(TOKENS, if self.who == Who::OpenCode { 1 } else { responses });
        let Tokens { input, output, cache_read, cache_write, .. } = tokens;
        let usage = &played.outcome().usage;
        let want = match self.who {
            // The last response alone; and its API knows no writing to a cache.
            Who::OpenCode => (input + cache_write, output, cache_read, 0),
            _ => (input, output, cache_read, cache_write),
        };
        let found = counted(usage).or_else(|| {
            Some((usage.input_tokens?, usage.output_tokens?, usage.cache_read_input_tokens?, 0))
        });
        assert_eq!(found, Some(want), "{played:#?}");
        assert_eq!(usage.partial, !matches!(self.who, Who::Copilot | Who::PiAcp), "{usage:?}");
    }
}

/// Makes a test of the function for each that is named; what stands behind a semicolon is for `--all`, as with `on!`.
macro_rules! of {
    ($fact:ident: $($who:ident),+ $(; $($other:ident),+)?) => {
        mod $fact {
            $(
                #[test]
                fn $who() {
                    super::check(module_path!(), stringify!($who), super::$fact);
                }
            )+
            $(
                mod every_way {
                    $(
                        #[test]
                        fn $other() {
                            let fact = super::super::$fact;
                            super::super::check(module_path!(), stringify!($other), fact);
                        }
                    )+
                }
            )?
        }
    };
}

/// Holds a fact against one of them, unless it is not installed.
fn check(fact: &str, who: &str, holds: fn(&Place)) {
    let test = format!("{fact}::{who}");
    again_if_it_fails(&test, || {
        if let Some(place) = Place::enter(Who::named(who), &test) {
            holds(&place);
        }
    });
}

fn full() -> RunRequest {
    RunRequest::new("PROMPT").permissions(Permissions::Full)
}

fn an_answer_has_its_tokens(place: &Place) {
    let played = place.play(Script::new().forever(Reply::text("Hello.").usage(TOKENS)), "PROMPT");
    let outcome = played.answered("Hello.");
    assert_eq!(outcome.agent, "acp");
    place.used(&played, 1);
    if place.who == Who::OpenCode {
        assert!((outcome.usage.total_cost_usd.unwrap() - 0.00818).abs() < 1e-9, "{outcome:#?}");
    }
}
of!(an_answer_has_its_tokens: opencode, copilot, claude_agent_acp, codex_acp, pi_acp);

/// Their sums count on from prompt to prompt; a run counts its own.
fn a_second_prompt_of_the_session_counts_its_own_tokens(place: &Place) {
    let script = || Script::new().forever(Reply::text("Hello.").usage(TOKENS));
    let played = place.play(script(), "PROMPT");
    let session = played.outcome().session_id.clone().unwrap();
    let played = place.play(script(), RunRequest::new("AGAIN").resume(&session));
    played.answered("Hello.");
    place.used(&played, 1);
    assert!(played.requests.iter().any(|request| request.body.to_string().contains("AGAIN")));
}
of!(a_second_prompt_of_the_session_counts_its_own_tokens: opencode; copilot, claude_agent_acp, codex_acp, pi_acp);

fn a_command_is_told_with_its_output(place: &Place) {
    let shell = Reply::text("Looking.").shell("sleep 0.3; echo one; exit 3").usage(TOKENS);
    let script = Script::new().reply(shell).forever(Reply::text("Done.").usage(TOKENS));
    let played = place.play(script, full());
    played.answered("Done.");
    let calls = played.calls();
    assert_eq!((calls.len(), calls[0].name.as_str()), (1, "Bash"), "{played:#?}");
    assert!(calls[0].args.get().contains("echo one"), "{played:#?}");
    let result = played.result_of(calls[0].tool_id.as_ref());
    assert!(result.output.contains("one") && result.tool_error, "{result:?}");
    // Pi's adapter does not know it, and says 1.
    let code = Some(3).filter(|_| !matches!(place.who, Who::ClaudeAgentAcp | Who::PiAcp));
    assert_eq!(result.exit_code, code);
    place.used(&played, 2);
}
of!(a_command_is_told_with_its_output: opencode; copilot, claude_agent_acp, codex_acp, pi_acp);

fn a_wrong_key_is_a_failure(place: &Place) {
    let played = place.play(Script::new().forever(Reply::unauthorized()), "PROMPT");
    played.failed(match place.who {
        // It tells nothing at all.
        Who::PiAcp => FailureKind::Protocol,
        _ => FailureKind::Auth,
    });
}
of!(a_wrong_key_is_a_failure: opencode; copilot, claude_agent_acp, codex_acp, pi_acp);

/// Then something was said and used, and the end of the turn looks like that of an answer.
fn a_failure_behind_a_tool_is_no_answer(place: &Place) {
    let shell = Reply::text("Looking.").shell("echo one").usage(TOKENS);
    let played = place.play(Script::new().reply(shell).forever(Reply::unauthorized()), full());
    let kind = if place.who == Who::PiAcp { FailureKind::Protocol } else { FailureKind::Auth };
    played.failed(kind);
    assert_eq!(played.calls().len(), 1, "{played:#?}");
}
of!(a_failure_behind_a_tool_is_no_answer: claude_agent_acp; codex_acp, pi_acp);

/// Copilot's has nothing that an answer could not have.
fn a_failure_that_looks_like_an_answer_is_said_to_be_one(place: &Place) {
    let shell = Reply::text("Looking.").shell("echo one").usage(TOKENS);
    let played = place.play(Script::new().reply(shell).forever(Reply::unauthorized()), full());
    assert!(played.outcome().text.contains("Error: "), "{played:#?}");
    let said = played.events().any(|event| match event {
        Event::Notice(notice) => notice.code.as_deref() == Some("maybe_failed"),
        _ => false,
    });
    assert!(said, "{played:#?}");
}
of!(a_failure_that_looks_like_an_answer_is_said_to_be_one: copilot);

/// A minute of Copilot's own tries is too long for here.
fn a_rate_limit_is_a_failure(place: &Place) {
    let played = place.play(Script::new().forever(Reply::rate_limited()), "PROMPT");
    let is_mute = place.who == Who::PiAcp;
    played.failed(if is_mute { FailureKind::Protocol } else { FailureKind::RateLimited });
}
of!(a_rate_limit_is_a_failure: claude_agent_acp; codex_acp, pi_acp);

/// It says so, and does not fail.
fn an_answer_about_an_error_is_an_answer(place: &Place) {
    let words = "Error: that is what the log says.";
    let played = place.play(Script::new().forever(Reply::text(words).usage(TOKENS)), "PROMPT");
    played.answered(words);
}
of!(an_answer_about_an_error_is_an_answer: copilot; pi_acp);

fn a_response_that_is_tried_again_is_told_once(place: &Place) {
    let words = "These words are out already when it breaks, all forty of them at least.";
    let script = Script::new().reply(Reply::text(words).drop_after(5));
    let played = place.play(script.forever(Reply::text("Whole.").usage(TOKENS)), "PROMPT");
    played.answered("Whole.");
    assert!(!played.of_type("text_retracted").is_empty(), "{played:#?}");
}
of!(a_response_that_is_tried_again_is_told_once: copilot; pi_acp);

/// Nothing of it is left: the stage looks for that behind each run.
fn a_cancel_in_a_tool_leaves_nothing(place: &Place) {
    let sleep = Reply::text("I will sleep.").shell(SLEEP).usage(TOKENS);
    let script = Script::new().reply(sleep).forever(Reply::text("Never said."));
    let mut since = None;
    let played = place.play_with(script, full(), |record, run| {
        if matches!(record.event, Event::ToolCall(_)) && since.is_none() {
            // Some ask before they run it, so the run must go on meanwhile.
            let (home, interrupter) = (place.stage.sandbox.home().to_owned(), run.interrupter());
            since = Some(std::thread::spawn(move || {
                wait_for_sleep(&home);
                interrupter.interrupt();
                Instant::now()
            }));
        }
    });
    played.failed(FailureKind::Interrupted);
    let took = since.expect("the tool was called").join().unwrap().elapsed();
    assert!(took < Duration::from_secs(8), "it took {took:?}: {played:#?}");
}
of!(a_cancel_in_a_tool_leaves_nothing: opencode; copilot, claude_agent_acp, codex_acp, pi_acp);

fn wait_for_sleep(home: &Path) {
    let since = Instant::now();
    let runs = |line: &str| line.starts_with("python3") && line.contains("time.sleep(300)");
    while !processes_of(home).iter().any(|(_, line)| runs(line)) {
        assert!(since.elapsed() < Duration::from_secs(10), "the tool does not run");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn read_only_is_refused_where_nobody_keeps_it(place: &Place) {
    let request = RunRequest::new("PROMPT").permissions(Permissions::ReadOnly);
    let played = place.play(Script::new(), request);
    let error = played.failed(FailureKind::InvalidRequest);
    let driver = format!("use -a {}", place.who.command().split([' ', '-']).next().unwrap());
    assert!(error.to_string().contains(&driver), "{error}");
    assert_eq!(played.requests.len(), 0);
}
of!(read_only_is_refused_where_nobody_keeps_it: opencode; copilot, claude_agent_acp, pi_acp);

fn read_only_writes_nothing(place: &Place) {
    let touch = Reply::new().shell("touch touched");
    let script = Script::new().reply(touch).forever(Reply::text("Done."));
    let request = RunRequest::new("PROMPT").permissions(Permissions::ReadOnly);
    let played = place.play(script, request);
    assert!(!place.stage.file("touched").exists(), "{played:#?}");
}
of!(read_only_writes_nothing: codex_acp);

fn edit_does_not_write_elsewhere(place: &Place) {
    // Codex counts /tmp to the workspace, and this clone may lie there.
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let elsewhere = folder.path().join("elsewhere.txt");
    let write = Reply::new().write_file(elsewhere.to_string_lossy(), "one\n");
    let script = Script::new().reply(write).forever(Reply::text("Done."));
    let request = RunRequest::new("PROMPT").permissions(Permissions::Edit);
    let played = place.play(script, request);
    assert!(!elsewhere.exists(), "{played:#?}");
}
of!(edit_does_not_write_elsewhere: claude_agent_acp; codex_acp);

fn edit_writes_files_in_the_project(place: &Place) {
    let path = place.stage.path_for_model("notes.txt");
    let script = Script::new().reply(Reply::new().write_file(path, "one\n"));
    let request = RunRequest::new("PROMPT").permissions(Permissions::Edit);
    let played = place.play(script.forever(Reply::text("Done.")), request);
    played.answered("Done.");
    assert!(place.stage.file("notes.txt").exists(), "{played:#?}");
}
of!(edit_writes_files_in_the_project: claude_agent_acp; codex_acp);
