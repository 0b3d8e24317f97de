//! From tokens to money: list prices, for agents that do not report what a run costs.

mod file;
mod names;

pub use self::file::BadPrices;
use self::file::{ModelPrice, PriceFile};
use crate::aside;
use belay_agents::{Response, Tokens};
use belay_trace::ContextSource;
use genai_prices::{Calculator, PriceCalculation, PriceRequest, Usage, UsageKey};
use jiff::Timestamp;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// What models cost. Cheap to clone.
///
/// List prices come with the library (the crate `genai-prices`): with the tiers of prompt caches, long contexts
/// and services, and as they were on the day of the run. A file of your own goes before them.
///
/// ```
/// use belaykit::{Prices, Response, Tokens};
///
/// let prices = Prices::bundled();
/// let tokens = Tokens { input: 1_000_000, output: 100_000, ..Tokens::default() };
/// let response = Response { model: Some("claude-sonnet-4-5".into()), tokens, ..Response::default() };
/// let day = "2025-12-01T00:00:00Z".parse()?;
/// // Beyond 200 000 tokens of input, this model costs 6 and 22.50 dollars a million.
/// assert_eq!(prices.price(&response, day), Some(8.25));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Prices {
    own: Arc<PriceFile>,
    bundled: bool,
}

impl Default for Prices {
    fn default() -> Self {
        Self::bundled()
    }
}

impl fmt::Debug for Prices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prices")
            .field("own", &self.own.models.len())
            .field("bundled", &self.bundled)
            .finish()
    }
}

impl Prices {
    /// The list prices that come with the library.
    pub fn bundled() -> Self {
        Self { own: Arc::default(), bundled: true }
    }

    /// No prices: what an agent does not report stays unknown.
    pub fn none() -> Self {
        Self { own: Arc::default(), bundled: false }
    }

    /// Adds the models of a price file, which go before all others; `docs/costs.md` has its form.
    ///
    /// # Errors
    /// [`BadPrices`] if the file cannot be read, or with the line and column of what is wrong in it.
    pub fn with_file(self, path: impl AsRef<Path>) -> Result<Self, BadPrices> {
        let path = path.as_ref();
        let text = file::read(path)?;
        self.with_toml(&text, &path.to_string_lossy())
    }

    /// Like [`with_file`](Self::with_file), for the text of such a file; an error calls it `name`.
    ///
    /// # Errors
    /// [`BadPrices`] with the line and column of what is wrong.
    pub fn with_toml(mut self, text: &str, name: &str) -> Result<Self, BadPrices> {
        let mut own = PriceFile::clone(&self.own);
        own.models.extend(PriceFile::parse(text, name)?.models);
        self.own = Arc::new(own);
        Ok(self)
    }

    /// What one response costs in US dollars, at the prices of its time or else of the time `at`; `None` if
    /// nobody knows.
    pub fn price(&self, response: &Response, at: Timestamp) -> Option<f64> {
        let model = response.model.as_deref()?;
        if let Some(own) = self.own(model) {
            return finite(own.price(response.tokens)?);
        }
        let at = response.at.unwrap_or(at);
        let usage = usage(response.tokens, 1.0);
        let price =
            self.calculate(model, &usage, response.service_tier.as_deref(), at)?.total_price;
        // A model that the data knows without its prices costs 0 there.
        finite(price).filter(|price| *price > 0.0 || response.tokens.total() == 0)
    }

    /// What several responses cost of which only the sum is known, and whether that is exact: where a long
    /// context has a price of its own, the least that it can be.
    pub(crate) fn price_of_sum(&self, sum: &Response, at: Timestamp) -> Option<(f64, bool)> {
        let as_one = self.price(sum, at)?;
        let model = sum.model.as_deref()?;
        let as_many = match self.own(model) {
            Some(own) => own.price_of_many(sum.tokens)?,
            // Parts so small that none is long; a power of two, so that nothing is rounded.
            None => {
                let parts = 2_f64.powi(30);
                let usage = usage(sum.tokens, parts);
                let at = sum.at.unwrap_or(at);
                self.calculate(model, &usage, sum.service_tier.as_deref(), at)?.total_price * parts
            }
        };
        let is_exact = as_many >= as_one * (1.0 - 1e-9);
        Some((if is_exact { as_one } else { finite(as_many)? }, is_exact))
    }

