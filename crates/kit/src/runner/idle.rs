//! Watches for an agent that no longer gets on: one that is silent, and one that repeats itself.

use crate::limits::{BROKEN_TURNS_MAX, EMPTY_TURNS_MAX, RETRY_SLACK, SAME_CALLS_MAX, SILENCE};
use crate::reset;
use belay_agents::IdleLimits;
use belay_trace::{Event, EvidenceSource, Failure, FailureKind, Retry, StopReason, ToolId};
use jiff::Timestamp;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher as _};
use std::time::Duration;
use tokio::time::Instant;

/// What an agent waits for when it is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Start,
    Model,
    Tool,
    /// Its own retry, which it has announced for then.
    Retry(Instant),
}

/// What the watch has to say.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Alarm {
    /// Say this; the run goes on.
    Warn(String),
    /// Stop the run.
    Stop(StopReason, String),
    /// Stop the attempt: what the agent tries again is a failure by now.
    Fail(Failure),
}

/// The watch over one attempt.
#[derive(Debug)]
pub(super) struct IdleWatch {
    limits: IdleLimits,
    phase: Phase,
    /// When there was progress last.
    since: Instant,
    warned: bool,
    /// Tools that run, by their ids.
    tools: HashSet<ToolId>,
    /// How often the agent may try again, and how often it has since it got on.
    retries_max: Option<u32>,
    retries: u64,
    repeats: Repeats,
    /// The agent says when it tries again.
    tells_retries: bool,
    /// A request to the model is under way, and nothing of its response has come.
    awaits_response: bool,
}

/// A retry of the agent's own.
#[derive(Clone, Debug)]
struct Announced {
    retry: Retry,
    /// How long it cannot work: as long as the agent sleeps, or until the limit ends that it has met.
    left: Duration,
    /// When that is over, on the wall.
    until: Option<Timestamp>,
}

impl IdleWatch {
    pub(super) fn new(
        limits: IdleLimits,
        retries_max: Option<u32>,
        tells_retries: bool,
        now: Instant,
    ) -> Self {
        Self {
            limits,
            phase: Phase::Start,
            since: now,
            warned: false,
            tools: HashSet::new(),
            retries_max,
            retries: 0,
            repeats: Repeats::default(),
            tells_retries,
            awaits_response: false,
        }
    }

    /// Takes an event that was made of what the agent has said, and whether it shows that the agent gets on; `now` by
    /// the clock and on the wall.
    pub(super) fn event(
        &mut self,
        event: &Event,
        gets_on: bool,
        now: (Instant, Timestamp),
    ) -> Option<Alarm> {
        let (now, wall) = now;
        match event {
            Event::ToolCall(call) => self.tools.extend(call.tool_id.clone()),
            Event::ToolResult(result) => {
                if let Some(id) = &result.tool_id {
                    self.tools.remove(id);
                }
            }
            Event::Text(_) | Event::Reasoning(_) | Event::Usage(_) => self.retries = 0,
            _ => {}
        }
        self.awaits_response = awaits_response(event).unwrap_or(self.awaits_response);
        self.repeats.count(event);
        let retry_alarm = match event {
            Event::Retry(retry) => self.retry(retry, now, wall),
            _ => None,
        };
        if gets_on {
            (self.since, self.warned) = (now, false);
            self.phase = if self.tools.is_empty() { Phase::Model } else { Phase::Tool };
        }
        retry_alarm.or_else(|| self.repeats.alarm())
    }

    /// The agent gets on, and no event says so.
    pub(super) fn progress(&mut self, now: Instant) {
        (self.since, self.warned) = (now, false);
        self.phase = match self.phase {
            // It has no session yet.
            Phase::Start => Phase::Start,
            _ if self.tools.is_empty() => Phase::Model,
            _ => Phase::Tool,
        };
    }

