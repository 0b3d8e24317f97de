//! What formats for programs say of a provider that is down: once, and soon enough for somebody who waits.

use belay_trace::{Event, Record, Retry, visible_line};
use jiff::{SignedDuration, Timestamp};

/// So many retries in a row, or retries for so long, are no hiccup.
const RETRIES: u32 = 3;
const PATIENCE: SignedDuration = SignedDuration::from_secs(15);

/// The retries since an agent got on last.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    began: Option<Timestamp>,
    retries: u32,
    is_told: bool,
}

impl Trouble {
    /// What there is to say of a record, if anything.
    pub(super) fn hear(&mut self, record: &Record) -> Option<String> {
        match &record.event {
            Event::Retry(retry) => self.retry(retry, record),
            Event::Text(_)
            | Event::Reasoning(_)
            | Event::ToolCall(_)
            | Event::Usage(_)
            | Event::AttemptStarted(_) => {
                *self = Self::default();
                None
            }
            _ => None,
        }
    }

    fn retry(&mut self, retry: &Retry, record: &Record) -> Option<String> {
        self.retries += 1;
        let began = *self.began.get_or_insert(record.ts);
        let pause = retry.delay_ms.and_then(|ms| i64::try_from(ms).ok()).unwrap_or(0);
        let lasts =
            record.ts.duration_since(began) + SignedDuration::from_millis(pause) >= PATIENCE;
        // A retry of the run's own comes behind all of the agent's.
        let is_trouble = self.retries >= RETRIES || lasts || retry.failure.is_some();
        if !is_trouble || std::mem::replace(&mut self.is_told, true) {
            return None;
        }
        let kind = retry.failure.as_ref().map(|failure| failure.kind).or(retry.kind);
        let mut words = format!("{}: ", record.agent);
        words.push_str(kind.map_or("the model does not answer", |kind| kind.name()));
        let said = retry.failure.as_ref().map_or(retry.reason.as_str(), |failure| &failure.message);
        if !said.is_empty() && Some(said) != kind.map(|kind| kind.name()) {
            words.push_str(&format!(" ({said})"));
        } else if let Some(status) = retry.status {
            words.push_str(&format!(" ({status})"));
        }
        words.push_str("; trying again");
        if let (Some(n), Some(max)) = (retry.retry, retry.retries_max) {
            words.push_str(&format!(", {n} of {max}"));
        }
        Some(visible_line(&words).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_trace::{FailureKind, Text};

    fn record(second: i64, event: Event) -> Record {
        let mut record = Record::new("r", event);
        record.ts = Timestamp::from_second(second).unwrap();
        record.agent = "claude-code".to_owned();
        record
    }

    fn retry(second: i64, n: u64) -> Record {
        let kind = Some(FailureKind::Overloaded);
        let retry = Retry { retry: Some(n), retries_max: Some(10), kind, ..Retry::default() };
        record(second, Event::Retry(retry))
    }

    #[test]
    fn trouble_that_lasts_is_told_once_until_the_agent_gets_on() {
        let mut trouble = Trouble::default();
        let words = Some("claude-code: overloaded; trying again, 3 of 10".to_owned());
        assert_eq!(trouble.hear(&retry(0, 1)), None);
        assert_eq!(trouble.hear(&retry(1, 2)), None);
        assert_eq!(trouble.hear(&retry(2, 3)), words);
        assert_eq!(trouble.hear(&retry(9, 4)), None);
        trouble.hear(&record(10, Event::Text(Text { text: "on".to_owned(), ..Text::default() })));
        assert_eq!(trouble.hear(&retry(11, 1)), None);
        assert!(trouble.hear(&retry(26, 2)).is_some(), "a quarter of a minute is long");
    }
}
