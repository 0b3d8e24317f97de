//! What secrets look like.
//!
//! The facts (beginnings, alphabets, lengths) are those of the rules that gitleaks keeps, licensed under MIT:
//! <https://github.com/gitleaks/gitleaks/blob/420a0f55f4a7a03dfe701ceb1f4f66a7c68b26b4/config/gitleaks.toml>.
//! No crate keeps such rules. Rules that only guess (a long word behind `secret =`) are left out: they blot out what
//! an agent does.

/// One sort of secret.
#[derive(Debug)]
pub(super) struct Rule {
    /// Stands in the place of the secret.
    pub(super) name: &'static str,
    /// How such a secret begins.
    pub(super) starts: &'static [&'static str],
    /// A letter or digit before the beginning makes it another word.
    pub(super) is_word: bool,
    /// All of it, from the beginning on; its group, if it has one, is the part that is secret.
    pub(super) pattern: &'static str,
    /// What it is made of behind its beginning.
    pub(super) is_body: fn(u8) -> bool,
    /// True if it may go on behind this, for what no alphabet can tell.
    pub(super) goes_on: fn(&[u8]) -> bool,
    /// How long it can be.
    pub(super) bytes_max: usize,
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._~+/=-\\".contains(&byte)
}

fn is_address(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"/\"'<>`?#@\\".contains(&byte)
}

fn is_pem(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" +/=:,.\\\r\n\t-".contains(&byte)
}

fn always(_body: &[u8]) -> bool {
    true
}

/// A key ends with a line of its own, and what begins like one may be a certificate.
fn key_goes_on(body: &[u8]) -> bool {
    let find = |text: &[u8], word: &[u8]| memchr::memmem::find(text, word);
    let Some(end) = find(body, b"-----") else { return body.len() < 48 };
    let (head, rest) = (&body[..end], &body[end + 5..]);
    let is_key = find(head, b"PRIVATE KEY").is_some();
    let is_ended =
        find(rest, b"-----END ").is_some_and(|n| find(&rest[n + 9..], b"-----").is_some());
    let has_words = rest.contains(&b' ')
        && find(rest, b"Proc-Type").is_none()
        && find(rest, b"-----END").is_none();
    is_key && !is_ended && !has_words
}

fn is_assignment(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" +/=:\"'\\\t".contains(&byte)
}

const fn rule(name: &'static str, starts: &'static [&'static str], pattern: &'static str) -> Rule {
    Rule { name, starts, is_word: true, pattern, is_body: is_word, goes_on: always, bytes_max: 300 }
}

const fn plain(
    name: &'static str,
    starts: &'static [&'static str],
    pattern: &'static str,
    bytes_max: usize,
) -> Rule {
    Rule { is_body: is_plain, bytes_max, ..rule(name, starts, pattern) }
}

