//! Breakers on a virtual clock, in real folders.

use super::rules::Rule;
use super::*;
use belay_trace::FailureKind;
use jiff::{SignedDuration, ToSpan as _};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;
use tempfile::TempDir;

/// Longer than any limit of these tests.
const TRUST: Duration = Duration::from_secs(30 * 86_400);

/// A state folder and a time.
struct Stage {
    dir: TempDir,
    breakers: Breakers,
    now: Timestamp,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let breakers = Breakers::new(dir.path());
        Self { dir, breakers, now: Timestamp::from_second(1_800_000_000).unwrap() }
    }

    fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    fn fail(&self, kind: FailureKind) {
        self.fail_as("claude-code", kind, None);
    }

    fn fail_as(&self, agent: &str, kind: FailureKind, resets_at: Option<Timestamp>) {
        let rule = rule(kind);
        let found = Found {
            kind,
            resets_at,
            trust: TRUST,
            agent: agent.to_owned(),
            run: "run".to_owned(),
            pid: 7,
        };
        self.breakers.fail(key(agent, rule.scope), &found, rule, self.now).unwrap();
    }

    fn state(&self, kind: FailureKind) -> &'static str {
        match self.breakers.look(&key("claude-code", rule(kind).scope), self.now) {
            State::Closed => "closed",
            State::Open(_) => "open",
            State::Due(_) => "due",
        }
    }

    fn claim(&self, kind: FailureKind) -> Claim {
        self.breakers.claim(&key("claude-code", rule(kind).scope), self.now)
    }

    fn answered(&self, began: Timestamp) {
        self.breakers.answered(&Key::all("claude-code", "account", "opus"), began).unwrap();
    }

    /// How long it stays open.
    fn opened_for(&self) -> i64 {
        let tripped = self.breakers.tripped(self.now).unwrap();
        let [tripped] = &tripped[..] else { panic!("one is open: {tripped:?}") };
        tripped.until.duration_since(self.now).as_secs()
    }

    fn file(&self, kind: FailureKind) -> PathBuf {
        let stem = key("claude-code", rule(kind).scope).stem();
        self.dir.path().join(BREAKER_DIR).join(format!("{stem}.json"))
    }
}

fn key(agent: &str, scope: Scope) -> Key {
    Key::of(scope, agent, "account", "opus")
}

fn rule(kind: FailureKind) -> Rule {
    let Consequence::Opens(rule) = consequence(kind) else { panic!("{kind} opens none") };
    rule
}

#[test]
fn a_limit_is_open_until_its_reset_and_a_moment_longer() {
    let mut stage = Stage::new();
    let reset = stage.now + 3.hours();
    stage.fail_as("claude-code", FailureKind::UsageLimit, Some(reset));
    let tripped = &stage.breakers.tripped(stage.now).unwrap()[0];
    assert_eq!((tripped.scope, tripped.resets_at), (Scope::Account, Some(reset)));
    assert_eq!(
        (tripped.who().as_str(), tripped.run.as_str(), tripped.pid),
        ("claude-code", "run", 7)
    );
    stage.pass(3 * 3600 + 9);
    assert_eq!(stage.state(FailureKind::UsageLimit), "open");
    stage.pass(1);
    assert_eq!(stage.state(FailureKind::UsageLimit), "due");
}

#[test]
fn a_cooldown_grows_with_each_opening_and_an_answer_resets_it() {
    let mut stage = Stage::new();
    for n in 1..=12 {
        stage.fail(FailureKind::Overloaded);
        assert_eq!(stage.opened_for(), 30 * n.min(10));
        // Those who were at work already find out the same, and that is no further opening.
        stage.fail(FailureKind::Overloaded);
        assert_eq!(stage.opened_for(), 30 * n.min(10));
        stage.pass(30 * n.min(10) + 1);
        assert_eq!(stage.state(FailureKind::Overloaded), "due");
    }
    let began = stage.now;
    stage.answered(began);
    assert_eq!(stage.state(FailureKind::Overloaded), "closed");
    assert_eq!(stage.breakers.tripped(stage.now).unwrap(), []);
    stage.fail(FailureKind::Overloaded);
    assert_eq!(stage.opened_for(), 30);
    // What comes back after hours is a new trouble.
    stage.pass(2 * 3600);
    stage.fail(FailureKind::Overloaded);
    assert_eq!(stage.opened_for(), 30);
}