    /// The agent tries again what has failed, which is no progress.
    fn retry(&mut self, retry: &Retry, now: Instant, wall: Timestamp) -> Option<Alarm> {
        let delay = Duration::from_millis(delay_ms(retry, wall));
        let reset = reset::point(&retry.reason, wall, None, None);
        let until = wall.checked_add(delay).ok().max(reset);
        self.retries = retry.retry.unwrap_or(self.retries + 1);
        self.phase = Phase::Retry(now + delay);
        let left = until.map(|until| until.duration_since(wall)).unwrap_or_default();
        let left = Duration::try_from(left).unwrap_or_default();
        let kind = retry.kind.or(reset.map(|_| FailureKind::RateLimited));
        let announced = Announced { retry: Retry { kind, ..retry.clone() }, left, until };
        self.too_often(&announced).or_else(|| self.too_long(&announced))
    }

    /// True while the agent has no session yet.
    pub(super) fn is_starting(&self) -> bool {
        self.phase == Phase::Start
    }

    /// When there was progress last.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// A pause of this length does not count.
    pub(super) fn shift(&mut self, pause: Duration) {
        self.since += pause;
        if let Phase::Retry(until) = &mut self.phase {
            *until += pause;
        }
    }

    /// When to ask next, if ever.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let (warn, stop) = self.times()?;
        Some(if self.warned { stop } else { warn })
    }

    /// When the agent has stalled, if it does not get on until then.
    pub(super) fn stalls_at(&self) -> Option<Instant> {
        self.times().map(|(_, stop)| stop)
    }

    /// What there is to say now.
    pub(super) fn check(&mut self, now: Instant) -> Option<Alarm> {
        let (warn, stop) = self.times()?;
        let silent = now.saturating_duration_since(self.since);
        let what = match self.phase {
            Phase::Model if self.is_silent() => {
                "while waiting for a response; this agent does not report retries or rate limits"
            }
            Phase::Start => "since it was started",
            Phase::Model => "while it waits for the model",
            Phase::Tool => "while a tool runs",
            Phase::Retry(_) => "but that it tries again",
        };
        if now >= stop {
            let words = format!("no progress for {} {what}", short(silent));
            return Some(Alarm::Stop(StopReason::Stalled, words));
        }
        if now >= warn && !self.warned {
            self.warned = true;
            let left = short(stop - now);
            let words =
                format!("no progress for {} {what}; the run is stopped in {left}", short(silent));
            return Some(Alarm::Warn(words));
        }
        None
    }

    /// When to warn, and when to stop.
    fn times(&self) -> Option<(Instant, Instant)> {
        let limit = match self.phase {
            Phase::Start => self.limits.start?,
            // It may be a retry, of which such an agent says nothing.
            Phase::Model if self.is_silent() => {
                let model = self.limits.model?;
                let limit = self.limits.retry.map_or(model, |retry| retry.min(model));
                return Some((self.since + SILENCE.min(limit / 3), self.since + limit));
            }
            Phase::Model => self.limits.model?,
            Phase::Tool => self.limits.tool?,
            Phase::Retry(until) => {
                // As long as it takes, and no longer: what is tried again and again for nothing is a hang, too.
                let end = until + RETRY_SLACK;
                let model = self.since + self.limits.model?;
                let stop = end.max(model).min(model + self.limits.retry? + RETRY_SLACK);
                return Some((stop, stop));
            }
        };
        Some((self.since + limit / 3, self.since + limit))
    }

    /// True if the agent may be waiting for as long as its provider has told it to, and would not say so.
    fn is_silent(&self) -> bool {
        !self.tells_retries && self.awaits_response
    }

    /// A sleep that is not worth waiting for is known to be one when it is announced.
    fn too_long(&self, announced: &Announced) -> Option<Alarm> {
        let longest = self.limits.retry.filter(|longest| announced.left > *longest)?;
        let words = format!(
            "it can try again in {}, and no more than {} are waited for",
            short(announced.left),
            short(longest)
        );
        Some(match announced.failure(&words) {
            Some(failure) => Alarm::Fail(failure),
            None => Alarm::Stop(StopReason::Stalled, words),
        })
    }

    fn too_often(&self, announced: &Announced) -> Option<Alarm> {
        let max = self.retries_max.filter(|max| self.retries > u64::from(*max))?;
        let words = format!("it would try again after {max} retries of its own");
        let unknown = || Failure::new(FailureKind::Unknown, announced.words(&words));
        Some(Alarm::Fail(announced.failure(&words).unwrap_or_else(unknown)))
    }
}

