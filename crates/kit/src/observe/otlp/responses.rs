//! The model's responses in one attempt, and what each of them used.
//!
//! Agents report sums. What a sum has grown by belongs to the response that it was reported after; what the last word
//! of the attempt says beyond or below that is put right at the end, so that the responses are the attempt to the last
//! token and cent.

use super::names;
use super::span::{Span, cut, int, source};
use crate::limits::OTLP_TEXT_BYTES_MAX;
use belay_trace::{Context, ToolId, Usage};
use jiff::Timestamp;
use serde_json::json;
use std::collections::HashMap;

/// All responses so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Responses {
    all: Vec<Response>,
    /// Since when each asker's model has had what it answers next.
    asked: HashMap<Option<ToolId>, Timestamp>,
    /// The sum when it was last reported.
    sum: [Option<u64>; 5],
}

#[derive(Clone, Debug)]
struct Response {
    span: Span,
    /// The subagent that was answered.
    of: Option<ToolId>,
    is_over: bool,
    tokens: [Option<u64>; 5],
    /// What was said, if that is wanted.
    text: String,
    reasoning: String,
}

/// Fresh input, read from the cache, written to it, output, and of that reasoning.
fn tokens(usage: &Usage) -> [Option<u64>; 5] {
    [
        usage.input_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
        usage.output_tokens,
        usage.reasoning_output_tokens,
    ]
}

/// What tokens cost in relation to each other, about the same everywhere: a cost that is told of all responses
/// together is shared out by it. Reasoning is part of the output.
const WEIGHTS: [f64; 5] = [1.0, 0.1, 1.25, 5.0, 0.0];

impl Responses {
    /// The model of this asker has all that its next response answers: a prompt, what a tool returned.
    pub(super) fn ask(&mut self, of: Option<&ToolId>, at: Timestamp) {
        self.asked.insert(of.cloned(), at);
    }

    /// A response is heard of; the one before, to the same asker, is over. It began when it was asked for: agents tell
    /// of it with its first words, or with its last.
    pub(super) fn begin(&mut self, mut span: Span, of: Option<&ToolId>) {
        let mut asked = self.asked.get(&of.cloned()).copied();
        if let Some(before) = self.last_of(of) {
            before.is_over = true;
            let ended = before.span.end;
            asked = Some(asked.map_or(ended, |asked| asked.max(ended)));
        }
        span.start = asked.map_or(span.start, |asked| asked.min(span.start));
        let (text, reasoning) = (String::new(), String::new());
        let (of, tokens) = (of.cloned(), [None; 5]);
        self.all.push(Response { span, of, is_over: false, tokens, text, reasoning });
    }

    /// Something of the response that is written came just now.
    pub(super) fn touch(&mut self, of: Option<&ToolId>, at: Timestamp) {
        if let Some(response) = self.last_of(of).filter(|response| !response.is_over) {
            response.span.end = at;
        }
    }

    /// The tools of the response are at work: what comes now is another one.
    pub(super) fn over(&mut self, of: Option<&ToolId>) {
        if let Some(response) = self.last_of(of) {
            response.is_over = true;
        }
    }

    pub(super) fn say(&mut self, of: Option<&ToolId>, text: &str, is_reasoning: bool) {
        let Some(response) = self.last_of(of) else { return };
        let said = if is_reasoning { &mut response.reasoning } else { &mut response.text };
        if said.len() < OTLP_TEXT_BYTES_MAX {
            said.push_str(cut(text));
        }
    }

    pub(super) fn retract(&mut self, of: Option<&ToolId>) {
        if let Some(response) = self.last_of(of) {
            response.text.clear();
            response.reasoning.clear();
        }
    }

    /// A sum was reported.
    pub(super) fn sum(&mut self, of: Option<&ToolId>, usage: &Usage) {
        let sum = tokens(usage);
        let index = self.all.iter().rposition(|response| response.of.as_ref() == of);
        let Some(index) = index.or_else(|| self.all.len().checked_sub(1)) else { return };
        let tokens = &mut self.all[index].tokens;
        for ((tokens, now), before) in tokens.iter_mut().zip(sum).zip(&mut self.sum) {
            let Some(now) = now else { continue };
            let grown = now.saturating_sub(before.unwrap_or(0));
            *tokens = Some(tokens.unwrap_or(0).saturating_add(grown));
            // One that is smaller than the last is put right at the end.
            *before = Some(now.max(before.unwrap_or(0)));
        }
    }

