//! Traces and sessions as a program makes them, and what observers are told of them.

use crate::fake_run::{ANSWER, Stage, answer, finish, patiently, run};
use belaykit::trace::{Node, NodeStatus, NodeType, SessionStart, TraceEnd, TraceStart, read_file};
use belaykit::{
    CompletionRecord, Observer, ObserverError, Record, RunRequest, TraceConfig, TraceDir, limits,
};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

/// What an observer was told.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Session(SessionStart),
    Start(TraceStart),
    End(TraceEnd),
    Record(String),
    Completion(Box<CompletionRecord>),
    Flush,
}

struct Keeper(Sender<Told>);

impl Observer for Keeper {
    fn name(&self) -> &'static str {
        "keeper"
    }
    fn on_record(&mut self, record: &Record) -> Result<(), ObserverError> {
        Ok(self.0.send(Told::Record(record.event.type_name().to_owned()))?)
    }
    fn start_session(&mut self, start: &SessionStart) -> Result<(), ObserverError> {
        Ok(self.0.send(Told::Session(start.clone()))?)
    }
    fn start_trace(&mut self, start: &TraceStart) -> Result<(), ObserverError> {
        Ok(self.0.send(Told::Start(start.clone()))?)
    }
    fn end_trace(&mut self, end: &TraceEnd) -> Result<(), ObserverError> {
        Ok(self.0.send(Told::End(end.clone()))?)
    }
    fn record_completion(&mut self, completion: &CompletionRecord) -> Result<(), ObserverError> {
        Ok(self.0.send(Told::Completion(Box::new(completion.clone())))?)
    }
    fn flush(&mut self, _: Instant) -> Result<(), ObserverError> {
        Ok(self.0.send(Told::Flush)?)
    }
}

fn keeper() -> (Keeper, Receiver<Told>) {
    let (keep, kept) = mpsc::channel();
    (Keeper(keep), kept)
}

fn completions(kept: &Receiver<Told>) -> Vec<CompletionRecord> {
    let told = kept.try_iter().filter_map(|told| match told {
        Told::Completion(completion) => Some(*completion),
        _ => None,
    });
    told.collect()
}

#[tokio::test]
async fn an_observer_is_told_of_session_trace_run_and_completion_in_their_order() {
    let stage = Stage::new("claude", &answer());
    let (keeper, kept) = keeper();
    let client = stage.claude().observe(keeper);
    let session = client.start_session([("pipeline".to_owned(), "hiveminer".into())]);
    let config = TraceConfig::new("hiveminer-run").display_name("Hive").meta("round", 3);
    let trace = session.start_trace(config.clone());
    let phase = trace.phase("discovery");
    let seen = run(&client, phase.request("p").model("opus")).await;
    let (trace_id, session_id) = (trace.id().to_owned(), session.id().to_owned());
    assert_eq!(uuid::Uuid::parse_str(&trace_id).unwrap().get_version_num(), 7);
    patiently(trace.fail("no luck")).await.unwrap();
    patiently(session.end()).await.unwrap();

    let told: Vec<_> = kept.try_iter().collect();
    let mut rest = &told[..];
    let mut next = || {
        let (first, others) = rest.split_first().unwrap();
        rest = others;
        first
    };
    let Told::Session(start) = next() else { panic!("{told:?}") };
    assert_eq!(
        (&start.session_id, &start.metadata["pipeline"]),
        (&session_id, &"hiveminer".into())
    );
    let Told::Start(start) = next() else { panic!("{told:?}") };
    assert_eq!((&start.trace_id, &start.config), (&trace_id, &config));
    assert_eq!(start.session_id.as_ref(), Some(&session_id));
    for name in seen.names() {
        assert_eq!(next(), &Told::Record(name.to_owned()));
    }
    let Told::Completion(completion) = next() else { panic!("{told:?}") };
    assert_eq!(
        (&completion.trace_id, completion.session_id.as_ref()),
        (&trace_id, Some(&session_id))
    );
    assert_eq!(completion.phase.as_deref(), Some("discovery"));
    assert_eq!(next(), &Told::Flush);
    let Told::End(end) = next() else { panic!("{told:?}") };
    assert_eq!((&end.trace_id, end.error.as_deref()), (&trace_id, Some("no luck")));
    assert_eq!([next(), next()], [&Told::Flush, &Told::Flush]);
}

