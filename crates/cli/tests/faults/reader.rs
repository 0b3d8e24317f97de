//! T22: whoever reads standard output stops reading, or goes away.

use crate::faults::plays::{lines, says};
use crate::faults::scene::Scene;
use belay_testkit::fake_agent::LogLine;
use belay_testkit::figures::{figure, times};
use belay_trace::Event;
use std::io::Read as _;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

/// How the reader behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Reads,
    Stops,
    Closes,
}

/// What was seen of a run with such a reader.
struct Seen {
    /// From the start to the agent's last line.
    agent: Duration,
    /// The agent's events in the journal, and on standard output.
    stored: usize,
    shown: usize,
    /// What the trace did not get.
    dropped: u64,
}

/// Far more than a pipe holds: a megabyte or more. The agent says all of it before anybody reads.
fn chatter() -> Vec<String> {
    let all = lines("claude-code", "b-shell");
    let turn = &all[1..all.len() - 1];
    let again = (0..times(400, 1000))
        .flat_map(|n| turn.iter().map(move |line| line.replace("msg_01", &format!("msg_{n}_"))));
    [all[0].clone()].into_iter().chain(again).chain(all.last().cloned()).collect()
}

fn run(reader: Reader, pause: Duration) -> Seen {
    let (scene, agent) = Scene::claude(&says(chatter()));
    let mut command = scene.bench.belay(&["run", "--format", "jsonl", "p"]);
    let began = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = child.stdout.take();
    let read = |stdout: Option<std::process::ChildStdout>| {
        thread::spawn(move || {
            let mut text = String::new();
            stdout.map(|mut stdout| stdout.read_to_string(&mut text).unwrap());
            text.lines().filter(|line| line.contains(r#""raw":"#)).count()
        })
    };
    let early = match reader {
        Reader::Reads => Some(read(stdout.take())),
        Reader::Stops => None,
        Reader::Closes => {
            stdout = None;
            None
        }
    };
    crate::faults::scene::wait_until("the agent has said all it had to say", || {
        agent.log().lines.contains(&LogLine::Played)
    });
    let took = began.elapsed();
    if reader == Reader::Stops {
        thread::sleep(pause.saturating_sub(took));
    }
    let shown = early.unwrap_or_else(|| read(stdout)).join().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{reader:?}");
    assert_eq!(scene.processes(), []);
    let records = scene.records();
    let dropped = records.iter().map(|record| match &record.event {
        Event::ObserverDropped(dropped) => dropped.dropped,
        _ => 0,
    });
    let stored = records.iter().filter(|record| record.raw.is_some()).count();
    Seen { agent: took, stored, shown, dropped: dropped.sum() }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn a_reader_that_stops_or_leaves_neither_slows_the_agent_nor_costs_an_event() {
    let pause = Duration::from_secs(times(2, 60) as u64);
    let tries = times(1, 15);
    let (mut reads, mut stops, mut closes) = (Vec::new(), Vec::new(), Vec::new());
    // One after the other, so that what else the machine does is shared by all.
    for n in 0..tries {
        reads.push(run(Reader::Reads, Duration::ZERO));
        stops.push(run(Reader::Stops, if n == 0 { pause } else { Duration::ZERO }));
        closes.push(run(Reader::Closes, Duration::ZERO));
    }
    let all = reads[0].stored;
    assert!(all > 4 * times(400, 1000), "{all}");
    for seen in reads.iter().chain(&stops) {
        assert_eq!((seen.stored, seen.shown), (all, all));
    }
    assert!(closes.iter().all(|seen| seen.stored == all));
    let dropped: u64 = reads.iter().chain(&stops).chain(&closes).map(|seen| seen.dropped).sum();
    figure("T22", "records that the trace was too slow for (told as `observer_dropped`)", dropped);
    figure("T22", &format!("events in the journal of {} runs of {all} events", 3 * tries), "100 %");
    // That the agent is not slowed is seen by its last line, which comes before a reader that stops goes on.
    let time = |seen: &[Seen]| median(seen.iter().map(|seen| seen.agent).collect());
    let normal = time(&reads);
    for (name, seen) in
        [(format!("stops for {} s", pause.as_secs()), &stops), ("closes".into(), &closes)]
    {
        let ratio = time(seen).as_secs_f64() / normal.as_secs_f64();
        figure(
            "T22",
            &format!("the agent's time when the reader {name}, against one that reads"),
            format!("{ratio:.2} ×"),
        );
    }
}
