//! A change of a file as people read it.

use std::fmt::Write as _;

/// The lines that differ, between what is the same before and behind them.
pub(super) fn lines(path: &str, old: Option<&str>, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) =
        (old.unwrap_or_default().lines().collect(), new.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let before = old.iter().zip(&new).take_while(same).count();
    let (old, new) = (&old[before..], &new[before..]);
    let behind = old.iter().rev().zip(new.iter().rev()).take_while(same).count();
    let (old, new) = (&old[..old.len() - behind], &new[..new.len() - behind]);
    let mut text = format!("--- {path}\n+++ {path}\n");
    let first = before + 1;
    let _ = writeln!(text, "@@ -{first},{} +{first},{} @@", old.len(), new.len());
    for (sign, lines) in [('-', old), ('+', new)] {
        for line in lines {
            let _ = writeln!(text, "{sign}{line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn only_what_differs_is_shown() {
        let diff = lines("a.txt", Some("one\ntwo\nthree\n"), "one\n2\nthree\n");
        assert_eq!(diff, "--- a.txt\n+++ a.txt\n@@ -2,1 +2,1 @@\n-two\n+2\n");
        let new = lines("a.txt", None, "one\n");
        assert_eq!(new, "--- a.txt\n+++ a.txt\n@@ -1,0 +1,1 @@\n+one\n");
        assert_eq!(lines("a", Some("x\nx\n"), "x\n"), "--- a\n+++ a\n@@ -2,1 +2,0 @@\n-x\n");
    }
}
