//! The crate starts nothing, reads nothing and asks no clock: its own clippy.toml forbids it, and here it bites.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// One violation a line.
const SEEDS: &[&str] = &[
    "std::process::Command::new(\"claude\");",
    "std::process::exit(0);",
    "std::process::abort();",
    "std::process::id();",
    "std::fs::File::open(\"x\");",
    "std::fs::File::create(\"x\");",
    "std::fs::OpenOptions::new();",
    "std::fs::DirBuilder::new();",
    "std::fs::read(\"x\");",
    "std::fs::read_to_string(\"x\");",
    "std::fs::read_dir(\"x\");",
    "std::fs::read_link(\"x\");",
    "std::fs::write(\"x\", \"\");",
    "std::fs::copy(\"x\", \"y\");",
    "std::fs::rename(\"x\", \"y\");",
    "std::fs::hard_link(\"x\", \"y\");",
    "std::fs::remove_file(\"x\");",
    "std::fs::remove_dir(\"x\");",
    "std::fs::remove_dir_all(\"x\");",
    "std::fs::create_dir(\"x\");",
    "std::fs::create_dir_all(\"x\");",
    "std::fs::metadata(\"x\");",
    "std::fs::symlink_metadata(\"x\");",
    "std::fs::set_permissions(\"x\", unimplemented!());",
    "std::fs::canonicalize(\"x\");",
    "std::fs::exists(\"x\");",
    "std::path::Path::new(\"x\").exists();",
    "std::path::Path::new(\"x\").try_exists();",
    "std::path::Path::new(\"x\").is_file();",
    "std::path::Path::new(\"x\").is_dir();",
    "std::path::Path::new(\"x\").is_symlink();",
    "std::path::Path::new(\"x\").metadata();",
    "std::path::Path::new(\"x\").symlink_metadata();",
    "std::path::Path::new(\"x\").canonicalize();",
    "std::path::Path::new(\"x\").read_dir();",
    "std::path::Path::new(\"x\").read_link();",
    "std::path::absolute(\"x\");",
    "std::env::var(\"HOME\");",
    "std::env::var_os(\"HOME\");",
    "std::env::vars();",
    "std::env::vars_os();",
    "std::env::args();",
    "std::env::args_os();",
    "std::env::current_dir();",
    "std::env::set_current_dir(\"x\");",
    "std::env::current_exe();",
    "std::env::home_dir();",
    "std::env::temp_dir();",
    "std::net::TcpStream::connect(\"x\");",
    "std::net::TcpListener::bind(\"x\");",
    "std::net::UdpSocket::bind(\"x\");",
    "std::net::ToSocketAddrs::to_socket_addrs(\"x\");",
    "std::os::unix::net::UnixStream::connect(\"x\");",
    "std::os::unix::net::UnixListener::bind(\"x\");",
    "std::os::unix::net::UnixDatagram::bind(\"x\");",
    "std::thread::spawn(|| ());",
    "std::thread::scope(|_| ());",
    "std::thread::sleep(std::time::Duration::ZERO);",
    "std::thread::Builder::new();",
    "std::time::Instant::now();",
    "std::time::SystemTime::now();",
    "std::io::stdin();",
    "std::io::stdout();",
    "std::io::stderr();",
];

#[test]
fn each_way_out_of_purity_is_reported() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("purity");
    fs::create_dir_all(folder.join("src")).unwrap();
    let manifest = "[package]\nname = \"seeded\"\nedition = \"2024\"\n\n[workspace]\n";
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("clippy.toml");
    fs::write(folder.join("clippy.toml"), fs::read(ours).unwrap()).unwrap();
    let on_this_system = |seed: &&&str| cfg!(unix) || !seed.starts_with("std::os::unix");
    let seeds: Vec<&str> = SEEDS.iter().filter(on_this_system).copied().collect();
    let bodies =
        seeds.iter().enumerate().map(|(i, seed)| format!("pub fn f{i}() {{ let _ = {seed} }}"));
    let source = bodies.collect::<Vec<_>>().join("\n");
    fs::write(folder.join("src/lib.rs"), source).unwrap();

    let output = Command::new(env!("CARGO"))
        .args(["clippy", "--offline", "--quiet", "--message-format=json"])
        .args(["--target-dir", "target", "--", "--cap-lints=warn"])
        .current_dir(&folder)
        .env_remove("CLIPPY_CONF_DIR")
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");

    let reported: BTreeSet<usize> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .map(|line| line["message"].clone())
        .filter(|message| {
            let code = message["code"]["code"].as_str().unwrap_or_default();
            ["clippy::disallowed_methods", "clippy::disallowed_types"].contains(&code)
        })
        .map(|message| {
            usize::try_from(message["spans"][0]["line_start"].as_u64().unwrap()).unwrap()
        })
        .collect();
    let missed = seeds.iter().enumerate().filter(|(i, _)| !reported.contains(&(i + 1)));
    let missed: Vec<&str> = missed.map(|(_, seed)| *seed).collect();
    assert_eq!(missed, [] as [&str; 0], "{words}");
}

#[test]
fn the_arrows_run_one_way() {
    let dependencies = |package: &str| {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "-e", "normal", "--prefix", "none", "--format", "{p}"])
            .args(["-p", package])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8(output.stdout).unwrap();
        let names = tree.lines().filter_map(|line| line.split(' ').next());
        names.skip(1).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let io = ["tokio", "mio", "rustix", "nix", "libc", "hyper", "reqwest", "belaykit", "belay-cli"];
    let agents = dependencies("belay-agents");
    assert!(agents.contains("belay-trace") && agents.contains("serde_json"));
    let trace = dependencies("belay-trace");
    assert!(trace.contains("serde_json"));
    for name in io {
        assert!(!agents.contains(name), "belay-agents depends on {name}");
        assert!(!trace.contains(name), "belay-trace depends on {name}");
    }
    assert!(!trace.contains("belay-agents"));
    let supervise = dependencies("belaykit-supervise");
    assert!(!supervise.iter().any(|name| name.starts_with("belay")), "{supervise:?}");
}
