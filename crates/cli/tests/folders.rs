//! Folders that are not what they seem: links, a project that cannot be written, names that are not UTF-8.

use crate::stored::{Bench, hanging, id, stdout, with_claude};
use belay_testkit::fake_agent::Play;
use belay_testkit::recordings;
use belay_trace::read_file;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

/// A link that a repository may hold, and where it leads.
const LINKS: [&str; 3] = [".belay", ".belay/traces", ".belay/traces/.running"];

fn bench() -> Bench {
    with_claude(&Play::file(recordings::one("claude-code", "a-text").stdout_path()))
}

fn run(bench: &Bench) -> Output {
    let output = bench.belay(&["run", "--format", "quiet", "go"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    output
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Everything below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let data = entry.metadata().unwrap();
        if data.is_dir() {
            all.extend(files(&entry.path()));
        }
        all.push(entry.path());
    }
    all
}

fn trace_in_the_state_folder(bench: &Bench) -> PathBuf {
    let run = bench.newest_run();
    let state = run.parent().unwrap().parent().unwrap().to_owned();
    state.join("traces").join(run.file_name().unwrap()).with_extension("json")
}

#[test]
fn no_link_in_a_project_is_followed_and_the_trace_is_kept() {
    for link in LINKS {
        let bench = bench();
        let elsewhere = bench.path("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let link = bench.project().join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&elsewhere, &link).unwrap();
        let said = stderr(&run(&bench));
        assert_eq!(files(&elsewhere), Vec::<PathBuf>::new(), "{}: {said}", link.display());
        assert!(said.contains("is a link"), "{said}");
        let trace = trace_in_the_state_folder(&bench);
        assert!(said.contains(trace.parent().unwrap().to_str().unwrap()), "{said}");
        assert!(read_file(&trace).unwrap().status.is_none());
        for args in [&["demo"][..], &["trace", "start"]] {
            let refused = bench.belay(args).output().unwrap();
            assert_eq!(refused.status.code(), Some(2), "{args:?}: {}", stderr(&refused));
            assert_eq!(files(&elsewhere), Vec::<PathBuf>::new(), "{args:?}");
        }
    }
}

#[test]
fn a_configuration_behind_a_link_is_not_read() {
    for link in [".belay", ".belay/config.toml"] {
        let bench = bench();
        let elsewhere = bench.path("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("config.toml"), "max_turns = 0 # TOP SECRET\n").unwrap();
        let at = bench.project().join(link);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        let to = if link == ".belay" { elsewhere } else { elsewhere.join("config.toml") };
        symlink(to, at).unwrap();
        let said = stderr(&run(&bench));
        assert!(said.contains("is not read") && !said.contains("SECRET"), "{said}");
    }
}

#[test]
fn where_the_project_cannot_be_written_the_trace_goes_to_the_state_folder() {
    let bench = bench();
    // Root may write everywhere: a file in the folder's place is as good as a disk that is read-only.
    fs::write(bench.project().join(".belay"), "").unwrap();
    let said = stderr(&run(&bench));
    let trace = trace_in_the_state_folder(&bench);
    assert!(said.contains("cannot write traces to .belay/traces: "), "{said}");
    assert!(trace.exists(), "{said}");
    // Only a folder that the user has named has to do.
    let named = bench.belay(&["run", "--trace-dir", ".belay/traces", "go"]).output().unwrap();
    assert_eq!(named.status.code(), Some(2));
}

#[test]
fn a_trace_is_found_by_its_run_from_any_folder() {
    let bench = bench();
    run(&bench);
    let short = id(&stdout(&mut bench.belay(&["runs"])));
    for place in [bench.project(), bench.path("home")] {
        let mut show = bench.belay(&["trace", "show", &short]);
        let output = show.current_dir(&place).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}: {}", place.display(), stderr(&output));
    }
    let mut unknown = bench.belay(&["trace", "show", "no-such-run"]);
    let output = unknown.current_dir(bench.path("home")).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn a_folder_whose_name_is_not_utf_8_is_found_again() {
    let bench = bench();
    let folder = bench.project().join(OsStr::from_bytes(b"\xff dir"));
    fs::create_dir(&folder).unwrap();
    let traces = bench.path("home").join(OsStr::from_bytes(b"tr\xe4ces"));
    let mut command = bench.belay(&["run", "--format", "quiet", "--trace-dir"]);
    let output = command.arg(&traces).arg("go").current_dir(&folder).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let request = fs::read_to_string(bench.newest_run().join("request.json")).unwrap();
    assert!(request.contains("/%FF%20dir\""), "{request}");
    let shown = stdout(&mut bench.belay(&["show", "latest"]));
    assert!(shown.contains("%FF%20dir"), "{shown}");
    let mut resume = bench.belay(&["resume", "latest", "--format", "quiet", "more"]);
    let output = resume.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let again = fs::read_to_string(bench.newest_run().join("request.json")).unwrap();
    assert!(again.contains("/%FF%20dir\""), "{again}");
    assert_eq!(fs::read_dir(&traces).unwrap().count(), 1, "both runs are in one trace");
}

/// Kills belay while its agent works, at several moments: what the agent was given in files is gone after the next
/// command, whatever that is.
#[test]
fn nothing_secret_is_left_of_a_killed_run_after_the_next_command() {
    const SECRET: &str = "s3cr3t-0f-the-server-4711";
    let with_secret = |folder: &Path| {
        let all = files(folder).into_iter().filter(|path| path.is_file());
        all.filter(|path| {
            let bytes = fs::read(path).unwrap_or_default();
            bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
        })
        .collect::<Vec<_>>()
    };
    let mut seen = 0;
    for (pause_ms, journal) in
        [(0, true), (5, true), (30, true), (150, true), (600, true), (600, false)]
    {
        let bench = hanging();
        let config = format!(
            r#"{{"mcpServers":{{"x":{{"command":"true","env":{{"TOKEN":"{SECRET}"}}}}}}}}"#
        );
        fs::write(bench.path("mcp.json"), config).unwrap();
        let temp = bench.path("temp");
        fs::create_dir(&temp).unwrap();
        let file = bench.path("mcp.json");
        let mut args = vec!["run", "--mcp-config", file.to_str().unwrap(), "go"];
        if !journal {
            args.push("--no-journal");
        }
        let mut command = bench.belay(&args);
        command
            .env("TMPDIR", &temp)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut belay = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(pause_ms));
        belay.kill().unwrap();
        belay.wait().unwrap();
        let home = bench.path("home");
        seen += with_secret(&home).len() + with_secret(&temp).len();
        let next = bench.belay(&["agents"]).env("TMPDIR", &temp).output().unwrap();
        assert_eq!(next.status.code(), Some(0), "{}", stderr(&next));
        assert_eq!(with_secret(&home), Vec::<PathBuf>::new(), "{pause_ms} ms");
        assert_eq!(with_secret(&temp), Vec::<PathBuf>::new(), "{pause_ms} ms");
    }
    assert!(seen > 0, "some were killed while the file was there");
}
