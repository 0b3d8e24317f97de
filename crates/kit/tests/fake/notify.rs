//! People are told of runs in order and within the limits of what tells them, and no run pays for it.
#![cfg(all(feature = "slack", feature = "webhook"))]
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::fake_run::{
    ANSWER, Stage, answer, finish_after, hanging, is_running, lines, read_to, run, wait_until,
};
use crate::two::{Two, codex_answers, recorded};
use belay_testkit::fake_agent::{Pace, Play, WaitForStdin};
use belay_testkit::fake_slack::{CHANNEL_NAME, FakeSlack, Fault, Posted, TOKEN};
use belaykit::notify::{Events, Notify};
use belaykit::trace::{Phase, RunResult, RunStarted};
use belaykit::{Event, Observer as _, Record, limits, slack};
use std::net::TcpListener;
use std::time::{Duration, Instant};

const ALL: Events = Events { on_error: true, on_result: true, on_start: true, on_tool_use: true };

fn config(fake: &FakeSlack) -> slack::Config {
    slack::Config {
        enabled: true,
        bot_token: TOKEN.to_owned(),
        channel: CHANNEL_NAME.to_owned(),
        notify_users: vec!["U77".to_owned()],
        events: ALL,
        api_url: fake.api_url(),
        ..slack::Config::default()
    }
}

/// The first line that each message shows now.
fn firsts(messages: &[Posted]) -> Vec<String> {
    let first = |message: &Posted| {
        message.shown().into_iter().find(|text| !text.starts_with("<@")).unwrap_or_default()
    };
    messages.iter().map(first).collect()
}