    /// How full the context is now.
    pub(super) fn context(&mut self, of: Option<&ToolId>, context: &Context) {
        let Some(response) = self.last_of(of) else { return };
        response.span.set(names::CONTEXT_USED, int(context.used_tokens));
        response.span.set_some(names::CONTEXT_WINDOW, context.window_tokens.map(int));
    }

    /// All of them, with their shares of what the attempt used. `stand_in` stands for all of them if there are none
    /// and something was used all the same.
    pub(super) fn end(mut self, usage: &Usage, stand_in: Span) -> Vec<Span> {
        let total = tokens(usage);
        if self.all.is_empty() {
            let is_used = total.iter().any(|tokens| tokens.unwrap_or(0) > 0);
            if !is_used && usage.total_cost_usd.unwrap_or(0.0) == 0.0 {
                return Vec::new();
            }
            let mut span = stand_in;
            span.set(names::SYNTHETIC, true);
            self.begin(span, None);
        }
        for (kind, total) in total.into_iter().enumerate() {
            self.put_right(kind, total);
        }
        let costs = self.costs(usage.total_cost_usd);
        let is_shared = self.all.len() > 1;
        let spans = self.all.into_iter().zip(costs).map(|(response, cost)| {
            let mut span = response.into_span();
            if let Some(cost) = cost {
                span.set(names::COST, cost);
                span.set(names::COST_SOURCE, source(usage.cost_source));
                if is_shared {
                    span.set(names::COST_SHARED, true);
                }
            }
            span
        });
        spans.collect()
    }

    /// Makes the responses' tokens of one kind as many as there were in all. The last ones know least of themselves.
    fn put_right(&mut self, kind: usize, total: Option<u64>) {
        let Some(total) = total else {
            // Nobody knows: what was reported on the way was no more than a guess.
            self.all.iter_mut().for_each(|response| response.tokens[kind] = None);
            return;
        };
        let have = self.all.iter().filter_map(|response| response.tokens[kind]).sum::<u64>();
        if let Some(last) = self.all.last_mut().filter(|_| have < total) {
            last.tokens[kind] = Some(last.tokens[kind].unwrap_or(0) + (total - have));
        }
        let mut beyond = have.saturating_sub(total);
        for response in self.all.iter_mut().rev() {
            if let Some(tokens) = &mut response.tokens[kind] {
                let less = beyond.min(*tokens);
                *tokens -= less;
                beyond -= less;
            }
        }
    }

    /// What each one cost: together what all did.
    fn costs(&self, total: Option<f64>) -> Vec<Option<f64>> {
        let Some(total) = total else { return vec![None; self.all.len()] };
        let weigh = |response: &Response| {
            let parts = response.tokens.iter().zip(WEIGHTS);
            #[expect(clippy::cast_precision_loss, reason = "a share of a cost, not a count")]
            parts.map(|(tokens, weight)| tokens.unwrap_or(0) as f64 * weight).sum::<f64>()
        };
        let weights: Vec<_> = self.all.iter().map(weigh).collect();
        let all: f64 = weights.iter().sum();
        let mut left = total;
        let last = weights.len().saturating_sub(1);
        let share = |(n, weight): (usize, &f64)| {
            if n == last {
                return Some(left);
            }
            let share = if all > 0.0 { total * weight / all } else { 0.0 };
            left -= share;
            Some(share)
        };
        weights.iter().enumerate().map(share).collect()
    }

    fn last_of(&mut self, of: Option<&ToolId>) -> Option<&mut Response> {
        self.all.iter_mut().rev().find(|response| response.of.as_ref() == of)
    }
}

impl Response {
    fn into_span(self) -> Span {
        let Self { mut span, tokens: [fresh, read, written, output, reasoning], .. } = self;
        let input = [fresh, read, written].into_iter().flatten().reduce(u64::saturating_add);
        span.set_some(names::INPUT_TOKENS, input.map(int));
        span.set_some(names::OUTPUT_TOKENS, output.map(int));
        span.set_some(names::CACHE_READ_TOKENS, read.map(int));
        span.set_some(names::CACHE_WRITE_TOKENS, written.map(int));
        span.set_some(names::REASONING_TOKENS, reasoning.map(int));
        let said = [("reasoning", &self.reasoning), ("text", &self.text)].into_iter();
        let parts: Vec<_> = said
            .filter(|(_, text)| !text.is_empty())
            .map(|(kind, text)| json!({"type": kind, "content": text}))
            .collect();
        if !parts.is_empty() {
            let messages = json!([{"role": "assistant", "parts": parts}]);
            span.set(names::OUTPUT_MESSAGES, messages.to_string());
            span.set(names::OUTPUT_VALUE, self.text);
        }
        span
    }
}
