//! The many names of a model.

/// What agents call a model that they choose themselves (Claude Code 2.1.329).
const ALIASES: [(&str, &str); 3] =
    [("opus", "claude-opus-5-5"), ("sonnet", "claude-sonnet-5-5"), ("haiku", "claude-haiku-5-5")];

/// The name as it is, and then shorter: without `[1m]`, for what an alias stands, without a date.
pub(super) fn forms(model: &str) -> Vec<&str> {
    let exact = model.trim();
    let plain = without_brackets(exact);
    let alias = ALIASES.iter().find(|(alias, _)| plain.eq_ignore_ascii_case(alias));
    let full = alias.map_or(plain, |(_, full)| full);
    let mut forms = vec![exact, plain, full, without_date(full)];
    forms.dedup();
    forms
}

/// Under which provider and name to look a model up, the exact ones first. A provider that stands before the
/// name (`openai/gpt-5.5`) is believed; one that nobody knows hides what is behind it.
pub(super) fn lookups(
    model: &str,
    is_provider: impl Fn(&str) -> bool,
) -> Vec<(Option<&str>, &str)> {
    match model.trim().split_once('/').filter(|(provider, _)| is_provider(provider)) {
        Some((provider, name)) => {
            forms(name).into_iter().map(|name| (Some(provider), name)).collect()
        }
        None => forms(model).into_iter().map(|name| (None, name)).collect(),
    }
}

/// `claude-opus-4-6[1m]` is `claude-opus-4-6` with a larger window.
fn without_brackets(model: &str) -> &str {
    match model.rsplit_once('[') {
        Some((name, rest)) if rest.ends_with(']') && !name.is_empty() => name.trim_end(),
        _ => model,
    }
}

/// `claude-sonnet-4-5-20250929`, `claude-sonnet-4-5@20250929` and `gpt-5.5-2026-04-23` have a day at their end.
fn without_date(model: &str) -> &str {
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    let short = model.rsplit_once(['-', '@']).filter(|(_, day)| digits(day, 8));
    if let Some((name, _)) = short {
        return name;
    }
    let long =
        model.len().checked_sub("-2026-04-23".len()).and_then(|at| model.split_at_checked(at));
    let is_day = |day: &str| {
        let mut parts = day.split('-');
        let lens = [0, 4, 2, 2];
        lens.iter().all(|n| parts.next().is_some_and(|part| digits(part, *n)))
            && parts.next().is_none()
    };
    match long {
        Some((name, day)) if is_day(day) && !name.is_empty() => name,
        _ => model,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_exactly_first_and_then_shorter() {
        for (model, want) in [
            ("gpt-5.5", &["gpt-5.5"][..]),
            ("opus", &["opus", "claude-opus-5-5"]),
            ("opus[1m]", &["opus[1m]", "opus", "claude-opus-5-5"]),
            (
                "claude-sonnet-4-5-20250929[1m]",
                &[
                    "claude-sonnet-4-5-20250929[1m]",
                    "claude-sonnet-4-5-20250929",
                    "claude-sonnet-4-5",
                ],
            ),
            ("gpt-5.5-2026-04-23", &["gpt-5.5-2026-04-23", "gpt-5.5"]),
            ("claude-haiku-4-5@20251001", &["claude-haiku-4-5@20251001", "claude-haiku-4-5"]),
            ("[1m]", &["[1m]"]),
            ("-20250929", &["-20250929", ""]),
            ("é-2026-04-2é", &["é-2026-04-2é"]),
        ] {
            assert_eq!(forms(model), want, "{model}");
        }
    }

    #[test]
    fn a_provider_before_the_name_is_believed_if_anybody_knows_it() {
        let known = |provider: &str| provider == "openai";
        assert_eq!(lookups("openai/gpt-5.5", known), [(Some("openai"), "gpt-5.5")]);
        assert_eq!(lookups("lab/gpt-5.5", known), [(None, "lab/gpt-5.5")]);
    }
}
