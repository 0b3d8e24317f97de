//! A user's own prices: `[models."lab/mock-model"]`, `input_usd_per_million = 2.0`, …

use belay_agents::Tokens;
use belay_trace::open_regular;
use serde::Deserialize;
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// Why a price file is not used: it cannot be read, or something in it is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadPrices {
    /// The file cannot be read.
    #[error("cannot read the prices in {name}")]
    Unreadable {
        /// The file.
        name: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Something in it is wrong.
    #[error("{name}:{line}:{column}: {message}")]
    Wrong {
        /// The file.
        name: String,
        /// The line, from 1.
        line: usize,
        /// The character in the line, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
}

/// The longest price file: thousands of models.
const BYTES_MAX: u64 = 4 << 20;

pub(super) fn read(path: &Path) -> Result<String, BadPrices> {
    let unreadable = |cause| BadPrices::Unreadable { name: path.to_string_lossy().into(), cause };
    let file = open_regular(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.len() > BYTES_MAX {
        return Err(unreadable(io::Error::other("it is longer than any list of prices")));
    }
    io::read_to_string(file).map_err(unreadable)
}

/// All models of a file, by name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PriceFile {
    #[serde(default)]
    pub(super) models: HashMap<String, ModelPrice>,
}

/// What a model costs.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "ModelTable")]
pub(super) struct ModelPrice {
    base: Option<Rates>,
    /// Higher rates for long inputs, by the number of input tokens that they begin above.
    above: Vec<(u64, Rates)>,
    pub(super) context_window: Option<u64>,
}

/// US dollars for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rates {
    input: f64,
    output: f64,
    cache_read: f64,
    cache_write: f64,
    cache_write_1h: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelTable {
    input_usd_per_million: Option<Usd>,
    output_usd_per_million: Option<Usd>,
    cache_read_usd_per_million: Option<Usd>,
    cache_write_usd_per_million: Option<Usd>,
    cache_write_1h_usd_per_million: Option<Usd>,
    #[serde(default)]
    above: Vec<AboveTable>,
    context_window: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AboveTable {
    input_tokens: u64,
    input_usd_per_million: Usd,
    output_usd_per_million: Usd,
    cache_read_usd_per_million: Option<Usd>,
    cache_write_usd_per_million: Option<Usd>,
    cache_write_1h_usd_per_million: Option<Usd>,
}

/// A price: nobody pays a negative or an infinite one.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
struct Usd(f64);

impl TryFrom<f64> for Usd {
    type Error = String;

    fn try_from(usd: f64) -> Result<Self, String> {
        let is_price = usd.is_finite() && usd >= 0.0;
        is_price.then_some(Self(usd)).ok_or_else(|| format!("{usd} is no price"))
    }
}

impl Rates {
    /// What has no price of its own costs what any input costs.
    fn new(input: Usd, output: Usd, cached: [Option<Usd>; 3]) -> Self {
        let [read, write, write_1h] = cached;
        let (input, write) = (input.0, write.unwrap_or(input).0);
        Self {
            input,
            output: output.0,
            cache_read: read.map_or(input, |usd| usd.0),
            cache_write: write,
            cache_write_1h: write_1h.map_or(write, |usd| usd.0),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "nobody pays for 2^53 tokens")]
    fn price(&self, tokens: Tokens) -> f64 {
        let hour = tokens.cache_write_1h.min(tokens.cache_write);
        let parts = [
            (tokens.input, self.input),
            (tokens.output, self.output),
            (tokens.cache_read, self.cache_read),
            (tokens.cache_write - hour, self.cache_write),
            (hour, self.cache_write_1h),
        ];
        parts.into_iter().fold(0.0, |sum, (count, usd)| sum + count as f64 * usd) / 1e6
    }
}

impl TryFrom<ModelTable> for ModelPrice {
    type Error = &'static str;

    fn try_from(table: ModelTable) -> Result<Self, Self::Error> {
        let cached = [
            table.cache_read_usd_per_million,
            table.cache_write_usd_per_million,
            table.cache_write_1h_usd_per_million,
        ];
        let has_more = cached.iter().any(Option::is_some) || !table.above.is_empty();
        let base = match (table.input_usd_per_million, table.output_usd_per_million) {
            (Some(input), Some(output)) => Some(Rates::new(input, output, cached)),
            (None, None) if !has_more => None,
            (None, _) => return Err("`input_usd_per_million` is missing"),
            (_, None) => return Err("`output_usd_per_million` is missing"),
        };
        let above = table.above.into_iter().map(|tier| {
            let cached = [
                tier.cache_read_usd_per_million,
                tier.cache_write_usd_per_million,
                tier.cache_write_1h_usd_per_million,
            ];
            let (input, output) = (tier.input_usd_per_million, tier.output_usd_per_million);
            (tier.input_tokens, Rates::new(input, output, cached))
        });
        let mut above: Vec<_> = above.collect();
        above.sort_by_key(|(start, _)| *start);
        Ok(Self { base, above, context_window: table.context_window })
    }
}

impl ModelPrice {
    /// False if the file says the window alone.
    pub(super) fn has_price(&self) -> bool {
        self.base.is_some()
    }

    /// What one response costs.
    pub(super) fn price(&self, tokens: Tokens) -> Option<f64> {
        let input = tokens.beyond(Tokens { output: tokens.output, ..Tokens::default() }).total();
        let tier = self.above.iter().rev().find(|(start, _)| input > *start);
        tier.map(|(_, rates)| rates).or(self.base.as_ref()).map(|rates| rates.price(tokens))
    }

    /// What they cost as many responses, none of which is long.
    pub(super) fn price_of_many(&self, tokens: Tokens) -> Option<f64> {
        self.base.as_ref().map(|rates| rates.price(tokens))
    }
}

impl PriceFile {
    pub(super) fn parse(text: &str, name: &str) -> Result<Self, BadPrices> {
        toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let before = text.get(..at).unwrap_or(text);
            let (line, column) = match before.rfind('\n') {
                Some(end) => (before.matches('\n').count() + 1, before[end + 1..].chars().count()),
                None => (1, before.chars().count()),
            };
            let message = error.message().to_owned();
            BadPrices::Wrong { name: name.to_owned(), line, column: column + 1, message }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_wrong(text: &str, want: &str) {
        let error = PriceFile::parse(text, "prices.toml").unwrap_err();
        assert_eq!(error.to_string(), want);
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_column() {
        check_wrong("models = [", "prices.toml:1:11: unclosed array, expected `]`");
        check_wrong(
            "[models.a]\nwindow = 2\n",
            "prices.toml:2:1: unknown field `window`, expected one of `input_usd_per_million`, \
             `output_usd_per_million`, `cache_read_usd_per_million`, `cache_write_usd_per_million`, \
             `cache_write_1h_usd_per_million`, `above`, `context_window`",
        );
        let input = |value: &str| format!("[models.a]\n  input_usd_per_million = {value}");
        check_wrong(&input("-2.0"), "prices.toml:2:27: -2 is no price");
        check_wrong(&input("nan"), "prices.toml:2:27: NaN is no price");
        let want = "prices.toml:2:27: invalid type: string \"2\", expected f64";
        check_wrong(&input("\"2\""), want);
        check_wrong(&input("2"), "prices.toml:1:1: `output_usd_per_million` is missing");
        check_wrong("\n[model.a]\n", "prices.toml:2:2: unknown field `model`, expected `models`");
    }

    #[test]
    fn what_a_cache_costs_is_what_input_costs_unless_the_file_says_it() {
        let text = "[models.a]\ninput_usd_per_million = 2\noutput_usd_per_million = 8.0\n\
                    cache_write_usd_per_million = 3.0\n";
        let prices = PriceFile::parse(text, "p").unwrap();
        let tokens = Tokens {
            input: 1_000_000,
            output: 500_000,
            cache_read: 1_000_000,
            cache_write: 2_000_000,
            cache_write_1h: 1_000_000,
            reasoning: 400_000,
        };
        assert_eq!(prices.models["a"].price(tokens), Some(2.0 + 4.0 + 2.0 + 6.0));
    }
}
