//! Where a run stands in a trace of OpenTelemetry's: under whoever started belay, and above the agent's own spans.
//!
//! All ids are made of the run's own, so that whoever exports a stored run finds the same spans.

use crate::Environment;
use sha2::{Digest as _, Sha256};
use std::ffi::OsString;
use std::fmt;

/// The id of a trace, as OpenTelemetry has it.
pub(crate) type OtelTraceId = [u8; 16];

/// The id of a span.
pub(crate) type SpanId = [u8; 8];

/// The span of somebody else's under which runs stand, and what goes with it to the agents: W3C's Trace Context, as
/// it is handed from program to program in environment variables.
///
/// A client that [has one](crate::Client::trace_context), an empty one as well, tells each agent the span of its attempt in
/// `TRACEPARENT` and `OTEL_TRACEPARENT`, so that the agent's own spans, if it makes any, stand below. That switches no
/// telemetry of an agent on.
///
/// ```
/// use belaykit::{Environment, TraceContext};
///
/// let environment = Environment::new([(
///     "TRACEPARENT".into(),
///     "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
/// )]);
/// assert!(TraceContext::of(&environment).has_parent());
/// assert!(!TraceContext::default().has_parent());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    parent: Option<Parent>,
    state: Option<OsString>,
    baggage: Option<OsString>,
}

/// A span as it is named in `TRACEPARENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) trace: OtelTraceId,
    pub(crate) span: SpanId,
    /// False if whoever began the trace wants nobody to record it.
    pub(crate) sampled: bool,
}

impl TraceContext {
    /// What the environment says: `TRACEPARENT`, or else `OTEL_TRACEPARENT`, with `TRACESTATE` and `BAGGAGE`. What is
    /// no span there is as if it were not there, as the standard has it.
    pub fn of(environment: &Environment) -> Self {
        let parent = ["TRACEPARENT", "OTEL_TRACEPARENT"].into_iter();
        let parent = parent.filter_map(|name| Parent::parse(environment.get(name)?.to_str()?));
        let parent = { parent }.next();
        let get = |name| environment.get(name).map(OsString::from);
        // A state belongs to its parent.
        Self {
            parent,
            state: get("TRACESTATE").filter(|_| parent.is_some()),
            baggage: get("BAGGAGE"),
        }
    }

    /// True if runs stand under somebody else's span.
    pub fn has_parent(&self) -> bool {
        self.parent.is_some()
    }

    #[cfg(feature = "otlp")]
    pub(crate) fn parent(&self) -> Option<Parent> {
        self.parent
    }

    /// The parent, as it stands in the record of a run's begin.
    pub(crate) fn traceparent(&self) -> Option<String> {
        self.parent.map(|parent| parent.to_string())
    }

    /// Puts the span of an attempt into the environment of its agent.
    pub(crate) fn tell(
        &self,
        env: &mut Vec<(OsString, OsString)>,
        trace: &str,
        run: &str,
        attempt: u32,
    ) {
        let own = Parent {
            trace: self.parent.map_or_else(|| trace_id(trace), |parent| parent.trace),
            span: attempt_id(run, attempt),
            sampled: self.parent.is_none_or(|parent| parent.sampled),
        };
        let own = OsString::from(own.to_string());
        let told = [
            ("TRACEPARENT", Some(&own)),
            // Its name in Claude Code before it had the other.
            ("OTEL_TRACEPARENT", Some(&own)),
            ("TRACESTATE", self.state.as_ref()),
            ("BAGGAGE", self.baggage.as_ref()),
        ];
        env.retain(|(name, _)| told.iter().all(|(told, _)| name != told));
        let told = told.into_iter().filter_map(|(name, value)| Some((name.into(), value?.clone())));
        env.extend(told);
    }
}

impl Parent {
    /// Version 00, and of later ones what they have in common with it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let version: [u8; 1] = hex(parts.next()?)?;
        let (trace, span) = (hex(parts.next()?)?, hex(parts.next()?)?);
        let [flags]: [u8; 1] = hex(parts.next()?)?;
        let is_sound = match version {
            [0xff] => false,
            [0] => parts.next().is_none(),
            _ => true,
        };
        let is_sound = is_sound && trace != [0; 16] && span != [0; 8];
        is_sound.then_some(Self { trace, span, sampled: flags & 1 == 1 })
    }
}

impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (u128::from_be_bytes(self.trace), u64::from_be_bytes(self.span));
        write!(f, "00-{trace:032x}-{span:016x}-{:02x}", u8::from(self.sampled))
    }
}

/// The trace that a trace of belay's, or a run without one, makes when nobody else has begun it: its UUID, so that the
/// two are easily found by each other.
pub(crate) fn trace_id(id: &str) -> OtelTraceId {
    let uuid = uuid::Uuid::try_parse(id).ok().filter(|uuid| !uuid.is_nil());
    uuid.map_or_else(|| first(&digest(&["trace", id])), uuid::Uuid::into_bytes)
}

/// The span of an attempt.
pub(crate) fn attempt_id(run: &str, attempt: u32) -> SpanId {
    span_id(&["attempt", run, &attempt.to_string()])
}

/// A span that is known by these words.
pub(crate) fn span_id(words: &[&str]) -> SpanId {
    first(&digest(words))
}

fn digest(words: &[&str]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for word in words {
        hash.update(word);
        hash.update([0]);
    }
    hash.finalize().to_vec()
}

/// The first bytes of a digest, never all zero: that is no id.
fn first<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut id = [0; N];
    id.copy_from_slice(&digest[..N]);
    if id == [0; N] {
        id[N - 1] = 1;
    }
    id
}

/// Lower-case hexadecimal digits, as many as there must be.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 2 * N || !text.bytes().all(is_hex) {
        return None;
    }
    let mut bytes = [0; N];
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn context(vars: &[(&str, &str)]) -> TraceContext {
        let vars = vars.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        TraceContext::of(&Environment::new(vars))
    }

    #[test]
    fn a_parent_is_written_as_it_was_read_and_what_is_none_is_none() {
        assert_eq!(Parent::parse(PARENT).unwrap().to_string(), PARENT);
        assert!(!Parent::parse(&PARENT.replace("-01", "-00")).unwrap().sampled);
        // A later version may say more.
        assert!(Parent::parse(&format!("{}-more", PARENT.replacen("00", "01", 1))).is_some());
        for bad in [
            "",
            "00",
            &PARENT.to_uppercase(),
            &format!("{PARENT}-more"),
            &PARENT.replacen("00", "ff", 1),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319ü-b7ad6b7169203331-01",
        ] {
            assert_eq!(Parent::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_agent_is_told_the_span_of_its_attempt_and_what_came_with_the_parent() {
        let mut env = vec![("TRACEPARENT".into(), "stale".into()), ("HOME".into(), "/h".into())];
        let context =
            context(&[("TRACEPARENT", PARENT), ("TRACESTATE", "a=1"), ("BAGGAGE", "b=2")]);
        context.tell(&mut env, "trace", "run", 2);
        let own = Parent { span: attempt_id("run", 2), ..Parent::parse(PARENT).unwrap() };
        let own = own.to_string();
        let want = [
            ("HOME", "/h"),
            ("TRACEPARENT", &own),
            ("OTEL_TRACEPARENT", &own),
            ("TRACESTATE", "a=1"),
            ("BAGGAGE", "b=2"),
        ];
        assert_eq!(env, want.map(|(name, value)| (name.into(), value.into())));
    }

    #[test]
    fn without_a_parent_the_trace_is_that_of_belay() {
        let mut env = Vec::new();
        context(&[("TRACEPARENT", "junk"), ("TRACESTATE", "a=1")]).tell(
            &mut env,
            "0193f2b2-7c4e-7d7a-9d0a-0123456789ab",
            "run",
            1,
        );
        assert_eq!(env.len(), 2, "{env:?}");
        let told = env[0].1.to_str().unwrap();
        assert!(told.starts_with("00-0193f2b27c4e7d7a9d0a0123456789ab-"), "{told}");
        assert!(told.ends_with("-01"), "{told}");
    }

    #[test]
    fn the_older_name_is_read_when_the_newer_one_says_nothing() {
        assert!(context(&[("TRACEPARENT", ""), ("OTEL_TRACEPARENT", PARENT)]).has_parent());
    }
}
