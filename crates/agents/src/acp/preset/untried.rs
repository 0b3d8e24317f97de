//! Agents that nobody has tried with belay: their commands, and how a person logs in, from their documentation.

use super::generic::{GENERIC_CAPABILITIES, PLAIN};
use super::{Modes, OwnWords, Preset};
use crate::Care;

const fn untried(
    name: &'static str,
    program: &'static str,
    install: &'static str,
    log_in: &'static str,
) -> Preset {
    Preset {
        name,
        program,
        care: Care { install, node: None, log_in, tried: None },
        modes: Modes::BY_NAME,
        own_words: OwnWords::UNMEASURED,
        capabilities: GENERIC_CAPABILITIES,
        ..PLAIN
    }
}

pub(in crate::acp) static AUGGIE: Preset =
    untried("auggie --acp", "auggie", "npm install -g @augmentcode/auggie", "auggie login");

pub(in crate::acp) static CURSOR: Preset = untried(
    "cursor-agent acp",
    "cursor-agent",
    "see https://cursor.com/docs/cli",
    "cursor-agent login",
);

pub(in crate::acp) static KIMI: Preset =
    untried("kimi acp", "kimi", "uv tool install kimi-cli", "start kimi and type /login");

pub(in crate::acp) static KIRO: Preset =
    untried("kiro-cli acp", "kiro-cli", "see https://kiro.dev/docs/cli", "kiro-cli login");

pub(in crate::acp) static JUNIE: Preset =
    untried("junie --acp", "junie", "see https://junie.jetbrains.com", "start junie");

pub(in crate::acp) static GROK: Preset =
    untried("grok --acp", "grok", "see https://x.ai", "start grok, or set XAI_API_KEY");
