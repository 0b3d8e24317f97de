//! `belay doctor` on a machine that has the real agents.

use assert_cmd::cargo::cargo_bin;
use belay_testkit::model_server::{ModelServer, Reply, Script};
use belay_testkit::real::{EVERYONE, Everyone};
use serde_json::Value;
use std::process::{Command, Output, Stdio};

/// All real agents in one sandbox, asked for a word.
#[test]
fn every_real_agent_is_found_in_the_version_that_was_tried_and_answers() {
    let test = "every_real_agent_is_found_in_the_version_that_was_tried_and_answers";
    let script = (0..2 * EVERYONE.len()).fold(Script::new(), |s, _| s.reply(Reply::text("ok")));
    let server = ModelServer::start(script).unwrap();
    let Some(Everyone { sandbox, env }) = Everyone::enter(&server, test) else { return };
    let mut belay = Command::new(cargo_bin("belay"));
    belay.args(["doctor", "--json", "--probe"]).args(EVERYONE);
    belay.env_clear().envs(env).current_dir(sandbox.project());
    let Output { stdout, status, .. } =
        belay.stdin(Stdio::null()).stderr(Stdio::inherit()).output().unwrap();
    let report: Value = serde_json::from_slice(&stdout).unwrap();
    assert_eq!(status.code(), Some(0), "{report:#}");
    for row in report["agents"].as_array().unwrap() {
        let findings = row["findings"].as_array().unwrap().iter();
        let of_version = findings.filter(|finding| finding["about"] == "version");
        let levels: Vec<&Value> = of_version.map(|finding| &finding["level"]).collect();
        assert!(!levels.is_empty() && levels.iter().all(|level| *level == "ok"), "{row:#}");
        assert_eq!(row["probe"]["answer"].as_str().map(str::trim), Some("ok"), "{row:#}");
    }
}
