//! What a prompt has used, by the rule of its agent.

use super::preset::{self, Preset, Rule};
use super::talk::Heard;
use crate::wire::lenient;
use belay_trace::{Context, ContextSource, CostSource, Usage};
use serde::Deserialize;

/// The answer to `session/prompt`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Answer {
    #[serde(deserialize_with = "lenient")]
    pub(super) stop_reason: String,
    #[serde(deserialize_with = "lenient")]
    usage: Option<Tokens>,
    #[serde(rename = "_meta", deserialize_with = "lenient")]
    meta: AnswerMeta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AnswerMeta {
    #[serde(deserialize_with = "lenient")]
    quota: Option<Quota>,
}

/// What Gemini says of a prompt.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Quota {
    #[serde(deserialize_with = "lenient")]
    token_count: Counts,
    #[serde(deserialize_with = "lenient")]
    model_usage: Vec<OfModel>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OfModel {
    #[serde(deserialize_with = "lenient")]
    model: String,
    #[serde(deserialize_with = "lenient")]
    token_count: Counts,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counts {
    #[serde(deserialize_with = "lenient")]
    input_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    output_tokens: u64,
}

/// Tokens in the protocol's words, and in those that Vibe has for the session's.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Tokens {
    #[serde(alias = "promptTokens", deserialize_with = "lenient")]
    input_tokens: u64,
    #[serde(alias = "completionTokens", deserialize_with = "lenient")]
    output_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    total_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    thought_tokens: Option<u64>,
    #[serde(alias = "cachedTokens", deserialize_with = "lenient")]
    cached_read_tokens: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    cached_write_tokens: Option<u64>,
}

impl Answer {
    /// True if the agent says that no token was used.
    pub(super) fn counts_nothing(&self) -> bool {
        self.meta.quota.as_ref().is_some_and(|quota| {
            quota.token_count.input_tokens == 0 && quota.token_count.output_tokens == 0
        })
    }

    /// True if the agent says what the turn used, whatever it is.
    pub(super) fn is_counted(&self) -> bool {
        self.usage.is_some()
    }

    /// The model that did the most, if the agent says what each has done.
    pub(super) fn model(&self) -> Option<String> {
        let models = &self.meta.quota.as_ref()?.model_usage;
        let most = models.iter().max_by_key(|of_model| of_model.token_count.input_tokens)?;
        Some(most.model.clone()).filter(|model| !model.is_empty())
    }
}

/// Adds up what the agent tells.
#[derive(Debug)]
pub(super) struct Meter {
    by: preset::Usage,
    /// The agent writes down itself what was used.
    by_file: bool,
    heard: Heard,
    /// What the session had used before is not known.
    resumed: bool,
    total: Usage,
    /// The session's sum at the end of the prompt before.
    before: Tokens,
    /// What an older session had used, if the agent has said so when it was opened.
    base: Option<Tokens>,
    pub(super) window: Option<u64>,
}

impl Meter {
    pub(super) fn new(preset: &Preset, heard: Heard, resumed: bool) -> Self {
        let by_file = preset.session_file.is_some() || preset.session_log.is_some();
        Self::by(preset.usage, by_file, heard, resumed)
    }

    fn by(by: preset::Usage, by_file: bool, heard: Heard, resumed: bool) -> Self {
        Self {
            by,
            by_file,
            heard,
            resumed,
            total: Usage::default(),
            before: Tokens::default(),
            base: None,
            window: None,
        }
    }

    /// Takes what one response has used; false if this agent tells it otherwise.
    pub(super) fn response(&mut self, tokens: &Tokens) -> bool {
        if self.by.rule != Rule::EachResponse {
            return false;
        }
        let usage = self.usage_of(tokens);
        self.total.num_turns = Some(self.total.num_turns.unwrap_or(0).saturating_add(1));
        self.total.add(&usage);
        true
    }

    /// Takes what the session has cost so far.
    pub(super) fn session_cost(&mut self, usd: f64) {
        if !self.resumed && usd.is_finite() {
            self.total.total_cost_usd = Some(usd);
            self.total.cost_source = CostSource::Reported;
        }
    }

    /// Takes what a session that is older than the run had used before it.
    pub(super) fn session_base(&mut self, tokens: Tokens) {
        if self.resumed {
            self.base.get_or_insert(tokens);
        }
    }

