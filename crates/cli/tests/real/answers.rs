//! The program with the real agents: an answer with a tool, and a Ctrl-C in the middle of one.

use crate::bench::{Bench, TOKENS, marked, wait_until};
use belay_testkit::model_server::{Reply, Script};
use rustix::process::{Pid, Signal, kill_process};

fn working() -> Script {
    Script::new()
        .reply(Reply::text("I will run it.").shell("echo from-the-shell").usage(TOKENS))
        .reply(Reply::text("It said so.").usage(TOKENS))
}

#[test]
fn each_agent_answers_with_a_tool_and_the_tokens_of_the_model() {
    let test = "each_agent_answers_with_a_tool_and_the_tokens_of_the_model";
    let benches =
        [Bench::claude(working(), test), Bench::codex(working(), test), Bench::pi(working(), test)];
    for bench in benches.into_iter().flatten() {
        let mut outputs = Vec::new();
        let (result, code) = bench.run(&[], |event, _| {
            if event["type"] == "tool_result" {
                outputs.push(event["output"].as_str().unwrap().trim_end().to_owned());
            }
        });
        assert_eq!((code, result["result"].as_str()), (Some(0), Some("It said so.")));
        assert_eq!(outputs, ["from-the-shell"]);
        let tokens = |name: &str| result["usage"][name].as_u64();
        assert_eq!((tokens("input_tokens"), tokens("output_tokens")), (Some(2400), Some(170)));
        assert_eq!(tokens("cache_read_input_tokens"), Some(18_000));
        assert_eq!(bench.server.requests().iter().filter(|r| r.method == "POST").count(), 2);
        let traces = bench.sandbox.project().join(".belay/traces");
        let tree = belay_trace::read_latest(&traces).unwrap();
        assert_eq!(tree.children[1].children[0].agent_name, "Bash");
    }
}

#[test]
fn ctrl_c_in_the_middle_of_a_tool_keeps_the_bill_and_leaves_nothing_running() {
    let test = "ctrl_c_in_the_middle_of_a_tool_keeps_the_bill_and_leaves_nothing_running";
    let marker = format!("belay-marker-{}", std::process::id());
    let sleeping = || {
        let command = format!("python3 -c 'import time; time.sleep(300)' {marker}");
        Script::new().reply(Reply::text("Sleeping.").shell(&command).usage(TOKENS))
    };
    let benches = [
        Bench::claude(sleeping(), test),
        Bench::codex(sleeping(), test),
        Bench::pi(sleeping(), test),
    ];
    for bench in benches.into_iter().flatten() {
        let (result, code) = bench.run(&[], |event, pid| {
            if event["type"] == "tool_call" {
                wait_until("the tool was never started", || !marked(&marker).is_empty());
                let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
                kill_process(pid, Signal::INT).unwrap();
            }
        });
        assert_eq!(code, Some(130), "{result}");
        assert_eq!(result["failure"]["kind"], "interrupted");
        assert_eq!(result["result"], "Sleeping.");
        assert_eq!(result["usage"]["output_tokens"], 85, "{result}");
        wait_until("the tool outlived the run", || marked(&marker).is_empty());
    }
}
