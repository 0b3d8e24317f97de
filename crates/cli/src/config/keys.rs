//! Every key, with all that is known of it. `docs/config.md` and the starter file are made of this.

use super::setting::InProject::{AtMost, Below, Held, No, Tighter, Unset};
use super::setting::settings;
use super::value::{
    Chain, Count, Dollars, File, Folder, Hidden, Names, Positive, PositiveLong, Reads, Speaks,
    Time, Told,
};
use crate::command::run::options::{DurabilityName, Format};
use crate::surroundings::Color;
use belaykit::{Background, Effort, EnvMode, IdleLimits, OnEffects, OnLimit, Permissions};

/// Why a project does not say how much is shown.
const SHOWN: &str = "what you see of a run is yours to say";
/// Why it does not say who is told.
const TOLD: &str = "it would decide who is told of your work";
/// Why it does not say where journals are.
const JOURNAL: &str = "the journal is yours";
/// Why it does not say whom runs are told to.
const TELLS: &str = "it would tell others what your agents do";
/// Why it does not say which variables agents see.
const HANDS_OUT: &str = "it would hand out what your environment holds";
/// Why it does not say what is started.
const RUNS: &str = "it would decide which programs run";

settings! {
    /// What stands at the top of a file alone, for all profiles.
    Common {
        /// The profile that is meant when none is named.
        default_profile: String = "default_profile", No("it would choose among your own profiles"), "", r#""work""#;
        /// Where the journals of all runs are.
        state_dir: File = "state_dir", No(JOURNAL), "", r#""~/.local/state/belay""#;
    }
}