    /// Takes the end of a prompt.
    pub(super) fn answered(&mut self, answer: &Answer) {
        let told = answer.usage.clone();
        match self.by.rule {
            Rule::PerPrompt | Rule::LastStep => {
                if let Some(tokens) = told {
                    self.total.add(&self.usage_of(&tokens));
                }
            }
            Rule::Unmeasured => {
                // Of a session that is older than the run, it may be the sum of all that the session has used.
                let was_resumed = std::mem::take(&mut self.resumed);
                let base = self.base.take();
                let since = told.and_then(|tokens| match base {
                    _ if !was_resumed => Some(tokens),
                    Some(base) if tokens.total_tokens >= base.total_tokens => {
                        Some(tokens.beyond(&base))
                    }
                    _ => None,
                });
                if let Some(tokens) = since {
                    self.total.add(&self.usage_of(&tokens));
                }
            }
            Rule::SessionDifference => {
                // What the session had used before a resumed run is in nobody's stream.
                let base = self.base.take();
                let known = !std::mem::take(&mut self.resumed) || base.is_some();
                if let Some(base) = base {
                    self.before = base;
                }
                if let Some(tokens) = told {
                    let since = tokens.beyond(&self.before);
                    self.before = tokens;
                    if known {
                        self.total.add(&self.usage_of(&since));
                    }
                }
            }
            Rule::EachResponse | Rule::Untold => {}
            Rule::Quota => {
                if let Some(quota) = &answer.meta.quota {
                    self.total.input_tokens = Some(quota.token_count.input_tokens);
                    self.total.output_tokens = Some(quota.token_count.output_tokens);
                    self.total.partial |= !self.by.exact;
                }
            }
        }
    }

    /// What the turn has used so far, as the stream tells it.
    pub(super) fn so_far(&self) -> Usage {
        self.total.clone()
    }

    /// What the turn has used; null where nobody has said, or where the agent's own file says it better. Nobody
    /// reads that file beside a stream that was saved.
    pub(super) fn usage(&self) -> Usage {
        match self.by_file && self.heard == Heard::Live {
            true => Usage { num_turns: self.total.num_turns, ..Usage::default() },
            false => self.total.clone(),
        }
    }

    /// True if the end of the prompt tells something that was not reported before.
    pub(super) fn has_news(&self) -> bool {
        self.by.rule != Rule::EachResponse && self.total.input_tokens.is_some()
    }

    /// The next turn of a saved stream counts from zero.
    pub(super) fn begin(&mut self) {
        self.total = Usage::default();
    }

    /// How full the context is after this response.
    pub(super) fn context(&self, tokens: &Tokens) -> Option<Context> {
        let used_tokens = tokens.total_tokens;
        let window_tokens = self.window;
        (used_tokens > 0).then_some(Context {
            used_tokens,
            window_tokens,
            source: ContextSource::Agent,
        })
    }

    fn usage_of(&self, tokens: &Tokens) -> Usage {
        let (read, write) = (tokens.cached_read_tokens, tokens.cached_write_tokens);
        let by_total = tokens.by_total().filter(|_| self.by.total_decides);
        let Within { cached, thoughts } = by_total.unwrap_or(Within {
            cached: self.by.input_has_cached,
            thoughts: !self.by.thoughts_apart,
        });
        let input = match cached {
            true => tokens.input_tokens.saturating_sub(tokens.cached()),
            false => tokens.input_tokens,
        };
        let thoughts = tokens.thought_tokens.filter(|_| !thoughts);
        Usage {
            input_tokens: Some(input),
            output_tokens: Some(tokens.output_tokens.saturating_add(thoughts.unwrap_or(0))),
            cache_read_input_tokens: read,
            cache_creation_input_tokens: write,
            reasoning_output_tokens: tokens.thought_tokens,
            partial: !self.by.exact,
            ..Usage::default()
        }
    }
}

/// Which figures contain which others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Within {
    /// Input tokens contain those that came from the cache.
    cached: bool,
    /// Output tokens contain the thoughts.
    thoughts: bool,
}

impl Tokens {
    /// True if they say anything.
    pub(super) fn are_told(&self) -> bool {
        self.input_tokens > 0 && self.total_tokens > 0
    }

    fn cached(&self) -> u64 {
        let (read, write) = (self.cached_read_tokens, self.cached_write_tokens);
        read.unwrap_or(0).saturating_add(write.unwrap_or(0))
    }

    /// What the total says of the other figures; nothing if it fits none of the ways, or more than one that differ.
    fn by_total(&self) -> Option<Within> {
        let (cached, thoughts) = (self.cached(), self.thought_tokens.unwrap_or(0));
        let fits = |within: &Within| {
            let apart = [(within.cached, cached), (within.thoughts, thoughts)];
            let apart = apart.iter().filter(|(is_within, _)| !is_within).map(|(_, tokens)| *tokens);
            let sum = apart
                .fold(self.input_tokens.saturating_add(self.output_tokens), u64::saturating_add);
            self.total_tokens > 0 && sum == self.total_tokens
        };
        // Nothing is within nothing, and the same whether it is called so or not.
        let ways = [(true, true), (false, true), (true, false), (false, false)];
        let ways = ways.map(|(cached, thoughts)| Within { cached, thoughts });
        let differ = |way: &&Within| (way.cached || cached > 0) && (way.thoughts || thoughts > 0);
        let mut fitting = ways.iter().filter(differ).filter(|way| fits(way));
        let first = fitting.next()?;
        fitting.next().is_none().then_some(*first)
    }

