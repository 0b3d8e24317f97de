//! All agents at once, as a person has them who has installed them all.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::sync::OnceLock;

use super::{CodexPolicy, RealAgent, Sandbox, claude, codex, opencode, pi, skip_unless_installed};
use crate::model_server::ModelServer;

/// The names by which the agents are called.
pub const EVERYONE: [&str; 4] = ["claude", "codex", "opencode", "pi"];

/// A home in which each agent is on the PATH by its name, logged in, and has a model of its own choice, so that
/// nothing but the name has to be said to run another one.
#[derive(Debug)]
pub struct Everyone {
    /// The home.
    pub sandbox: Sandbox,
    /// The whole environment.
    pub env: Vec<(String, String)>,
}

impl Everyone {
    /// Sets all agents up against this server; `None` when one is not installed, which is said.
    ///
    /// # Panics
    ///
    /// When the home cannot be written.
    pub fn enter(server: &ModelServer, test: &str) -> Option<Self> {
        // Each is asked for its version, which takes seconds together.
        static AGENTS: OnceLock<[Option<RealAgent>; 4]> = OnceLock::new();
        let agents = AGENTS.get_or_init(|| [claude(), codex(), opencode(), pi()]);
        let mut programs = Vec::new();
        for (agent, name) in agents.iter().zip(EVERYONE) {
            programs.push((skip_unless_installed(agent.clone(), name, test)?.program, name));
        }
        let sandbox = Sandbox::new().expect("a home can be made");
        let bin = sandbox.home().join("bin");
        fs::create_dir(&bin).expect("a folder can be made");
        for (program, name) in programs {
            symlink(program, bin.join(name)).expect("a link can be made");
        }
        let mut env = settings(&sandbox, server).expect("the agents can be configured");
        env.push(("PATH".to_owned(), format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display())));
        Some(Self { sandbox, env })
    }
}

fn settings(sandbox: &Sandbox, server: &ModelServer) -> io::Result<Vec<(String, String)>> {
    let mut env = sandbox.env_for_claude(server);
    env.extend(sandbox.env_for_codex(server, CodexPolicy::FULL_ACCESS)?);
    env.extend(sandbox.env_for_opencode(server)?);
    env.extend(sandbox.env_for_pi(server)?);
    // The key under the name that belay passes on to Codex unasked.
    let config = sandbox.home().join(".codex/config.toml");
    fs::write(&config, fs::read_to_string(&config)?.replace("MOCK_KEY", "OPENAI_API_KEY"))?;
    env.push(("OPENAI_API_KEY".to_owned(), "dummy".to_owned()));
    let choice = r#"{"defaultProvider":"lab","defaultModel":"mock-model"}"#;
    fs::write(sandbox.home().join(".pi/agent/settings.json"), choice)?;
    Ok(env)
}
