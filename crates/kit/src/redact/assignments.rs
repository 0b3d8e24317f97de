//! Values behind a name that says that they are secret: `DB_PASSWORD=…`, `"apiKey": "…"`, `<password>…</password>`.
//!
//! A value in quotes, or of a variable in capitals, is data; a bare word behind a name may as well be code, and has to
//! look like a secret by itself.

use super::looks::{
    Makeup, beginning_of, has_any, is_code, is_jumbled, is_password, is_placeholder, is_random,
    is_reference, is_shuffled,
};
use super::names::Named;
use super::scan::{Scan, Shown, is_uuid};
use super::seen::{Run, Seen};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::ops::Range;

/// What a name that says so has in it.
pub(super) const WORDS: [&str; 22] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "_key",
    "-key",
    ".key",
    "apikey",
    "accesskey",
    "accountkey",
    "privatekey",
    "presharedkey",
    "sharedkey",
    "masterkey",
    "encryptionkey",
    "auth",
    "credential",
    "cookie",
    "psk",
    "mnemonic",
    "_pat",
    "bundle_",
];

/// Names of several words, as programs print them for people.
pub(super) const PHRASES: [&str; 7] = [
    "password is generated for root@localhost",
    "access key",
    "secret key",
    "api key",
    "unseal key",
    "account key",
    "private key",
];

/// Words of programs before a name: what follows the name is a type or another name.
const CODE_WORDS: [&str; 26] = [
    "let",
    "var",
    "val",
    "const",
    "mut",
    "pub",
    "static",
    "public",
    "private",
    "protected",
    "readonly",
    "final",
    "def",
    "fn",
    "func",
    "new",
    "return",
    "type",
    "string",
    "String",
    "str",
    "int",
    "abstract",
    "override",
    "declare",
    "await",
];

/// How long a name may be.
const NAME_BYTES_MAX: usize = 80;

/// How long a value may be.
const VALUE_BYTES_MAX: usize = 2048;

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// Where the name begins that has this place in it.
pub(super) fn name_start(text: &[u8], at: usize) -> usize {
    let before = text[at.saturating_sub(NAME_BYTES_MAX)..at].iter().rev();
    at - before.take_while(|byte| is_name(**byte)).count()
}

/// Where the line begins that has this place in it, if that is near: what stands before a name tells data from code.
pub(super) fn context(text: &[u8], at: usize) -> usize {
    let near = at.saturating_sub(200);
    text[near..at].iter().rposition(|byte| *byte == b'\n').map_or(near, |n| near + n + 1)
}

/// How a value stands behind its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `"…"`
    Quoted(u8),
    /// `NAME=…`, with nothing between.
    Joined,
    /// `name: …`, `name = …`
    Spaced,
    /// `--name …`
    Flag,
    /// `<name>…</name>`
    Element,
    /// `name | … |`
    Cell,
    /// `name      …`
    Column,
}

/// A name, and where it stands.
struct Name<'a> {
    text: &'a [u8],
    at: Range<usize>,
    /// From here on the text has to be known when it goes on.
    context: usize,
    named: Named,
    is_upper: bool,
    /// Dashes stand before it.
    is_flag: bool,
    /// The name is in quotes.
    is_quoted: bool,
    /// It stands for the name of a neighbor.
    is_sibling: bool,
}

