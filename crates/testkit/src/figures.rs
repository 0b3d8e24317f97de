//! What tests measure, noted where `cargo xtask reliability` finds it.
//!
//! Nothing is noted unless `BELAY_FIGURES` names a file, so that a test calls [`figure`] in any case.

use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The variable that names the file of the figures.
pub const FIGURES: &str = "BELAY_FIGURES";

/// The variable that asks for the full counts, which take minutes.
pub const LONG: &str = "BELAY_LONG";

/// One measured value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// Which row of the test plan it belongs to: `T12`.
    pub test: String,
    /// What was measured: `survivors`.
    pub name: String,
    /// The value with its unit, as it is published.
    pub value: String,
}

/// Notes a figure, if somebody collects them.
///
/// # Panics
///
/// When the file of `BELAY_FIGURES` cannot be written.
pub fn figure(test: &str, name: &str, value: impl Display) {
    let Some(path) = std::env::var_os(FIGURES) else { return };
    let value = value.to_string();
    let figure = Figure { test: test.to_owned(), name: name.to_owned(), value };
    let mut line = serde_json::to_string(&figure).expect("a figure is always JSON");
    line.push('\n');
    // One write each: tests run beside each other.
    let file = OpenOptions::new().create(true).append(true).open(path);
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    written.expect("the file of BELAY_FIGURES can be written");
}

/// Reads the figures back, in the order of the test plan.
///
/// # Errors
///
/// When the file cannot be read or holds something else.
pub fn read(path: &Path) -> io::Result<Vec<Figure>> {
    let text = fs::read_to_string(path)?;
    let figures = text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::from));
    let mut figures: Vec<Figure> = figures.collect::<io::Result<_>>()?;
    // Tests end in any order; the sort keeps the order of the figures of one test.
    figures.sort_by_key(|figure| order(&figure.test));
    Ok(figures)
}

/// How often to do something: the count of the test plan when that is asked for, else one that fits CI.
pub fn times(ci: usize, long: usize) -> usize {
    if std::env::var_os(LONG).is_some_and(|value| value == "1") { long } else { ci }
}

/// The median, the 99th percentile and the longest of some times, in seconds: `0.05 / 0.31 / 0.40 s (n = 72)`.
pub fn spread(times: &[Duration]) -> String {
    let mut sorted = times.to_vec();
    sorted.sort();
    let Some(longest) = sorted.last() else { return "nothing measured".to_owned() };
    let at = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
    let seconds = |time: Duration| time.as_secs_f64();
    format!(
        "{:.2} / {:.2} / {:.2} s (n = {})",
        seconds(at(50)),
        seconds(at(99)),
        seconds(*longest),
        sorted.len()
    )
}

/// `T2` stands before `T12`.
fn order(test: &str) -> (String, u32) {
    let digits = test.trim_start_matches(|c: char| !c.is_ascii_digit());
    let letters = test[..test.len() - digits.len()].to_owned();
    let number = digits.chars().take_while(char::is_ascii_digit).collect::<String>();
    (letters, number.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_names_the_median_and_the_tail() {
        let times: Vec<_> = (1..=200).rev().map(|n| Duration::from_millis(n * 10)).collect();
        assert_eq!(spread(&times), "1.00 / 1.98 / 2.00 s (n = 200)");
        assert_eq!(spread(&[Duration::from_millis(250)]), "0.25 / 0.25 / 0.25 s (n = 1)");
        assert_eq!(spread(&[]), "nothing measured");
    }

    #[test]
    fn figures_come_back_in_the_order_of_the_plan() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let line = |test| format!(r#"{{"test":"{test}","name":"n","value":"1"}}"#);
        let lines = ["T12", "S10", "T2", "S2"].map(line);
        fs::write(file.path(), lines.join("\n")).unwrap();
        let tests: Vec<_> = read(file.path()).unwrap().into_iter().map(|f| f.test).collect();
        assert_eq!(tests, ["S2", "S10", "T2", "T12"]);
    }
}