/// Whether a request to the model is under way behind this event, if it says so.
pub(super) fn awaits_response(event: &Event) -> Option<bool> {
    match event {
        Event::SessionStarted(_) | Event::ToolResult(_) => Some(true),
        Event::Text(_)
        | Event::Reasoning(_)
        | Event::ToolCallStart(_)
        | Event::ToolCallDelta(_)
        | Event::ToolCall(_) => Some(false),
        _ => None,
    }
}

impl Announced {
    /// The failure that it is when it is not waited for; `None` if nobody knows of what kind.
    fn failure(&self, why: &str) -> Option<Failure> {
        let mut failure = Failure::new(self.retry.kind?, self.words(why));
        if let Some(status) = self.retry.status {
            failure = failure.with(EvidenceSource::Status, "retry.status", status);
        }
        if !self.retry.reason.is_empty() {
            failure = failure.with(EvidenceSource::Text, "retry.reason", &self.retry.reason);
        }
        if matches!(failure.kind, FailureKind::RateLimited | FailureKind::UsageLimit)
            && !self.left.is_zero()
        {
            (failure.resets_at, failure.reset_source) = (self.until, Some(EvidenceSource::Field));
        }
        Some(failure)
    }

    fn words(&self, why: &str) -> String {
        match self.retry.reason.as_str() {
            "" => why.to_owned(),
            reason => format!("{reason} ({why})"),
        }
    }
}

/// How long the agent sleeps before it tries again, by its own account; a time that is past is now.
fn delay_ms(retry: &Retry, wall: Timestamp) -> u64 {
    let until = retry.until.map(|until| until.as_millisecond() - wall.as_millisecond());
    let until = until.and_then(|left| u64::try_from(left).ok());
    retry.delay_ms.or(until).unwrap_or(0)
}

/// Counts what an agent does again and again.
///
/// OpenCode 1.18.33 sends request after request without end when the model's stream is cut (360 in 75 s).
#[derive(Debug, Default)]
struct Repeats {
    /// Responses without a word or a tool call.
    empty_turns: u32,
    /// Responses that broke off and were asked for again at once.
    broken_turns: u32,
    /// The last tool call with its result, and how often it came in a row.
    call: u64,
    last: u64,
    times: u32,
}

impl Repeats {
    fn count(&mut self, event: &Event) {
        match event {
            Event::TurnStarted(_) => self.empty_turns += 1,
            Event::Text(_) | Event::Reasoning(_) | Event::ToolCallStart(_) => self.empty_turns = 0,
            Event::Retry(retry) if retry.delay_ms.is_none() && retry.until.is_none() => {
                self.broken_turns += 1;
            }
            Event::Usage(_) => self.broken_turns = 0,
            Event::ToolCall(call) => {
                (self.empty_turns, self.broken_turns) = (0, 0);
                self.call = hash(&(&call.name, call.args.get()));
            }
            Event::ToolResult(result) => {
                let done = hash(&(self.call, &result.output, result.tool_error));
                self.times = if done == self.last { self.times + 1 } else { 1 };
                self.last = done;
            }
            _ => {}
        }
    }

    fn alarm(&self) -> Option<Alarm> {
        let words = if self.empty_turns > EMPTY_TURNS_MAX {
            format!(
                "the model has responded {EMPTY_TURNS_MAX} times in a row without a word or a tool call"
            )
        } else if self.broken_turns > BROKEN_TURNS_MAX {
            format!("the model's response broke off {BROKEN_TURNS_MAX} times in a row")
        } else if self.times >= SAME_CALLS_MAX {
            format!("the same tool call has had the same result {SAME_CALLS_MAX} times in a row")
        } else {
            return None;
        };
        Some(Alarm::Stop(StopReason::Loop, words))
    }
}

