//! The supervisor alone, for programs that cannot call the hook first in their `main`:
//! name its path with `Client::supervisor`.

fn main() {
    belaykit::supervise::hook();
    eprintln!(
        "belay-supervisor is started by belaykit, not by hand: see belaykit::Client::supervisor"
    );
    std::process::exit(2);
}
