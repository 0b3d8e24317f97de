//! A session has one user, and two runs that may edit the same folder know of each other.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::fake_run::{
    ANSWER, Seen, Stage, answer, finish, finish_after, hanging, lines, patiently, play, read_to,
    run,
};
use belay_testkit::fake_agent::{Pace, Play};
use belay_testkit::recordings;
use belaykit::{
    Client, Codex, Environment, Event, FailureKind, Permissions, Policy, Record, Run, RunRequest,
    WhenInUse,
};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The session of the recordings `a-text`.
fn session() -> String {
    let init: serde_json::Value = serde_json::from_str(&lines("claude-code", "a-text")[0]).unwrap();
    init["session_id"].as_str().unwrap().to_owned()
}

fn resume() -> RunRequest {
    RunRequest::new("p").resume(session())
}

fn in_folder(request: RunRequest, folder: &Path) -> RunRequest {
    let mut request = request;
    request.cwd = Some(folder.to_owned());
    request
}

/// Agents that share a state folder.
struct Scene {
    state: TempDir,
    busy: Stage,
    free: Stage,
}

impl Scene {
    fn new() -> Self {
        let (busy, free) = (Stage::new("claude", &hanging()), Stage::new("claude", &answer()));
        Self { state: TempDir::new().unwrap(), busy, free }
    }

    fn client(&self, stage: &Stage) -> Client {
        stage.claude().state_dir(self.state.path())
    }

    /// A run that stays at work, and its records so far.
    async fn busy(&self, request: impl Into<RunRequest>) -> (Run, Vec<Record>) {
        let mut run = self.client(&self.busy).start(request);
        let records = read_to(&mut run, "session_started").await;
        (run, records)
    }

    async fn free(&self, request: impl Into<RunRequest>) -> Seen {
        run(&self.client(&self.free), request).await
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.state.path().join("work").join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// The files of locks that are there.
    fn left(&self) -> Vec<String> {
        let folders = fs::read_dir(self.state.path().join("locks")).into_iter().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().path().display().to_string()).collect()
    }

    fn journals(&self) -> usize {
        fs::read_dir(self.state.path().join("runs")).into_iter().flatten().count()
    }
}

async fn stop((run, records): (Run, Vec<Record>)) -> Seen {
    run.interrupter().interrupt();
    finish_after(records, run).await
}

#[track_caller]
fn is_refused(seen: &Seen, by: &str) {
    let failure = seen.failure();
    assert_eq!(failure.kind, FailureKind::SessionInUse, "{failure}");
    assert!(failure.message.contains(by) && failure.message.contains("pid"), "{failure}");
    assert_eq!(failure.evidence[0].value, by);
    assert_eq!(seen.count("attempt_started"), 0);
    assert!(seen.outcome.as_ref().unwrap_err().outcome().usage.total_cost_usd.is_none());
}

#[tokio::test]
async fn a_session_in_use_is_refused_for_nothing_and_not_failed_over() {
    let scene = Scene::new();
    let first = scene.busy(resume()).await;
    let by = first.0.id().to_owned();
    is_refused(&scene.free(resume()).await, &by);
    let client = scene.client(&scene.free).or(Codex::new()).policy(Policy::default());
    let error = client.check(&resume()).unwrap_err();
    assert_eq!(error.kind(), FailureKind::SessionInUse);
    let seen = run(&client, resume()).await;
    is_refused(&seen, &by);
    assert_eq!(seen.count("failover"), 0);
    assert_eq!(scene.journals(), 1, "a refusal leaves nothing behind");
    stop(first).await;
    assert_eq!(scene.free(resume()).await.answer(), ANSWER);
    assert_eq!(scene.left(), [""; 0]);
}

