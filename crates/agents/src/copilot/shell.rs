//! What a command prints: Copilot tells it piece by piece, and in the end only as much as the model is given.

/// The output of a command under way.
#[derive(Debug, Default)]
pub(super) struct Shell {
    printed: String,
    /// Bytes that were left out.
    cut: u64,
}

/// Enough for any output that a person reads; a command that never ends must not fill the memory. The raw log has
/// the rest.
const BYTES_MAX: usize = 16 * 1024 * 1024;

impl Shell {
    pub(super) fn piece(&mut self, text: &str) {
        if self.cut == 0 && self.printed.len() + text.len() <= BYTES_MAX {
            self.printed.push_str(text);
        } else {
            self.cut += text.len() as u64;
        }
    }

    /// The whole of what it printed, if `given` to the model is less or the same without its colours; otherwise
    /// what was given, without the line that Copilot puts behind it.
    pub(super) fn output(self, given: String) -> String {
        if self.printed.is_empty() {
            return without_trailer(given);
        }
        match self.cut {
            0 => self.printed,
            cut => format!("{}\n[{cut} more bytes]\n{given}", self.printed),
        }
    }
}

/// Removes "<shellId: 0 completed with exit code 3>", which stands where the output ends.
fn without_trailer(given: String) -> String {
    let Some((output, trailer)) = given.rsplit_once("<shellId: ") else { return given };
    let digits = trailer.trim_start_matches(|c: char| c.is_ascii_digit());
    match digits.strip_prefix(" completed with exit code ").and_then(|rest| rest.strip_suffix('>'))
    {
        Some(code) if code.parse::<i32>().is_ok() => output.to_owned(),
        _ => given,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_are_the_output_and_without_them_what_the_model_was_given() {
        let mut shell = Shell::default();
        shell.piece("\u{1b}[31mred");
        shell.piece("\u{1b}[0m\n");
        let given = "red\n<shellId: 0 completed with exit code 0>".to_owned();
        assert_eq!(shell.output(given.clone()), "\u{1b}[31mred\u{1b}[0m\n");
        assert_eq!(Shell::default().output(given), "red\n");
        for words in
            ["<shellId: 0 is still running>", "<shellId: x completed with exit code 1>", ""]
        {
            assert_eq!(Shell::default().output(words.to_owned()), words);
        }
    }

    #[test]
    fn a_command_that_never_ends_does_not_fill_the_memory() {
        let mut shell = Shell::default();
        let piece = "y".repeat(1024 * 1024);
        (0..20).for_each(|_| shell.piece(&piece));
        let output = shell.output("Saved to: /tmp/x".to_owned());
        assert!(output.len() < BYTES_MAX + 100, "{}", output.len());
        assert!(output.ends_with("\n[4194304 more bytes]\nSaved to: /tmp/x"));
    }
}
