//! One agent: its program, its version, its login.

#[cfg(feature = "acp")]
use super::inspect;
use super::{Examined, Finding, Level, login};
use crate::runner::HeldBack;
use crate::{Client, Environment, environment, interpreter, limits, program};
#[cfg(feature = "acp")]
use belay_agents::Inspection;
use belay_agents::{Care, EffectiveMode, FullNeeds, Launch, Permissions, RunRequest, Transport};
use belaykit_supervise::Tool;
use jiff::Timestamp;
use std::ffi::{OsStr, OsString};
use std::path::Path;

impl Client {
    /// Looks at the agent without asking a model for anything: whether it is there, in a version that was tried, and
    /// whether it looks logged in.
    ///
    /// # Panics
    /// When it is called outside a tokio runtime.
    pub async fn examine(&self) -> Examined {
        let turn = self.turn(0);
        let care = turn.agent.care();
        let mut examined =
            Examined { agent: turn.agent.name().to_owned(), is_there: false, findings: Vec::new() };
        #[cfg(feature = "acp")]
        if let Some(inspection) = turn.agent.inspection() {
            turn.inspect(inspection, &mut examined).await;
            return examined;
        }
        if turn.agent.command().is_some() {
            turn.look_at_a_command(&mut examined);
            return examined;
        }
        let launch = turn.launch(&RunRequest::new(""), Transport::Interactive);
        let found = launch.and_then(|launch| {
            let path = program::resolve(&launch, turn.program.as_deref(), &turn.env)?;
            let held = turn.env.held_back(&launch.env);
            let mut env = turn.env.for_agent(&launch.env);
            // Where it is missing, the finding says so.
            drop(interpreter::supply(&path, turn.program.as_deref(), &mut env));
            Ok((path, env, held, launch.env.clone()))
        });
        let (path, env, held, policy) = match found {
            Ok(found) => found,
            Err(failure) => {
                let finding = Finding::new(Level::Problem, "program", failure.message);
                examined.findings.push(finding.hint(care.install_line(node(&turn).await)));
                return examined;
            }
        };
        examined.is_there = true;
        let findings = &mut examined.findings;
        findings.push(program_of(&path, turn.env.get("PATH").is_some_and(is_crons)));
        let paths = env.iter().find(|(name, _)| name == "PATH").map(|(_, paths)| paths.clone());
        findings.extend(script(&path, paths.as_deref()));
        let trial_env = env.clone();
        let answer =
            program::version(&path, &turn.leading_args, env, turn.supervisor.as_deref()).await;
        findings.push(match answer {
            Ok(line) => version(&line, care, node(&turn).await),
            Err(why) => Finding::new(Level::Problem, "version", format!("it does not run: {why}"))
                .hint(care.install_line(node(&turn).await)),
        });
        findings.push(login::look(turn.agent.as_ref(), &turn.env, &policy, Timestamp::now()));
        if let Some(args) = turn.agent.trial_args() {
            let finding = trial(&turn, &path, &args, trial_env).await;
            findings.push(finding);
        }
        let mode = turn.effective_mode(&RunRequest::new(""));
        findings.push(permissions(&mode));
        findings.extend(environment::held_back_words(&held).map(not_seen));
        findings.extend(turn.agent.full_needs().and_then(|need| root(need, &turn.env)));
        examined
    }

    /// The same of a program of which nothing is known but its command: it is not started, since nobody knows what it
    /// would do.
    fn look_at_a_command(&self, examined: &mut Examined) {
        const PROMPT: &str = "PROMPT";
        let launch = self.launch(&RunRequest::new(PROMPT), Transport::Print);
        let found = launch.and_then(|launch| {
            let path = program::resolve(&launch, self.program.as_deref(), &self.env)?;
            Ok((path, launch))
        });
        let (path, launch) = match found {
            Ok(found) => found,
            Err(failure) => {
                examined.findings.push(Finding::new(Level::Problem, "program", failure.message));
                return;
            }
        };
        examined.is_there = true;
        let held = self.env.held_back(&launch.env);
        let mut env = self.env.for_agent(&launch.env);
        drop(interpreter::supply(&path, self.program.as_deref(), &mut env));
        let paths = env.iter().find(|(name, _)| name == "PATH").map(|(_, paths)| paths.clone());
        let findings = &mut examined.findings;
        findings.push(program_of(&path, self.env.get("PATH").is_some_and(is_crons)));
        findings.extend(script(&path, paths.as_deref()));
        findings.push(Finding::ok(
            "prompt",
            match launch.stdin == PROMPT {
                true => "goes to its standard input",
                false => "is an argument of it",
            },
        ));
        findings.push(Finding::ok(
            "answer",
            match launch.answer_file.as_deref() {
                Some(Launch::ANSWER) => {
                    "in a file that belay makes and names in the command".to_owned()
                }
                Some(file) => format!("in the file {file}"),
                None => "what it prints on standard output".to_owned(),
            },
        ));
        findings.push(permissions(&self.effective_mode(&RunRequest::new(""))));
        findings.extend(environment::held_back_words(&held).map(not_seen));
    }