#[tokio::test]
async fn a_completion_has_the_figures_of_the_run_and_is_there_before_its_outcome() {
    let stage = Stage::new("claude", &answer());
    let (keeper, kept) = keeper();
    let client = stage.claude().observe(keeper);
    let outcome = patiently(client.run("say hello")).await.unwrap();
    let [completion] = &completions(&kept)[..] else { panic!("one a run") };
    let usage = &outcome.usage;
    assert_eq!((&*completion.prompt, &*completion.response), ("say hello", ANSWER));
    assert_eq!((&completion.trace_id, &completion.run), (&outcome.run_id, &outcome.run_id));
    assert_eq!(
        (&completion.model, &completion.agent_session_id),
        (&outcome.model, &outcome.session_id)
    );
    assert_eq!((&*completion.agent, completion.is_error), ("claude-code", false));
    assert_eq!(
        (completion.input_tokens, completion.output_tokens),
        (usage.input_tokens, usage.output_tokens)
    );
    assert_eq!(
        (completion.cost_usd, completion.cost_source),
        (usage.total_cost_usd, usage.cost_source)
    );
    assert_eq!(completion.num_turns, usage.num_turns);
    assert!(completion.cost_usd.unwrap() > 0.0 && completion.start_time <= completion.end_time);

    let failing = Stage::new("claude", &belay_testkit::fake_agent::Play::default());
    let (keeper, kept) = self::keeper();
    let error = patiently(failing.claude().observe(keeper).run("p")).await.unwrap_err();
    let [completion] = &completions(&kept)[..] else { panic!("one a run") };
    assert_eq!((completion.is_error, completion.failure), (true, Some(error.kind())));
    // Nobody knows, and it says so.
    assert_eq!((completion.input_tokens, completion.model.as_deref()), (None, None));
}

#[tokio::test]
async fn no_secret_is_in_what_observers_are_told() {
    let stage = Stage::new("claude", &answer());
    let (keeper, kept) = keeper();
    let mut env = stage.env().to_vec();
    env.push(("HIVE_PASSWORD".into(), "hunter2hunter2".into()));
    let client = stage.claude().env(env).observe(keeper);
    let trace = client.start_trace(TraceConfig::new("hunter2hunter2").meta("k", "hunter2hunter2"));
    run(&client, trace.phase("hunter2hunter2").request("with hunter2hunter2")).await;
    patiently(trace.fail("hunter2hunter2")).await.unwrap();
    client.start_session([("k".to_owned(), "hunter2hunter2".into())]);
    let told = format!(
        "{:?}",
        kept.recv_timeout(Duration::from_secs(10))
            .into_iter()
            .chain(kept.try_iter())
            .collect::<Vec<_>>()
    );
    assert!(!told.contains("hunter2"), "{told}");
    assert!(told.contains("with [redacted:HIVE_PASSWORD]"), "{told}");
}

#[tokio::test]
async fn an_observer_that_takes_nothing_needs_no_more_than_its_name() {
    struct Empty;
    impl Observer for Empty {
        fn name(&self) -> &'static str {
            "empty"
        }
    }
    let stage = Stage::new("claude", &answer());
    let client = stage.claude().observe(Empty);
    let trace = client.start_trace("t");
    let seen = run(&client, trace.phase("p").request("p")).await;
    assert_eq!(seen.outcome.unwrap().observer_errors, [""; 0]);
    patiently(trace.end()).await.unwrap();
}

/// An observer that waits in this way for each completion.
struct Stuck(&'static str, fn());

impl Observer for Stuck {
    fn name(&self) -> &str {
        self.0
    }
    fn record_completion(&mut self, _: &CompletionRecord) -> Result<(), ObserverError> {
        (self.1)();
        Ok(())
    }
}

#[tokio::test]
async fn all_observers_together_cost_a_run_two_seconds_however_they_hang() {
    let stage = Stage::new("claude", &answer());
    // A service that accepts, and says nothing.
    let black_hole = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _ = std::io::Read::read(&mut stream, &mut [0]);
    };
    let client = ["one", "two", "three"]
        .into_iter()
        .fold(stage.claude(), |client, name| client.observe(Stuck(name, black_hole)))
        .observe(Stuck("broken", || panic!("an observer's own mistake")));
    let began = Instant::now();
    let seen = run(&client, "p").await;
    let took = began.elapsed();
    assert_eq!(seen.answer(), ANSWER);
    assert!(
        took >= limits::OBSERVER_FLUSH && took < limits::OBSERVER_FLUSH + Duration::from_secs(4),
        "{took:?}"
    );
    let errors = seen.outcome.unwrap().observer_errors;
    let want = [
        "one: still busy after 2 s",
        "two: still busy after 2 s",
        "three: still busy after 2 s",
        "broken panicked and is switched off",
    ];
    assert_eq!(errors, want);
}