/// Looks at the name that has this word in it, and at what follows; tells where the name ends.
pub(super) fn look(text: &[u8], word: Range<usize>, scan: &mut Scan) -> usize {
    let from = name_start(text, word.start);
    let len =
        text[word.end..].iter().take(NAME_BYTES_MAX).take_while(|byte| is_name(**byte)).count();
    let to = word.end + len;
    if to == text.len() {
        scan.open_at(context(text, from), to, Shown::Nothing, "password");
        return to;
    }
    // Most names are followed by no value, and are not worth a closer look.
    if !b"=:\"'`> ,(])\t\n*\xe2|?<".contains(&text[to]) {
        return to;
    }
    let dashes = text[from..to].iter().take_while(|byte| **byte == b'-').count();
    let at = from + dashes..to;
    let Ok(name) = std::str::from_utf8(&text[at.clone()]) else { return to };
    let name = name.trim_end_matches(['.', '-']);
    let Some(named) = Named::by(name) else { return to };
    let it = Name {
        text,
        context: context(text, from),
        named,
        is_upper: name == name.to_ascii_uppercase(),
        is_flag: dashes > 0,
        is_quoted: b"\"'`".contains(&text[to]) && from > 0 && text[from - 1] == text[to]
            || text[to] == b'"'
                && memchr::memrchr(b'"', &text[from.saturating_sub(40)..from]).is_some_and(|n| {
                    let between = &text[from.saturating_sub(40)..from][n..];
                    between.iter().all(|byte| !byte.is_ascii_whitespace())
                }),
        is_sibling: false,
        at,
    };
    it.value(scan);
    to
}

