//! T23: a wall clock that jumps while a run works.

use crate::faults::plays::Who;
use crate::faults::scene::{Belay, Scene};
use belay_testkit::fake_agent::{Pace, Play};
use belay_testkit::figures::figure;
use belay_testkit::recordings;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// Where distributions put libfaketime; `BELAY_FAKETIME` names another place.
const PLACES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];

fn faketime() -> Option<PathBuf> {
    let named = std::env::var_os("BELAY_FAKETIME").map(PathBuf::from);
    named.into_iter().chain(PLACES.map(PathBuf::from)).find(|path| path.is_file())
}

#[test]
fn a_wall_clock_that_jumps_an_hour_sets_off_no_limit_and_makes_no_duration_wrong() {
    let Some(library) = faketime() else {
        figure("T23", "wall clock +1 h and -1 h in a run", "not measured: no libfaketime here");
        return;
    };
    for jump in ["+1h", "-1h"] {
        // Codex says nothing of how long it took: the duration is ours.
        let stream = recordings::one("codex", "b-shell").stdout_path();
        let scene = Scene::new();
        scene.bench.agent("codex", &Play { pace: Pace::FixedMs(300), ..Play::file(stream) });
        let clock = scene.bench.path("clock");
        fs::write(&clock, "+0\n").unwrap();
        let args = ["run", "--format", "jsonl", "--timeout", "50s", "--idle-timeout", "40s", "p"];
        let mut command = scene.bench.belay(&[&args[..], Who::CodexExec.args()].concat());
        command.env("LD_PRELOAD", &library).env("FAKETIME_TIMESTAMP_FILE", &clock);
        // The monotonic clock is left alone, as a change of the real wall clock does.
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let belay = Belay::start(command);
        belay.wait_for("session_started");
        fs::write(&clock, format!("{jump}\n")).unwrap();
        thread::sleep(Duration::from_millis(400));
        let ended = belay.end();

        let stamp = |kind: &str| -> jiff::Timestamp {
            ended.one(kind).event["ts"].as_str().unwrap().parse().unwrap()
        };
        let wall = stamp("result").duration_since(stamp("run_started")).as_secs();
        assert!(wall.abs() > 3000, "the clock has jumped: {wall} s");
        assert_eq!((ended.kind(), ended.notices("idle").len()), ("answered", 0), "{jump}");
        let took = ended.took().as_millis();
        for kind in ["attempt_result", "result"] {
            let ms = ended.one(kind).event["usage"]["duration_ms"].as_u64().unwrap();
            assert!(ms > 1000 && u128::from(ms) <= took, "{jump}: {ms} ms of {took} ms");
        }
        assert_eq!(scene.processes(), []);
    }
    figure("T23", "wall clock +1 h and -1 h in a run: limits set off, wrong durations", "0, 0");
}
