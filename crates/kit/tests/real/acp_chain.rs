//! A chain of two agents over ACP and Copilot that ends at Claude: each fails in its own words, and the next one is handed the task.

use belay_agents::Acp;
use belay_testkit::model_server::{ModelServer, Reply, Script};
use belay_testkit::real::{self, Sandbox, skip_unless_installed};
use belaykit::{Agent, Claude, Client, Copilot, Environment, FailureKind, Policy, RunRequest};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn gemini_qwen_and_copilot_fail_and_claude_answers() {
    let test = "gemini_qwen_and_copilot_fail_and_claude_answers";
    let Some(gemini) = skip_unless_installed(real::gemini(), "gemini", test) else { return };
    let Some(qwen) = skip_unless_installed(real::qwen(), "qwen", test) else { return };
    let Some(copilot) = skip_unless_installed(real::copilot(), "copilot", test) else { return };
    let Some(claude) = skip_unless_installed(real::claude(), "claude", test) else { return };
    let serve = |script| ModelServer::start(script).unwrap();
    let of_gemini = serve(Script::new().forever(Reply::unauthorized()));
    let of_qwen = serve(Script::new().forever(Reply::payment_required()));
    let of_copilot = serve(Script::new().forever(Reply::rate_limited()));
    let of_claude = serve(Script::new().reply(Reply::text("It is blue.")));
    let sandbox = Sandbox::new().unwrap();
    let mut vars = sandbox.env_for_gemini(&of_gemini).unwrap();
    vars.extend(sandbox.env_for_qwen(&of_qwen).unwrap());
    vars.extend(sandbox.env_for_copilot(&of_copilot));
    let own = sandbox.env_for_claude(&of_claude);
    vars.retain(|(name, _)| own.iter().all(|(other, _)| other != name));
    vars.extend(own);
    let vars = vars.into_iter().map(|(name, value)| (name.into(), value.into()));

    let first: Arc<dyn Agent> = Arc::new(Acp::gemini().model("gemini-2.5-pro"));
    let client = Client::of(first)
        .or(Acp::qwen().model("mock-model"))
        .or(Copilot::new().model("mock-model"))
        .or(Claude::new().model("claude-sonnet-4-5-20250929"))
        .program_of("gemini", &gemini.program)
        .program_of("qwen", &qwen.program)
        .program_of("copilot", &copilot.program)
        .program_of("claude-code", &claude.program)
        .supervisor(belay_testkit::fake_agent::supervisor())
        .environment(Environment::new(vars))
        .state_dir(sandbox.home().join("belay-state"))
        .policy(Policy::default().max_retries(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let request = RunRequest::new("What colour is the sky?").cwd(sandbox.project());
    let outcome = runtime.block_on(async {
        let run = tokio::time::timeout(Duration::from_secs(60), client.run(request));
        run.await.expect("the run hangs").unwrap()
    });
    assert_eq!(outcome.text, "It is blue.");
    let attempts: Vec<_> =
        outcome.attempts.iter().map(|attempt| (attempt.agent.as_str(), attempt.kind)).collect();
    assert_eq!(
        attempts,
        [
            ("gemini", Some(FailureKind::Auth)),
            ("qwen", Some(FailureKind::Billing)),
            ("copilot", Some(FailureKind::RateLimited)),
            ("claude-code", None),
        ]
    );
    let asked = of_claude.requests().last().unwrap().body.to_string();
    assert!(asked.contains("What colour is the sky?"));
}
