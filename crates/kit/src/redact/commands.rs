//! Passwords among the arguments of commands: `mysql -p…`, `curl -u user:…`, `redis-cli -a …`.

use super::looks::{is_code, is_placeholder, is_reference};
use super::scan::{Scan, Shown, is_boundary};
use std::ops::Range;

/// A command that is told a password.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) program: &'static str,
    flags: &'static [Flag],
}

#[derive(Clone, Copy, Debug)]
enum Flag {
    /// `-pPASSWORD`
    Glued(&'static str),
    /// `-p PASSWORD`
    Next(&'static str),
    /// `-u USER:PASSWORD`, also glued.
    Pair(&'static str),
    /// `-U USER%PASSWORD`
    Percent(&'static str),
    /// The last of so many words that begin with no dash.
    Word(usize),
}

use Flag::{Glued, Next, Pair, Percent, Word};

pub(super) static COMMANDS: [Command; 27] = [
    Command { program: "mysql", flags: &[Glued("-p")] },
    Command { program: "mariadb", flags: &[Glued("-p")] },
    Command { program: "sshpass ", flags: &[Next("-p"), Glued("-p")] },
    Command {
        program: "curl ",
        flags: &[Pair("-u"), Pair("--user"), Pair("-U"), Pair("--proxy-user"), Next("-b")],
    },
    Command { program: "openssl ", flags: &[Glued("pass:"), Next("-k")] },
    Command { program: "gh secret set", flags: &[Next("--body"), Next("-b")] },
    Command { program: "rabbitmqctl add_user ", flags: &[Word(2)] },
    Command { program: "wget ", flags: &[Next("--http-password"), Next("--ftp-password")] },
    Command { program: "http ", flags: &[Pair("-a"), Pair("--auth")] },
    Command { program: "docker login", flags: &[Next("-p")] },
    Command { program: "podman login", flags: &[Next("-p")] },
    Command { program: "registry login", flags: &[Next("-p")] },
    Command { program: "az login", flags: &[Next("-p")] },
    Command { program: "redis-cli ", flags: &[Next("-a")] },
    Command { program: "htpasswd ", flags: &[Word(3)] },
    Command { program: "ldapsearch ", flags: &[Next("-w")] },
    Command { program: "ldapadd ", flags: &[Next("-w")] },
    Command { program: "ldapmodify ", flags: &[Next("-w")] },
    Command { program: "smbclient ", flags: &[Percent("-U")] },
    Command { program: "mosquitto_pub ", flags: &[Next("-P")] },
    Command { program: "mosquitto_sub ", flags: &[Next("-P")] },
    Command { program: "mongosh ", flags: &[Next("-p")] },
    Command { program: "mongodump ", flags: &[Next("-p")] },
    Command { program: "sqlcmd ", flags: &[Next("-P")] },
    Command { program: "unzip ", flags: &[Next("-P")] },
    Command { program: "zip ", flags: &[Next("-P")] },
    Command { program: "7z ", flags: &[Glued("-p")] },
];

/// How far an argument may be from its command.
const LINE_BYTES_MAX: usize = 600;

const NAME: &str = "password";

pub(super) fn look(text: &[u8], at: Range<usize>, number: usize, scan: &mut Scan) {
    let command = &COMMANDS[number];
    if !is_boundary(text, at.start) || at.start < scan.seen.commands_until[number] {
        return;
    }
    let limit = text.len().min(at.end + LINE_BYTES_MAX);
    let line = &text[at.end..limit];
    let mut end = line.len();
    let mut from = 0;
    while let Some(n) = memchr::memchr(b'\n', &line[from..]) {
        // A command goes on behind a line that ends with a backslash.
        let last = line[from..from + n].iter().rev().find(|byte| !b" \t\r".contains(byte));
        if last == Some(&b'\\') {
            from += n + 1;
        } else {
            end = from + n;
            break;
        }
    }
    let stop = memchr::memmem::find(&line[..end], b" | ")
        .into_iter()
        .chain(memchr::memmem::find(&line[..end], b" && "));
    let end = at.end + stop.min().unwrap_or(end);
    let is_open = end == text.len();
    if !command.flags.iter().any(|flag| matches!(flag, Word(_))) {
        // Another one in the same line has the same arguments.
        scan.seen.commands_until[number] = end.min(at.end + LINE_BYTES_MAX / 2);
    }
    let args = words(text, at.end..end);
    let mut bare = 0;
    for (n, arg) in args.iter().enumerate() {
        let word = &text[arg.clone()];
        let is_last = n + 1 == args.len() && arg.end == text.len();
        for flag in command.flags {
            let secret = match flag {
                Next(flag) => match args.get(n + 1) {
                    Some(next) if word == flag.as_bytes() => Some(next.clone()),
                    _ => None,
                },
                Glued(flag) => {
                    word.strip_prefix(flag.as_bytes()).map(|it| arg.end - it.len()..arg.end)
                }
                Pair(flag) => pair(text, &args, n, flag, b':'),
                Percent(flag) => pair(text, &args, n, flag, b'%'),
                Word(count) => (!word.starts_with(b"-") && bare + 1 == *count).then(|| arg.clone()),
            };
            let Some(secret) = secret.map(|it| unquoted(text, it)) else { continue };
            let value = &text[secret.clone()];
            let is_open = is_open && (is_last || secret.end == text.len());
            if is_one(value) {
                scan.found(secret.clone(), NAME);
            }
            if is_open && !is_reference(value) {
                let hold = secret.start;
                scan.open_at(at.start, hold, Shown::of(value.len()), NAME);
            }
        }
        bare += usize::from(!word.starts_with(b"-"));
    }
    if is_open {
        scan.open_at(at.start, text.len(), Shown::Nothing, NAME);
    }
}

fn is_one(value: &[u8]) -> bool {
    value.len() >= 4
        && value.iter().any(u8::is_ascii_alphabetic)
        && !value.starts_with(b"-")
        && !value.starts_with(b"/")
        && !is_reference(value)
        && !is_placeholder(value)
        && !(is_code(value) && value.ends_with(b")"))
}

/// The password of `user:password` behind a flag, or glued to it.
fn pair(
    text: &[u8],
    args: &[Range<usize>],
    n: usize,
    flag: &str,
    sign: u8,
) -> Option<Range<usize>> {
    let word = &text[args[n].clone()];
    let rest = word.strip_prefix(flag.as_bytes())?;
    let both = match rest.first() {
        None => args.get(n + 1)?.clone(),
        Some(b'=') => args[n].end - rest.len() + 1..args[n].end,
        Some(_) if flag.starts_with("--") => return None,
        Some(_) => args[n].end - rest.len()..args[n].end,
    };
    let both = unquoted(text, both);
    let colon = memchr::memchr(sign, &text[both.clone()])?;
    Some(both.start + colon + 1..both.end)
}

fn unquoted(text: &[u8], at: Range<usize>) -> Range<usize> {
    let word = &text[at.clone()];
    let is_quote = |byte: Option<&u8>| byte.is_some_and(|byte| b"\"'".contains(byte));
    let from = at.start + usize::from(is_quote(word.first()));
    let to = at.end - usize::from(word.len() > 1 && is_quote(word.last()));
    from..to.max(from)
}

/// The words of a command line; what is in quotes is one.
fn words(text: &[u8], within: Range<usize>) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut from = None;
    let mut quote = None;
    for at in within.clone() {
        let byte = text[at];
        match quote {
            Some(end) if byte == end => quote = None,
            Some(_) => {}
            None if b"\"'".contains(&byte) => {
                quote = Some(byte);
                from = from.or(Some(at));
            }
            None if byte.is_ascii_whitespace() || b"`;".contains(&byte) => {
                words.extend(from.take().map(|begin| begin..at));
            }
            None => from = from.or(Some(at)),
        }
    }
    words.extend(from.map(|begin| begin..within.end));
    words
}
