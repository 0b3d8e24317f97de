//! The supervisor by itself: what stands between belay and an agent, small, because each run starts two of it.

// It does its work and ends, unless somebody starts it by hand.
fn main() -> std::process::ExitCode {
    belaykit_supervise::init();
    eprintln!(
        "belay-supervisor is started by belay, not by hand: see belaykit::Client::supervisor"
    );
    std::process::ExitCode::from(2)
}
