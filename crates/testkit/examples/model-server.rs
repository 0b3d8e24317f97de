//! Serves a small script for trying belay by hand: `cargo run -p belay-testkit --example model-server`.
//!
//! Prints the environment that sends the real agents to it, and serves until its input is closed.

use belay_testkit::model_server::{ModelServer, Reply, Script, Tokens};
use belay_testkit::real::{CodexPolicy, Sandbox};
use std::io::Read as _;

fn main() -> std::io::Result<()> {
    let tokens =
        Tokens { input: 1200, output: 85, cache_read: 9000, cache_write: 300, reasoning: 0 };
    let script = Script::new().forever(Reply::text("Hello from the scripted model.").usage(tokens));
    let script = script
        .reply(Reply::text("I will look around.").shell("echo hello; ls -a").usage(tokens))
        .reply(Reply::text("There is nothing here but a greeting.").usage(tokens));
    let server = ModelServer::start(script)?;
    let sandbox = Sandbox::new()?;
    let claude = sandbox.env_for_claude(&server);
    let codex = sandbox.env_for_codex(&server, CodexPolicy::FULL_ACCESS)?;
    let opencode = sandbox.env_for_opencode(&server)?;
    let pi = sandbox.env_for_pi(&server)?;
    let gemini = sandbox.env_for_gemini(&server)?;
    let qwen = sandbox.env_for_qwen(&server)?;
    let copilot = sandbox.env_for_copilot(&server);
    eprintln!(
        "Export these in another terminal, run belay there, and press Ctrl-D here at the end:"
    );
    eprintln!("  belay run -a claude --permit full \"Look around\"");
    eprintln!("  belay run -a codex --pass-env MOCK_KEY \"Look around\"");
    eprintln!("  belay run -a opencode:lab/mock-model \"Look around\"");
    eprintln!("  belay run -a pi:lab/mock-model \"Look around\"");
    eprintln!("  belay run -a gemini:gemini-2.5-pro --permit full \"Look around\"");
    eprintln!("  belay run -a qwen:mock-model --permit full \"Look around\"");
    eprintln!("  belay run -a copilot --permit full \"Look around\"");
    // Not the PATH: belay and the agents are on yours.
    let vars = claude.into_iter().chain(codex).chain(opencode).chain(pi);
    let vars = vars.chain(gemini).chain(qwen).chain(copilot);
    for (name, value) in vars.filter(|(name, _)| name != "PATH") {
        println!("export {name}='{value}'");
    }
    println!("cd '{}'", sandbox.project().display());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