#[tokio::test]
async fn a_new_session_is_in_use_as_soon_as_its_id_is_known() {
    let scene = Scene::new();
    let first = scene.busy("p").await;
    is_refused(&scene.free(resume()).await, first.0.id());
    // However the letters of an id are written.
    let loud = RunRequest::new("p").resume(session().to_uppercase());
    is_refused(&scene.free(loud).await, first.0.id());
    // A copy is another one.
    assert_eq!(scene.free(RunRequest::new("p").fork(session())).await.answer(), ANSWER);
    stop(first).await;
}

#[tokio::test]
async fn an_agent_that_resumes_another_session_than_it_was_told_is_stopped_or_said() {
    let scene = Scene::new();
    let first = scene.busy("p").await;
    let other = || RunRequest::new("p").resume("00000000-0000-4000-8000-000000000000");
    let seen = run(&scene.client(&scene.busy), other()).await;
    assert_eq!(seen.failure().kind, FailureKind::SessionInUse);
    assert!(seen.failure().message.contains(first.0.id()), "{}", seen.failure());
    assert_eq!(seen.count("interrupted"), 1);
    // Its answer was there before it could be stopped.
    let seen = scene.free(other()).await;
    assert_eq!((seen.answer(), seen.notices("session_in_use").len()), (ANSWER, 1));
    stop(first).await;
}

#[tokio::test]
async fn a_run_that_has_ended_has_left_its_session() {
    let scene = Scene::new();
    for _ in 0..5 {
        assert_eq!(scene.free(resume()).await.answer(), ANSWER);
        assert_eq!(scene.left(), [""; 0]);
    }
}

#[tokio::test]
async fn a_retry_in_its_own_session_is_not_kept_out_by_the_run_itself() {
    let scene = Scene::new();
    let text = lines("claude-code", "b-shell");
    let crash =
        Play { exit: belay_testkit::fake_agent::Exit::Code(1), ..Play::lines(text[..4].to_vec()) };
    let stage = Stage::script(
        &answer(),
        "claude",
        "if [ -e \"$0.had\" ]; then exec \"$0.agent\" \"$@\"; fi; : > \"$0.had\"; exec \"$0.crash\" \"$@\"",
    );
    let crash = Play { wait_for_stdin: belay_testkit::fake_agent::WaitForStdin::Line, ..crash };
    belay_testkit::fake_agent::FakeAgent::new(stage.dir.path(), "claude.crash", &crash).unwrap();
    let client = scene.client(&stage).policy(Policy::default());
    let seen = run(&client, resume()).await;
    assert_eq!((seen.answer(), seen.count("attempt_started")), (ANSWER, 2));
    assert_eq!(scene.left(), [""; 0]);
}

/// Which run is still at work when all others have ended.
async fn last_of(runs: &[Run]) -> usize {
    let is_over = |run: &&Run| run.interrupter().is_over();
    while runs.iter().filter(is_over).count() < runs.len() - 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    runs.iter().position(|run| !run.interrupter().is_over()).unwrap()
}

#[tokio::test]
async fn of_twenty_at_once_one_starts() {
    let scene = Scene::new();
    for _ in 0..3 {
        let client = scene.client(&scene.busy);
        let mut runs: Vec<_> = (0..20).map(|_| client.start(resume())).collect();
        let winner = patiently(last_of(&runs)).await;
        let winner = runs.remove(winner);
        for run in runs {
            is_refused(&finish(run).await, winner.id());
        }
        winner.interrupter().interrupt();
        assert_eq!(finish(winner).await.count("attempt_started"), 1);
    }
}