    /// The same of an agent that says itself what it is.
    #[cfg(feature = "acp")]
    async fn inspect(&self, inspection: Inspection, examined: &mut Examined) {
        let found = inspect::launch(self).and_then(|launch| {
            let path = program::resolve(&launch, self.program.as_deref(), &self.env)?;
            Ok((path, launch))
        });
        let (path, launch) = match found {
            Ok(found) => found,
            Err(failure) => {
                let finding = Finding::new(Level::Problem, "program", failure.message);
                let line = self.agent.care().install_line(node(self).await);
                examined.findings.push(finding.hint(line));
                return;
            }
        };
        examined.is_there = true;
        let held = self.env.held_back(&launch.env);
        let mut env = self.env.for_agent(&launch.env);
        // Where it is missing, the finding says so.
        drop(interpreter::supply(&path, self.program.as_deref(), &mut env));
        let paths = env.iter().find(|(name, _)| name == "PATH").map(|(_, paths)| paths.clone());
        let findings = &mut examined.findings;
        findings.push(program_of(&path, self.env.get("PATH").is_some_and(is_crons)));
        findings.extend(script(&path, paths.as_deref()));
        findings.extend(inspect::findings(self, inspection, &path, &launch, env).await);
        findings.extend(environment::held_back_words(&held).map(not_seen));
    }
}

/// Lets the program check what it is given to run, without a request to any model.
async fn trial(
    turn: &Client,
    program: &Path,
    args: &[String],
    env: Vec<(OsString, OsString)>,
) -> Finding {
    const ABOUT: &str = "agent";
    let tool = Tool::new(program, limits::TRIAL).supervisor(turn.supervisor.as_deref());
    let finished = tool.args(&turn.leading_args).args(args).env(env.clone()).finished().await;
    let what = args.last().map(String::as_str).unwrap_or_default();
    match finished {
        Ok(finished) if finished.is_success() => {
            Finding::ok(ABOUT, format!("{what} loads, and its variables are set"))
        }
        Ok(finished) if finished.exit.is_none() => {
            let words = format!("{what} did not load within {:?}", limits::TRIAL);
            Finding::new(Level::Warning, ABOUT, words)
        }
        Ok(finished) => {
            let mut failure = turn.agent.trial_failure(&finished.stderr);
            let launch = turn.launch(&RunRequest::new(""), Transport::Interactive);
            if let Ok(launch) = launch {
                HeldBack::of(turn, &launch.env).explain(&mut failure);
            }
            Finding::new(Level::Problem, ABOUT, format!("{what}: {}", failure.message))
        }
        Err(error) => {
            Finding::new(Level::Warning, ABOUT, format!("{what} cannot be checked: {error}"))
        }
    }
}

/// What a run may do that does not say.
fn permissions(mode: &EffectiveMode) -> Finding {
    let source = &mode.source;
    match mode.mode() {
        Some(Permissions::Full) => {
            let words = format!("anything, unasked, in a run without --permit ({source})");
            Finding::new(Level::Note, "permissions", words)
        }
        Some(known) => {
            Finding::ok("permissions", format!("{known} in a run without --permit ({source})"))
        }
        None => {
            let words = format!(
                "in a run without --permit between {} and {} ({source})",
                mode.at_least, mode.at_most
            );
            Finding::new(Level::Note, "permissions", words)
        }
    }
}

fn not_seen(words: String) -> Finding {
    Finding::new(Level::Note, "environment", format!("it does not see {words}"))
        .hint("--pass-env NAME lets it see one (docs/environment.md)")
}

/// What root is told of an agent that allows it everything under one condition.
fn root(need: FullNeeds, env: &Environment) -> Option<Finding> {
    let is_root = rustix::process::geteuid().is_root();
    let is_met = || env.get(need.variable).is_some_and(|value| value == need.value);
    (is_root && !is_met()).then(|| {
        let found =
            format!("as root it refuses --permit full without {}={}", need.variable, need.value);
        let hint = format!(
            "in a sandbox, such as a container: {}={} belay run …",
            need.variable, need.value
        );
        Finding::new(Level::Note, "root", found).hint(hint)
    })
}