pub(super) static RULES: [Rule; 31] = [
    rule("anthropic-key", &["sk-ant-"], r"sk-ant-[A-Za-z0-9]{2,12}-[A-Za-z0-9_-]{20,}"),
    rule(
        "openai-key",
        &["sk-"],
        r"sk-(?:(?:proj|svcacct|admin|or-v1)-[A-Za-z0-9_-]{20,}|[A-Za-z0-9]{20,})",
    ),
    plain(
        "github-token",
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
        r"gh[pousr]_[A-Za-z0-9]{36,}",
        255,
    ),
    rule("github-pat", &["github_pat_"], r"github_pat_[A-Za-z0-9_]{22,}"),
    rule(
        "gitlab-token",
        &["glpat-", "gldt-", "glrt-", "glptt-"],
        r"gl(?:pat|dt|rt|ptt)-[A-Za-z0-9_-]{20,}",
    ),
    rule(
        "slack-token",
        &["xoxb-", "xoxa-", "xoxp-", "xoxr-", "xoxs-", "xoxe-"],
        r"xox[baprse]-[A-Za-z0-9-]{10,}",
    ),
    rule("slack-app-token", &["xapp-"], r"xapp-[0-9]-[A-Za-z0-9-]{10,}"),
    Rule {
        is_body: is_token,
        ..rule(
            "slack-webhook",
            &["hooks.slack.com/services/"],
            r"hooks\.slack\.com/services/([A-Za-z0-9+/]{40,60})",
        )
    },
    plain(
        "aws-key-id",
        &["AKIA", "ASIA", "ABIA", "ACCA"],
        r"A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}\b",
        20,
    ),
    Rule {
        is_word: false,
        is_body: is_assignment,
        bytes_max: 90,
        ..rule(
            "aws-secret",
            &[
                "aws_secret_access_key",
                "AWS_SECRET_ACCESS_KEY",
                "SecretAccessKey",
                "secretAccessKey",
            ],
            r#"(?:aws_secret_access_key|AWS_SECRET_ACCESS_KEY|[sS]ecretAccessKey)[\\"' \t]*[:=][\\"' \t]*((?:[A-Za-z0-9+]|\\*/){40})"#,
        )
    },
    rule("google-key", &["AIza"], r"AIza[A-Za-z0-9_-]{35}"),
    rule("google-oauth", &["ya29."], r"ya29\.[A-Za-z0-9_-]{30,}"),
    rule("google-secret", &["GOCSPX-"], r"GOCSPX-[A-Za-z0-9_-]{28}"),
    Rule {
        is_body: is_token,
        bytes_max: 8 << 10,
        ..rule(
            "jwt",
            &["eyJ"],
            r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)?",
        )
    },
    Rule {
        is_word: false,
        is_body: is_pem,
        bytes_max: 16 << 10,
        goes_on: key_goes_on,
        ..rule(
            "private-key",
            &["-----BEGIN "],
            r#"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:(?:\s|\\+[nrt])*(?:[A-Z][A-Za-z]*-[A-Z][A-Za-z]*: [^\s"\\]{1,80}|(?:[A-Za-z0-9+]|\\*/){16,}={0,2}))+(?:(?:\s|\\+[nrt])*(?:[A-Za-z0-9+=]|\\*/){0,80}(?:\s|\\+[nrt])*-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"#,
        )
    },
    plain("npm-token", &["npm_"], r"npm_[A-Za-z0-9]{36}", 40),
    rule("pypi-token", &["pypi-"], r"pypi-AgE[A-Za-z0-9_-]{50,}"),
    plain(
        "stripe-key",
        &["sk_live_", "sk_test_", "rk_live_", "rk_test_"],
        r"[sr]k_(?:live|test)_[A-Za-z0-9]{10,99}",
        107,
    ),
    Rule {
        is_body: is_token,
        ..rule("sendgrid-key", &["SG."], r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}")
    },
    plain("huggingface-token", &["hf_"], r"hf_[A-Za-z0-9]{34,}", 60),
    rule("digitalocean-token", &["dop_v1_", "doo_v1_", "dor_v1_"], r"do[por]_v1_[a-f0-9]{64}"),
    plain(
        "shopify-token",
        &["shpat_", "shpca_", "shppa_", "shpss_"],
        r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
        38,
    ),
    rule("linear-key", &["lin_api_"], r"lin_api_[A-Za-z0-9]{40}"),
    rule("notion-token", &["ntn_"], r"ntn_[A-Za-z0-9]{40,}"),
    rule("groq-key", &["gsk_"], r"gsk_[A-Za-z0-9]{40,}"),
    rule("xai-key", &["xai-"], r"xai-[A-Za-z0-9]{60,}"),
    Rule {
        is_body: is_token,
        ..rule("vault-token", &["hvs.", "hvb."], r"hv[sb]\.[A-Za-z0-9_-]{24,}")
    },
    rule("databricks-token", &["dapi"], r"dapi[a-f0-9]{32}(?:-\d)?\b"),
    Rule {
        is_body: is_token,
        bytes_max: 4 << 10,
        ..rule("bearer", &["Bearer ", "bearer "], r"[Bb]earer ([A-Za-z0-9._~+/=-]{16,})")
    },
    Rule {
        is_body: is_token,
        ..rule(
            "basic-auth",
            &[
                "Authorization: Basic ",
                "authorization: Basic ",
                "Authorization\":\"Basic ",
                "Authorization\": \"Basic ",
                "Authorization\\\":\\\"Basic ",
                "Authorization\\\": \\\"Basic ",
            ],
            r#"[Aa]uthorization[\\": ]{2,8}Basic ([A-Za-z0-9+/=]{8,})"#,
        )
    },
    Rule {
        is_word: false,
        is_body: is_address,
        bytes_max: 400,
        ..rule(
            "url-password",
            &["://", ":\\/\\/"],
            r#":\\?/\\?/[^\s/:@"'<>`?#\\]{0,100}:([^\s/@"'<>`?#\\]{3,200})@"#,
        )
    },
];

/// Words that stand where a secret would, in examples and in what is redacted already.
pub(super) fn is_example(secret: &[u8]) -> bool {
    let begins = secret.first().is_none_or(|first| b"$<{*[%".contains(first));
    let mut seen = [false; 256];
    let end = &secret[secret.len().saturating_sub(16)..];
    end.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let sorts = seen.iter().filter(|seen| **seen).count();
    let words: [&[u8]; 6] = [b"password", b"passwd", b"secret", b"pass", b"pwd", b"token"];
    begins
        || sorts < 5 && secret.len() > 8
        || words.contains(&secret)
        || secret.ends_with(b"EXAMPLE")
}
