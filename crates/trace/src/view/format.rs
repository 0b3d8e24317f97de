//! Figures of a trace as people read them, in the seed's forms.

use super::Total;

/// A model's family where its name has the structure of Claude's (`claude-opus-4-6` and
/// `anthropic/claude-opus-4.6` are `opus`); any other name as it is.
///
/// ```
/// use belay_trace::view::short_model;
///
/// assert_eq!(short_model("claude-sonnet-4-5-20250929"), "sonnet");
/// assert_eq!(short_model("gpt-5.5-codex"), "gpt-5.5-codex");
/// ```
pub fn short_model(model: &str) -> &str {
    let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
    let Some(rest) = name.strip_prefix("claude-") else { return model };
    // Older names have the version first: claude-3-5-sonnet-20241022.
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    rest.split('-').find(is_word).unwrap_or(model)
}

/// As much of an id as tells nodes apart at a glance: ids of nodes are short already, those of runs begin with the
/// time and end with chance.
pub fn short_id(id: &str) -> &str {
    const CHARS: usize = 8;
    let from = id.char_indices().rev().take(CHARS).last().map_or(0, |(at, _)| at);
    if id.len() > 12 { &id[from..] } else { id }
}

/// `999`, `1.2K`, `3.4M`.
pub fn tokens(n: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let float = n as f64;
    // What would be rounded up to the next unit is written in it.
    match n {
        0..1_000 => n.to_string(),
        1_000..999_950 => format!("{:.1}K", float / 1e3),
        999_950..999_950_000 => format!("{:.1}M", float / 1e6),
        999_950_000..1_000_000_000_000_000 => format!("{:.1}G", float / 1e9),
        _ => format!("{float:.0e}"),
    }
}

/// `12ms`, `3.4s`, `5.6m`, `7.8h`.
pub fn duration(ms: i64) -> String {
    let ms = ms.max(0);
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let float = ms as f64;
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..59_950 => format!("{:.1}s", float / 1e3),
        59_950..3_597_000 => format!("{:.1}m", float / 60e3),
        3_597_000..3_600_000_000_000 => format!("{:.1}h", float / 3_600e3),
        _ => format!("{:.0e}h", float / 3_600e3),
    }
}

/// `$0.0130`; `≥$0.0130` if a part of the work has no known cost, and `$?` if none of it has.
pub fn dollars(total: &Total) -> String {
    let usd = total.cost_usd;
    match (total.cost_is_partial, usd) {
        (true, 0.0) => "$?".to_owned(),
        (partial, usd) => {
            let mark = if partial { "≥" } else { "" };
            let digits = if usd.abs() < 1e6 { format!("{usd:.4}") } else { format!("{usd:.1e}") };
            format!("{mark}${digits}")
        }
    }
}