/// Where cron looks for programs.
const CRON: [&str; 2] = ["/usr/bin", "/bin"];

fn is_crons(path: &OsStr) -> bool {
    std::env::split_paths(path).all(|folder| CRON.iter().any(|known| folder == Path::new(known)))
}

fn program_of(path: &Path, is_cron: bool) -> Finding {
    let shown = path.display().to_string();
    let in_reach = CRON.iter().any(|folder| path.parent() == Some(Path::new(folder)));
    if in_reach || is_cron {
        return Finding::ok("program", shown);
    }
    let words =
        format!("{shown}, where cron does not look (there, set PATH or agents.NAME.program)");
    Finding::new(Level::Note, "program", words)
}

/// A script needs its interpreter.
fn script(path: &Path, paths: Option<&OsStr>) -> Option<Finding> {
    let name = interpreter::of(path)?;
    Some(if interpreter::is_there(&name, paths) {
        Finding::new(Level::Note, "program", format!("a script, run by {name}"))
    } else {
        Finding::new(Level::Problem, "program", format!("a script for {name}, which is not there"))
            .hint(interpreter::hint(&name))
    })
}

/// The version of the Node that the programs of npm find here: major and minor.
async fn node(turn: &Client) -> Option<(u64, u64)> {
    let program = which::which_in("node", turn.env.get("PATH"), "/").ok()?;
    let line =
        program::version(&program, &[], Vec::new(), turn.supervisor.as_deref()).await.ok()?;
    let [major, minor, _] = numbers(&line)?;
    Some((major, minor))
}

fn version(line: &str, care: Care, node: Option<(u64, u64)>) -> Finding {
    let Some((oldest, newest)) = care.tried else {
        return Finding::new(
            Level::Note,
            "version",
            format!("{line}; belay was not tried with it"),
        );
    };
    let (Some(own), Some(from), Some(upto)) = (numbers(line), numbers(oldest), numbers(newest))
    else {
        return Finding::new(Level::Note, "version", format!("`{line}` names no version"));
    };
    let tried = if oldest == newest { newest.to_owned() } else { format!("{oldest} to {newest}") };
    if own < from {
        let found = format!("{line} is older than what belay was tried with ({tried})");
        return Finding::new(Level::Warning, "version", found).hint(care.install_line(node));
    }
    if own > upto {
        let found = format!("{line} is newer than what belay was tried with ({tried})");
        return Finding::new(Level::Note, "version", found)
            .hint("what belay does not know of it is shown as `unknown` events");
    }
    Finding::ok("version", format!("{line}, which belay was tried with"))
}

/// The first three numbers with points between them.
fn numbers(text: &str) -> Option<[u64; 3]> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|word| {
        let mut parts = word.split('.').map(|part| part.parse().ok());
        Some([parts.next()??, parts.next()??, parts.next()??])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, level: Level, words: &str) {
        let care = Care::default();
        let mut care = care;
        care.tried = Some(("2.1.197", "2.1.329"));
        let finding = version(line, care, None);
        assert_eq!(finding.level, level, "{finding:?}");
        assert!(finding.found.contains(words), "{finding:?}");
    }

    #[test]
    fn a_version_is_held_against_those_that_were_tried() {
        check("2.1.329 (Claude Code)", Level::Ok, "tried with");
        check("codex-cli 2.1.200", Level::Ok, "tried with");
        check("2.1.196", Level::Warning, "older");
        check("v2.2.0-beta.1", Level::Note, "newer");
        check("unknown", Level::Note, "no version");
    }

    #[test]
    fn a_script_without_its_interpreter_is_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent");
        let check = |head: &str, level: Option<Level>| {
            std::fs::write(&file, head).unwrap();
            let finding = script(&file, Some("/usr/bin:/bin".as_ref()));
            assert_eq!(finding.as_ref().map(|finding| finding.level), level, "{finding:?}");
        };
        check("#!/usr/bin/env -S no-such-node --x\n", Some(Level::Problem));
        check("#!/no/such/node\n", Some(Level::Problem));
        check("#!/bin/sh\n", Some(Level::Note));
        check("#!/usr/bin/env sh\n", Some(Level::Note));
        check("\u{7f}ELF", None);
    }
}
