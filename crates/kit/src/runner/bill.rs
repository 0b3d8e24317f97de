//! What an attempt has used, response by response, and what that costs.
//!
//! A price can depend on the length of a response's input, so a sum is no basis for one. Drivers report the sum
//! after each response: its growth is that response.

use crate::{Prices, limits};
use belay_agents::{AttemptEnd, Response, Tokens};
use belay_trace::{Context, ContextSource, CostSource, Event, ModelUsage, ToolId, Usage};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The bill of one attempt.
pub(super) struct Bill {
    prices: Prices,
    began: Timestamp,
    /// The agent tells how large its window is, at the latest when its turn ends; a list may be wrong about it.
    tells_window: bool,
    /// The model that was asked for.
    asked: Option<String>,
    /// The model that runs, as far as it is known.
    model: Option<String>,
    /// The list of prices will be needed.
    wants_list: bool,
    /// A response has begun.
    has_begun: bool,
    /// What the last response of the main agent has used was told, and these of its calls are open: nothing is asked of
    /// the model before they return.
    is_told: bool,
    open_calls: HashSet<ToolId>,
    /// A subagent has worked, and may have asked its model all the while.
    has_helpers: bool,
    /// The agent has told how full the context is.
    tells_context: bool,
    responses: Vec<Response>,
    /// The models of subagents, by the calls that have started them.
    of_calls: HashMap<ToolId, String>,
    /// The driver's last sum.
    sum: Tokens,
    /// The window of the model with this name.
    window: Option<(String, Option<(u64, ContextSource)>)>,
    /// Work was cut off after the agent's last report of what it has used.
    was_cut: bool,
    /// A response was under way, or may have been, of which no report comes: whatever is known is a lower bound.
    is_lower_bound: bool,
    /// The last turn was ended by the session's file, and what it has used stands in no report.
    is_unreported: bool,
}

impl Bill {
    pub(super) fn new(prices: Prices, asked: Option<String>, tells_window: bool) -> Self {
        Self {
            prices,
            began: Timestamp::now(),
            tells_window,
            model: asked.clone(),
            asked,
            wants_list: false,
            has_begun: false,
            is_told: false,
            open_calls: HashSet::new(),
            has_helpers: false,
            tells_context: false,
            responses: Vec::new(),
            of_calls: HashMap::new(),
            sum: Tokens::default(),
            window: None,
            was_cut: false,
            is_lower_bound: false,
            is_unreported: false,
        }
    }

    /// Work that ran beside the agent's turns was cut off: what it has used may be in no report.
    pub(super) fn was_cut(&mut self) {
        self.was_cut = true;
    }

    /// A response was cut off, or the end of its turn, and with it what it has used.
    pub(super) fn was_lost(&mut self) {
        let waits_for_tools = self.is_told && !self.open_calls.is_empty() && !self.has_helpers;
        self.is_lower_bound |= self.has_begun && !waits_for_tools;
    }

    /// A turn has ended; by its session's file, if not by the agent's stream.
    pub(super) fn turn_ended(&mut self, end: &AttemptEnd, is_by_file: bool) {
        self.is_unreported = is_by_file && tokens(&end.usage).is_none();
    }

    /// True if there were responses that the agent's reports leave out.
    fn is_short(&self, usage: &Usage) -> bool {
        if self.is_unreported && usage.total_cost_usd.is_some() {
            return true;
        }
        let reported = tokens(usage).unwrap_or_default();
        let is_lower_bound = usage.cost_source == CostSource::Partial;
        self.was_cut && (is_lower_bound || self.sum.beyond(reported).total() > 0)
    }

    /// Makes the list of prices ready now, for a run whose cost is limited.
    pub(super) async fn ready(&self) {
        self.prices.ready().await;
    }

    /// Makes the list of prices ready while the model works on its first response, and no earlier: starting an
    /// agent is work enough.
    pub(super) fn with_list(mut self) -> Self {
        self.wants_list = true;
        self
    }

    /// When the attempt began.
    pub(super) fn began(&self) -> Timestamp {
        self.began
    }