#[tokio::test]
async fn what_an_observer_cannot_do_for_a_trace_is_said_at_its_end_and_is_no_matter_of_a_run() {
    struct Full;
    impl Observer for Full {
        fn name(&self) -> &'static str {
            "full"
        }
        fn start_trace(&mut self, _: &TraceStart) -> Result<(), ObserverError> {
            Err("no room".into())
        }
    }
    let stage = Stage::new("claude", &answer());
    let client = stage.claude().observe(Full);
    let trace = client.start_trace("t");
    let seen = run(&client, trace.phase("p").request("p")).await;
    assert_eq!(seen.outcome.unwrap().observer_errors, [""; 0]);
    let error = patiently(trace.end()).await.unwrap_err();
    assert_eq!(error.to_string(), "not everything was observed: full: no room");
}

fn phases(tree: &Node) -> Vec<(&str, Option<NodeStatus>)> {
    let phases = tree.children.iter().filter(|node| node.node_type == NodeType::Phase);
    let mut phases: Vec<_> =
        phases.map(|node| (node.agent_name.as_str(), node.status.clone())).collect();
    phases.sort_by_key(|(name, _)| *name);
    phases
}

#[tokio::test(flavor = "multi_thread")]
async fn phases_at_work_at_once_stand_in_the_file_of_their_trace_which_is_open_until_it_is_ended() {
    let stage = Stage::new("claude", &answer());
    let dir = stage.path("traces");
    let client = stage.claude().observe(TraceDir::new(&dir).unwrap());
    let trace = client.start_trace("hiveminer-run");
    let file = dir.join(format!("{}.json", trace.id()));
    let runs: Vec<_> = ["left", "right"]
        .map(|name| tokio::spawn(finish(client.start(trace.phase(name).request("p")))))
        .into();
    for run in runs {
        assert_eq!(run.await.unwrap().outcome.unwrap().observer_errors, [""; 0]);
    }
    let open = read_file(&file).unwrap();
    assert_eq!(
        (open.agent_name.as_str(), &open.status),
        ("hiveminer-run", &Some(NodeStatus::Running))
    );
    assert_eq!(phases(&open), [("left", None), ("right", None)]);
    patiently(trace.end()).await.unwrap();
    let ended = read_file(&file).unwrap();
    assert_eq!((ended.status, ended.run.as_str(), ended.children), (None, "", open.children));

    // One that is dropped stays open.
    let dropped = client.start_trace("dropped");
    let (file, request) =
        (dir.join(format!("{}.json", dropped.id())), dropped.phase("p").request("p"));
    drop(dropped);
    run(&client, request).await;
    assert_eq!(read_file(&file).unwrap().status, Some(NodeStatus::Running));
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2, "nothing but the traces is left");
}

#[tokio::test]
async fn a_stopped_run_is_interrupted_in_its_trace() {
    let stage = Stage::new("claude", &crate::fake_run::hanging());
    let dir = stage.path("traces");
    let client = stage.claude().observe(TraceDir::new(&dir).unwrap());
    let mut run = client.start(RunRequest::new("p").trace_id("t").phase("one"));
    crate::fake_run::read_to(&mut run, "session_started").await;
    run.interrupter().interrupt();
    run.interrupter().interrupt();
    run.interrupter().interrupt();
    finish_quietly(run).await;
    let tree = read_file(&dir.join("t.json")).unwrap();
    assert_eq!(phases(&tree), [("one", Some(NodeStatus::Interrupted))]);
    assert_eq!(tree.status, Some(NodeStatus::Interrupted));
}

async fn finish_quietly(run: belaykit::Run) {
    assert!(patiently(run.outcome()).await.is_err());
}

#[test]
fn the_example_of_a_pipeline_leaves_one_trace_with_its_two_phases() {
    let stage = Stage::new("claude", &answer());
    let mut command = Command::new(crate::programs::example("pipeline"));
    command.args(["claude", "climbing"]).current_dir(stage.dir.path()).stdin(Stdio::null());
    let output = command.env_clear().envs(stage.env()).output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let (text, id) = stdout.trim_end().split_once("\ntrace: ").unwrap();
    assert_eq!(text, ANSWER);
    assert!(stderr.contains(ANSWER), "the logger has shown it: {stderr}");
    let tree = read_file(&stage.path(&format!(".belay/traces/{id}.json"))).unwrap();
    assert_eq!(phases(&tree), [("subreddit-discovery", None), ("thread-discovery", None)]);
    assert_eq!(
        (tree.agent_name.as_str(), &tree.attributes["topic"]),
        ("hiveminer-run", &"climbing".into())
    );
    assert_eq!(tree.status, None);
    let asked = stage.agent.log().stdin().join("\n");
    assert!(asked.contains("Find subreddits about climbing.") && asked.contains(ANSWER), "{asked}");
}
