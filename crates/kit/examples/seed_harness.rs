//! The quick start of rumpl/harness, ported: run an agent and look at each event as it comes.

use belaykit::{Claude, Client, Event};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    belaykit::init();
    let mut run = Client::new(Claude::new()).env(std::env::vars_os()).start("Explain ownership");
    let stop = run.interrupter();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        stop.interrupt();
    });
    while let Some(record) = run.next().await {
        match record.event {
            Event::Text(text) => print!("{}", text.text),
            Event::ToolCall(call) => println!("[tool: {}] {}", call.name, call.args.get()),
            Event::ToolResult(result) => println!("[tool result] {}", result.output),
            Event::Result(result) => println!("\nResult: {}", result.result),
            _ => {}
        }
    }
}
