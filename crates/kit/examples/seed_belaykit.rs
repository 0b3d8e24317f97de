//! The quick starts of belaykit's README, ported: a client for each agent, options, a handler, a trace id.

use belaykit::{Claude, Client, Codex, Event, RunRequest};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    belaykit::init();
    let client = Client::new(Claude::new().model("sonnet")).env(std::env::vars_os());
    let request = RunRequest::new("Write a small Go function that reverses a string.");
    let answer = client.run(request.max_turns(3)).await?;
    println!("{}", answer.text);

    let client = Client::new(Codex::new().model("gpt-5-codex")).env(std::env::vars_os());
    let request =
        RunRequest::new("Refactor this function for readability and keep behavior identical.");
    let answer = client.run(request.trace_id("refactoring")).await?;
    println!("{}", answer.text);

    let client = client.on_event(|record| match &record.event {
        Event::Text(text) => print!("{}", text.text),
        Event::Result(result) => {
            if let Some(failure) = &result.failure {
                println!("run failed: {failure}");
            }
        }
        _ => {}
    });
    client.run("Summarise what you did.").await?;
    Ok(())
}