#[test]
fn some_kinds_open_only_when_they_come_together() {
    let mut stage = Stage::new();
    for _ in 0..5 {
        stage.fail(FailureKind::ServerError);
        stage.pass(31);
    }
    assert_eq!(stage.state(FailureKind::ServerError), "closed", "never three within a minute");
    stage.fail(FailureKind::ServerError);
    stage.fail(FailureKind::ServerError);
    assert_eq!(stage.state(FailureKind::ServerError), "open");
    // One that is tried once it is due needs no three.
    stage.pass(31);
    stage.fail(FailureKind::ServerError);
    assert_eq!(stage.opened_for(), 60);
}

#[test]
fn the_network_is_down_when_two_agents_say_so() {
    let stage = Stage::new();
    for _ in 0..5 {
        stage.fail_as("claude-code", FailureKind::Network, None);
    }
    assert_eq!(stage.state(FailureKind::Network), "closed");
    stage.fail_as("codex", FailureKind::Network, None);
    assert_eq!(stage.state(FailureKind::Network), "open");
}

#[test]
fn an_answer_to_what_was_asked_before_closes_nothing() {
    let mut stage = Stage::new();
    let began = stage.now;
    stage.pass(60);
    stage.fail(FailureKind::UsageLimit);
    stage.pass(60);
    stage.answered(began);
    assert_eq!(stage.state(FailureKind::UsageLimit), "open");
    stage.answered(stage.now);
    assert_eq!(stage.state(FailureKind::UsageLimit), "closed");
}

#[test]
fn a_longer_word_of_the_provider_goes_before_the_cooldown() {
    let stage = Stage::new();
    stage.fail_as("claude-code", FailureKind::RateLimited, Some(stage.now + 90.seconds()));
    assert_eq!(stage.opened_for(), 90);
    let stage = Stage::new();
    stage.fail_as("claude-code", FailureKind::RateLimited, Some(stage.now + 1.second()));
    assert_eq!(stage.opened_for(), 5);
    // A reset that is over already says nothing.
    let stage = Stage::new();
    stage.fail_as("claude-code", FailureKind::UsageLimit, Some(stage.now - 1.hour()));
    assert_eq!(stage.opened_for(), 15 * 60);
    assert_eq!(stage.breakers.tripped(stage.now).unwrap()[0].resets_at, None);
}

#[test]
fn nothing_is_believed_for_more_than_eight_days_or_from_a_time_to_come() {
    let mut stage = Stage::new();
    stage.fail_as("claude-code", FailureKind::UsageLimit, Some(stage.now + 10_000.hours()));
    assert_eq!(stage.opened_for(), 8 * 86_400);
    stage.pass(8 * 86_400 - 1);
    assert_eq!(stage.state(FailureKind::UsageLimit), "open");
    stage.pass(1);
    assert_eq!(stage.state(FailureKind::UsageLimit), "closed");

    let mut stage = Stage::new();
    stage.fail(FailureKind::Billing);
    stage.pass(-30);
    assert_eq!(stage.state(FailureKind::Billing), "open", "a clock that was set right by a little");
    stage.pass(-3600);
    assert_eq!(stage.state(FailureKind::Billing), "closed", "the clock was wrong");
    // And a failure from then does not count either.
    stage.fail(FailureKind::Billing);
    assert_eq!(stage.opened_for(), 3600);
}

#[test]
fn one_run_tries_and_the_others_see_it_open_until_it_knows() {
    let mut stage = Stage::new();
    stage.fail(FailureKind::Overloaded);
    assert!(matches!(stage.claim(FailureKind::Overloaded), Claim::Open(_)));
    stage.pass(30);
    let Claim::Probe(probe) = stage.claim(FailureKind::Overloaded) else { panic!("it is due") };
    for _ in 0..3 {
        assert!(matches!(stage.claim(FailureKind::Overloaded), Claim::Taken(_)));
    }
    // It still does not work.
    stage.fail(FailureKind::Overloaded);
    drop(probe);
    assert!(matches!(stage.claim(FailureKind::Overloaded), Claim::Open(_)));
    stage.pass(60);
    let Claim::Probe(probe) = stage.claim(FailureKind::Overloaded) else { panic!("due again") };
    // A run that ends without knowing leaves it to the next.
    drop(probe);
    let Claim::Probe(probe) = stage.claim(FailureKind::Overloaded) else { panic!("still due") };
    stage.answered(stage.now);
    drop(probe);
    assert!(matches!(stage.claim(FailureKind::Overloaded), Claim::Free));
    let left: Vec<_> =
        fs::read_dir(stage.dir.path().join(BREAKER_DIR)).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "nothing but the lock: {left:?}");
}

