//! Two phases and one failover with real agents, whose own spans join belay's: one tree. `BELAY_PHOENIX` with the
//! address of a Phoenix sends it there as well, and compares what Phoenix adds up (`cargo xtask phoenix`).
#![cfg(feature = "otlp")]
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use belay_testkit::model_server::{ModelServer, Reply, Script, Tokens};
use belay_testkit::otlp::{Span, spans, tree};
use belay_testkit::real::{self, CodexPolicy, Sandbox, skip_unless_installed};
use belay_testkit::receiver::{Answer, Receiver};
use belaykit::{
    Claude, Client, Codex, Environment, Otlp, OtlpSettings, Permissions, Policy, TraceContext,
    Usage,
};
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const TOKENS: Tokens =
    Tokens { input: 1200, output: 85, cache_read: 9000, cache_write: 0, reasoning: 0 };

#[test]
fn real_agents_that_are_told_their_span_join_one_tree_whose_totals_are_those_of_the_runs() {
    let test = "real_otel";
    let Some(claude) = skip_unless_installed(real::claude(), "claude", test) else { return };
    let Some(codex) = skip_unless_installed(real::codex(), "codex", test) else { return };
    let script = Script::new()
        .reply(Reply::text("I look.").shell("echo hello").usage(TOKENS))
        .reply(Reply::text("Found.").usage(TOKENS))
        // It asks twice.
        .reply(Reply::unauthorized())
        .reply(Reply::unauthorized())
        .reply(Reply::unauthorized());
    let of_claude = ModelServer::start(script).unwrap();
    let of_codex =
        ModelServer::start(Script::new().reply(Reply::text("Done.").usage(TOKENS))).unwrap();
    let receiver = Receiver::start(|_| Answer::status(200)).unwrap();
    let phoenix = std::env::var("BELAY_PHOENIX").ok();
    let to = phoenix.clone().unwrap_or_else(|| receiver.url());

    // The agents' own telemetry, which belay switches on for nobody.
    let sandbox = Sandbox::new().unwrap();
    let mut vars = sandbox.env_for_claude(&of_claude);
    let of_codex_env = sandbox.env_for_codex(&of_codex, CodexPolicy::FULL_ACCESS).unwrap();
    vars.retain(|(name, _)| of_codex_env.iter().all(|(other, _)| other != name));
    vars.extend(of_codex_env);
    vars.retain(|(name, _)| {
        name != "DISABLE_TELEMETRY" && name != "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"
    });
    let own = [
        ("CLAUDE_CODE_ENABLE_TELEMETRY", "1"),
        ("CLAUDE_CODE_ENHANCED_TELEMETRY_BETA", "1"),
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*to),
    ];
    vars.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let config = sandbox.home().join(".codex/config.toml");
    let mut config = OpenOptions::new().append(true).open(config).unwrap();
    writeln!(
        config,
        "\n[otel]\ntrace_exporter = {{ otlp-http = {{ endpoint = \"{to}/v1/traces\", protocol = \"binary\" }} }}"
    )
    .unwrap();
    let mut environment =
        Environment::new(vars.into_iter().map(|(name, value)| (name.into(), value.into())));
    for name in ["MOCK_KEY", "OTEL_*", "CLAUDE_CODE_*"] {
        environment.pass(name);
    }

    let settings = |url: &str| {
        OtlpSettings::new(Some(url), &Environment::default()).unwrap().unwrap().content(true)
    };
    let mut client = Client::new(Claude::new().model("claude-sonnet-4-5-20250929"))
        .or(Codex::new().model("gpt-5.5"))
        .program_of("claude-code", &claude.program)
        .program_of("codex", &codex.program)
        .supervisor(belay_testkit::fake_agent::supervisor())
        .environment(environment)
        .policy(Policy::default().max_retries(0))
        .trace_context(TraceContext::default())
        .observe(Otlp::new(settings(&receiver.url())));
    if let Some(phoenix) = &phoenix {
        let to = [("PHOENIX_COLLECTOR_ENDPOINT".into(), phoenix.into())];
        let settings = OtlpSettings::new(Some("phoenix"), &Environment::new(to)).unwrap().unwrap();
        client = client.observe(Otlp::new(settings.content(true)));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let trace = client.start_trace("hiveminer-run");
    let id = trace.id().replace('-', "");
    let mut usage = Usage::default();
    runtime.block_on(async {
        for phase in ["discovery", "extraction"] {
            let request = trace.phase(phase).request("Look around and say what you find.");
            let request = request.cwd(sandbox.project()).permissions(Permissions::Full);
            let outcome = client.run(request).await.unwrap();
            assert_eq!(outcome.observer_errors, [""; 0]);
            usage.add(&outcome.usage);
        }
        trace.end().await.unwrap();
    });

    let is_ours = |span: &&Span| {
        !span.get("belay.run.id").is_empty() || span.name.starts_with("invoke_workflow")
    };
    let all = spans(&receiver.requests());
    let ours: Vec<Span> = all.iter().filter(is_ours).cloned().collect();
    insta::assert_snapshot!(tree(&ours), @r"
    invoke_workflow hiveminer-run
      phase discovery
        invoke_agent claude-code
          chat claude-sonnet-4-5-20250929
          chat claude-sonnet-4-5-20250929
          execute_tool Bash
      phase extraction
        invoke_agent claude-code !auth
        invoke_agent codex ~
          chat gpt-5.5
    ");
    assert!(ours.iter().all(|span| span.trace == id));
    let sum = |name: &str| ours.iter().map(|span| span.number(name)).sum::<f64>() as u64;
    let input = usage.input_tokens.unwrap_or(0)
        + usage.cache_read_input_tokens.unwrap_or(0)
        + usage.cache_creation_input_tokens.unwrap_or(0);
    let output = usage.output_tokens.unwrap_or(0);
    assert_eq!(
        (sum("gen_ai.usage.input_tokens"), sum("gen_ai.usage.output_tokens")),
        (input, output)
    );

    let Some(phoenix) = phoenix else {
        // Those of each agent stand under the very attempt.
        let attempts: Vec<_> =
            ours.iter().filter(|span| span.name.starts_with("invoke_agent")).collect();
        for attempt in attempts {
            let of = |all: &[Span]| {
                all.iter().filter(|span| !is_ours(span) && span.parent == attempt.id).count()
            };
            receiver.wait(|requests| of(&spans(requests)) > 0);
        }
        return;
    };
    let query = format!(
        r#"{{"query":"{{ getTraceByOtelId(traceId: \"{id}\") {{ numSpans costSummary {{ total {{ tokens cost }} }} rootSpan {{ name cumulativeTokenCountPrompt cumulativeTokenCountCompletion }} }} }}"}}"#
    );
    let began = Instant::now();
    let found = loop {
        let answer = ask(&phoenix, &query);
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let found = answer["data"]["getTraceByOtelId"].clone();
        let counts = ["Prompt", "Completion"]
            .map(|kind| found["rootSpan"][format!("cumulativeTokenCount{kind}")].as_f64());
        if counts == [Some(input as f64), Some(output as f64)] {
            break found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{input} and {output} is not {answer}");
        std::thread::sleep(Duration::from_millis(500));
    };
    println!("{}", tree(&ours));
    println!("ours: {input} input and {output} output tokens, {:?} USD", usage.total_cost_usd);
    println!("Phoenix: {found}");
    let total = &found["costSummary"]["total"];
    assert_eq!(total["tokens"].as_f64(), Some((input + output) as f64));
    let (theirs, own) = (total["cost"].as_f64().unwrap(), usage.total_cost_usd.unwrap());
    // It has a list of prices of its own.
    assert!((theirs - own).abs() < 1e-6, "{theirs} {own}");
}

fn ask(phoenix: &str, query: &str) -> String {
    let host = phoenix.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "POST /graphql HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{query}",
        query.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").map_or(answer.clone(), |(_, body)| body.to_owned())
}