    /// Takes the agent's next event; puts in a context window that the agent does not tell.
    /// `parent` is the call of the subagent that it belongs to.
    pub(super) fn event(&mut self, event: &mut Event, parent: Option<&ToolId>) {
        self.has_helpers |= parent.is_some();
        match event {
            Event::SessionStarted(session) => self.runs(session.model.as_ref()),
            Event::TurnStarted(turn) => {
                self.has_begun = true;
                if parent.is_none() {
                    self.is_told = false;
                    self.open_calls.clear();
                }
                if std::mem::take(&mut self.wants_list) {
                    self.prices.warm_up();
                }
                match (parent, &turn.model) {
                    (None, model) => self.runs(model.as_ref()),
                    (Some(call), Some(model)) if self.of_calls.len() < limits::RESPONSES_MAX => {
                        self.of_calls.insert(call.clone(), model.clone());
                    }
                    _ => {}
                }
            }
            Event::Usage(report) => self.report(&report.usage, parent),
            Event::ToolCall(call) if parent.is_none() => {
                self.open_calls.extend(call.tool_id.clone());
            }
            Event::ToolResult(result) if parent.is_none() => {
                if let Some(id) = &result.tool_id {
                    self.open_calls.remove(id);
                }
            }
            Event::Context(context) if parent.is_none() => {
                self.tells_context = true;
                self.put_window(context);
            }
            _ => {}
        }
    }

    /// How full the context was in the end, if the agent has written down what it did not tell.
    pub(super) fn context(&mut self, account: &[Response]) -> Option<Context> {
        let last = account.last().filter(|_| !self.tells_context)?;
        let mut context = Context {
            used_tokens: last.tokens.total(),
            window_tokens: last.context_window,
            source: ContextSource::Agent,
        };
        self.runs(last.model.as_ref());
        self.put_window(&mut context);
        Some(context)
    }

    fn put_window(&mut self, context: &mut Context) {
        if context.window_tokens.is_none()
            && let Some((window, source)) = self.window()
        {
            (context.window_tokens, context.source) = (Some(window), source);
        }
    }

    fn runs(&mut self, model: Option<&String>) {
        if let Some(model) = model {
            self.model = Some(model.clone());
        }
    }

    fn report(&mut self, usage: &Usage, parent: Option<&ToolId>) {
        let sum = tokens(usage).unwrap_or_default();
        let tokens = sum.beyond(self.sum);
        self.sum = sum;
        self.has_begun |= tokens.total() > 0;
        self.is_told |= tokens.total() > 0 && parent.is_none();
        if tokens.total() > 0 && self.responses.len() < limits::RESPONSES_MAX {
            let of_call = parent.and_then(|call| self.of_calls.get(call));
            let model = of_call.or(self.model.as_ref()).cloned();
            self.responses.push(Response { model, tokens, ..Response::default() });
        }
    }

    /// The model's name with its provider, where the agent leaves out what was asked for.
    fn full_name<'a>(&'a self, model: &'a str) -> &'a str {
        let asked = self.asked.as_deref();
        let is_full =
            |name: &&str| name.strip_suffix(model).is_some_and(|rest| rest.ends_with('/'));
        asked.filter(is_full).unwrap_or(model)
    }

    fn window(&mut self) -> Option<(u64, ContextSource)> {
        let model = self.model.as_ref()?;
        let known = self.window.as_ref().filter(|(name, _)| name == model);
        if known.is_none() {
            let name = self.full_name(model);
            // The list is large: who does not need it is not kept waiting for it.
            let window = match self.tells_window {
                true => self.prices.own_window(name),
                false => self.prices.context_window(name),
            };
            self.window = Some((model.clone(), window));
        }
        self.window.as_ref().and_then(|(_, window)| *window)
    }

    /// True if the agent's own account of its session may say more than its stream has.
    pub(super) fn wants_account(&self, end: &AttemptEnd) -> bool {
        if self.is_short(&end.usage) {
            return true;
        }
        let is_known = tokens(&end.usage).is_some() && end.model.is_some() && !end.usage.partial;
        let is_whole = end.failure.is_none() || !self.has_begun;
        end.usage.total_cost_usd.is_none() && !(is_known && is_whole)
    }

