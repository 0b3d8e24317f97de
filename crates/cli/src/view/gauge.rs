//! Figures as pictures of a few cells: how full a context is, and when something happened.

use anstyle::{AnsiColor, Style};
use belay_trace::view::{HIGH_PERCENT, WARN_PERCENT};

/// The cells of a bar, and the most cells of a sparkline.
pub(super) const CELLS: usize = 10;

/// Green, yellow from 60 percent on, bold red from 80.
pub(super) fn heat(percent: f64) -> Style {
    if percent > HIGH_PERCENT {
        AnsiColor::Red.on_default().bold()
    } else if percent > WARN_PERCENT {
        AnsiColor::Yellow.on_default()
    } else {
        AnsiColor::Green.on_default()
    }
}

/// `██████░░░░`
pub(super) fn thermobar(percent: f64) -> String {
    let full = cells(percent / 100.0, CELLS).min(CELLS);
    "█".repeat(full) + &"░".repeat(CELLS - full)
}

/// A glyph for each figure; where there are too many, for the highest of several that stand together.
pub(super) fn sparkline(percents: &[f64]) -> Vec<(Style, char)> {
    const GLYPHS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let together = percents.len().div_ceil(CELLS).max(1);
    let highest = percents.chunks(together).map(|some| some.iter().copied().fold(0.0, f64::max));
    highest.map(|percent| (heat(percent), GLYPHS[cells(percent / 100.0, 7).min(7)])).collect()
}

/// Which cells of `width` a time from `start` to `end` takes, out of `span`: where it begins, and how many.
pub(super) fn extent(start: i64, end: i64, span: i64, width: usize) -> (usize, usize) {
    #[expect(clippy::cast_precision_loss, reason = "a picture")]
    let at = |ms: i64| (ms.max(0) as f64 / span.max(1) as f64) * width as f64;
    let last = width.saturating_sub(1);
    let from = whole(at(start).floor()).min(last);
    let to = whole(at(end).ceil()).clamp(from + 1, width.max(1));
    (from, to - from)
}

fn cells(share: f64, of: usize) -> usize {
    #[expect(clippy::cast_precision_loss, reason = "a few cells")]
    let cells = share * of as f64;
    whole(cells)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn whole(float: f64) -> usize {
    float.max(0.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_context() {
        for (percent, want) in [
            (0.0, "░░░░░░░░░░"),
            (9.9, "░░░░░░░░░░"),
            (60.0, "██████░░░░"),
            (100.0, "██████████"),
            (f64::INFINITY, "██████████"),
            (f64::NAN, "░░░░░░░░░░"),
        ] {
            assert_eq!(thermobar(percent), want, "{percent}");
        }
    }

    #[test]
    fn a_sparkline_shows_the_highest_of_many() {
        let shown = |percents: &[f64]| {
            sparkline(percents).into_iter().map(|(_, glyph)| glyph).collect::<String>()
        };
        assert_eq!(shown(&[0.0, 50.0, 100.0]), "▁▄█");
        assert_eq!(shown(&[]), "");
        let mut many = vec![0.0; 995];
        many[500] = 100.0;
        assert_eq!(shown(&many), "▁▁▁▁▁█▁▁▁▁");
    }

    #[test]
    fn a_time_has_its_place_in_the_whole() {
        for (start, end, span, width, want) in [
            (0, 100, 100, 10, (0, 10)),
            (50, 60, 100, 10, (5, 1)),
            (100, 100, 100, 10, (9, 1)),
            (0, 0, 0, 10, (0, 1)),
            (-5, i64::MAX, 1, 10, (0, 10)),
            (i64::MIN, i64::MIN, i64::MAX, 10, (0, 1)),
            (1, 2, 3, 1, (0, 1)),
        ] {
            assert_eq!(extent(start, end, span, width), want, "{start} to {end}");
        }
    }
}