#[test]
fn a_run_that_tries_for_long_is_taken_to_work() {
    let mut stage = Stage::new();
    stage.fail(FailureKind::Overloaded);
    stage.pass(30);
    let Claim::Probe(_probe) = stage.claim(FailureKind::Overloaded) else { panic!("it is due") };
    let file = fs::File::open(stage.file(FailureKind::Overloaded).with_extension("probe")).unwrap();
    let ago = std::time::SystemTime::now() - crate::limits::BREAKER_PROBE;
    file.set_modified(ago).unwrap();
    assert!(matches!(stage.claim(FailureKind::Overloaded), Claim::Stale));
    // A clock that was set back keeps nobody waiting.
    file.set_modified(std::time::SystemTime::now() + Duration::from_secs(3600)).unwrap();
    assert!(matches!(stage.claim(FailureKind::Overloaded), Claim::Stale));
}

#[test]
fn whatever_stands_in_a_file_means_closed_and_is_replaced() {
    let mut dice = fastrand::Rng::with_seed(5);
    let stage = Stage::new();
    stage.fail(FailureKind::UsageLimit);
    let path = stage.file(FailureKind::UsageLimit);
    let good = fs::read(&path).unwrap();
    let mut cases: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"null".to_vec(),
        b"[]".to_vec(),
        vec![b'['; 60_000],
        vec![b' '; 70_000],
        vec![0; 100],
    ];
    // Cut anywhere.
    cases.extend((0..good.len()).map(|end| good[..end].to_vec()));
    let text = String::from_utf8(good.clone()).unwrap();
    // Of another version, another scope, another account, of a kind that a later version knows.
    for (from, to) in [
        (r#""v":1"#, r#""v":2"#),
        (r#""scope":"account""#, r#""scope":"model""#),
        (r#""account":"account""#, r#""account":"other""#),
        (r#""kind":"usage_limit""#, r#""kind":"bad_weather""#),
        ("2027", "+99999999"),
    ] {
        assert!(text.contains(from), "{from}: {text}");
        cases.push(text.replace(from, to).into_bytes());
    }
    for case in &cases {
        fs::write(&path, case).unwrap();
        assert_eq!(
            stage.state(FailureKind::UsageLimit),
            "closed",
            "{:?}",
            String::from_utf8_lossy(case)
        );
        assert_eq!(stage.breakers.tripped(stage.now).unwrap(), []);
    }
    // Damaged anywhere: whatever it says then, nobody panics, and nothing is open for more than eight days.
    for _ in 0..2_000 {
        let mut damaged = good.clone();
        for _ in 0..dice.usize(1..4) {
            let at = dice.usize(..damaged.len());
            damaged[at] = dice.u8(..);
        }
        fs::write(&path, &damaged).unwrap();
        for tripped in stage.breakers.tripped(stage.now).unwrap() {
            let most =
                stage.now + SignedDuration::from_hours(8 * 24) + SignedDuration::from_mins(1);
            assert!(tripped.until <= most, "{tripped:?}");
        }
    }
    fs::write(&path, "{").unwrap();
    stage.fail(FailureKind::UsageLimit);
    assert_eq!(stage.state(FailureKind::UsageLimit), "open");
    assert_eq!(fs::read(&path).unwrap(), good);
}

#[test]
fn what_is_no_file_of_ours_is_not_read() {
    let stage = Stage::new();
    stage.fail(FailureKind::UsageLimit);
    let path = stage.file(FailureKind::UsageLimit);
    // A link, also to a good one.
    let there = stage.dir.path().join("there");
    fs::rename(&path, &there).unwrap();
    symlink(&there, &path).unwrap();
    assert_eq!(stage.state(FailureKind::UsageLimit), "closed");
    // A pipe without a writer would keep a reader for ever.
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    assert_eq!(stage.state(FailureKind::UsageLimit), "closed");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(stage.state(FailureKind::UsageLimit), "closed");
    fs::remove_dir(&path).unwrap();
    fs::rename(&there, &path).unwrap();
    assert_eq!(stage.state(FailureKind::UsageLimit), "open", "the test must be able to fail");
}

#[test]
fn a_reset_is_doubted_once_an_hour_and_by_one_run() {
    let mut stage = Stage::new();
    let reset = Some(stage.now + SignedDuration::from_hours(48));
    let limit = FailureKind::UsageLimit;
    let find = |stage: &Stage| {
        let trust = Duration::from_secs(3600);
        let agent = "claude-code".to_owned();
        let found =
            Found { kind: limit, resets_at: reset, trust, agent, run: "run".to_owned(), pid: 7 };
        let rule = rule(limit);
        stage.breakers.fail(key("claude-code", rule.scope), &found, rule, stage.now).unwrap();
    };
    find(&stage);
    for _ in 0..3 {
        assert_eq!(stage.opened_for(), 3600);
        let tripped = stage.breakers.tripped(stage.now).unwrap().remove(0);
        assert_eq!(tripped.resets_at, reset, "who waits believes it");
        stage.pass(3599);
        assert_eq!(stage.state(limit), "open");
        stage.pass(1);
        let Claim::Probe(probe) = stage.claim(limit) else { panic!("nobody tries") };
        assert!(matches!(stage.claim(limit), Claim::Taken(_)), "two try");
        find(&stage);
        drop(probe);
    }
    stage.pass(3600);
    stage.answered(stage.now);
    assert_eq!(stage.state(limit), "closed");
}

#[test]
fn an_account_that_has_answered_is_known_for_a_while() {
    let stage = Stage::new();
    let minutes = Duration::from_secs(300);
    assert!(!stage.breakers.has_answered("whose", minutes));
    stage.breakers.note_answer("whose").unwrap();
    assert!(stage.breakers.has_answered("whose", minutes));
    assert!(!stage.breakers.has_answered("whose", Duration::ZERO));
    assert!(!stage.breakers.has_answered("other", minutes));
}

#[test]
fn the_store_is_its_owners_alone() {
    let stage = Stage::new();
    stage.fail(FailureKind::UsageLimit);
    let folder = stage.dir.path().join(BREAKER_DIR);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for entry in fs::read_dir(&folder).unwrap().flatten() {
        assert_eq!(mode(&entry.path()), 0o600, "{entry:?}");
    }
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    let found = Found {
        trust: TRUST,
        kind: FailureKind::Auth,
        resets_at: None,
        agent: "codex".to_owned(),
        run: "run".to_owned(),
        pid: 7,
    };
    let key = key("codex", Scope::Account);
    assert!(stage.breakers.fail(key, &found, rule(FailureKind::Auth), stage.now).is_err());
}

#[test]
fn nobody_waits_long_for_the_lock() {
    let stage = Stage::new();
    stage.fail(FailureKind::UsageLimit);
    let lock = fs::File::open(stage.dir.path().join(BREAKER_DIR).join("lock")).unwrap();
    lock.lock().unwrap();
    let found = Found {
        trust: TRUST,
        kind: FailureKind::Auth,
        resets_at: None,
        agent: "codex".to_owned(),
        run: "run".to_owned(),
        pid: 7,
    };
    let key = key("codex", Scope::Account);
    assert!(stage.breakers.fail(key, &found, rule(FailureKind::Auth), stage.now).is_err());
    // Who reads needs none.
    assert_eq!(stage.state(FailureKind::UsageLimit), "open");
    assert_eq!(stage.breakers.tripped(stage.now).unwrap().len(), 1);
}

#[test]
fn a_reset_takes_what_was_asked_for_and_nothing_else() {
    let stage = Stage::new();
    stage.fail(FailureKind::UsageLimit);
    stage.fail_as("codex", FailureKind::UsageLimit, None);
    // `reset` asks the real clock, for which these are of a time to come or long ago.
    let removed =
        stage.breakers.remove(|tripped| tripped.agent.as_deref() == Some("codex"), stage.now);
    assert_eq!(removed.unwrap(), 1);
    assert_eq!(stage.state(FailureKind::UsageLimit), "open");
    assert_eq!(stage.breakers.remove(|_| true, stage.now).unwrap(), 1);
    assert_eq!(stage.breakers.tripped(stage.now).unwrap(), []);
}

#[test]
fn what_is_old_is_removed_with_the_next_failure() {
    let stage = Stage::new();
    stage.fail(FailureKind::UsageLimit);
    let path = stage.file(FailureKind::UsageLimit);
    let old = std::time::SystemTime::now() - Duration::from_secs(9 * 86_400);
    fs::File::open(&path).unwrap().set_modified(old).unwrap();
    stage.fail_as("codex", FailureKind::UsageLimit, None);
    assert!(!path.exists());
}