#[tokio::test]
async fn who_waits_in_the_queue_has_a_turn_in_order() {
    let scene = Scene::new();
    let slow = Stage::new(
        "claude",
        &Play { pace: Pace::FixedMs(60), ..play(&recordings::one("claude-code", "a-text")) },
    );
    let first = scene.busy("p").await;
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let mut run = scene.client(&slow).start(resume().when_in_use(WhenInUse::Queue));
        let records = read_to(&mut run, "notice").await;
        let Event::Notice(notice) = &records.last().unwrap().event else { unreachable!() };
        assert_eq!(notice.code.as_deref(), Some("session_queue"));
        assert!(notice.text.contains(first.0.id()) && notice.text.contains("pid"), "{notice:?}");
        waiting.push((run, records));
    }
    stop(first).await;
    let mut turns = Vec::new();
    for (run, records) in waiting {
        let seen = finish_after(records, run).await;
        assert_eq!(seen.answer(), ANSWER);
        let at = |name| {
            let mut found = seen.records.iter().filter(|r| r.event.type_name() == name);
            found.next().unwrap().ts
        };
        turns.push((at("attempt_started"), at("attempt_ended")));
    }
    assert!(turns.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{turns:?}");
    assert_eq!(scene.left(), [""; 0]);
}

#[tokio::test]
async fn who_waits_can_be_stopped_and_has_a_time_limit() {
    let scene = Scene::new();
    let first = scene.busy(resume()).await;
    let queued = || resume().when_in_use(WhenInUse::Queue);
    let mut run = scene.client(&scene.free).start(queued());
    let records = read_to(&mut run, "notice").await;
    let began = Instant::now();
    let stopped = stop((run, records)).await;
    assert_eq!(stopped.failure().kind, FailureKind::Interrupted);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let mut limited = queued();
    limited.timeout = Some(Duration::from_millis(300));
    let seen = scene.free(limited).await;
    assert_eq!(seen.failure().kind, FailureKind::Deadline);
    for seen in [stopped, seen] {
        assert_eq!((seen.count("attempt_started"), seen.count("interrupted")), (0, 1));
    }
    stop(first).await;
    assert_eq!(scene.left(), [""; 0]);
}

#[tokio::test]
async fn force_resumes_a_session_in_use_and_is_a_user_of_it() {
    let scene = Scene::new();
    let first = scene.busy(resume()).await;
    let forced = scene.busy(resume().when_in_use(WhenInUse::Force)).await;
    let by = forced.0.id().to_owned();
    let first = stop(first).await;
    is_refused(&scene.free(resume()).await, &by);
    let forced = stop(forced).await;
    let told = forced.notices("session_in_use");
    assert!(told.len() == 1 && told[0].contains(&first.records[0].run), "{told:?}");
    assert_eq!(scene.free(resume()).await.answer(), ANSWER);
}

#[tokio::test]
async fn the_latest_session_of_a_folder_is_in_use_while_its_agent_works_there() {
    let scene = Scene::new();
    let (here, there) = (scene.folder("here"), scene.folder("there"));
    let latest = |folder: &Path| in_folder(RunRequest::new("p").continue_latest(), folder);
    for request in [latest(&here), in_folder("p".into(), &here), in_folder(resume(), &here)] {
        let first = scene.busy(request).await;
        is_refused(&scene.free(latest(&here)).await, first.0.id());
        // By a link it is the same folder.
        let link = scene.folder("links").join("here");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(&here, &link).unwrap();
        is_refused(&scene.free(latest(&link)).await, first.0.id());
        stop(first).await;
    }
    // Its agent finds out that the session is in use by a run elsewhere.
    let first = scene.busy(in_folder(resume(), &here)).await;
    let client = scene.client(&scene.busy).or(Codex::new()).policy(Policy::default());
    let seen = run(&client, latest(&there)).await;
    assert_eq!(seen.failure().kind, FailureKind::SessionInUse);
    assert_eq!((seen.count("attempt_started"), seen.count("failover")), (1, 0));
    stop(first).await;
    let forced = latest(&here).when_in_use(WhenInUse::Force);
    assert_eq!(scene.free(forced).await.answer(), ANSWER);
}

