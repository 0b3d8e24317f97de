//! An agent that plays a recording; see `belay_testkit::fake_agent`.

fn main() {
    belay_testkit::fake_agent::perform(std::env::args_os().collect());
}
