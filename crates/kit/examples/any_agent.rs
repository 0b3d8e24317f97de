//! The same ten lines for every agent: `cargo run -p belaykit --example any_agent -- codex "What is 6 times 7?"`

use belaykit::{Candidate, Client};

fn main() -> anyhow::Result<()> {
    belaykit::init();
    let mut args = std::env::args().skip(1);
    let agent = args.next().unwrap_or_default().parse::<Candidate>()?.agent;
    let client = Client::of(agent).env(std::env::vars_os());
    let answer = belaykit::blocking::run(&client, args.next().unwrap_or_default())?;
    println!("{}", answer.text);
    println!("{:?} tokens, {:?} USD", answer.usage.output_tokens, answer.usage.total_cost_usd);
    Ok(())
}
