//! What tells secrets from words, placeholders and code.

use aho_corasick::AhoCorasick;
use std::sync::LazyLock;

/// Words that say that a value is an example, or left to be filled in.
const FILLERS: [&[u8]; 22] = [
    b"example",
    b"changeme",
    b"change_me",
    b"change-me",
    b"your-",
    b"your_",
    b"yourpassword",
    b"placeholder",
    b"redacted",
    b"xxxx",
    b"****",
    b"....",
    b"dummy",
    b"foobar",
    b"insert",
    b"replace",
    b"<your",
    b"secret_here",
    b"_here",
    b"-here",
    b"not-a-",
    b"fake",
];

/// How much of a value tells what it is: names and words are shorter.
const VALUE_BYTES_MAX: usize = 256;

/// What of a value tells what it is.
pub(super) fn beginning_of(value: &[u8]) -> &[u8] {
    &value[..value.len().min(VALUE_BYTES_MAX)]
}

/// True for what stands where a secret would, in examples and in what is redacted already.
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    is_filler(value) || value.len() >= 8 && is_counted(value)
}

/// The same, but for what is counted: the beginning of a token says that it is one, whatever follows.
pub(super) fn is_filler(value: &[u8]) -> bool {
    let Some(first) = value.first() else { return true };
    let mut seen = [false; 256];
    let end = &value[value.len().saturating_sub(16)..];
    end.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let sorts = seen.iter().filter(|seen| **seen).count();
    b"$<{[".contains(first) && !is_hash(value)
        || b"*%".contains(first) && !is_scrambled(&value[1..])
        || sorts < 5 && value.len() > 8
        || has_filler(value)
}

fn has_filler(value: &[u8]) -> bool {
    static WORDS: LazyLock<Option<AhoCorasick>> =
        LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(FILLERS).ok());
    WORDS.as_ref().is_some_and(|words| words.is_match(beginning_of(value)))
}

/// `1234567890`, `abcdefgh`, and both together.
fn is_counted(value: &[u8]) -> bool {
    let steps = value.windows(2).filter(|pair| pair[1].wrapping_sub(pair[0]) <= 1).count();
    steps * 10 >= (value.len() - 1) * 8
}

fn is_hash(value: &[u8]) -> bool {
    value.first() == Some(&b'$') && value.iter().filter(|byte| **byte == b'$').count() >= 3
}

pub(super) fn has_any(value: &[u8], words: &[&[u8]]) -> bool {
    let lower = value.to_ascii_lowercase();
    words.iter().any(|word| memchr::memmem::find(&lower, word).is_some())
}

/// What a value is made of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Makeup {
    pub(super) lower: usize,
    pub(super) upper: usize,
    pub(super) digits: usize,
    /// Signs that names do not have.
    pub(super) signs: usize,
    pub(super) distinct: usize,
}

impl Makeup {
    pub(super) fn of(value: &[u8]) -> Self {
        let mut seen = [false; 256];
        let mut it = Self::default();
        for byte in value {
            seen[usize::from(*byte)] = true;
            match byte {
                b'a'..=b'z' | 0x80.. => it.lower += 1,
                b'A'..=b'Z' => it.upper += 1,
                b'0'..=b'9' => it.digits += 1,
                b'_' | b'-' | b'.' | b':' | b'/' => {}
                _ => it.signs += 1,
            }
        }
        it.distinct = seen.iter().filter(|seen| **seen).count();
        it
    }

    pub(super) fn letters(&self) -> usize {
        self.lower + self.upper
    }
}

/// True for what chance has made: a token, not a word.
pub(super) fn is_random(value: &[u8]) -> bool {
    let it = Makeup::of(value);
    let is_mixed = it.digits > 0 && it.letters() > 0 && it.distinct >= 8;
    let is_hex = value.iter().all(u8::is_ascii_hexdigit);
    value.len() >= 16 && is_mixed && (is_hex || it.digits * 20 >= value.len() && !is_words(value))
}

/// True for letters in an order that no words have: capitals stand anywhere among them.
pub(super) fn is_jumbled(value: &[u8]) -> bool {
    let it = Makeup::of(value);
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    value.len() >= 16
        && it.distinct >= 10
        && it.upper * 4 >= value.len()
        && it.lower * 4 >= value.len()
        && humps(value) * 6 >= value.len()
        && value.iter().all(is_part)
}

/// True for digits among letters, in no order that names have: shorter than what is random by its length alone.
pub(super) fn is_shuffled(value: &[u8]) -> bool {
    let it = Makeup::of(value);
    let changes = value
        .windows(2)
        .filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit())
        .count();
    value.len() >= 10
        && it.digits >= 2
        && it.letters() >= 3
        && it.distinct >= 7
        && changes >= 3
        && !is_code(value)
        && !value.iter().any(|byte| b"_-./: ".contains(byte))
}

