//! Where the configuration meets the command line: it fills in what was not given there, here and nowhere else.

use super::TracePlace;
use super::keys::{Own, Settings};
use super::layers::Config;
use super::setting::At;
use super::value::Names;
use crate::command::run::ask::Ask;
use crate::command::run::options::Options;
use crate::command::run::otel::OtelFlags;
use crate::command::run::policy::PolicyFlags;
use crate::surroundings::EnvConfig;
use belaykit::{Client, Environment};

impl Config {
    /// Fills in what was not given for a new run.
    pub(crate) fn fill(&self, options: &mut Options) {
        let settings = &self.profile.settings;
        let ask = &mut options.ask;
        or(&mut ask.permit, &settings.permit, |permit| *permit);
        or(&mut ask.effort, &settings.effort, |effort| *effort);
        or(&mut ask.lenient, &settings.lenient, |lenient| *lenient);
        or(&mut ask.append_system_prompt, &settings.append_system_prompt, String::clone);
        or(&mut options.timeout, &settings.timeout, |time| time.0);
        or(&mut options.idle_timeout, &settings.idle_timeout, |limits| *limits);
        or(&mut options.background, &settings.background, |background| *background);
        or(&mut options.max_turns, &settings.max_turns, |turns| turns.0);
        or(&mut options.max_cost, &settings.max_cost, |dollars| dollars.0);
        or(&mut options.max_output_tokens, &settings.max_output_tokens, |tokens| tokens.0);
        // Whoever names the folder of the traces wants one.
        if options.trace_dir.is_none() {
            or(&mut options.no_trace, &settings.no_trace, |no| *no);
        }
        if options.trace_dir.is_none() {
            match self.trace_place() {
                TracePlace::Users(dir) => options.trace_dir = Some(dir),
                place => options.project_traces = place,
            }
        }
        self.fill_again(options);
    }

    /// Fills in what was not given for a run that goes on: how failures are met, how it is shown, and in which
    /// surroundings its agent works. What was asked of the agent, and its limits, are those of the run.
    pub(crate) fn fill_again(&self, options: &mut Options) {
        let settings = &self.profile.settings;
        self.fill_policy(settings, &mut options.policy);
        or(&mut options.format, &settings.format, |format| *format);
        or(&mut options.color, &settings.color, |color| *color);
        or(&mut options.context_window, &settings.context_window, |tokens| tokens.0);
        or(&mut options.durability, &settings.durability, |durability| *durability);
        or(&mut options.price_file, &settings.price_file, |file| file.0.clone());
        self.fill_otel(&mut options.otel);
        if let (true, Some(hide)) = (options.hide.is_empty(), &settings.hide) {
            options.hide.clone_from(&hide.value.0);
        }
        or(&mut options.configured_state_dir, &self.common.state_dir, |dir| dir.0.clone());
        options.profile = self.chosen.as_ref().map(|chosen| chosen.name.clone());
        options.notify.configured = self.notify.clone();
        self.surround(&mut options.ask);
    }

    /// Where OpenTelemetry's traces are sent.
    pub(crate) fn fill_otel(&self, otel: &mut OtelFlags) {
        let settings = &self.profile.settings;
        let configured = &mut otel.configured;
        or(&mut configured.to, &settings.otel_to, String::clone);
        or(&mut configured.compression, &settings.otel_compression, String::clone);
        or(&mut configured.headers_file, &settings.otel_headers_file, |file| file.0.clone());
        or(&mut configured.freeplay, &settings.freeplay, |freeplay| *freeplay);
        or(&mut configured.content, &settings.otel_content, |content| *content);
    }

    /// Where traces are written.
    pub(crate) fn trace_place(&self) -> TracePlace {
        self.profile.settings.trace_dir.as_ref().map_or_else(TracePlace::default, TracePlace::of)
    }

    /// Tells what is known of the agents.
    pub(crate) fn surround(&self, ask: &mut Ask) {
        ask.agents.clone_from(&self.agents);
        or(&mut ask.env, &self.profile.settings.env_mode, |mode| *mode);
        ask.env_config = self.env();
    }

    /// Which variables are passed and held back beside what the command line says: those that hold secrets of belay's
    /// own are named by the settings (`…_env`).
    pub(crate) fn env(&self) -> EnvConfig {
        let names = |at: &Option<At<Names>>| at.iter().flat_map(|at| at.value.0.clone()).collect();
        let settings = &self.profile.settings;
        let rows = self.rows().into_iter().filter(|row| row.key.ends_with("_env"));
        let secrets = rows.filter_map(|row| row.value.as_str().map(str::to_owned));
        EnvConfig {
            pass: names(&settings.env_pass),
            hold_back: names(&settings.env_hold_back),
            secrets: secrets.collect(),
        }
    }

    /// What an agent sees that no command line says anything of.
    pub(crate) fn environment(&self) -> Environment {
        let mode = self.profile.settings.env_mode.as_ref().map(|at| at.value);
        self.env().environment(mode.unwrap_or_default(), &[])
    }

    fn fill_policy(&self, settings: &Settings, policy: &mut PolicyFlags) {
        or(&mut policy.max_attempts, &settings.max_attempts, |attempts| attempts.0);
        or(&mut policy.max_retries, &settings.max_retries, |retries| retries.0);
        or(&mut policy.agent_retries, &settings.agent_retries, |retries| retries.0);
        or(&mut policy.on_limit, &settings.on_limit, |answer| *answer);
        or(&mut policy.wait_max, &settings.wait_max, |time| time.0);
        or(&mut policy.trust_window, &settings.trust_window, |time| time.0);
        or(&mut policy.on_effects, &settings.on_effects, |answer| *answer);
        // The last rule for a kind holds.
        let rules = self.profile.rules.iter().map(|(kind, rule)| (*kind, rule.value));
        policy.rules.splice(0..0, rules);
    }
}

fn or<T, V>(given: &mut Option<T>, configured: &Option<At<V>>, value: impl FnOnce(&V) -> T) {
    if given.is_none() {
        *given = configured.as_ref().map(|at| value(&at.value));
    }
}

impl Own {
    /// Tells a client; of the program only if no other one was given.
    pub(crate) fn apply(&self, agent: &str, mut client: Client, with_program: bool) -> Client {
        if let (true, Some(program)) = (with_program, &self.program) {
            client = client.program_of(agent, &program.value.0);
        }
        if let Some(names) = &self.pass_env {
            client = client.pass_env_of(agent, names.value.0.iter().cloned());
        }
        if let Some(args) = &self.args {
            client = client.args_of(agent, args.value.0.iter().cloned());
        }
        if let Some(max) = &self.max_concurrent {
            client = client.max_concurrent_of(agent, max.value.0);
        }
        client
    }
}