impl Name<'_> {
    /// Finds the value.
    fn value(&self, scan: &mut Scan) {
        let text = self.text;
        let mut at = self.at.end;
        let skip = |at: &mut usize, bytes: &[u8]| {
            let from = *at;
            *at += text[from..].iter().take(40).take_while(|byte| bytes.contains(byte)).count();
            *at - from
        };
        if self.is_quoted {
            at += 1;
        }
        skip(&mut at, b"])*");
        let spaces = skip(&mut at, b" \t");
        let open = |scan: &mut Scan| {
            scan.open_at(self.context, text.len(), Shown::Nothing, self.named.stand_in());
        };
        let Some(separator) = text.get(at) else { return open(scan) };
        let rest = &text[at..];
        let has_tab = text[at - spaces..at].contains(&b'\t');
        let len = match separator {
            b':' | b'=' if rest.len() == 1 => return open(scan),
            b'=' if rest[1] == b'=' || rest[1] == b'~' => return,
            b':' if rest[1] == b':' && !rest.starts_with(b"::=") => {
                // A hidden field of Jsonnet; otherwise the name of a module.
                let sign = 2 + usize::from(rest.starts_with(b":::"));
                let value = rest[sign..].iter().take(8).find(|byte| **byte != b' ');
                if !value.is_some_and(|byte| b"\"'".contains(byte)) {
                    return;
                }
                sign
            }
            b'?' if rest.starts_with(b"?=") => 2,
            b'<' if rest.starts_with(b"</key>") => return self.property(at + 6, scan),
            b'{' if self.is_quoted => return self.variable(at, scan),
            b'\r' | b'\n' if self.is_quoted && self.is_field() => return self.field(at, scan),
            b':' if rest[1] == b'=' => 2,
            b'=' if rest[1] == b'>' => 2,
            b'=' | b':' => 1,
            b'>' => 1,
            b'(' if self.is_setter() => 1,
            b',' if self.is_quoted && self.is_flag => 1,
            b',' if self.is_quoted => {
                if self.sibling(at, scan) {
                    return;
                }
                1
            }
            b'"' | b'\'' | b'`'
                if spaces > 0
                    && (self.named == Named::Password || self.is_set())
                    && !self.is_quoted
                    && !self.is_verb() =>
            {
                0
            }
            b'|' | 0xe2 if text[self.at.start] == b'.' => return,
            b'|' if spaces > 0 => 1,
            0xe2 if spaces > 0 && is_curly(rest) && self.named == Named::Password => 0,
            0xe2 if spaces > 0 && rest.len() > 2 && rest[1] == 0x94
                || rest.starts_with("┃".as_bytes()) =>
            {
                3
            }
            b'i' if rest.starts_with(b"is ") || rest.starts_with(b"is: ") => {
                2 + usize::from(rest[2] == b':')
            }
            _ if spaces > 0 && self.is_set() && !self.is_macro() => 0,
            _ if spaces > 0 && (self.is_flag || self.is_login() || self.is_directive()) => 0,
            _ if (spaces > 1 || has_tab) && !self.is_verb() => 0,
            _ => {
                self.sibling(at, scan);
                return;
            }
        };
        at += len;
        let behind = skip(&mut at, b" \t*");
        if text[at..].starts_with(b"Some(") {
            at += 5;
        }
        let Some(first) = text.get(at) else { return open(scan) };
        let form = match (separator, first) {
            // `"<token>"`: the quote closes.
            (b'>', b'"' | b'\'' | b'`') => return,
            (_, quote @ (b'"' | b'\'' | b'`')) => {
                at += 1;
                Form::Quoted(*quote)
            }
            (_, b'b' | b'r' | b'f' | b'u' | b'@' | b'L') if text.get(at + 1) == Some(&b'"') => {
                at += 2;
                Form::Quoted(b'"')
            }
            (_, 0xe2) if is_curly(&text[at..]) => {
                at += 3;
                Form::Quoted(0xe2)
            }
            (b'=', b'[') if text[at..].starts_with(b"[[") => {
                at += 2;
                Form::Quoted(b']')
            }
            (b'=', b'q') if quote_like(&text[at..]).is_some() => {
                let (len, end) = quote_like(&text[at..]).unwrap_or_default();
                at += len;
                Form::Quoted(end)
            }
            (b',' | b'(', _) => return,
            (b'>', _) if spaces > 0 || behind > 0 => return,
            (b'>', _) => Form::Element,
            (b'|' | 0xe2, _) => Form::Cell,
            (b'i', _) => Form::Spaced,
            _ if len == 0 && self.is_set() && !self.is_macro() => Form::Joined,
            _ if len == 0 && (self.is_flag || self.is_login()) => Form::Flag,
            _ if len == 0 => Form::Column,
            (b':', b'\n' | b'\r' | b'>' | b'|') => return self.next_line(at, scan),
            (b'=' | b':', _) if spaces == 0 && behind == 0 => Form::Joined,
            _ => Form::Spaced,
        };
        match self.named {
            Named::Cookies => self.cookies(at, scan),
            Named::Authorization => self.authorization(at, form, scan),
            _ => self.judge(at, form, scan),
        }
    }

    /// `ENV NAME …`, `setenv NAME …`, `#define NAME "…"`: what stands before a name and its value.
    fn is_set(&self) -> bool {
        const SETS: [&[u8]; 13] = [
            b"ENV",
            b"ARG",
            b"setenv",
            b"SetEnv",
            b"set -x",
            b"set -gx",
            b"set -Ux",
            b"set -xg",
            b"#define",
            b"proxy_set_header",
            b"fastcgi_param",
            b"add_header",
            b"RequestHeader set",
        ];
        let before = self.before().trim_ascii_end();
        SETS.iter().any(|word| before.ends_with(word))
    }

    /// What follows without quotes is code.
    fn is_macro(&self) -> bool {
        self.before().trim_ascii_end().ends_with(b"#define")
    }

    /// `<key>API_TOKEN</key><string>…</string>`
    fn property(&self, at: usize, scan: &mut Scan) {
        let rest = &self.text[at..self.text.len().min(at + 64)];
        let spaces = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let rest = &rest[spaces..];
        if rest.starts_with(b"<string>") {
            self.judge(at + spaces + 8, Form::Element, scan);
        } else if at + spaces + rest.len() == self.text.len() && b"<string>".starts_with(rest) {
            scan.open_at(self.context, self.text.len(), Shown::Nothing, self.named.stand_in());
        }
    }

    /// `variable "db_password" { default = "…" }`
    fn variable(&self, at: usize, scan: &mut Scan) {
        if self.is_sibling || !self.text[..self.at.start].ends_with(b"variable \"") {
            return;
        }
        let rest = &self.text[at..self.text.len().min(at + 400)];
        let end = memchr::memchr(b'}', rest);
        let rest = &rest[..end.unwrap_or(rest.len())];
        match memchr::memmem::find(rest, b"default") {
            Some(n) => {
                let of = at + n..at + n + b"default".len();
                Name { at: of, is_quoted: false, is_sibling: true, ..*self }.value(scan);
            }
            None if end.is_none() && at + rest.len() == self.text.len() => {
                scan.open_at(self.context, self.text.len(), Shown::Nothing, self.named.stand_in());
            }
            None => {}
        }
    }

    /// `form-data; name="password"`, and an empty line.
    fn is_field(&self) -> bool {
        self.text[..self.at.start].ends_with(b"form-data; name=\"")
    }

    /// The value of a field of a form, behind an empty line.
    fn field(&self, at: usize, scan: &mut Scan) {
        let rest = &self.text[at..];
        let breaks = rest.iter().take(4).take_while(|byte| b"\r\n".contains(byte)).count();
        let is_empty_line = [&b"\n\n"[..], b"\r\n\r\n"].iter().any(|it| rest.starts_with(it));
        if rest.len() == breaks {
            scan.open_at(self.context, self.text.len(), Shown::Nothing, self.named.stand_in());
        } else if is_empty_line {
            self.judge(at + breaks, Form::Cell, scan);
        }
    }

    /// `setPassword("…")`, `SecureString("…")`
    fn is_setter(&self) -> bool {
        let name = &self.text[self.at.clone()];
        has_any(
            name,
            &[
                b"setpass",
                b"withpass",
                b"set_pass",
                b"with_pass",
                b"setsecret",
                b"settoken",
                b"setapikey",
                b"with_token",
            ],
        )
    }

    /// `pass` is a verb as well.
    fn is_verb(&self) -> bool {
        self.text[self.at.clone()].eq_ignore_ascii_case(b"pass")
    }

    /// `requirepass …`, `password …`: a line of a file of settings.
    fn is_directive(&self) -> bool {
        let word = self.word_before();
        self.named == Named::Password
            && !self.is_quoted
            && !self.is_verb()
            && word.is_none_or(|word| !word.is_ascii_alphabetic() && !b",.)'\"".contains(&word))
    }

    /// What stands before the name, in its line.
    fn before(&self) -> &[u8] {
        let before = &self.text[context(self.text, self.at.start)..self.at.start];
        // A quote ends what a line of JSON has before its text.
        &before[memchr::memrchr(b'"', before).map_or(0, |n| n + 1)..]
    }

    fn word_before(&self) -> Option<u8> {
        self.before().iter().rev().find(|byte| !b" \t-".contains(byte)).copied()
    }

    /// A value on the next line.
    fn next_line(&self, at: usize, scan: &mut Scan) {
        let text = self.text;
        let open = |scan: &mut Scan| {
            scan.open_at(self.context, text.len(), Shown::Nothing, self.named.stand_in());
        };
        let Some(end) = memchr::memchr(b'\n', &text[at..text.len().min(at + 8)]) else {
            if at + 8 > text.len() {
                open(scan);
            }
            return;
        };
        let from = at + end + 1;
        let line = &text[from..text.len().min(from + 200)];
        let end = memchr::memchr2(b'\n', b'"', line);
        let line = &line[..end.unwrap_or(line.len())];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let word = line
            .iter()
            .rposition(|byte| b" \t".contains(byte) || *byte >= 0x80)
            .map_or(0, |n| n + 1);
        let value = &line[word..];
        let it = Makeup::of(value);
        let is_mixed =
            it.upper > 0 && it.lower > 0 && it.digits > 0 || is_random(value) || is_shuffled(value);
        if value.len() >= 8
            && is_mixed
            && (word > 0 || is_random(value) || is_jumbled(value))
            && !is_code(value)
            && !is_placeholder(value)
            && !value.ends_with(b":")
            && !is_reference(value)
        {
            scan.found(from + word..from + line.len(), self.named.stand_in());
        }
        if end.is_none() && from + line.len() == text.len() {
            let hold = if value.is_empty() || is_code(value) || value.ends_with(b":") {
                text.len()
            } else {
                from + word
            };
            scan.open_at(self.context, hold, Shown::of(text.len() - hold), self.named.stand_in());
        }
    }

    /// True for `login u password p`.
    fn is_login(&self) -> bool {
        let before = &self.text[self.at.start.saturating_sub(200)..self.at.start];
        let before = &before[memchr::memmem::rfind(before, b"machine ").unwrap_or(0)..];
        self.named == Named::Password && has_any(before, &[b"login ", b"machine ", b"user "])
    }

    /// The value of a neighbor: `name: DB_PASSWORD, value: …`, `key="Password" value="…"`. True if there is one.
    fn sibling(&self, at: usize, scan: &mut Scan) -> bool {
        if self.is_sibling {
            return false;
        }
        let rest = &self.text[at..self.text.len().min(at + 120)];
        let rest = &rest[..memchr::memchr2(b'}', b'{', rest).unwrap_or(rest.len())];
        let lower = rest.to_ascii_lowercase();
        let found = memchr::memmem::find(&lower, b"value")
            .or_else(|| memchr::memmem::find(&lower, b"content="));
        let Some(n) = found else {
            if at + rest.len() == self.text.len() {
                scan.open_at(self.context, self.text.len(), Shown::Nothing, self.named.stand_in());
            }
            return false;
        };
        let len = if lower[n..].starts_with(b"value") { 5 } else { 7 };
        // Between them stands nothing but another pair, or the frame of another line.
        let is_near = memchr::memchr_iter(b'\n', &rest[..n]).count() <= 2
            && (self.is_quoted || !rest[..n].iter().any(u8::is_ascii_alphabetic));
        if !is_near {
            return false;
        }
        let of = at + n..at + n + len;
        let is_quoted = self.text.get(of.end).is_some_and(|byte| b"\"'".contains(byte));
        if self.text.get(of.end + usize::from(is_quoted)).is_some_and(|byte| !b"=: ".contains(byte))
        {
            return false;
        }
        Name { at: of, is_quoted, is_flag: false, is_sibling: true, ..*self }.value(scan);
        true
    }

    /// `name: &str = "…"`
    fn typed(&self, at: usize, scan: &mut Scan) {
        let line = &self.text[at..self.text.len().min(at + 60)];
        let line = &line[..memchr::memchr(b'\n', line).unwrap_or(line.len())];
        let Some(sign) = memchr::memchr(b'=', line) else { return };
        let behind = &line[sign + 1..];
        let spaces = behind.iter().take_while(|byte| **byte == b' ').count();
        if let Some(quote @ (b'"' | b'\'')) = behind.get(spaces) {
            self.judge(at + sign + 1 + spaces + 1, Form::Quoted(*quote), scan);
        }
    }

    /// Where a value ends, and whether the text ends before it does.
    fn end(&self, from: usize, form: Form, seen: &mut Seen) -> (usize, bool) {
        let text = self.text;
        let limit = text.len().min(from + VALUE_BYTES_MAX);
        let is_query = self.at.start > 0 && b"?&".contains(&text[self.at.start - 1]);
        let end = match form {
            Form::Quoted(quote) => {
                memchr::memchr2(quote, b'\n', &text[from..limit]).map_or(limit, |n| from + n)
            }
            Form::Element => seen.end(text, Run::Element, from),
            Form::Cell => seen.end(text, Run::Cell, from),
            _ => seen.end(text, Run::Bare, from),
        };
        let mut end = end.min(limit);
        if is_query {
            end = memchr::memchr2(b'&', b'#', &text[from..end]).map_or(end, |n| from + n);
        }
        (end, end == text.len())
    }

    fn judge(&self, from: usize, form: Form, scan: &mut Scan) {
        let (mut end, is_open) = self.end(from, form, &mut scan.seen);
        let text = self.text;
        if !is_open {
            if let Form::Quoted(quote) = form
                && text.get(end) != Some(&quote)
            {
                return;
            }
            if form == Form::Element && text.get(end) != Some(&b'<') {
                return;
            }
        }
        let whole = end;
        if !matches!(form, Form::Quoted(_) | Form::Element) {
            end -= text[from..end].iter().rev().take_while(|byte| b",)}]|:".contains(byte)).count();
        }
        let value = beginning_of(&text[from..end]);
        if self.is_secret(value, form, &text[whole..], end != whole) {
            scan.found(from..end, self.named.stand_in());
        } else if form == Form::Spaced {
            self.typed(from, scan);
        }
        if is_open && !self.is_harmless_so_far(value, form) {
            scan.open_at(self.context, from, Shown::of(end - from), self.named.stand_in());
        }
    }

    /// True if no end of this could make it a secret.
    fn is_harmless_so_far(&self, value: &[u8], form: Form) -> bool {
        let is_bare = !matches!(form, Form::Quoted(_) | Form::Element);
        let is_seed = has_any(&self.text[self.at.clone()], &[b"mnemonic"]);
        is_reference(value)
            || is_bare && is_code(value) && !self.is_data(form)
            || value.contains(&b' ') && !is_seed
    }

    /// True where a bare word is a value: of a variable, of a flag.
    fn is_data(&self, form: Form) -> bool {
        form == Form::Flag && self.is_flag
            || form == Form::Joined && (self.is_upper && !self.is_declared() || self.is_flag)
    }

    fn is_secret(&self, value: &[u8], form: Form, after: &[u8], is_trimmed: bool) -> bool {
        if is_reference(value) || is_placeholder(value) {
            return false;
        }
        if value.contains(&b' ') {
            let words = value.split(|byte| *byte == b' ');
            let is_seed = words.clone().all(|word| {
                (3..=8).contains(&word.len()) && word.iter().all(u8::is_ascii_lowercase)
            });
            return is_seed
                && words.count() >= 12
                && has_any(&self.text[self.at.clone()], &[b"mnemonic", b"seed"]);
        }
        let is_strong = is_random(value) || is_uuid(value) || is_jumbled(value);
        if self.named == Named::Auth {
            let decoded = STANDARD.decode(value).unwrap_or_default();
            if self.is_upper && form == Form::Joined && is_password(value) {
                return true;
            }
            let is_pair =
                decoded.contains(&b':') && decoded.iter().all(|byte| (b' '..0x7f).contains(byte));
            let is_token = matches!(form, Form::Quoted(_)) && is_strong && !is_uuid(value);
            return is_pair && value.len() >= 8 || is_token && !is_code(value);
        }
        let is_bare = !matches!(form, Form::Quoted(_) | Form::Element | Form::Cell);
        if is_bare && !self.is_data(form) {
            return self.is_bare_secret(value, form, after, is_trimmed);
        }
        match self.named {
            Named::Password => {
                (is_password(value) || is_jumbled(value))
                    && !is_word_for_it(value)
                    && !(form == Form::Quoted(b'`') && is_code(value))
            }
            _ if is_strong || is_shuffled(value) => true,
            Named::Hinted => false,
            _ => {
                let it = Makeup::of(value);
                let is_data = self.is_data(form) || it.signs > 0 && it.digits > 0;
                is_data
                    && is_password(value)
                    && value.len() >= 8
                    && !is_word_for_it(value)
                    && !is_code(value)
            }
        }
    }

    /// A bare word: of a file of settings, or of code.
    fn is_bare_secret(&self, value: &[u8], form: Form, after: &[u8], is_trimmed: bool) -> bool {
        let it = Makeup::of(value);
        let is_strong = is_random(value) || is_uuid(value) || is_jumbled(value);
        // Another assignment: `a.key=b.key=c`.
        let is_chain =
            value.trim_ascii_end().split(|byte| *byte == b'=').filter(|it| !it.is_empty()).count()
                > 1;
        if is_code(value) || is_chain {
            return false;
        }
        let word = self.word_before();
        let is_argument = word.is_some_and(|byte| b"(,[{".contains(&byte)) && form == Form::Joined;
        let ends_line = after
            .iter()
            .take(64)
            .find(|byte| !b" \t\r".contains(byte))
            .is_none_or(|byte| b"\n#\"'<".contains(byte));
        // What no program could be.
        let is_no_name = it.signs > 0 && it.digits > 0
            || it.upper > 0 && it.lower > 0 && it.digits > 0 && value.contains(&b'.');
        if (is_trimmed || is_argument)
            && !(is_strong || self.named == Named::Password && is_no_name)
        {
            return false;
        }
        if form != Form::Joined && !is_trimmed {
            let is_after_word =
                word.is_some_and(|byte| byte.is_ascii_alphabetic() || b"_)$.&<(".contains(&byte));
            let is_prose =
                !self.is_upper && is_after_word && (form == Form::Column || self.is_behind_code());
            if is_prose || !ends_line && !is_strong {
                return false;
            }
        }
        let is_identifier = it.signs == 0 && it.digits <= 2;
        match self.named {
            Named::Password
                if form != Form::Joined
                    && (is_identifier && value.len() < 8 || it.digits == 0 && !is_strong) =>
            {
                false
            }
            Named::Password => (is_password(value) || is_jumbled(value)) && !is_word_for_it(value),
            _ => is_strong && !is_word_for_it(value),
        }
    }

    /// True behind `var`, `const` and the like, and in a list of assignments.
    fn is_declared(&self) -> bool {
        let before = self.before().trim_ascii_end();
        let word = before.rsplit(|byte| !byte.is_ascii_alphanumeric()).next().unwrap_or_default();
        before.ends_with(b",") || CODE_WORDS.iter().any(|code| code.as_bytes() == word)
    }

    /// True if words of a program stand before the name, or an equals sign or a bracket.
    fn is_behind_code(&self) -> bool {
        let before = self.before();
        let words = before.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
        let mut words = words.filter(|word| !word.is_empty());
        words.any(|word| CODE_WORDS.iter().any(|code| code.as_bytes() == word))
            || before.iter().any(|byte| b"()={};$&".contains(byte))
    }

    /// `Authorization: Basic …`
    fn authorization(&self, from: usize, form: Form, scan: &mut Scan) {
        let text = self.text;
        let limit = text.len().min(from + VALUE_BYTES_MAX);
        let end = match form {
            Form::Quoted(_) => self.end(from, form, &mut scan.seen).0,
            _ => scan.seen.end(text, Run::Words, from).min(limit),
        };
        let is_open = end == text.len();
        let value = &text[from..end];
        let scheme = value.iter().position(|byte| *byte == b' ').map_or(0, |n| n + 1);
        let credential = &value[scheme..];
        let len = credential
            .iter()
            .take_while(|byte| byte.is_ascii_graphic() && !b",)".contains(byte))
            .count();
        let credential = beginning_of(&credential[..len]);
        let hold = from + scheme;
        let it = Makeup::of(credential);
        let least = match scheme {
            0 => 16,
            _ if value[..scheme].eq_ignore_ascii_case(b"basic ") => 8,
            _ => 12,
        };
        let is_one = credential.len() >= least
            && it.letters() > 0
            && (it.digits > 0 || it.upper > 0 && it.lower > 0 && scheme > 0);
        if is_one
            && !is_reference(credential)
            && !is_placeholder(credential)
            && !is_code(credential)
        {
            scan.found(hold..hold + len, self.named.stand_in());
        }
        if is_open && hold + len == text.len() && !is_reference(credential) {
            let shown = if scheme > 0 { Shown::of(len) } else { Shown::Nothing };
            let hold = if scheme > 0 || value.len() > 12 { hold } else { text.len() };
            scan.open_at(self.context, hold, shown, self.named.stand_in());
        }
    }

    /// `Cookie: a=1; session=…`
    fn cookies(&self, from: usize, scan: &mut Scan) {
        let text = self.text;
        let end = scan.seen.end(text, Run::Words, from).min(from + VALUE_BYTES_MAX);
        let is_open = end == text.len();
        if from < scan.seen.cookies_until && !is_open {
            return;
        }
        scan.seen.cookies_until = end;
        let line = &text[from..end];
        let mut at = from;
        for pair in line.split(|byte| *byte == b';') {
            let begin = at;
            at += pair.len() + 1;
            let Some(sign) = memchr::memchr(b'=', pair) else { continue };
            let value = &pair[sign + 1..];
            let name = pair[..sign].trim_ascii();
            let is_setting = [&b"expires"[..], b"path", b"domain", b"max-age", b"samesite"]
                .iter()
                .any(|it| name.eq_ignore_ascii_case(it));
            let is_one = value.len() >= 10 && Makeup::of(value).digits > 0;
            let value_at = begin + sign + 1;
            if is_one
                && !is_setting
                && !is_code(value)
                && !is_reference(value)
                && !is_placeholder(value)
                && !value.contains(&b' ')
            {
                scan.found(value_at..value_at + value.len(), self.named.stand_in());
            }
            if is_open && at > from + line.len() && !is_setting {
                scan.open_at(self.context, value_at, Shown::of(value.len()), self.named.stand_in());
            }
        }
        if is_open {
            scan.open_at(self.context, text.len(), Shown::Nothing, self.named.stand_in());
        }
    }
}