/// Every line that messages show.
fn all(messages: &[Posted]) -> String {
    messages.iter().flat_map(Posted::shown).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_run_is_a_thread_with_its_phase_its_failover_and_its_end() {
    let fake = FakeSlack::start().unwrap();
    let two = Two::new(&recorded("claude-code", "h-401"), &codex_answers());
    let client = two.client().observe(Notify::slack(config(&fake)));
    let seen = run(&client, two.request().phase("discovery")).await;
    assert_eq!(seen.answer(), ANSWER);
    assert_eq!(seen.outcome.unwrap().observer_errors, [""; 0]);
    let messages = fake.messages();
    let root = &messages[0];
    assert_eq!(firsts(&messages)[0], "claude-code, codex begins");
    assert!(root.thread_ts.is_none());
    assert!(messages[1..].iter().all(|message| message.thread_ts.as_ref() == Some(&root.ts)));
    let text = all(&messages);
    let order =
        ["Phase: discovery", "codex takes over from claude-code", "codex has answered", ANSWER];
    let places: Vec<_> = order.iter().map(|words| text.find(words).expect(words)).collect();
    assert!(places.is_sorted(), "{text}");
    let broadcast: Vec<_> = messages.iter().map(|message| message.broadcast).collect();
    assert_eq!(broadcast.iter().filter(|it| **it).count(), 1);
    assert_eq!(broadcast.last(), Some(&true));
    assert!(messages.last().unwrap().body["text"].as_str().unwrap().starts_with("<@U77> "));
}

#[tokio::test]
async fn the_runs_of_a_trace_are_one_thread_in_one_program() {
    let fake = FakeSlack::start().unwrap();
    let stage = Stage::new("claude", &answer());
    let client = stage.claude().observe(Notify::slack(config(&fake)));
    let trace = client.start_trace("hiveminer-run");
    for phase in ["discovery", "extraction"] {
        let seen = run(&client, trace.phase(phase).request("p")).await;
        assert_eq!(seen.outcome.unwrap().observer_errors, [""; 0]);
    }
    crate::fake_run::patiently(trace.end()).await.unwrap();
    let messages = fake.messages();
    let (root, replies) = messages.split_first().unwrap();
    assert_eq!(firsts(&messages)[0], "claude-code begins (hiveminer-run)");
    assert!(replies.iter().all(|message| message.thread_ts.as_ref() == Some(&root.ts)));
    let text = all(&messages);
    let places = ["Phase: discovery", "Phase: extraction"].map(|words| text.find(words).unwrap());
    assert!(places.is_sorted(), "{text}");
    // The end of each is shown in the channel.
    let ends = messages.iter().filter(|message| message.broadcast);
    assert_eq!(ends.count(), 2);
    assert_eq!(text.matches("claude-code has answered").count(), 2);
}

#[tokio::test]
async fn a_failed_run_and_a_stopped_one_say_so() {
    let fake = FakeSlack::start().unwrap();
    let stage = Stage::new("claude", &recorded("claude-code", "h-401"));
    let seen = run(&stage.claude().observe(Notify::slack(config(&fake))), "p").await;
    let message = &seen.failure().message;
    let messages = fake.messages();
    let last = messages.last().unwrap().shown();
    assert!(last.contains(&"claude-code has failed: auth".to_owned()), "{last:?}");
    assert!(messages.last().unwrap().broadcast);
    assert!(all(&messages).contains(message.trim()), "{message}");

    let fake = FakeSlack::start().unwrap();
    let stage = Stage::new("claude", &hanging());
    let client = stage.claude().observe(Notify::slack(config(&fake)).agent_name("hive"));
    let mut run = client.start("p");
    let records = read_to(&mut run, "session_started").await;
    (0..3).for_each(|_| run.interrupter().interrupt());
    finish_after(records, run).await.outcome.unwrap_err();
    assert_eq!(firsts(&fake.messages()), ["hive begins", "hive was stopped"]);
}

/// Claude calls a shell so many times and answers.
fn storm(calls: usize, pace_ms: u64) -> Play {
    let stream = lines("claude-code", "b-shell");
    let at = |what: &str| stream.iter().position(|line| line.contains(what)).unwrap();
    let (call, result) = (at(r#""type":"tool_use""#), at(r#""type":"tool_result""#));
    let of = |line: usize, n: usize| {
        stream[line]
            .replace("toolu_0150ecffbebb014d51ab348301", &format!("toolu_{n}"))
            // Each another one: whoever repeats himself is stopped.
            .replace("hello-from-shell", &format!("hello-{n}"))
            .replace("msg_01dbe057598254475a8a341a09", &format!("msg_{n}"))
    };
    let middle = (0..calls).flat_map(|n| [of(call, n), of(result, n)]);
    let ends = (stream[..call].to_vec(), stream[result + 1..].to_vec());
    let play = Play::lines(ends.0.into_iter().chain(middle).chain(ends.1));
    Play { wait_for_stdin: WaitForStdin::Line, pace: Pace::FixedMs(pace_ms), ..play }
}

#[tokio::test]
async fn a_storm_of_tools_is_one_message_that_is_edited_seldom() {
    let fake = FakeSlack::start().unwrap();
    let stage = Stage::new("claude", &storm(500, 10));
    let seen = run(&stage.claude().observe(Notify::slack(config(&fake))), "p").await;
    assert_eq!(seen.count("tool_call"), 500);
    let messages = fake.messages();
    let firsts = firsts(&messages);
    assert_eq!(messages.len(), 3, "{firsts:?}");
    assert!(firsts[1].contains(" tool calls, now Bash"), "{firsts:?}");
    assert_eq!(firsts[2], "claude-code has answered");
    assert!(all(&messages[2..]).contains("500 tool calls"));
    let tools = &messages[1];
    assert!(!tools.edits.is_empty(), "it took {:?}", seen.took);
    let times: Vec<_> =
        std::iter::once(tools.at).chain(tools.edits.iter().map(|it| it.0)).collect();
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap >= limits::EDIT_PAUSE), "{gaps:?}");
    assert_eq!(fake.refused(), [""; 0]);
}

#[test]
fn more_than_slack_takes_in_a_second_arrives_in_order_and_whole() {
    let fake = FakeSlack::start().unwrap();
    let mut notify = Notify::slack(config(&fake));
    let tell = |notify: &mut Notify, event| notify.on_record(&Record::new("r", event)).unwrap();
    let agents = vec!["pi".to_owned()];
    tell(&mut notify, Event::RunStarted(RunStarted { agents, ..RunStarted::default() }));
    for n in 0..30 {
        tell(&mut notify, Event::Phase(Phase { phase_name: format!("<!here> {n}") }));
    }
    let words = "<@U1> & https://evil.example ".repeat(2000);
    tell(&mut notify, Event::Result(RunResult { result: words, ..RunResult::default() }));
    // As long as a loaded machine may need; a run gives it two seconds.
    notify.flush(Instant::now() + Duration::from_secs(30)).unwrap();
    let messages = fake.messages();
    let text = all(&messages);
    let places: Vec<_> =
        (0..30).map(|n| text.find(&format!("Phase: <!here> {n}\n")).unwrap()).collect();
    assert!(places.is_sorted(), "{text}");
    assert!(messages.len() <= 5, "{}", messages.len());
    assert!(messages.last().unwrap().broadcast);
    let wire: String =
        messages[..messages.len() - 1].iter().map(|it| it.body.to_string()).collect();
    assert!(!wire.contains("<!") && !wire.contains("<@"), "{wire}");
    // Of the last one the mention of the configuration alone.
    let last = messages.last().unwrap().body.to_string();
    assert_eq!((last.matches("<@U77>").count(), last.matches('<').count()), (2, 2));
    assert!(fake.refused().iter().all(|refused| refused == "429"));
}

#[tokio::test]
async fn over_a_webhook_the_same_comes_without_threads() {
    let fake = FakeSlack::start().unwrap();
    let config = slack::Config {
        bot_token: String::new(),
        webhook_url: fake.webhook_url(),
        ..config(&fake)
    };
    let stage = Stage::new("claude", &storm(3, 0));
    let notify =
        Notify::slack(config).result_formatter(|result| format!("{} bytes", result.result.len()));
    run(&stage.claude().observe(notify), "p").await.outcome.unwrap();
    let messages = fake.messages();
    assert_eq!(firsts(&messages), ["claude-code begins", "claude-code has answered"]);
    assert!(messages.iter().all(|message| message.thread_ts.is_none() && !message.broadcast));
    assert!(all(&messages).contains(" bytes\n"), "{}", all(&messages));
}

#[tokio::test]
async fn what_slack_refuses_for_good_is_tried_once_and_said() {
    let fake = FakeSlack::start().unwrap();
    fake.fail(Fault::Code("invalid_auth"));
    let stage = Stage::new("claude", &answer());
    let client = stage.claude().observe(Notify::slack(config(&fake)));
    for _ in 0..2 {
        let outcome = run(&client, "p").await.outcome.unwrap();
        let want = "slack: 2 messages dropped: Slack refuses it: invalid_auth";
        assert_eq!(outcome.observer_errors, [want]);
    }
    assert_eq!(fake.requests().len(), 1);
}

#[test]
fn a_notifier_keeps_a_session_in_one_thread() {
    let fake = FakeSlack::start().unwrap();
    let mut notifier = slack::Notifier::new(&config(&fake));
    notifier.start_session("begin").unwrap();
    let ts = notifier.thread_ts().unwrap().to_owned();
    notifier.send("<b> & c").unwrap();
    notifier.send_with_mentions("look").unwrap();
    notifier.end_session("end").unwrap();
    assert_eq!(notifier.thread_ts(), None);
    let messages = fake.messages();
    assert_eq!(messages[0].ts, ts);
    assert!(messages[1..].iter().all(|message| message.thread_ts.as_ref() == Some(&ts)));
    let shown: Vec<_> = messages.iter().map(|message| message.shown().join(" ")).collect();
    assert_eq!(shown, ["begin", "<b> & c", "<@U77> look", "<@U77> end"]);
    assert!(messages[3].broadcast);
}

#[tokio::test]
async fn the_other_channels_tell_the_same() {
    let fake = FakeSlack::start().unwrap();
    let stage = Stage::new("claude", &answer());
    let told = stage.path("told");
    crate::fake_run::executable(
        &stage.path("tell"),
        "#!/bin/sh\nprintf '%s|' \"$BELAY_TITLE\" \"$BELAY_BODY\" \"$SEEN\" \"$HOME\" > \"$TOLD.new\" && mv \"$TOLD.new\" \"$TOLD\"\n",
    );
    let command = [stage.path("tell").to_string_lossy().into_owned()];
    let env = [
        ("PATH".into(), "/usr/bin:/bin".into()),
        ("TOLD".into(), told.clone().into_os_string()),
        ("SEEN".into(), "yes".into()),
    ];
    let client = stage
        .claude()
        .observe(Notify::webhook(fake.url("hook"), Some("secret".to_owned())))
        .observe(Notify::ntfy(fake.url("topic"), Some("tk".to_owned())))
        .observe(Notify::discord(fake.url("discord")))
        .observe(Notify::exec(command, env));
    let seen = run(&client, "p").await;
    let outcome = seen.outcome.as_ref().unwrap();
    assert_eq!(outcome.observer_errors, [""; 0]);
    let requests = fake.requests();
    let of = |path: &str| requests.iter().find(|request| request.path == path).unwrap();
    let hook = of("/hook");
    let body = &hook.body;
    let header =
        |name: &str| hook.headers.iter().find(|header| header.0 == name).map(|it| it.1.as_str());
    assert_eq!(
        (&body["v"], &body["event"], &body["level"]),
        (&1.into(), &"result".into(), &"info".into())
    );
    assert_eq!(
        (&body["title"], &body["body"]),
        (&"claude-code has answered".into(), &ANSWER.into())
    );
    assert_eq!(body["run"], outcome.run_id.as_str());
    assert!(header("x-belay-signature").unwrap().starts_with("sha256="));
    assert!(header("x-belay-timestamp").unwrap().parse::<i64>().is_ok());
    // The topic stands in the body, and the request goes to the server.
    let ntfy = requests.iter().find(|request| request.body["topic"] == "topic").unwrap();
    assert!(ntfy.headers.contains(&("authorization".to_owned(), "Bearer tk".to_owned())));
    assert!(ntfy.body["message"].as_str().unwrap().starts_with(ANSWER));
    let body = &of("/discord").body;
    assert!(body["content"].as_str().unwrap().starts_with(r"**claude\-code has answered**"));
    assert_eq!(body["allowed_mentions"]["parse"], serde_json::json!([]));
    let told = std::fs::read_to_string(told).unwrap();
    let mut words = told.split('|');
    assert_eq!(words.next(), Some("claude-code has answered"));
    assert!(words.next().unwrap().starts_with(ANSWER));
    assert_eq!(words.next(), Some("yes"));
    assert_eq!(words.next(), Some(""), "no variable but those that were given");
}

/// T21: one run with every channel in front of every kind of broken service.
#[tokio::test]
async fn no_broken_channel_costs_a_run_more_than_two_seconds_and_each_loss_is_told() {
    let began = Instant::now();
    let stage = Stage::new("claude", &answer());
    run(&stage.claude(), "p").await.outcome.unwrap();
    let alone = began.elapsed();

    let faults =
        [Fault::Silent, Fault::Slow, Fault::Limited(60), Fault::Status(500), Fault::Status(404)];
    let fakes: Vec<_> = faults.iter().map(|_| FakeSlack::start().unwrap()).collect();
    let mut client = stage.claude();
    let mut count = 0;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut addresses = vec![format!("http://{closed}")];
    for (fake, fault) in fakes.iter().zip(faults) {
        fake.fail(fault);
        addresses.push(fake.url("").trim_end_matches('/').to_owned());
    }
    for address in addresses {
        let bot = slack::Config {
            enabled: true,
            bot_token: TOKEN.to_owned(),
            channel: CHANNEL_NAME.to_owned(),
            events: ALL,
            api_url: address.clone(),
            ..slack::Config::default()
        };
        let hook = slack::Config {
            enabled: true,
            webhook_url: format!("{address}/services/x"),
            events: ALL,
            ..slack::Config::default()
        };
        client = client
            .observe(Notify::slack(bot))
            .observe(Notify::slack(hook))
            .observe(Notify::webhook(format!("{address}/hook"), None).events(ALL))
            .observe(Notify::ntfy(format!("{address}/topic"), None).events(ALL))
            .observe(Notify::discord(format!("{address}/discord")).events(ALL));
        count += 5;
    }
    let pids = stage.path("pids");
    let sleeps = ["/bin/sh", "-c", "echo $$ >> \"$0\"; sleep 60 & wait", &*pids.to_string_lossy()];
    let path = [("PATH".into(), "/usr/bin:/bin".into())];
    client = client.observe(Notify::exec(sleeps.map(str::to_owned), path).events(ALL));
    count += 1;

    let began = Instant::now();
    let seen = run(&client, "p").await;
    let took = began.elapsed();
    assert_eq!(seen.answer(), ANSWER);
    // Two messages each: the begin and the end.
    let errors = &seen.outcome.as_ref().unwrap().observer_errors;
    assert_eq!(errors.len(), count, "{errors:#?}");
    let counted = |error: &&String| {
        error.contains(": 2 messages ") || error.contains("1 message dropped and 1 not sent")
    };
    assert_eq!(errors.iter().filter(counted).count(), count, "{errors:#?}");
    assert_eq!(seen.count("observer_dropped"), 0);
    for pid in std::fs::read_to_string(pids).unwrap().lines() {
        let pid = pid.parse().unwrap();
        wait_until("the program is gone", || !is_running(pid));
    }
    println!("alone {alone:?}, with {count} broken channels {took:?}");
    // What a loaded machine may add is more than that; 5 s is what one request may take.
    let most = alone + limits::OBSERVER_FLUSH + limits::NOTIFY_REQUEST - Duration::from_secs(1);
    assert!(took < most, "{took:?}, and {alone:?} alone");
}
