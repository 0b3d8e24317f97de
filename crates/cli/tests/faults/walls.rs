//! S2, S5, S10, S19: what cannot get in or out.

use crate::faults::plays::{Who, recorded};
use crate::faults::scene::Scene;
use belay_testkit::figures::figure;
use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

#[test]
fn a_hostile_value_is_refused_or_stays_the_value_of_its_own_flag() {
    let hostile = [
        "--dangerously-skip-permissions",
        "-c",
        "x --dangerously-skip-permissions",
        "Read,Bash(*)",
        "a\nb",
        "",
    ];
    let flags =
        ["--model", "--resume", "--fork", "--allowed-tools", "--disallowed-tools", "--effort"];
    let (mut refused, mut bound) = (0, 0);
    for who in Who::ALL {
        let scene = Scene::new();
        let agent = scene.bench.agent(who.program(), &belay_testkit::fake_agent::Play::default());
        for (flag, value) in flags.iter().flat_map(|flag| hostile.map(|value| (flag, value))) {
            let starts = agent.log().starts();
            let option = format!("{flag}={value}");
            let output =
                scene.bench.belay(&[&["run", &option], who.args(), &["p"]].concat()).output();
            let code = output.unwrap().status.code();
            if agent.log().starts() == starts {
                assert!(matches!(code, Some(2)), "{who:?} {option}: {code:?}");
                refused += 1;
            } else {
                let argv = agent.log().argv();
                let is_free = |word: &String| {
                    word == value || word.starts_with("--dangerously") || word == "Bash(*)"
                };
                assert!(!argv.iter().any(is_free), "{who:?} {option}: {argv:?}");
                bound += 1;
            }
        }
    }
    assert!(refused > bound, "{refused} refused, {bound} bound");
    figure(
        "S2",
        "hostile values that became a flag of their own",
        format!("0 of {} ({refused} refused, {bound} bound to their flag)", refused + bound),
    );
}

#[test]
fn an_agent_sees_what_its_list_names_and_what_the_caller_hands_over() {
    let secrets = [
        "OPENAI_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN",
        "NODE_OPTIONS",
        "LD_LIBRARY_PATH",
        "CLAUDECODE",
        "CLAUDE_CODE_ENTRYPOINT",
        "SSH_AUTH_SOCK",
        "MY_PASSWORD",
    ];
    let seen = |args: &[&str]| {
        let (scene, agent) = Scene::claude(&recorded("a-text"));
        let mut belay = scene.bench.belay(&[&["run"], args, &["p"]].concat());
        belay.envs(secrets.map(|name| (name, "secret")));
        belay.env("ANTHROPIC_API_KEY", "its own").env("LANG", "C.UTF-8");
        assert_eq!(belay.output().unwrap().status.code(), Some(0));
        agent.log().env().into_keys().collect::<BTreeSet<_>>()
    };
    let own = [
        "ANTHROPIC_API_KEY",
        "BELAY_RUN_ID",
        "CLAUDE_CODE_DISABLE_FEEDBACK_SURVEY",
        "CLAUDE_CODE_PRINT_BG_WAIT_CEILING_MS",
        "DISABLE_AUTOUPDATER",
        "DISABLE_ERROR_REPORTING",
        "DISABLE_TELEMETRY",
        "HOME",
        "LANG",
        "PATH",
    ];
    let own: BTreeSet<String> = own.map(str::to_owned).into();
    assert_eq!(seen(&["--env", "clean"]), own);
    let handed = own.iter().cloned().chain(["GITHUB_TOKEN".to_owned()]).collect();
    assert_eq!(seen(&["--env", "clean", "--pass-env", "GITHUB_TOKEN"]), handed);
    let foreign = format!("of {} foreign variables, seen in a clean environment", secrets.len());
    figure("S5", &foreign, 0);
    let marks = ["CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT"];
    let inherited = secrets.into_iter().filter(|name| !marks.contains(name));
    let inherited = inherited.chain(["BELAY_MAX_ATTEMPTS"]).map(str::to_owned);
    assert_eq!(seen(&[]), own.into_iter().chain(inherited).collect());
}

#[test]
fn what_a_run_leaves_in_a_project_stays_out_of_git() {
    let (scene, _) = Scene::claude(&recorded("a-text"));
    scene.run(&[]);
    let ignore = fs::read_to_string(scene.bench.path("project/.belay/.gitignore")).unwrap();
    assert_eq!(ignore, "*\n!/config.toml\n");
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.args(args).current_dir(scene.bench.project()).env("HOME", scene.bench.path("home"));
        git.output().ok().filter(|output| output.status.success())
    };
    if git(&["init", "--quiet"]).is_some() {
        let untracked = git(&["status", "--porcelain", "--untracked-files=all"]).unwrap();
        assert_eq!(String::from_utf8_lossy(&untracked.stdout), "");
    }
    figure("S10", "files of `.belay` that git would commit", 0);
}

/// True if this machine lets us do it; a test that cannot be done says so.
fn can(program: &str, args: &[&str], what: &str) -> bool {
    let mut command = Command::new(program);
    command.args(args).arg("true").stdout(Stdio::null()).stderr(Stdio::null());
    let can = command.status().is_ok_and(|status| status.success());
    if !can {
        figure("S19", what, format!("not measured: no `{program} {}` here", args.join(" ")));
    }
    can
}

/// The program behind another one, in the same surroundings.
fn behind(scene: &Scene, program: &str, args: &[&str]) -> Command {
    let belay = scene.bench.belay(&[]);
    let mut command = Command::new(program);
    command.args(args).arg(belay.get_program()).args(["run", "--format", "quiet", "p"]);
    command.current_dir(scene.bench.project()).env_clear().stdin(Stdio::null());
    let path = format!("{}:/usr/bin:/bin", scene.bench.path("bin").display());
    command.env("PATH", path).env("HOME", scene.bench.path("home"));
    command
}

#[test]
fn a_run_works_where_there_is_no_network() {
    let namespace = ["--user", "--map-root-user", "--net"];
    if !can("unshare", &namespace, "a run without a network") {
        return;
    }
    let (scene, _) = Scene::claude(&recorded("a-text"));
    let output = behind(&scene, "unshare", &namespace).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!output.stdout.is_empty());
    figure("S19", "a run without a network", "answered");
}

#[test]
fn belay_itself_opens_no_socket_to_anywhere() {
    if !can("strace", &["-f", "-qq", "-o", "/dev/null"], "sockets of the internet opened in a run")
    {
        return;
    }
    let (scene, _) = Scene::claude(&recorded("b-shell"));
    let calls = scene.bench.path("calls");
    let args =
        ["-f", "-qq", "-e", "trace=socket,connect,socketpair", "-o", &calls.to_string_lossy()];
    let output = behind(&scene, "strace", &args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let calls = fs::read_to_string(calls).unwrap();
    // The line to the supervisor is a pair of sockets: it shows that the calls were seen at all.
    assert!(calls.contains("socketpair(AF_UNIX"), "{calls}");
    let outside =
        calls.lines().filter(|line| line.contains("AF_INET") || line.contains("AF_NETLINK"));
    let outside: Vec<_> = outside.collect();
    assert_eq!(outside, Vec::<&str>::new());
    figure("S19", "sockets of the internet opened in a run", outside.len());
}
