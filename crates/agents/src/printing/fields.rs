//! What a program that only prints tells exactly: in lines that begin so, or in its answer file.

use super::Form;
use belay_trace::{CostSource, Usage};
use serde_json::Value;

/// What was found of what a [`Form`] has places for.
#[derive(Debug, Default)]
pub(super) struct Fields {
    session: Option<String>,
    cost: Option<String>,
    input_tokens: Option<String>,
    output_tokens: Option<String>,
}

impl Fields {
    /// Looks at a line of the program's.
    pub(super) fn line(&mut self, form: &Form, line: &str) {
        self.each(form, |place| {
            let lead = Some(place).filter(|place| !place.starts_with('/'))?;
            Some(line.strip_prefix(lead)?.trim().to_owned())
        });
    }

    /// Looks into the answer file.
    pub(super) fn file(&mut self, form: &Form, file: &Value) {
        self.each(form, |place| {
            Some(match file.pointer(place)? {
                Value::String(text) => text.clone(),
                value => value.to_string(),
            })
        });
    }

    fn each(&mut self, form: &Form, find: impl Fn(&str) -> Option<String>) {
        for (place, value) in [
            (&form.session, &mut self.session),
            (&form.cost, &mut self.cost),
            (&form.input_tokens, &mut self.input_tokens),
            (&form.output_tokens, &mut self.output_tokens),
        ] {
            let found = place.as_deref().and_then(&find).filter(|found| !found.is_empty());
            *value = found.or(value.take());
        }
    }

    pub(super) fn session(&self) -> Option<String> {
        let word = self.session.as_deref()?.split_whitespace().next()?;
        Some(word.to_owned())
    }

    /// What is not told is not known, and never 0.
    pub(super) fn usage(&self) -> Usage {
        let tokens = |told: &Option<String>| count(told.as_deref()?);
        let cost = self.cost.as_deref().and_then(dollars);
        Usage {
            input_tokens: tokens(&self.input_tokens),
            output_tokens: tokens(&self.output_tokens),
            total_cost_usd: cost,
            cost_source: cost.map_or_else(CostSource::default, |_| CostSource::Reported),
            ..Usage::default()
        }
    }
}

/// Tokens: `1,234 tokens`. What is rounded (`2.3k`) is not exact, and not taken.
fn count(text: &str) -> Option<u64> {
    let word = text.split_whitespace().next()?;
    whole(word.trim_end_matches([',', ';', '.']))?.parse().ok()
}

/// US dollars: `$0.0123`, `1e-05`.
fn dollars(text: &str) -> Option<f64> {
    let word = text.split_whitespace().next()?.trim_end_matches([',', ';', '.']);
    let word = word.strip_prefix('$').unwrap_or(word);
    let (before, after) = word.split_at(word.find(['.', 'e']).unwrap_or(word.len()));
    let number: f64 = format!("{}{after}", whole(before)?).parse().ok()?;
    // Text such as `1e999` is none.
    number.is_finite().then_some(number)
}

/// The digits of a number, which may have commas between groups of three.
fn whole(text: &str) -> Option<String> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = text.split(',');
    let first = parts.next()?;
    let is_grouped = !text.contains(',') || first.len() <= 3;
    let are_groups = parts.all(|part| part.len() == 3 && is_number(part));
    (is_number(first) && is_grouped && are_groups).then(|| text.replace(',', ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_told_is_taken_and_what_is_not_stays_unknown() {
        let form = Form {
            session: Some("Session: ".into()),
            cost: Some("/info/cost".into()),
            input_tokens: Some("Input: ".into()),
            output_tokens: Some("/info/out".into()),
            ..Form::default()
        };
        let mut fields = Fields::default();
        for line in ["Session: abc-1 (new)", "Input: 1,234 tokens", "Input:", "else"] {
            fields.line(&form, line);
        }
        fields.file(&form, &json!({"info": {"cost": 0.25, "out": null}}));
        assert_eq!(fields.session().as_deref(), Some("abc-1"));
        let usage = fields.usage();
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(1234), None));
        assert_eq!(usage.total_cost_usd, Some(0.25));
        assert_eq!(Fields::default().usage(), Usage::default());
    }

    #[test]
    fn only_what_is_exact_is_taken() {
        for (text, want) in [
            ("$0.0123.", Some(0.0123)),
            ("1e-05", Some(0.00001)),
            ("$1,234.5 in all", Some(1234.5)),
            ("0,12", None),
            ("-0.5", None),
            ("1e999", None),
            ("about 3", None),
            ("€3", None),
            ("", None),
        ] {
            assert_eq!(dollars(text), want, "{text}");
        }
        for (text, want) in [
            ("1,234 tokens", Some(1234)),
            ("17", Some(17)),
            ("17, of them 3 cached", Some(17)),
            ("2.3k sent", None),
            ("12k", None),
            ("1,23", None),
            ("-3", None),
            ("none", None),
        ] {
            assert_eq!(count(text), want, "{text}");
        }
    }
}