/// True where a curly quote opens.
fn is_curly(text: &[u8]) -> bool {
    text.starts_with("“".as_bytes()) || text.starts_with("‘".as_bytes())
}

/// `q{`, `qq(` of Perl: its length, and what closes it.
fn quote_like(text: &[u8]) -> Option<(usize, u8)> {
    let len = text.iter().take(2).take_while(|byte| **byte == b'q').count();
    let end = match text.get(len)? {
        b'{' => b'}',
        b'(' => b')',
        b'[' => b']',
        _ => return None,
    };
    Some((len + 1, end))
}

/// True for what is put there to say what belongs there: `password`, `access_token`, `secret1`.
fn is_word_for_it(value: &[u8]) -> bool {
    let words: [&[u8]; 9] = [
        b"password",
        b"passwd",
        b"secret",
        b"token",
        b"apikey",
        b"api_key",
        b"credential",
        b"privatekey",
        b"private_key",
    ];
    let it = Makeup::of(value);
    it.signs == 0 && (it.digits <= 1 || it.digits * 4 <= value.len()) && has_any(value, &words)
}

/// Looks behind a name of several words: `AWS Secret Access Key [None]: …`, `Unseal Key 1: …`.
pub(super) fn phrase(text: &[u8], words: Range<usize>, scan: &mut Scan) {
    let start = words.start;
    let rest = &text[words.end..text.len().min(words.end + 16)];
    let Some(colon) = rest.iter().position(|byte| b":\n`\"".contains(byte)) else {
        if words.end + rest.len() == text.len() {
            scan.open_at(words.start, text.len(), Shown::Nothing, "secret");
        }
        return;
    };
    // `the API key is "…"`
    let is_said = rest[..colon].ends_with(b" is ");
    if !(rest[colon] == b':' || is_said && b"`\"".contains(&rest[colon])) {
        return;
    }
    let from = words.end + colon + 1;
    let from = from + text[from..].iter().take_while(|byte| **byte == b' ').count();
    let from = from + usize::from(text.get(from).is_some_and(|byte| b"`\"'".contains(byte)));
    let len = text[from..]
        .iter()
        .take(VALUE_BYTES_MAX)
        .take_while(|byte| byte.is_ascii_graphic() && !b"\"'`<>,".contains(byte))
        .count();
    let value = &text[from..from + len];
    let is_one = is_random(value)
        || is_jumbled(value)
        || from > words.end + colon + 1 && is_shuffled(value)
        || text[words].starts_with(b"password") && is_password(value);
    if is_one && !is_reference(value) && !is_placeholder(value) {
        scan.found(from..from + len, "secret");
    }
    if from + len == text.len() {
        scan.open_at(start, from, Shown::of(len), "secret");
    }
}

/// Looks behind `IDENTIFIED BY`.
pub(super) fn statement(text: &[u8], words: Range<usize>, scan: &mut Scan) {
    let Some(quote) = text.get(words.end) else {
        return scan.open_at(words.start, text.len(), Shown::Nothing, "password");
    };
    if !b"'\"".contains(quote) {
        return;
    }
    let from = words.end + 1;
    let rest = &text[from..text.len().min(from + 200)];
    let end = rest.iter().position(|byte| byte == quote || *byte == b'\n');
    let value = &rest[..end.unwrap_or(rest.len())];
    if is_password(value) && !is_reference(value) && !is_placeholder(value) {
        scan.found(from..from + value.len(), "password");
    }
    if end.is_none() && from + rest.len() == text.len() {
        scan.open_at(words.start, from, Shown::of(value.len()), "password");
    }
}