#[tokio::test]
async fn of_two_that_continue_at_once_one_starts() {
    let scene = Scene::new();
    let here = scene.folder("here");
    let latest = || in_folder(RunRequest::new("p").continue_latest(), &here);
    let client = scene.client(&scene.busy);
    let mut runs: Vec<_> = (0..8).map(|_| client.start(latest())).collect();
    let winner = patiently(last_of(&runs)).await;
    let winner = runs.remove(winner);
    for run in runs {
        is_refused(&finish(run).await, winner.id());
    }
    winner.interrupter().interrupt();
    finish(winner).await;
}

#[tokio::test]
async fn another_home_and_another_container_have_other_sessions() {
    let scene = Scene::new();
    let home = |stage: &Stage, name: &str, value: &Path| {
        let vars = stage.env().into_iter().chain([(name.into(), value.into())]);
        scene.client(stage).environment(Environment::new(vars))
    };
    let (one, other) = (scene.folder("one"), scene.folder("other"));
    let mut first = home(&scene.busy, "CLAUDE_CONFIG_DIR", &one).start(resume());
    let records = read_to(&mut first, "session_started").await;
    let elsewhere = home(&scene.free, "CLAUDE_CONFIG_DIR", &other);
    assert_eq!(run(&elsewhere, resume()).await.answer(), ANSWER);
    let link = scene.folder("links").join("one");
    std::os::unix::fs::symlink(&one, &link).unwrap();
    for client in [
        home(&scene.free, "CLAUDE_CONFIG_DIR", &one),
        home(&scene.free, "CLAUDE_CONFIG_DIR", &link),
    ] {
        is_refused(&run(&client, resume()).await, first.id());
    }
    stop((first, records)).await;
}

