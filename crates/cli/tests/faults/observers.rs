//! T21: those who are to be told of a run are gone, silent, slow, full or broken, all of them at once: Slack by both
//! ways, a webhook, ntfy, Discord, a program, an OTLP backend and Freeplay, while an agent calls 500 tools.

use crate::faults::plays::{lines, says};
use crate::faults::scene::{PATIENCE, Scene};
use belay_testkit::black_hole::BlackHole;
use belay_testkit::fake_agent::{Pace, Play};
use belay_testkit::fake_slack::{FakeSlack, Fault, TOKEN};
use belay_testkit::figures::{figure, times};
use belay_testkit::otlp::spans;
use belay_testkit::receiver::{Answer, Receiver};
use jiff::Timestamp;
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

const CALLS: usize = 500;

/// What is told of a run over each channel: its begin, its phase and its answer.
const NOTICES: usize = 3;

const CHANNELS: [&str; 5] = ["slack", "webhook", "ntfy", "discord", "exec"];

/// How much later a run may end than without anybody who is told: two seconds, and what a loaded machine adds.
const ADDED_MAX: Duration = Duration::from_secs(15);

/// A service in one of its bad ways; it stands for all of them.
enum Service {
    Gone(String),
    BlackHole(BlackHole),
    Fake(FakeSlack),
}

impl Service {
    fn url(&self) -> String {
        match self {
            Self::Gone(url) => url.clone(),
            Self::BlackHole(hole) => hole.url(),
            Self::Fake(fake) => fake.url("").trim_end_matches('/').to_owned(),
        }
    }

    fn broken(fault: Fault) -> Self {
        let fake = FakeSlack::start().unwrap();
        fake.fail(fault);
        Self::Fake(fake)
    }
}

/// How Slack is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Bot,
    Webhook,
}