/// The same, or signs among capitals and small letters.
fn is_scrambled(value: &[u8]) -> bool {
    let it = Makeup::of(value);
    let is_mixed = it.signs > 0 && it.upper > 0 && it.lower > 0 && value.len() >= 10;
    is_shuffled(value) || is_mixed && !is_code(value) && !value.contains(&b'_')
}

/// How often a capital follows a small letter.
fn humps(value: &[u8]) -> usize {
    let pairs = value.windows(2);
    pairs.filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase()).count()
}

/// Letters and digits, or capitals and small letters, in no order that words have.
pub(super) fn is_mixed(value: &[u8]) -> bool {
    let it = Makeup::of(value);
    it.letters() > 0 && it.digits > 0
        || value.len() >= 16 && it.upper > 3 && it.lower > 3 && humps(value) * 8 > value.len()
}

/// True for words and numbers with dashes, dots or slashes between them: `task-list-2-of-everything`.
fn is_words(value: &[u8]) -> bool {
    let parts = value.split(|byte| b"_-./: ".contains(byte)).filter(|part| !part.is_empty());
    let is_word = |part: &[u8]| {
        let letters = part.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
        let digits = part.len() - letters;
        let changes = part
            .windows(2)
            .filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit())
            .count();
        letters == 0 && digits < 8
            || digits == 0 && humps(part) * 3 <= part.len()
            || changes <= 1 && digits <= 6
    };
    parts.clone().all(is_word)
}

/// True for what people choose as a password: letters with digits or signs among them.
pub(super) fn is_password(value: &[u8]) -> bool {
    let it = Makeup::of(value);
    (6..=200).contains(&value.len())
        && !value.contains(&b' ')
        && it.distinct >= 4
        && (it.letters() > 0 && it.digits + it.signs > 0 || it.digits > 3 && it.signs > 0)
        && !is_path(value)
}

fn is_path(value: &[u8]) -> bool {
    if value.ends_with(b"=") || is_base64_with_slashes(value) {
        return false;
    }
    [
        &b"/"[..],
        b"~/",
        b"./",
        b"../",
        b"http:",
        b"https:",
        b"HTTP/",
        b"file:",
        b"arn:",
        b"op:",
        b"vault:",
        b"ssm:",
    ]
    .iter()
    .any(|start| value.starts_with(start))
}

/// True for base64 that begins with a slash: no part of it is the name of a folder.
fn is_base64_with_slashes(value: &[u8]) -> bool {
    let it = Makeup::of(value);
    let is_name = |part: &[u8]| part.len() > 2 && part.iter().all(u8::is_ascii_lowercase);
    value.len() >= 24
        && it.upper > 2
        && it.lower > 2
        && it.digits > 0
        && humps(value) > 1
        && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte))
        && !value.split(|byte| *byte == b'/').any(is_name)
}

/// True for what stands for a value that is kept elsewhere, or is worked out: `$X`, `{{ x }}`, `get()`, `a.b.c`.
pub(super) fn is_reference(value: &[u8]) -> bool {
    if is_hash(value) {
        return false;
    }
    let starts = [
        &b"$"[..],
        b"{",
        b"<",
        b"[",
        b"(",
        b"#{",
        b"@{",
        b"ENC[",
        b"process.",
        b"os.",
        b"env.",
        b"env:",
        b"self.",
        b"this.",
        b"config",
        b"secrets.",
        b"var.",
        b"data.",
        b"local.",
        b"module.",
        b"vault",
        b"args.",
        b"options.",
        b"props.",
    ];
    let ends = [&b"}"[..], b"()", b"]"];
    // `%NAME%`, `*pointer`, `!Ref`, `&anchor`; a password may begin so too.
    let is_sign = |byte: &u8| b"%*&!".contains(byte);
    let is_signed = value.first().is_some_and(is_sign) && !is_scrambled(&value[1..])
        || value.len() > 1
            && value.ends_with(b"%")
            && value[..value.len() - 1].contains(&b'%')
            && !is_scrambled(value);
    is_signed
        || starts.iter().any(|start| value.starts_with(start))
        || ends.iter().any(|end| value.ends_with(end)) && has_any(value, &[b"{", b"(", b"["])
        || REFERENCES.as_ref().is_some_and(|words| words.is_match(value))
}

/// What has a reference in it.
static REFERENCES: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::new(["${", "{{", "$(", "#{", "...", "://", "%s", "{}"]).ok());

/// True for the code of a program: a call, a type, a path to a name.
pub(super) fn is_code(value: &[u8]) -> bool {
    value.iter().any(|byte| b"()[]{}<>;".contains(byte))
        || memchr::memmem::find(value, b"::").is_some()
        || memchr::memmem::find(value, b"->").is_some()
        || is_dotted_name(value)
}

/// `a.b.c`: names with dots.
fn is_dotted_name(value: &[u8]) -> bool {
    let is_name = |part: &[u8]| {
        part.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
            && part.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
    };
    value.contains(&b'.') && value.split(|byte| *byte == b'.').all(is_name)
}