    /// Completes the end of the turn by the agent's own account, and then the cost.
    pub(super) fn settle(&self, end: &mut AttemptEnd, account: Vec<Response>) {
        if !self.is_short(&end.usage) {
            return self.settle_reported(end, account);
        }
        // What was reported is a lower bound; all of it anew, by what each response has used.
        let reported = end.usage.clone();
        let known = tokens(&reported).unwrap_or_default();
        let seen = if account.is_empty() { self.sum } else { sum_of(&account) };
        set_tokens(&mut end.usage, known.or_more(seen));
        end.usage.models.clear();
        (end.usage.total_cost_usd, end.usage.cost_source) = (None, CostSource::Unknown);
        end.usage.partial |= self.was_cut || account.is_empty();
        self.settle_reported(end, account);
        if end.usage.total_cost_usd < reported.total_cost_usd {
            end.usage.models = reported.models;
            end.usage.total_cost_usd = reported.total_cost_usd;
            end.usage.cost_source = CostSource::Partial;
        }
    }

    fn settle_reported(&self, end: &mut AttemptEnd, account: Vec<Response>) {
        let (accounted, counted) = (sum_of(&account), sum_of(&self.responses));
        let is_account_better = accounted.total() > 0 && accounted.total() >= counted.total();
        if accounted.total() > 0 {
            let model = account.iter().rev().find_map(|response| response.model.clone());
            end.model = end.model.take().or(model);
            let usage = &mut end.usage;
            set_tokens(usage, tokens(usage).unwrap_or_default().or_more(accounted));
            let turns = account.iter().filter(|response| !response.is_helper).count();
            usage.num_turns.get_or_insert(turns as u64);
        }
        // A turn that ended well has nothing that is not in the account.
        let is_whole = end.failure.is_none() && tokens(&end.usage).is_some();
        self.price(end, if is_account_better { &account } else { &self.responses }, is_whole);
    }

    /// What the attempt has used and cost while it is under way, by its stream and by the agent's own account.
    pub(super) fn so_far(&self, told: &Usage, account: Vec<Response>) -> Usage {
        let mut end = AttemptEnd::default();
        end.usage = told.clone();
        self.settle(&mut end, account);
        end.usage
    }

    /// Completes the cost by what the stream has told; not yet where that would keep the agent waiting.
    pub(super) fn preview(&self, end: &AttemptEnd) -> Usage {
        let mut end = end.clone();
        if is_priced(&end.usage) || self.prices.is_ready() {
            self.settle(&mut end, Vec::new());
        }
        end.usage
    }

    /// Waits until a price can be told at once, if one is needed.
    pub(super) async fn prepare(&self, end: &AttemptEnd) {
        if self.has_begun && (!is_priced(&end.usage) || self.is_short(&end.usage)) {
            self.prices.ready().await;
        }
    }

    fn price(&self, end: &mut AttemptEnd, responses: &[Response], is_whole: bool) {
        let usage = &mut end.usage;
        for part in usage.models.values_mut() {
            part.cost_source = Some(part.source());
        }
        if is_priced(usage) {
            if self.is_lower_bound {
                lower(usage);
            }
            return;
        }
        usage.partial |= self.is_lower_bound || (self.has_begun && !is_whole);
        let main = end.model.as_deref().or(self.model.as_deref());
        let Some(tokens) = tokens(usage) else { return };
        if usage.models.is_empty() {
            usage.models = self.parts(tokens, main, responses);
        }
        let only = usage.models.len() == 1;
        for (model, part) in &mut usage.models {
            if part.cost_usd.is_none() {
                let of_part = |response: &&Response| {
                    only || response.model.as_deref().or(main) == Some(model.as_str())
                };
                let responses: Vec<_> = responses.iter().filter(of_part).collect();
                let (cost, source) = self.price_of_part(model, part, &responses);
                (part.cost_usd, part.cost_source) = (cost, Some(source));
            }
            if usage.partial && part.source() == CostSource::Priced {
                part.cost_source = Some(CostSource::Partial);
            }
        }
        let costs: Vec<f64> = usage.models.values().filter_map(|part| part.cost_usd).collect();
        // Not `sum()`: of nothing it is -0.0.
        let total = costs.iter().fold(0.0, |total: f64, cost| total + cost);
        let source = usage.models.values().map(ModelUsage::source).reduce(CostSource::with);
        usage.total_cost_usd = (!costs.is_empty() && total.is_finite()).then_some(total);
        usage.cost_source = match usage.total_cost_usd {
            Some(_) => source.unwrap_or_default(),
            None => CostSource::Unknown,
        };
    }

