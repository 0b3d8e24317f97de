//! The usage example of the seed's plan for traces, ported: a pipeline of two phases in one trace, with a logger, on
//! any agent: `cargo run -p belaykit --example pipeline -- claude:opus "climbing"`
//!
//! The trace is written to `.belay/traces/{trace-id}.json` from the begin of the first run.

use belaykit::{Candidate, Client, Logger, TraceConfig, TraceDir};
use std::io;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    belaykit::init();
    let mut args = std::env::args().skip(1);
    let agent = args.next().unwrap_or_else(|| "claude".to_owned()).parse::<Candidate>()?.agent;
    let topic = args.next().unwrap_or_else(|| "climbing".to_owned());

    let mut logger = Logger::new(io::stderr());
    let client = Client::of(agent)
        .env(std::env::vars_os())
        .on_event(move |record| logger.record(record))
        .observe(TraceDir::new(".belay/traces")?);

    let session = client.start_session([("pipeline".to_owned(), "hiveminer".into())]);
    let trace =
        session.start_trace(TraceConfig::new("hiveminer-run").meta("topic", topic.as_str()));

    let phase = trace.phase("subreddit-discovery");
    let found = client.run(phase.request(format!("Find subreddits about {topic}."))).await?;

    let phase = trace.phase("thread-discovery");
    let prompt = format!("Find threads in these subreddits:\n{}", found.text);
    let threads = client.run(phase.request(prompt)).await?;

    println!("{}", threads.text);
    println!("trace: {}", trace.id());
    trace.end().await?;
    session.end().await?;
    Ok(())
}