settings! {
    /// How a run is made: at the top of a file, or in a profile.
    Settings {
        /// The agents, each with a model after a colon; each one takes over from the one before when that fails.
        chain: Chain = "chain", Held, r#"["claude"]"#, r#"["claude:opus", "codex"]"#;
        /// What the agent may do.
        permit: Permissions = "permit", Tighter, "", r#""edit""#;
        /// How hard the model thinks.
        effort: Effort = "effort", Tighter, "", r#""high""#;
        /// Leave an option out that the agent lacks, with a notice, instead of failing.
        lenient: bool = "lenient", No("it would let limits be left out"), "false", "true";
        /// Text that is added to the agent's system prompt.
        append_system_prompt: String = "append_system_prompt", No("it would speak to the agent in your name; a project has AGENTS.md"), "", r#""Answer in English.""#;
        /// Stop the run when it has taken this long.
        timeout: Time = "timeout", Tighter, "", r#""1h30m""#;
        /// Stop the run when the agent makes no progress for so long.
        idle_timeout: IdleLimits = "idle_timeout", AtMost, r#""model=15m,tool=30m,start=3m,retry=10m,background=10m""#, r#""tool=2h""#;
        /// What to do with background tasks that are open when the agent's turn is over.
        background: Background = "background", Tighter, r#""wait""#, r#""stop""#;
        /// Stop after this many model responses.
        max_turns: Positive = "max_turns", Tighter, "", "50";
        /// Stop the run when it has cost so many US dollars, all agents together.
        max_cost: Dollars = "max_cost", Tighter, "", "5.00";
        /// Limit each model response, in tokens.
        max_output_tokens: Positive = "max_output_tokens", Tighter, "", "32000";
        /// How many agent processes a run may start in all.
        max_attempts: Positive = "policy.max_attempts", AtMost, "6", "4";
        /// How often one agent may be tried again.
        max_retries: Count = "policy.max_retries", AtMost, "2", "1";
        /// How often an agent itself may try a request to its model again; without it 2 when another agent could go on.
        agent_retries: Count = "policy.agent_retries", Below("2"), "", "1";
        /// What to do when an agent has reached a limit of its account.
        on_limit: OnLimit = "policy.on_limit", Tighter, r#""failover""#, r#""wait""#;
        /// How long to wait for limits to end, in all; without it not at all, or 6h with `on_limit = "wait"`.
        wait_max: Time = "policy.wait_max", Below(r#""0s""#), "", r#""6h""#;
        /// How long the date at which a limit ends is believed before one run tries whether it came early.
        trust_window: Time = "policy.trust_window", No("how often a limited account is tried is its owner's to say"), r#""1h""#, r#""30m""#;
        /// What to do when the agent that failed may have changed something.
        on_effects: OnEffects = "policy.on_effects", Tighter, r#""continue""#, r#""stop""#;
        /// How much of your environment the agents see: all but what is held back, or a list (docs/environment.md).
        env_mode: EnvMode = "env.mode", Tighter, r#""inherit""#, r#""clean""#;
        /// Variables that the agents see although they would be held back; a name may end in `*`.
        env_pass: Names = "env.pass", No(HANDS_OUT), "[]", r#"["MY_GATEWAY_KEY"]"#;
        /// Variables that no agent sees; a name may end in `*`.
        env_hold_back: Names = "env.hold_back", No("what agents see is yours to say; a project can set `env.mode`"), "[]", r#"["PROD_*"]"#;
        /// How the run is shown.
        format: Format = "format", No(SHOWN), r#""text""#, r#""text""#;
        /// Parts that the text format leaves out.
        hide: Hidden = "hide", No(SHOWN), "[]", r#"["reasoning"]"#;
        /// When to paint the text format.
        color: Color = "color", No(SHOWN), r#""auto""#, r#""never""#;
        /// The context window in tokens, for agents that do not report theirs.
        context_window: PositiveLong = "context_window", Unset, "", "200000";
        /// Where traces are written.
        trace_dir: Folder = "trace_dir", Unset, r#"".belay/traces""#, r#"".belay/traces""#;
        /// Write no trace; the journal has all the same.
        no_trace: bool = "no_trace", Unset, "false", "true";
        /// What a loss of power may cost of the journal.
        durability: DurabilityName = "durability", No(JOURNAL), r#""normal""#, r#""strict""#;
        /// A file with prices of models, which go before list prices.
        price_file: File = "price_file", No("prices decide when `max_cost` is reached"), "", r#""prices.toml""#;
        /// Tell Freeplay of runs, prompts and answers as well; its variables say whom.
        freeplay: bool = "freeplay", No(TOLD), "false", "true";
        /// Where OpenTelemetry's traces are sent: a preset (docs/otel.md), an address, or `off`.
        otel_to: String = "otel.to", No(TOLD), r#""off""#, r#""phoenix""#;
        /// Send prompts, answers, and what tools were told and have printed as well.
        otel_content: bool = "otel.content", No(TOLD), "false", "true";
        /// How that is compressed where no variable of OpenTelemetry's says so: `gzip` or `none`.
        otel_compression: String = "otel.compression", No(TOLD), r#""none""#, r#""gzip""#;
        /// A file of mode 0600 with headers for that, `NAME: VALUE` a line.
        otel_headers_file: File = "otel.headers_file", No(TOLD), "", r#""~/.config/belay/otel-headers""#;
    }
}

settings! {
    /// What belay shall know of one agent: `[agents.NAME]`.
    Own {
        /// Its program, instead of looking for it on the PATH.
        program: File = "program", No(RUNS), "", r#""~/bin/codex-next""#;
        /// Its model, where a chain or a command line names none.
        model: String = "model", Unset, "", r#""gpt-5.5""#;
        /// Environment variables that it alone sees although they would be held back; a name may end in `*`.
        pass_env: Names = "pass_env", No(HANDS_OUT), "[]", r#"["CODEX_API_KEY"]"#;
        /// Arguments for it, before those of the command line.
        args: Names = "args", No(RUNS), "[]", r#"["-c", "model_verbosity=low"]"#;
        /// Of an agent of your own, `-a NAME`: the program that prints its answer (docs/agents/printing.md).
        cmd: String = "cmd", No(RUNS), "", r#""ask {prompt}""#;
        /// How the output of that program is read.
        reads: Reads = "reads", No(RUNS), "", r#"{ failures = ["FATAL"] }"#;
        /// Of an agent of your own, `-a NAME`: the command that speaks ACP (docs/agents/acp.md).
        acp: String = "acp", No(RUNS), "", r#""my-agent --acp""#;
        /// What that agent does in ways of its own.
        speaks: Speaks = "speaks", No(RUNS), "", r#"{ modes = { edit = "code" } }"#;
        /// How many of its runs may be at work at once, those of all processes together; the others wait.
        max_concurrent: Positive = "max_concurrent", Tighter, "", "2";
    }
}

settings! {
    /// Whom runs are told to: `[notify.CHANNEL]`.
    Notify {
        /// Tell of every run; without it of those with `--notify` alone.
        slack_enabled: bool = "notify.slack.enabled", No(TELLS), "false", "true";
        /// The variable with a bot's token (scope `chat:write`).
        slack_bot_token_env: String = "notify.slack.bot_token_env", No(TELLS), "", r#""SLACK_BOT_TOKEN""#;
        /// The file with the token, if it is in no variable; nobody else may read it (0600).
        slack_bot_token_file: File = "notify.slack.bot_token_file", No(TELLS), "", r#""~/.config/belay/slack-token""#;
        /// The channel of the bot.
        slack_channel: String = "notify.slack.channel", No(TELLS), "", r##""#agents""##;
        /// The variable with the address of an incoming webhook, if there is no bot: it knows no threads.
        slack_webhook_url_env: String = "notify.slack.webhook_url_env", No(TELLS), "", r#""SLACK_WEBHOOK_URL""#;
        /// The file with that address (0600).
        slack_webhook_url_file: File = "notify.slack.webhook_url_file", No(TELLS), "", r#""~/.config/belay/slack-webhook""#;
        /// Who is mentioned at the end of a run: ids of users or groups.
        slack_notify_users: Names = "notify.slack.notify_users", No(TELLS), "[]", r#"["U012AB3CD"]"#;
        /// What is told.
        slack_events: Told = "notify.slack.events", No(TELLS), r#"["error", "result"]"#, r#"["error", "result", "start", "tool_use"]"#;
        /// Where Slack's Web API is.
        slack_api_url: String = "notify.slack.api_url", No(TELLS), r#""https://slack.com/api""#, r#""https://slack-gov.com/api""#;
        /// Tell of every run; without it of those with `--notify` alone.
        webhook_enabled: bool = "notify.webhook.enabled", No(TELLS), "false", "true";
        /// Where each notice is posted as JSON.
        webhook_url: String = "notify.webhook.url", No(TELLS), "", r#""https://example.com/belay""#;
        /// The variable with that address, if it is a secret.
        webhook_url_env: String = "notify.webhook.url_env", No(TELLS), "", r#""BELAY_WEBHOOK_URL""#;
        /// The variable with the secret that signs each request (HMAC-SHA256).
        webhook_secret_env: String = "notify.webhook.secret_env", No(TELLS), "", r#""BELAY_WEBHOOK_SECRET""#;
        /// The file with that secret (0600).
        webhook_secret_file: File = "notify.webhook.secret_file", No(TELLS), "", r#""~/.config/belay/webhook-secret""#;
        /// What is told.
        webhook_events: Told = "notify.webhook.events", No(TELLS), r#"["error", "result"]"#, r#"["error", "result", "start", "tool_use"]"#;
        /// Tell of every run; without it of those with `--notify` alone.
        ntfy_enabled: bool = "notify.ntfy.enabled", No(TELLS), "false", "true";
        /// The topic on its server.
        ntfy_url: String = "notify.ntfy.url", No(TELLS), "", r#""https://ntfy.sh/my-topic""#;
        /// The variable with the topic's address, if nobody shall know it.
        ntfy_url_env: String = "notify.ntfy.url_env", No(TELLS), "", r#""NTFY_URL""#;
        /// The variable with a token for the server.
        ntfy_token_env: String = "notify.ntfy.token_env", No(TELLS), "", r#""NTFY_TOKEN""#;
        /// The file with that token (0600).
        ntfy_token_file: File = "notify.ntfy.token_file", No(TELLS), "", r#""~/.config/belay/ntfy-token""#;
        /// What is told.
        ntfy_events: Told = "notify.ntfy.events", No(TELLS), r#"["error", "result"]"#, r#"["error", "result", "start", "tool_use"]"#;
        /// Tell of every run; without it of those with `--notify` alone.
        discord_enabled: bool = "notify.discord.enabled", No(TELLS), "false", "true";
        /// The variable with the address of the channel's webhook.
        discord_webhook_url_env: String = "notify.discord.webhook_url_env", No(TELLS), "", r#""DISCORD_WEBHOOK_URL""#;
        /// The file with that address (0600).
        discord_webhook_url_file: File = "notify.discord.webhook_url_file", No(TELLS), "", r#""~/.config/belay/discord-webhook""#;
        /// What is told.
        discord_events: Told = "notify.discord.events", No(TELLS), r#"["error", "result"]"#, r#"["error", "result", "start", "tool_use"]"#;
        /// Tell of every run; without it of those with `--notify` alone.
        exec_enabled: bool = "notify.exec.enabled", No(TELLS), "false", "true";
        /// A program with its arguments; each notice is JSON on its standard input and in BELAY_TITLE, BELAY_BODY and others.
        exec_command: Names = "notify.exec.command", No(TELLS), "[]", r#"["/home/me/bin/tell"]"#;
        /// Environment variables for it, beyond PATH, HOME and LANG.
        exec_pass_env: Names = "notify.exec.pass_env", No(TELLS), "[]", r#"["DISPLAY"]"#;
        /// What is told.
        exec_events: Told = "notify.exec.events", No(TELLS), r#"["error", "result"]"#, r#"["error", "result", "start", "tool_use"]"#;
    }
}

/// A key that stands for many: `KIND` is any kind of failure.
pub(crate) const RULES: &str = "policy.on";