    /// The context window of a model in tokens, and who says so.
    pub fn context_window(&self, model: &str) -> Option<(u64, ContextSource)> {
        self.own_window(model).or_else(|| self.listed_window(model))
    }

    /// The window that the user's own file gives a model; costs no decoding of the list.
    pub(crate) fn own_window(&self, model: &str) -> Option<(u64, ContextSource)> {
        let own = names::forms(model).into_iter().find_map(|name| self.own.models.get(name))?;
        Some((own.context_window?, ContextSource::Config))
    }

    fn listed_window(&self, model: &str) -> Option<(u64, ContextSource)> {
        let found = self.calculate(model, &Usage::new(), None, Timestamp::now())?;
        let calculator = Calculator::bundled();
        // Some providers sell the models of others, which are listed there.
        let providers = || calculator.providers();
        let same = providers().filter(|provider| provider.id() == found.provider_id);
        let models = same.chain(providers()).flat_map(|provider| provider.models());
        let window = models
            .filter(|model| model.id() == found.model_id)
            .find_map(|model| model.context_window())?;
        Some((window, ContextSource::Prices))
    }

    /// Decodes the list prices, which takes some 30 ms, on a thread where that hurts nobody.
    pub(crate) fn warm_up(&self) {
        if !self.is_ready() {
            drop(aside::begin(decode));
        }
    }

    /// True if a price costs no decoding of the list any more.
    pub(crate) fn is_ready(&self) -> bool {
        !self.bundled || IS_DECODED.load(Ordering::Acquire)
    }

    /// Makes them ready, without keeping anybody else waiting.
    pub(crate) async fn ready(&self) {
        if !self.is_ready() {
            // A panic there would come again where the price is asked for.
            let _ = aside::begin(decode).await;
        }
    }

    /// The user's own price of a model. An entry that has the window alone is none.
    fn own(&self, model: &str) -> Option<&ModelPrice> {
        let own = names::forms(model).into_iter().find_map(|name| self.own.models.get(name))?;
        own.has_price().then_some(own)
    }

    fn calculate(
        &self,
        model: &str,
        usage: &Usage,
        service_tier: Option<&str>,
        at: Timestamp,
    ) -> Option<PriceCalculation> {
        if !self.bundled {
            return None;
        }
        let calculator = Calculator::bundled();
        let is_provider =
            |id: &str| matches!(calculator.find_provider(Some(id), None), Ok(Some(_)));
        names::lookups(model, is_provider).into_iter().find_map(|(provider, model)| {
            let mut request = PriceRequest::new(model, usage).with_timestamp(SystemTime::from(at));
            if let Some(provider) = provider {
                request = request.with_provider_id(provider);
            }
            if let Some(tier) = service_tier {
                request = request.with_price_context("service_tier", tier);
            }
            calculator.calculate(&request).ok()
        })
    }
}

/// The list is decoded.
static IS_DECODED: AtomicBool = AtomicBool::new(false);

fn decode() {
    let _ = Calculator::bundled();
    IS_DECODED.store(true, Ordering::Release);
}

/// A cost that JSON can hold.
fn finite(cost: f64) -> Option<f64> {
    Some(cost).filter(|cost| cost.is_finite())
}

/// The tokens as `genai-prices` counts them, where input has all that went in, and a cache's writes have those
/// for an hour; divided into so many equal parts.
#[expect(clippy::cast_precision_loss, reason = "nobody pays for 2^53 tokens")]
fn usage(tokens: Tokens, parts: f64) -> Usage {
    let Tokens { input, output, cache_read, cache_write, .. } = tokens;
    let cache_write_1h = tokens.cache_write_1h.min(cache_write);
    let all_input = input.saturating_add(cache_read).saturating_add(cache_write);
    [
        (UsageKey::INPUT_TOKENS, all_input),
        (UsageKey::OUTPUT_TOKENS, output),
        (UsageKey::CACHE_READ_TOKENS, cache_read),
        (UsageKey::CACHE_WRITE_TOKENS, cache_write),
        (UsageKey::CACHE_WRITE_1H_TOKENS, cache_write_1h),
    ]
    .map(|(key, count)| (key, count as f64 / parts))
    .into()
}

#[cfg(test)]
mod tests;
