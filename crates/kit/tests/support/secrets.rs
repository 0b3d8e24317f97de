//! Secrets that nobody has: made up from a seed, of every sort.

use fastrand::Rng;

const WORD: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const DASHED: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const HEX: &str = "0123456789abcdef";
const BASE32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The rule, what stands before the secret, its beginning, its alphabet and length, and its end.
type Sort = (&'static str, &'static str, &'static str, &'static str, usize, &'static str);

const SORTS: [Sort; 38] = [
    ("anthropic-key", "", "sk-ant-api03-", DASHED, 93, "AA"),
    ("anthropic-key", "", "sk-ant-oat01-", DASHED, 93, "AA"),
    ("openai-key", "", "sk-", WORD, 48, ""),
    ("openai-key", "", "sk-proj-", DASHED, 120, "A"),
    ("github-token", "", "ghp_", WORD, 36, ""),
    ("github-token", "", "gho_", WORD, 36, ""),
    ("github-token", "", "ghs_", WORD, 36, ""),
    ("github-pat", "", "github_pat_", WORD, 82, ""),
    ("gitlab-token", "", "glpat-", DASHED, 20, ""),
    ("slack-token", "", "xoxb-", WORD, 40, ""),
    ("slack-token", "", "xoxp-", WORD, 60, ""),
    ("slack-app-token", "", "xapp-1-", WORD, 60, ""),
    ("slack-webhook", "https://hooks.slack.com/services/", "", WORD, 44, ""),
    ("aws-key-id", "", "AKIA", BASE32, 16, ""),
    ("aws-key-id", "", "ASIA", BASE32, 16, ""),
    ("aws-secret", "aws_secret_access_key = ", "", BASE64, 40, ""),
    ("google-key", "", "AIza", DASHED, 35, ""),
    ("google-oauth", "", "ya29.", DASHED, 80, ""),
    ("google-secret", "", "GOCSPX-", WORD, 28, ""),
    ("npm-token", "", "npm_", WORD, 36, ""),
    ("pypi-token", "", "pypi-AgEIcHlwaS5vcmc", WORD, 120, ""),
    ("stripe-key", "", "sk_live_", WORD, 24, ""),
    ("stripe-key", "", "rk_test_", WORD, 99, ""),
    ("huggingface-token", "", "hf_", WORD, 34, ""),
    ("digitalocean-token", "", "dop_v1_", HEX, 64, ""),
    ("shopify-token", "", "shpat_", HEX, 32, ""),
    ("linear-key", "", "lin_api_", WORD, 40, ""),
    ("notion-token", "", "ntn_", WORD, 46, ""),
    ("groq-key", "", "gsk_", WORD, 52, ""),
    ("xai-key", "", "xai-", WORD, 80, ""),
    ("vault-token", "", "hvs.", DASHED, 90, "A"),
    ("databricks-token", "", "dapi", HEX, 32, ""),
    ("bearer", "Authorization: Bearer ", "", WORD, 40, ""),
    ("basic-auth", "Authorization: Basic ", "", WORD, 24, "=="),
    ("url-password", "postgres://user:", "", WORD, 16, ""),
    ("sendgrid-key", "", "SG.", WORD, 22, ""),
    ("jwt", "", "eyJ", WORD, 40, ""),
    ("private-key", "", "-----BEGIN RSA PRIVATE KEY-----", BASE64, 64, ""),
];

/// A secret among words.
#[derive(Clone, Debug)]
pub(crate) struct Planted {
    pub(crate) rule: &'static str,
    /// What nobody may see.
    pub(crate) secret: String,
    /// The words around it, and it.
    pub(crate) text: String,
}

fn letters(rng: &mut Rng, alphabet: &str, len: usize) -> String {
    let alphabet = alphabet.as_bytes();
    (0..len).map(|_| char::from(alphabet[rng.usize(..alphabet.len())])).collect()
}

/// So many secrets, of every sort in turn.
pub(crate) fn planted(count: usize, seed: u64) -> Vec<Planted> {
    let mut rng = Rng::with_seed(seed);
    (0..count)
        .map(|n| {
            let (rule, before, begin, alphabet, len, end) = SORTS[n % SORTS.len()];
            let mut secret = format!("{begin}{}{end}", letters(&mut rng, alphabet, len));
            let mut after = "";
            match rule {
                "jwt" => {
                    let payload = letters(&mut rng, DASHED, 60);
                    secret.push_str(&format!(".eyJ{payload}.{}", letters(&mut rng, DASHED, 43)));
                }
                "private-key" => {
                    let mut lines = vec!["-----BEGIN RSA PRIVATE KEY-----".to_owned()];
                    lines.extend((0..6).map(|_| letters(&mut rng, BASE64, 64)));
                    lines.push("-----END RSA PRIVATE KEY-----".to_owned());
                    secret = lines.join("\n");
                }
                "sendgrid-key" => secret.push_str(&format!(".{}", letters(&mut rng, WORD, 43))),
                "url-password" => after = "@db.example.org/app",
                _ => {}
            }
            let (left, right) = match n % 5 {
                0 => ("The key is ", " and nobody shall see it."),
                1 => ("KEY=", "\nNEXT=1"),
                2 => ("{\"key\": \"", "\"}"),
                3 => ("first line\n", "\nlast line"),
                _ => ("(", "), they say"),
            };
            let text = format!("{left}{before}{secret}{after}{right}");
            Planted { rule, secret, text }
        })
        .collect()
}

/// A text in pieces of 1 to 20 bytes, at the borders of characters.
pub(crate) fn pieces(text: &str, seed: u64) -> Vec<&str> {
    let mut rng = Rng::with_seed(seed);
    let (mut rest, mut pieces) = (text, Vec::new());
    let longest = rng.usize(1..=20);
    while !rest.is_empty() {
        let at = rest.ceil_char_boundary(rng.usize(1..=longest).min(rest.len()));
        pieces.push(&rest[..at]);
        rest = &rest[at..];
    }
    pieces
}

/// The parts of a secret of which nobody may see any.
pub(crate) fn needles(secret: &str) -> Vec<&str> {
    // A good half is as bad as all of it.
    let half = secret.len() / 2;
    let words: Vec<&str> = secret.split('\n').filter(|line| !line.starts_with("-----")).collect();
    if words.len() > 1 {
        return words;
    }
    vec![&secret[secret.len() - half..], &secret[..secret.len() - 2]]
}

/// True if a good part of a secret can still be read.
pub(crate) fn is_leaked(text: &str, secret: &str) -> bool {
    needles(secret).into_iter().any(|needle| text.contains(needle))
}
