//! What an independent receiver reads of our bytes: oteltap, from PyPI.
#![cfg(feature = "otlp")]

use crate::fake_run::{Stage, run};
use belay_testkit::{python, recordings};
use belaykit::{Environment, OtlpExport, OtlpSettings};
use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

#[tokio::test]
async fn an_independent_receiver_reads_the_spans_of_a_run() {
    let Some(program) = python::program(python::OTELTAP, "python") else {
        // Loud, past the harness; but a machine without Python is not wrong.
        let words = b"SKIPPED oteltap: it is not installed; run cargo xtask agents with Python\n";
        drop(std::io::stderr().write_all(words));
        return;
    };
    let stage =
        Stage::new("claude", &crate::fake_run::play(&recordings::one("claude-code", "b-shell")));
    let seen = run(&stage.claude(), "p").await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut tap = Command::new(program)
        .args(["-u", "-m", "oteltap", "--await-span", "^invoke_agent", "--port", &port.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let to = format!("http://127.0.0.1:{port}");
    // oteltap 1.0.0 does not unzip.
    let plain = [("OTEL_EXPORTER_OTLP_COMPRESSION".into(), "none".into())];
    let settings = OtlpSettings::new(Some(&to), &Environment::new(plain)).unwrap().unwrap();
    let mut export = OtlpExport::new(settings);
    export.run(seen.records.clone(), None);
    // It is tried again until the tap is there; the tap goes when it has read it.
    if let Err(error) = export.send(Duration::from_secs(20)) {
        tap.kill().unwrap();
        panic!("{error}: {:?}", tap.wait_with_output());
    }
    let output = tap.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for words in [
        "invoke_agent claude-code",
        "chat claude-",
        "execute_tool Bash",
        "gen_ai.usage.input_tokens",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}