#[tokio::test]
async fn a_lock_that_cannot_be_had_stops_no_run_and_is_said() {
    let scene = Scene::new();
    let sound = scene.free(resume()).await;
    assert_eq!((sound.answer(), sound.notices("session_lock").len()), (ANSWER, 0));
    let locks = scene.state.path().join("locks");
    let spoil = |what: &str| {
        let _ = fs::remove_dir_all(&locks);
        let _ = fs::remove_file(&locks);
        match what {
            "file" => fs::write(&locks, "").unwrap(),
            "link" => std::os::unix::fs::symlink("/nowhere/at/all", &locks).unwrap(),
            "fifo" => mknodat(CWD, &locks, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap(),
            _ => {
                fs::create_dir_all(&locks).unwrap();
                let folder = locks.join("sessions");
                mknodat(CWD, folder, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
            }
        }
    };
    for what in ["file", "link", "fifo", "fifo in it"] {
        spoil(what);
        let seen = scene.free(resume()).await;
        assert_eq!((seen.answer(), seen.notices("session_lock").len()), (ANSWER, 1), "{what}");
        assert!(seen.took < Duration::from_secs(10), "{what}: {:?}", seen.took);
        let seen = scene.free("p").await;
        assert_eq!((seen.answer(), seen.notices("session_lock").len()), (ANSWER, 0), "{what}");
    }
    // Without a folder nobody can tell, either.
    let seen = run(&scene.free.claude(), resume()).await;
    assert_eq!((seen.answer(), seen.notices("session_lock").len()), (ANSWER, 1));
}

#[tokio::test]
async fn what_stands_in_the_place_of_a_lock_is_not_waited_for() {
    let scene = Scene::new();
    let first = scene.busy(resume()).await;
    let sessions = scene.state.path().join("locks/sessions");
    let lock = fs::read_dir(&sessions).unwrap().next().unwrap().unwrap().path();
    stop(first).await;
    assert!(!lock.exists());
    let file = |text: &str| fs::write(&lock, text).unwrap();
    let put: [&dyn Fn(); 5] = [
        &|| mknodat(CWD, &lock, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap(),
        &|| std::os::unix::fs::symlink("/dev/zero", &lock).unwrap(),
        &|| fs::create_dir(&lock).unwrap(),
        // What a killed run has left, whole or not, is nobody's.
        &|| file("{\"v\":1,\"run\":"),
        &|| file("nonsense"),
    ];
    for (n, put) in put.iter().enumerate() {
        put();
        let seen = scene.free(resume()).await;
        let told = usize::from(n < 3);
        assert_eq!((seen.answer(), seen.notices("session_lock").len()), (ANSWER, told), "{n}");
        assert!(seen.took < Duration::from_secs(10), "{n}: {:?}", seen.took);
        let _ = fs::remove_file(&lock).or_else(|_| fs::remove_dir(&lock));
    }
}

#[tokio::test]
async fn locks_are_private_and_say_nothing_of_the_session() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::new();
    let first = scene.busy(resume()).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let left = scene.left();
    assert_eq!(left.len(), 2, "{left:?}");
    for path in left.iter().map(Path::new) {
        assert_eq!((mode(path), mode(path.parent().unwrap())), (0o600, 0o700), "{path:?}");
        assert!(!fs::read_to_string(path).unwrap().contains(&session()));
    }
    stop(first).await;
}

#[tokio::test]
async fn two_runs_that_may_edit_the_same_folder_know_of_each_other() {
    let scene = Scene::new();
    let repository = scene.folder("repository");
    for folder in ["a", "b"] {
        fs::create_dir(repository.join(folder)).unwrap();
    }
    let (a, b) = (repository.join("a"), repository.join("b"));
    let edit = |folder: &Path| in_folder("p".into(), folder).permissions(Permissions::Edit);
    let first = scene.busy(edit(&a)).await;
    let by = first.0.id().to_owned();
    let told = async |request: RunRequest| {
        let seen = scene.free(request).await;
        assert_eq!(seen.answer(), ANSWER);
        let told: Vec<_> = seen.notices("shared_folder").into_iter().map(str::to_owned).collect();
        assert!(told.iter().all(|words| words.contains(&by)), "{told:?}");
        told.len()
    };
    assert_eq!(told(edit(&a)).await, 1, "the same");
    assert_eq!(told(in_folder("p".into(), &a)).await, 1, "nobody knows what its own rules allow");
    assert_eq!(told(edit(&repository)).await, 1, "above");
    assert_eq!(told(edit(&b)).await, 0, "beside");
    fs::create_dir(repository.join(".git")).unwrap();
    assert_eq!(told(edit(&b)).await, 0, "an empty .git makes no repository");
    fs::write(repository.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
    // The first one had looked before.
    let first = {
        stop(first).await;
        scene.busy(edit(&a)).await
    };
    let by = first.0.id().to_owned();
    let seen = scene.free(edit(&b)).await;
    let told = seen.notices("shared_folder");
    assert!(told.len() == 1 && told[0].contains(&by), "the same work tree: {told:?}");
    let reads = edit(&a).permissions(Permissions::ReadOnly);
    assert_eq!(scene.free(reads.clone()).await.notices("shared_folder").len(), 0);
    stop(first).await;
    let first = scene.busy(reads).await;
    assert_eq!(scene.free(edit(&a)).await.notices("shared_folder").len(), 0);
    stop(first).await;
}

#[tokio::test]
async fn what_a_killed_run_has_left_is_nobodys() {
    let scene = Scene::new();
    assert_eq!(scene.free(resume()).await.answer(), ANSWER);
    let here = scene.folder("here");
    // The file of a run at work, as one whose process is gone has left it.
    let first = scene.busy(in_folder(resume(), &here)).await;
    let copies: Vec<_> = scene
        .left()
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect();
    stop(first).await;
    for (path, text) in &copies {
        fs::write(path, text).unwrap();
    }
    let latest = in_folder(RunRequest::new("p").continue_latest(), &here);
    let seen = scene.free(latest).await;
    assert_eq!((seen.answer(), seen.notices("shared_folder").len()), (ANSWER, 0));
    assert_eq!(scene.free(resume()).await.answer(), ANSWER);
    assert_eq!(scene.left(), [""; 0]);
}
