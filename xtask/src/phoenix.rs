//! The test with real agents before a real backend, by one command.

use crate::{agents, cargo};
use belay_testkit::python;
use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// It takes ten seconds on a machine with nothing else to do.
const PATIENCE: Duration = Duration::from_secs(180);

/// A Phoenix that goes with whoever has started it.
struct Phoenix(Child);

impl Drop for Phoenix {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn run() -> Result<(), String> {
    agents()?;
    eprintln!("xtask: {} in {}", python::PHOENIX, python::dir().display());
    let cannot = |error| format!("cannot install Phoenix: {error}");
    python::install(python::PHOENIX).map_err(cannot)?;
    let program = python::program(python::PHOENIX, "phoenix").ok_or("there is no phoenix")?;
    let work = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (port, grpc) = (free_port()?, free_port()?);
    let child = Command::new(program)
        .arg("serve")
        .env("PHOENIX_HOST", "127.0.0.1")
        .env("PHOENIX_PORT", port.to_string())
        .env("PHOENIX_GRPC_PORT", grpc.to_string())
        .env("PHOENIX_WORKING_DIR", work.path())
        .env("PHOENIX_TELEMETRY_ENABLED", "false")
        .env("PHOENIX_ALLOW_EXTERNAL_RESOURCES", "false")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut phoenix = Phoenix(child.map_err(|error| format!("cannot start Phoenix: {error}"))?);
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if phoenix.0.try_wait().is_ok_and(|ended| ended.is_some()) || began.elapsed() > PATIENCE {
            return Err("Phoenix does not start".to_owned());
        }
        thread::sleep(Duration::from_millis(200));
    }
    cargo("build --package belay-testkit --bins", [])?;
    let url = format!("http://127.0.0.1:{port}");
    let env = [("BELAY_PHOENIX", OsStr::new(&url)), ("BELAY_REQUIRE_AGENTS", OsStr::new("1"))];
    // With all features: the tests are one program, which most of them are built for.
    cargo("test --package belaykit --all-features --test real otel:: -- --nocapture", env)
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}