/// Claude calls a shell, each time with something else.
fn storm(pace_ms: u64) -> Play {
    let stream = lines("claude-code", "b-shell");
    let at = |what: &str| stream.iter().position(|line| line.contains(what)).unwrap();
    let (call, result) = (at(r#""type":"tool_use""#), at(r#""type":"tool_result""#));
    let of = |line: usize, n: usize| {
        let line = stream[line].replace("toolu_0150ecffbebb014d51ab348301", &format!("toolu_{n}"));
        let line = line.replace("hello-from-shell", &format!("hello-{n}"));
        line.replace("msg_01dbe057598254475a8a341a09", &format!("msg_{n}"))
    };
    let calls = (0..CALLS).flat_map(|n| [of(call, n), of(result, n)]);
    let (before, after) = (stream[..call].iter().cloned(), stream[result + 1..].iter().cloned());
    Play { pace: Pace::FixedMs(pace_ms), ..says(before.chain(calls).chain(after)) }
}

/// What was seen of a run.
struct Seen {
    took: Duration,
    /// From the result to the end of the program.
    after: Duration,
    events: Vec<String>,
    /// The lines of standard error.
    said: Vec<String>,
}

impl Seen {
    /// How much is said to be lost of what `name` should have told, in things of this kind.
    fn lost(&self, name: &str, kind: &str) -> usize {
        let begin = format!("warning: {name}: ");
        let lines = self.said.iter().filter_map(|line| line.strip_prefix(&begin));
        // "1 message dropped and 2 not sent in time: why", "500 spans lost: why; 2 spans not sent in time: why".
        let count = |line: &str| {
            let words: Vec<&str> = line.split([' ', ',', ';', ':']).collect();
            let pairs = words.windows(2);
            let counted = pairs.filter(|pair| pair[1].starts_with(kind) || pair[1] == "not");
            counted.filter_map(|pair| pair[0].parse::<usize>().ok()).sum::<usize>()
        };
        lines.map(count).sum()
    }
}

/// A run of which all are told who can be, each of them at `url`; nobody without one.
fn run(url: Option<&str>, slack: Way, program: &str) -> Seen {
    let (scene, _agent) = Scene::claude(&storm(times(0, 10) as u64));
    let mut command = vec!["run", "--format", "jsonl", "--phase", "discovery"];
    let otel = url.map(|url| format!("--otel={url}"));
    if let (Some(url), Some(otel)) = (url, &otel) {
        command.extend(["--notify", "slack,webhook,ntfy,discord,exec", "--freeplay", otel]);
        let slack = match slack {
            Way::Bot => "bot_token_env = \"TOKEN\"\nchannel = \"#agents\"",
            Way::Webhook => "webhook_url_env = \"HOOK\"",
        };
        let events = "events = [\"error\", \"result\", \"start\", \"tool_use\"]";
        let text = format!(
            "[notify.slack]\n{slack}\napi_url = \"{url}/api\"\n{events}\n\
             [notify.webhook]\nurl = \"{url}/hook\"\n{events}\n\
             [notify.ntfy]\nurl = \"{url}/topic\"\n{events}\n\
             [notify.discord]\nwebhook_url_env = \"DISCORD\"\n{events}\n\
             [notify.exec]\ncommand = ['/bin/sh', '-c', '{program}']\n{events}\n"
        );
        let path = scene.bench.path("home/.config/belay/config.toml");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    command.push("p");
    let mut belay = scene.bench.belay(&command);
    let url = url.unwrap_or_default();
    belay.env("TOKEN", TOKEN).env("HOOK", format!("{url}/services/x"));
    belay.env("DISCORD", format!("{url}/discord")).env("FREEPLAY_API_URL", url);
    belay.env("FREEPLAY_API_KEY", "key").env("FREEPLAY_PROJECT_ID", "p1");
    let began = Instant::now();
    let output = belay.output().unwrap();
    let (took, ended) = (began.elapsed(), Timestamp::now());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    // The program that tells somebody is not left behind either.
    scene.emptied_after(PATIENCE).unwrap();
    let events = String::from_utf8(output.stdout).unwrap();
    let events: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let result = events.last().unwrap()["ts"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let kind = |event: &Value| event["type"].as_str().unwrap().to_owned();
    // Those say what an observer was too slow for, and which of its secrets the agent does not see.
    let told = |event: &&Value| event["code"].as_str() != Some("env_held_back");
    let kinds = events.iter().filter(told).map(kind).filter(|kind| kind != "observer_dropped");
    Seen {
        took,
        after: ended.duration_since(result).try_into().unwrap(),
        events: kinds.collect(),
        said: said.lines().map(str::to_owned).collect(),
    }
}

#[test]
fn whoever_cannot_be_told_costs_a_run_two_seconds_and_no_event_and_each_loss_is_said() {
    let events = run(None, Way::Bot, "").events;
    assert_eq!(events.iter().filter(|kind| *kind == "tool_call").count(), CALLS);

    // What there is to be told, of somebody who hears it: each call is a request of its own to Freeplay.
    let receiver = Receiver::start(|_| Answer::status(200).body("{\"ok\":true}")).unwrap();
    let heard = run(Some(&receiver.url()), Way::Webhook, "true");
    // A loaded machine may not get through to somebody who listens, and says so.
    let services = ["warning: freeplay: ", "warning: otlp: "];
    let is_service = |line: &String| services.iter().any(|service| line.starts_with(service));
    assert!(heard.said.iter().all(is_service), "{:#?}", heard.said);
    let spans = spans(&receiver.requests()).len() + heard.lost("otlp", "span");
    let freeplay = CALLS + 2;
    assert!(spans > CALLS, "{spans}");

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let services = [
        ("refused", Service::Gone(format!("http://{closed}")), "exit 1"),
        ("black-holed", Service::BlackHole(BlackHole::open().unwrap()), "/bin/sleep 60"),
        ("silent", Service::broken(Fault::Silent), "/bin/sleep 60 & /bin/sleep 60"),
        ("a byte a second", Service::broken(Fault::Slow), "while /bin/sleep 1; do echo; done"),
        ("429 for a minute", Service::broken(Fault::Limited(60)), "exit 75"),
        ("500", Service::broken(Fault::Status(500)), "kill -9 $$"),
    ];
    let mut cases = 0;
    for (n, (name, service, program)) in services.iter().enumerate().step_by(times(2, 1)) {
        let ways = [Way::Bot, Way::Webhook];
        let mut added = Vec::new();
        for way in ways.into_iter().cycle().skip(n / times(2, 1) % 2).take(times(1, 2)) {
            // Beside one without, since what else the machine does changes.
            let alone = run(None, way, "");
            let seen = run(Some(&service.url()), way, program);
            assert_eq!(seen.events, events, "{name}: no event is lost or added");
            for channel in CHANNELS {
                let lost = seen.lost(channel, "message");
                assert_eq!(lost, NOTICES, "{name} {channel}: {:#?}", seen.said);
            }
            assert_eq!(seen.lost("otlp", "span"), spans, "{name}: {:#?}", seen.said);
            let all = ["trace", "tool", "run", "ends", "completion"];
            let lost: usize = all.iter().map(|kind| seen.lost("freeplay", kind)).sum();
            assert_eq!(lost, freeplay, "{name}: {:#?}", seen.said);
            println!(
                "T21 {name}, Slack by {way:?}: {:?} beside {:?}, {:?} and {:?} of it after the result",
                seen.took, alone.took, seen.after, alone.after
            );
            assert!(seen.took < alone.took + ADDED_MAX, "{name}: {:?} {:?}", seen.took, alone.took);
            added.push(seen.after.saturating_sub(alone.after));
            cases += 1;
        }
        let most = added.into_iter().max().unwrap();
        let what = format!("{name}: added to the end of a run of {CALLS} tool calls");
        figure("T21", &what, format!("{:.1} s", most.as_secs_f64()));
        assert!(most < ADDED_MAX, "{name}: {most:?}");
    }
    let told = CHANNELS.len() * NOTICES + spans + freeplay;
    figure(
        "T21",
        &format!("lost of {} messages, spans and completions, and said to be", cases * told),
        "all, 100 %",
    );
    figure("T21", &format!("events of {cases} runs that an observer has cost"), 0);
}