    /// The tokens of each model; what no response explains is the main one's.
    fn parts(
        &self,
        tokens: Tokens,
        main: Option<&str>,
        responses: &[Response],
    ) -> BTreeMap<String, ModelUsage> {
        let mut parts: BTreeMap<&str, Tokens> = BTreeMap::new();
        for response in responses {
            let Some(model) = response.model.as_deref().or(main) else { continue };
            let part = parts.entry(model).or_default();
            *part = part.plus(response.tokens);
        }
        let explained = parts.values().fold(Tokens::default(), |sum, part| sum.plus(*part));
        if let Some(main) = main {
            let part = parts.entry(main).or_default();
            *part = part.plus(tokens.beyond(explained));
        }
        let part = |(model, tokens): (&str, Tokens)| {
            let part = ModelUsage {
                input_tokens: tokens.input,
                output_tokens: tokens.output,
                cache_read_input_tokens: tokens.cache_read,
                cache_creation_input_tokens: tokens.cache_write,
                ..ModelUsage::default()
            };
            (model.to_owned(), part)
        };
        parts.into_iter().filter(|(_, tokens)| tokens.total() > 0).map(part).collect()
    }

    fn price_of_part(
        &self,
        model: &str,
        part: &ModelUsage,
        responses: &[&Response],
    ) -> (Option<f64>, CostSource) {
        let tokens = Tokens {
            input: part.input_tokens,
            output: part.output_tokens,
            cache_read: part.cache_read_input_tokens,
            cache_write: part.cache_creation_input_tokens,
            ..Tokens::default()
        };
        let explained = responses.iter().fold(Tokens::default(), |sum, r| sum.plus(r.tokens));
        // Responses that are more than the sum are none of its parts.
        let fits = explained.beyond(tokens).total() == 0;
        let (responses, explained) =
            if fits { (responses, explained) } else { (&[][..], Tokens::default()) };
        let named = |response: &Response| Response {
            model: Some(self.full_name(model).to_owned()),
            ..response.clone()
        };
        let costs =
            responses.iter().map(|response| self.prices.price(&named(response), self.began));
        let Some(cost) = costs.sum::<Option<f64>>() else { return (None, CostSource::Unknown) };
        let rest = named(&Response { tokens: tokens.beyond(explained), ..Response::default() });
        match self.prices.price_of_sum(&rest, self.began) {
            Some((rest, true)) => (Some(cost + rest), CostSource::Priced),
            Some((rest, false)) => (Some(cost + rest), CostSource::Partial),
            None => (None, CostSource::Unknown),
        }
    }
}

/// Makes a lower bound of what the agent has told.
fn lower(usage: &mut Usage) {
    usage.partial = true;
    usage.cost_source = CostSource::Partial;
    for part in usage.models.values_mut() {
        part.cost_source = Some(CostSource::Partial);
    }
}

/// True if the agent has told what everything costs.
fn is_priced(usage: &Usage) -> bool {
    usage.total_cost_usd.is_some() && usage.models.values().all(|part| part.cost_usd.is_some())
}

fn sum_of(responses: &[Response]) -> Tokens {
    responses.iter().fold(Tokens::default(), |sum, response| sum.plus(response.tokens))
}

/// The tokens of a usage; `None` if the agent has told none at all.
fn tokens(usage: &Usage) -> Option<Tokens> {
    let counts = [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
    ];
    let [input, output, cache_read, cache_write] = counts.map(Option::unwrap_or_default);
    let reasoning = usage.reasoning_output_tokens.unwrap_or_default();
    let tokens = Tokens { input, output, cache_read, cache_write, cache_write_1h: 0, reasoning };
    counts.iter().any(Option::is_some).then_some(tokens)
}

fn set_tokens(usage: &mut Usage, tokens: Tokens) {
    usage.input_tokens = Some(tokens.input);
    usage.output_tokens = Some(tokens.output);
    usage.cache_read_input_tokens = Some(tokens.cache_read);
    usage.cache_creation_input_tokens = Some(tokens.cache_write);
    usage.reasoning_output_tokens = Some(tokens.reasoning);
}

#[cfg(test)]
mod tests;