    fn beyond(&self, before: &Self) -> Self {
        let part = |now: Option<u64>, before: Option<u64>| {
            now.map(|now| now.saturating_sub(before.unwrap_or(0)))
        };
        Self {
            input_tokens: self.input_tokens.saturating_sub(before.input_tokens),
            output_tokens: self.output_tokens.saturating_sub(before.output_tokens),
            total_tokens: self.total_tokens.saturating_sub(before.total_tokens),
            thought_tokens: part(self.thought_tokens, before.thought_tokens),
            cached_read_tokens: part(self.cached_read_tokens, before.cached_read_tokens),
            cached_write_tokens: part(self.cached_write_tokens, before.cached_write_tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::decode;

    const TWO: [&str; 2] = [
        r#"{"stopReason":"end_turn","usage":{"inputTokens":3000,"outputTokens":140,"totalTokens":3140,"thoughtTokens":20,"cachedReadTokens":400,"cachedWriteTokens":0}}"#,
        r#"{"stopReason":"end_turn","usage":{"inputTokens":4000,"outputTokens":190,"totalTokens":4190,"thoughtTokens":20,"cachedReadTokens":600,"cachedWriteTokens":0}}"#,
    ];

    /// Input, output, cache read of each of the two prompts.
    fn told(rule: Rule, resumed: bool) -> Vec<Option<(u64, u64, u64)>> {
        let by = preset::Usage {
            rule,
            input_has_cached: true,
            thoughts_apart: false,
            exact: true,
            total_decides: false,
        };
        let mut meter = Meter::by(by, false, Heard::Live, resumed);
        let each = TWO.map(|line| {
            meter.begin();
            meter.answered(&decode(line).unwrap());
            let usage = meter.usage();
            Some((usage.input_tokens?, usage.output_tokens?, usage.cache_read_input_tokens?))
        });
        each.into()
    }

    #[test]
    fn a_sum_of_the_session_is_counted_as_its_growth() {
        let each = told(Rule::SessionDifference, false);
        assert_eq!(each, [Some((2600, 140, 400)), Some((800, 50, 200))]);
        let resumed = told(Rule::SessionDifference, true);
        assert_eq!(resumed, [None, Some((800, 50, 200))], "what was before is not known");
    }

    #[test]
    fn a_sum_of_the_prompt_is_what_it_says() {
        let each = told(Rule::PerPrompt, false);
        assert_eq!(each, [Some((2600, 140, 400)), Some((3400, 190, 600))]);
    }

    /// Input, output and cache read of an agent that nobody has measured, by what it tells.
    #[track_caller]
    fn unmeasured(tokens: &str, resumed: bool) -> Option<(u64, u64, Option<u64>)> {
        let mut meter = Meter::by(preset::GENERIC.usage, false, Heard::Live, resumed);
        let answer = format!(r#"{{"stopReason":"end_turn","usage":{{{tokens}}}}}"#);
        meter.answered(&decode(&answer).unwrap());
        let usage = meter.usage();
        Some((usage.input_tokens?, usage.output_tokens?, usage.cache_read_input_tokens))
    }

    #[test]
    fn the_total_says_whether_cached_tokens_and_thoughts_are_in_the_other_figures() {
        let figures = r#""inputTokens":6012,"outputTokens":101,"cachedReadTokens":5003"#;
        for (rest, want) in [
            (r#""thoughtTokens":11,"totalTokens":6113"#, (1009, 101, Some(5003))),
            (r#""thoughtTokens":11,"totalTokens":11116"#, (6012, 101, Some(5003))),
            (r#""thoughtTokens":11,"totalTokens":6124"#, (1009, 112, Some(5003))),
            (r#""thoughtTokens":11,"totalTokens":11127"#, (6012, 112, Some(5003))),
            (r#""thoughtTokens":0,"totalTokens":6113"#, (1009, 101, Some(5003))),
            // It fits nothing, or says nothing.
            (r#""thoughtTokens":11,"totalTokens":7"#, (6012, 101, Some(5003))),
            (r#""thoughtTokens":11"#, (6012, 101, Some(5003))),
            // As many thoughts as cached tokens: nobody can tell which of them are apart.
            (r#""thoughtTokens":5003,"totalTokens":11116"#, (6012, 101, Some(5003))),
        ] {
            assert_eq!(unmeasured(&format!("{figures},{rest}"), false), Some(want), "{rest}");
        }
        let plain = r#""inputTokens":7,"outputTokens":2,"totalTokens":9"#;
        assert_eq!(unmeasured(plain, false), Some((7, 2, None)));
    }

    #[test]
    fn a_session_that_is_older_than_the_run_is_not_billed_by_a_figure_of_unknown_meaning() {
        assert_eq!(unmeasured(r#""inputTokens":7,"outputTokens":2"#, true), None);
    }

    #[test]
    fn what_is_not_all_of_it_says_so() {
        let by = preset::Usage {
            rule: Rule::LastStep,
            input_has_cached: false,
            thoughts_apart: true,
            exact: false,
            total_decides: false,
        };
        let mut meter = Meter::by(by, false, Heard::Live, false);
        meter.answered(&decode(TWO[0]).unwrap());
        assert!(meter.usage().partial);
        assert_eq!(meter.usage().input_tokens, Some(3000));
        assert_eq!(meter.usage().output_tokens, Some(160), "the thoughts are paid for too");
    }
}
