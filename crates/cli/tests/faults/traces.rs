//! T18 and T20: trace files when their writers are killed, and when very many write at once. That a writer killed at
//! each step of its way tears nothing is shown beside it: `cargo test -p belaykit --lib crashes`.

use crate::faults::plays::{Who, recorded};
use crate::faults::scene::{Scene, moment};
use belay_testkit::figures::{figure, times};
use belay_trace::{Node, NodeStatus, NodeType, RUNNING_DIR, Store, read_file};
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

fn traces(scene: &Scene) -> PathBuf {
    scene.bench.project().join(".belay/traces")
}

/// The names of all that lies in the folder beside the traces. A mark that was being made when its maker was killed
/// stays for a minute, since it may be that of one who is still at it.
fn besides(dir: &Path) -> Vec<String> {
    let names = |dir: &Path| -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let is_for_a_minute = |name: &str| {
        name == RUNNING_DIR && names(&dir.join(name)).iter().all(|mark| mark.starts_with(".new-"))
    };
    let besides = names(dir).into_iter().filter(|name| !name.ends_with(".json"));
    besides.filter(|name| !is_for_a_minute(name)).collect()
}

fn phases(tree: &Node) -> impl Iterator<Item = &Node> {
    tree.children.iter().filter(|node| node.node_type == NodeType::Phase)
}

fn end(scene: &Scene, trace: &str) {
    let said = scene.bench.shown(&["trace", "end", trace]);
    assert!(said.starts_with("exit 0"), "{said}");
}

#[test]
fn a_belay_that_is_killed_while_it_writes_a_trace_leaves_one_that_can_be_read() {
    let kills = times(25, 500);
    let scene = Scene::new();
    let agent = Who::Claude;
    scene.bench.agent(agent.program(), &agent.busy(&scene.bench.path("")));
    let (mut unreadable, mut begun, mut unmarked) = (0, 0, 0);
    for n in 0..kills {
        let phase = format!("phase-{n}");
        let mut belay = scene.start(&["--trace", "hive", "--phase", &phase]);
        belay.wait_for("run_started");
        thread::sleep(moment(Duration::from_millis(300)));
        assert!(belay.signal(Signal::KILL), "nothing ends it before");
        belay.end();
        let file = traces(&scene).join("hive.json");
        if file.exists() {
            unreadable += usize::from(read_file(&file).is_err());
        }
    }
    scene.emptied_after(Duration::from_secs(10)).unwrap();
    scene.bench.agent("claude", &recorded("a-text"));
    assert_eq!(scene.run(&["--trace", "hive", "--phase", "last"]).code(), Some(0));
    end(&scene, "hive");
    let tree = read_file(&traces(&scene).join("hive.json")).unwrap();
    let names: Vec<_> = phases(&tree).map(|phase| phase.agent_name.as_str()).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "each is there once");
    for phase in phases(&tree).filter(|phase| phase.agent_name != "last") {
        begun += 1;
        unmarked += usize::from(phase.status != Some(NodeStatus::Killed));
    }
    let left = besides(&traces(&scene));
    figure(
        "T18",
        &format!("traces unreadable after {kills} kills of belay at random moments"),
        unreadable,
    );
    figure(
        "T18",
        "killed runs in the trace, not marked so after the next run",
        format!("{unmarked} of {begun}"),
    );
    figure("T18", "files left lying about after the next run", left.len());
    assert_eq!((unreadable, unmarked, left), (0, 0, vec![]));
    assert!(begun > 0);
}

#[test]
fn sixty_four_processes_with_one_trace_folder_mix_and_lose_no_run() {
    let (scene, _) = Scene::claude(&recorded("b-shell"));
    let dir = traces(&scene);
    // Half of them in one trace, the others in traces of four.
    let trace = |n: usize| if n < 32 { "hive".to_owned() } else { format!("hive-{}", n / 4) };
    let done = AtomicBool::new(false);
    let (reads, invalid, outputs) = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut reads, mut invalid) = (0_u32, 0_u32);
            while !done.load(Ordering::Relaxed) {
                for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                    if entry.path().extension().is_some_and(|extension| extension == "json") {
                        reads += 1;
                        invalid += u32::from(read_file(&entry.path()).is_err());
                    }
                }
                thread::sleep(Duration::from_millis(1));
            }
            (reads, invalid)
        });
        let children: Vec<_> = (0..64)
            .map(|n| {
                let (trace, phase) = (trace(n), format!("phase-{n}"));
                // Runs that may edit one folder say so.
                let args = ["run", "--permit", "read-only", "--format", "quiet", "--trace", &trace];
                let args = [args.as_slice(), &["--phase", &phase, "p"]].concat();
                let mut command = scene.bench.belay(&args);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let outputs: Vec<_> = children.into_iter().map(|child| child.wait_with_output()).collect();
        done.store(true, Ordering::Relaxed);
        let (reads, invalid) = reader.join().unwrap();
        (reads, invalid, outputs)
    });
    let mut late = 0;
    for output in outputs {
        let output = output.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        // They take turns, and a run waits two seconds at most for those who watch it.
        late += usize::from(stderr == "warning: trace: still busy after 2 s\n");
        assert!(stderr.is_empty() || stderr.contains("still busy"), "{stderr}");
    }
    // Which run has which phase, as their journals have it.
    let store = Store::new(scene.bench.path("home/.local/state/belay"));
    let of_journal: BTreeMap<String, String> = store
        .runs()
        .unwrap()
        .iter()
        .map(|run| {
            let phase = run.records().unwrap().find_map(|record| match record.event {
                belay_trace::Event::Phase(phase) => Some(phase.phase_name),
                _ => None,
            });
            (run.id().to_owned(), phase.unwrap())
        })
        .collect();
    assert_eq!(of_journal.len(), 64);
    let ids: BTreeSet<String> = (0..64).map(trace).collect();
    let (mut found, mut mixed) = (BTreeSet::new(), 0);
    for id in &ids {
        // Who was late has left his part to whoever comes next.
        end(&scene, id);
        for phase in phases(&read_file(&dir.join(format!("{id}.json"))).unwrap()) {
            let n = phase.agent_name.strip_prefix("phase-").unwrap().parse().unwrap();
            let is_own = of_journal[&phase.run] == phase.agent_name && trace(n) == *id;
            let is_whole = phase.children.len() == 1 && phase.status.is_none();
            mixed += usize::from(!is_own || !is_whole || !found.insert(n));
        }
    }
    figure(
        "T20",
        "64 processes, 9 traces: runs mixed / lost",
        format!("{mixed} / {}", 64 - found.len()),
    );
    figure("T20", "runs that waited two seconds for their trace and left it to the next", late);
    figure("T20", &format!("invalid files in {reads} reads meanwhile"), invalid);
    assert_eq!((mixed, invalid, besides(&dir)), (0, 0, vec![]));
    assert_eq!(found.len(), 64, "{late} were late");
    assert!(!dir.join(RUNNING_DIR).exists());
}