fn hash(value: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A time in words, without the noise of its nanoseconds: to the nearest, so that the parts of a limit make up the
/// whole, and seconds to a tenth while there are few.
pub(super) fn short(time: Duration) -> String {
    let in_units =
        |ms: u64| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).saturating_add(ms / 2) / ms;
    match (in_units(10), in_units(100), in_units(1000)) {
        (0..100, ..) => format!("{} ms", in_units(10) * 10),
        (_, tenths @ 0..100, _) if tenths % 10 != 0 => format!("{}.{} s", tenths / 10, tenths % 10),
        (.., seconds @ 0..120) => format!("{seconds} s"),
        (.., 120..7200) => format!("{} min", in_units(60_000)),
        (.., 7200..172_800) => format!("{} h", in_units(3_600_000)),
        _ => format!("{} days", in_units(86_400_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_trace::{
        Retry, SessionStarted, Text, ToolCall, ToolProgress, ToolResult, TurnStarted, Unknown,
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn watch() -> (IdleWatch, Instant) {
        let now = Instant::now();
        (IdleWatch::new(IdleLimits::default(), None, true, now), now)
    }

    fn retry(seconds: u64) -> Event {
        Event::Retry(Retry { delay_ms: Some(seconds * 1000), ..Retry::default() })
    }

    fn call() -> Event {
        Event::ToolCall(ToolCall { tool_id: Some("t1".into()), ..ToolCall::default() })
    }

    fn returned() -> Event {
        Event::ToolResult(ToolResult { tool_id: Some("t1".into()), ..ToolResult::default() })
    }

    impl IdleWatch {
        fn heard<'a>(
            &mut self,
            events: impl Iterator<Item = &'a Event>,
            now: Instant,
        ) -> Option<Alarm> {
            let now = (now, Timestamp::UNIX_EPOCH);
            events.map(|event| self.event(event, event.is_progress(), now)).fold(None, Option::or)
        }
    }

    #[test]
    fn times_are_told_to_the_nearest_unit() {
        for (ms, want) in [
            (0, "0 ms"),
            (333, "330 ms"),
            (500, "500 ms"),
            (999, "1 s"),
            (1000, "1 s"),
            (1500, "1.5 s"),
            (1999, "2 s"),
            (9960, "10 s"),
            (20_001, "20 s"),
            (119_700, "2 min"),
            (399_990, "7 min"),
            (600_000, "10 min"),
            (3 * 86_400_000, "3 days"),
        ] {
            assert_eq!(short(Duration::from_millis(ms)), want, "{ms}");
        }
    }

    /// When it would be stopped if it went on as it is.
    fn stopped_after(watch: &mut IdleWatch, from: Instant) -> Duration {
        loop {
            let at = watch.deadline().unwrap();
            if let Some(Alarm::Stop(..)) = watch.check(at) {
                return at - from;
            }
        }
    }

    #[test]
    fn each_phase_has_its_own_limit_and_is_warned_of_once() {
        let (mut watch, now) = watch();
        assert!(matches!(watch.check(now + 60 * SECOND), Some(Alarm::Warn(_))));
        assert_eq!(watch.check(now + 61 * SECOND), None);
        assert_eq!(stopped_after(&mut watch, now), 180 * SECOND);
        watch.heard([Event::SessionStarted(SessionStarted::default())].iter(), now);
        assert_eq!(stopped_after(&mut watch, now), 900 * SECOND);
        watch.heard([call()].iter(), now);
        assert_eq!(stopped_after(&mut watch, now), 1800 * SECOND);
        watch.heard([returned()].iter(), now);
        assert_eq!(stopped_after(&mut watch, now), 900 * SECOND);
    }

    #[test]
    fn an_agent_that_tells_no_retry_is_not_waited_for_as_long_as_a_model() {
        let now = Instant::now();
        let mut watch = IdleWatch::new(IdleLimits::default(), None, false, now);
        watch.heard([Event::SessionStarted(SessionStarted::default())].iter(), now);
        assert_eq!(watch.check(now + 29 * SECOND), None);
        let Some(Alarm::Warn(words)) = watch.check(now + 30 * SECOND) else { panic!("no words") };
        assert!(words.contains("for 30 s while waiting for a response"), "{words}");
        assert_eq!(stopped_after(&mut watch, now), 600 * SECOND);
        // The response has begun, or a tool runs.
        let text = Event::Text(Text { text: "t".into(), message_id: None });
        watch.heard([text].iter(), now);
        assert_eq!(stopped_after(&mut watch, now), 900 * SECOND);
        watch.heard([call()].iter(), now);
        assert_eq!(stopped_after(&mut watch, now), 1800 * SECOND);
        watch.heard([returned()].iter(), now);
        assert_eq!(stopped_after(&mut watch, now), 600 * SECOND);
        // What the caller has chosen goes before.
        watch.limits.retry = Some(60 * SECOND);
        assert_eq!(stopped_after(&mut watch, now), 60 * SECOND);
        watch.limits.model = None;
        assert_eq!(watch.deadline(), None);
    }

    #[test]
    fn a_retry_too_many_is_the_failure_that_it_is_of() {
        let now = Instant::now();
        let mut watch = IdleWatch::new(IdleLimits::default(), Some(1), true, now);
        let of = |kind, count| Event::Retry(Retry { retry: count, kind, ..Retry::default() });
        let limited = Some(FailureKind::RateLimited);
        assert_eq!(watch.heard([of(limited, Some(1))].iter(), now), None);
        let Some(Alarm::Fail(failure)) = watch.heard([of(limited, Some(2))].iter(), now) else {
            panic!("no alarm");
        };
        assert_eq!((failure.kind, failure.resets_at), (FailureKind::RateLimited, None));
        // Who does not count is counted for, from the last word that came through.
        let text = Event::Text(Text { text: "t".into(), message_id: None });
        assert_eq!(watch.heard([text].iter(), now), None);
        assert_eq!(watch.heard([of(None, None)].iter(), now), None);
        assert!(matches!(watch.heard([of(None, None)].iter(), now), Some(Alarm::Fail(_))));
    }

    #[test]
    fn an_announced_retry_is_waited_for_and_one_in_three_days_is_not() {
        let (mut watch, now) = watch();
        watch.limits.model = Some(5 * SECOND);
        assert_eq!(watch.heard([retry(60)].iter(), now), None);
        assert_eq!(stopped_after(&mut watch, now), 90 * SECOND);
        let Some(Alarm::Stop(StopReason::Stalled, words)) =
            watch.heard([retry(3 * 86_400)].iter(), now)
        else {
            panic!("a three-day sleep must stop the run");
        };
        assert_eq!(words, "it can try again in 3 days, and no more than 10 min are waited for");
    }

    #[test]
    fn a_retry_that_is_announced_for_a_time_of_the_day_is_one_with_a_delay() {
        let at = |seconds| Timestamp::from_second(seconds).ok();
        let retry = |seconds| Event::Retry(Retry { until: at(seconds), ..Retry::default() });
        let (mut watch, now) = watch();
        watch.limits.model = Some(5 * SECOND);
        assert_eq!(watch.event(&retry(1060), false, (now, at(1000).unwrap())), None);
        assert_eq!(stopped_after(&mut watch, now), 90 * SECOND);
        let alarm = watch.event(&retry(1000 + 3 * 86_400), false, (now, at(1000).unwrap()));
        assert!(matches!(alarm, Some(Alarm::Stop(StopReason::Stalled, _))));
        // A clock that was set back.
        assert_eq!(watch.event(&retry(0), false, (now, at(1000).unwrap())), None);
    }

    #[test]
    fn retries_without_end_are_no_progress() {
        let (mut watch, now) = watch();
        for second in 1..890 {
            assert_eq!(watch.heard([retry(1)].iter(), now + second * SECOND), None);
            assert_eq!(watch.check(now + second * SECOND), None);
        }
        assert_eq!(stopped_after(&mut watch, now), 920 * SECOND);
    }

    #[test]
    fn signs_of_life_move_no_limit_and_end_no_phase() {
        let signs = || {
            let heartbeat = ToolProgress { heartbeat: true, ..ToolProgress::default() };
            [
                Event::ToolProgress(heartbeat),
                Event::Unknown(Unknown::default()),
                Event::notice(belay_trace::Level::Warn, "stdout", "noise"),
            ]
        };
        let (mut watch, now) = watch();
        assert_eq!(watch.heard(signs().iter(), now + 100 * SECOND), None);
        assert_eq!(stopped_after(&mut watch, now), 180 * SECOND, "still in its start");
        watch.heard([call()].iter(), now);
        assert_eq!(watch.heard(signs().iter(), now + 1000 * SECOND), None);
        assert_eq!(stopped_after(&mut watch, now), 1800 * SECOND);
        // What the tool prints is progress, and still the tool's.
        watch.progress(now + 1000 * SECOND);
        assert_eq!(stopped_after(&mut watch, now), 2800 * SECOND);
    }

    #[test]
    fn a_session_that_opens_step_by_step_is_still_starting() {
        let (mut watch, now) = watch();
        watch.progress(now + 100 * SECOND);
        assert_eq!(stopped_after(&mut watch, now), 280 * SECOND);
    }

    #[test]
    fn a_pause_does_not_count() {
        let (mut watch, now) = watch();
        watch.shift(1000 * SECOND);
        assert_eq!(stopped_after(&mut watch, now), 1180 * SECOND);
    }

    #[test]
    fn an_agent_that_repeats_itself_is_stopped() {
        let (mut watch, now) = watch();
        let turn = || [Event::TurnStarted(TurnStarted::default())];
        let mut turns = (0..=EMPTY_TURNS_MAX).map(|_| watch.heard(turn().iter(), now));
        assert!(matches!(turns.find_map(|alarm| alarm), Some(Alarm::Stop(StopReason::Loop, _))));

        let (mut watch, _) = self::watch();
        let work = || [turn()[0].clone(), call(), returned()];
        let times = (1..).find(|_| watch.heard(work().iter(), now).is_some());
        assert_eq!(times, Some(SAME_CALLS_MAX));
    }

    #[test]
    fn an_agent_that_asks_again_and_again_for_what_breaks_off_is_stopped() {
        let (mut watch, now) = watch();
        let said = || Event::Text(Text { text: "So f".into(), message_id: None });
        let turn = || Event::TurnStarted(TurnStarted::default());
        let work = || [turn(), said(), Event::Retry(Retry::default())];
        let times = (1..).find(|_| watch.heard(work().iter(), now).is_some());
        assert_eq!(times, Some(BROKEN_TURNS_MAX + 1));
        // A response that comes to its end in between is progress.
        let (mut watch, _) = self::watch();
        for _ in 0..100 {
            let work = [turn(), Event::Retry(Retry::default()), call(), returned()];
            assert_eq!(watch.heard(work.iter().take(3), now), None);
        }
    }

    #[test]
    fn an_agent_that_works_is_not() {
        let (mut watch, now) = watch();
        for n in 0..1000 {
            let said = Event::Text(Text { text: "…".into(), message_id: None });
            let output = ToolResult { output: n.to_string(), ..ToolResult::default() };
            let work = [
                Event::TurnStarted(TurnStarted::default()),
                said,
                call(),
                Event::ToolResult(output),
            ];
            assert_eq!(watch.heard(work.iter(), now), None);
        }
    }
}
