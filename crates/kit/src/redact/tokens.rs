//! Tokens that are known by how they begin: a table, one row a sort.
//!
//! The facts (beginnings, alphabets, lengths) are public: [G] are those of the rules that gitleaks keeps,
//! <https://github.com/gitleaks/gitleaks/blob/b58d3f102cf3a2c84cb7f923d05c25c9b1aed84b/config/gitleaks.toml> (MIT);
//! [H] is GitHub's list of what its secret scanning knows,
//! <https://docs.github.com/code-security/secret-scanning/introduction/supported-secret-scanning-patterns>, with the
//! form that the vendor's own documentation shows. No crate keeps such rules.

use std::ops::RangeInclusive;

/// What a token is made of behind its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alphabet {
    Hex,
    /// Capital letters and digits.
    Upper,
    /// Letters and digits.
    Word,
    /// Letters, digits, `_` and `-`.
    Dashed,
    /// The same and `.`: parts of a token.
    Dotted,
    /// Standard base64.
    Base64,
    /// All that stands in headers.
    Header,
    /// The same, `@` and `%`: a part of an address.
    Link,
}

impl Alphabet {
    pub(super) const ALL: [Self; 8] = [
        Self::Hex,
        Self::Upper,
        Self::Word,
        Self::Dashed,
        Self::Dotted,
        Self::Base64,
        Self::Header,
        Self::Link,
    ];

    pub(super) fn has(self, byte: u8) -> bool {
        match self {
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Word => byte.is_ascii_alphanumeric(),
            Self::Dashed => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
            Self::Link => byte.is_ascii_alphanumeric() || b"._~+/=-@%".contains(&byte),
            Self::Header => byte.is_ascii_alphanumeric() || b"._~+/=-".contains(&byte),
        }
    }
}

/// One sort of token.
#[derive(Clone, Debug)]
pub(super) struct Token {
    /// Stands in the place of the token.
    pub(super) name: &'static str,
    /// How it begins, in this case.
    pub(super) starts: &'static [&'static str],
    pub(super) alphabet: Alphabet,
    /// How many bytes follow the beginning.
    pub(super) body: RangeInclusive<usize>,
    /// What else has to hold for those bytes.
    pub(super) check: Check,
    /// Which part of it is secret.
    pub(super) part: Part,
    /// How many letters and digits stand before its beginning, and are a part of it.
    pub(super) before: usize,
}

/// The part of a token that is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    All,
    /// What follows its beginning.
    Body,
}

/// What a token's alphabet and length do not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Letters and digits are mixed, as chance mixes them.
    Mixed,
    /// Small letters, capitals and digits: for beginnings that other words share.
    Random,
    /// So many parts, divided by dots.
    Parts(usize),
    /// Parts of which the second is JSON in base64, too.
    Jwt,
    /// A number of four groups and dashes, as in `123e4567-e89b-…`.
    Uuid,
    /// It is base64 of a private key.
    Key,
}

const fn token(
    name: &'static str,
    starts: &'static [&'static str],
    alphabet: Alphabet,
    body: RangeInclusive<usize>,
) -> Token {
    Token { name, starts, alphabet, body, check: Check::Mixed, part: Part::All, before: 0 }
}

const fn checked(check: Check, token: Token) -> Token {
    Token { check, ..token }
}

/// What precedes the secret in the table is public.
const fn behind(token: Token) -> Token {
    Token { part: Part::Body, ..token }
}

/// A token whose fixed part stands behind so many letters and digits at least.
const fn within(before: usize, token: Token) -> Token {
    Token { before, ..token }
}

use Alphabet::{Base64, Dashed, Dotted, Header, Hex, Link, Upper, Word};
use Check::{Jwt, Key, Parts, Random, Uuid};

/// The longest token of a sort without a length of its own.
const LONG: usize = 4096;

pub(super) static TOKENS: [Token; 133] = [
    // Models.
    token("anthropic-key", &["sk-ant-"], Dashed, 20..=300), // [G]
    token("openai-key", &["sk-proj-", "sk-svcacct-", "sk-admin-"], Dashed, 20..=300), // [G]
    token("openai-key", &["sk-"], Word, 20..=100), // [G]; DeepSeek, Moonshot and others write the same [H]
    token("openrouter-key", &["sk-or-v1-"], Hex, 64..=64), // [H]
    token("langfuse-key", &["sk-lf-"], Dashed, 36..=36), // [H]
    token("openai-session", &["sess-"], Word, 40..=60), // [H]
    token("groq-key", &["gsk_"], Word, 40..=100),  // [H]
    token("xai-key", &["xai-"], Word, 60..=120),   // [H]
    token("perplexity-key", &["pplx-"], Word, 40..=64), // [G]
    token("huggingface-token", &["hf_", "api_org_"], Word, 30..=60), // [G]
    checked(Random, token("replicate-token", &["r8_"], Word, 36..=40)), // [H]
    checked(Random, token("fireworks-key", &["fw_"], Word, 20..=40)), // [H]
    token("cerebras-key", &["csk-"], Word, 40..=64), // [H]
    checked(Random, token("nvidia-key", &["nvapi-"], Dashed, 50..=100)), // [H]
    token("langsmith-key", &["lsv2_pt_", "lsv2_sk_"], Dashed, 32..=60), // [H]
    checked(Random, token("pinecone-key", &["pcsk_"], Dashed, 50..=100)), // [H]
    checked(Random, token("tavily-key", &["tvly-"], Dashed, 20..=64)), // [H]
    token("firecrawl-key", &["fc-"], Hex, 32..=32), // [H]
    token("elevenlabs-key", &["sk_"], Hex, 48..=48), // [H]
    checked(Random, token("wandb-key", &["wandb_v1_"], Dashed, 60..=120)), // [H]
    // Code, packages, builds.
    token("github-token", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], Word, 36..=255), // [G]
    token("github-pat", &["github_pat_"], Dashed, 22..=255),                          // [G]
    token(
        "gitlab-token",
        &[
            "glpat-",
            "gldt-",
            "glrt-",
            "glptt-",
            "glcbt-",
            "glft-",
            "glffct-",
            "glimt-",
            "gloas-",
            "glsoat-",
            "glagent-",
            "glrtr-",
            "glwt-",
            "GR1348941",
        ],
        Dotted,
        20..=300,
    ), // [G]
    token("bitbucket-token", &["ATCTT3xFfG", "ATBB"], Header, 28..=300),              // [H]
    token("atlassian-token", &["ATATT3"], Header, 60..=300),                          // [G]
    token("npm-token", &["npm_"], Word, 36..=36),                                     // [G]
    token("pypi-token", &["pypi-AgE"], Dashed, 50..=1000),                            // [G]
    token("rubygems-key", &["rubygems_"], Hex, 48..=48),                              // [G]
    checked(Random, token("crates-token", &["cio"], Word, 32..=32)),                  // [H]
    token("nuget-key", &["oy2"], Word, 43..=43),                                      // [H]
    token("clojars-token", &["CLOJARS_"], Word, 60..=60),                             // [G]
    token("docker-token", &["dckr_pat_", "dckr_oat_"], Dashed, 24..=64),              // [H]
    token("artifactory-key", &["AKCp"], Word, 65..=73),                               // [G]
    token("artifactory-token", &["cmVmdGtu"], Word, 50..=64),                         // [G]
    token("trello-token", &["ATTA"], Word, 60..=80),                                  // [H]
    token("circleci-token", &["CCIPAT_", "CCIPRJ_"], Dashed, 40..=120),               // [H]
    token("buildkite-token", &["bkua_"], Hex, 40..=40),                               // [H]
    token("sonar-token", &["squ_", "sqp_", "sqa_"], Hex, 40..=40),                    // [G]
    token("sourcegraph-token", &["sgp_"], Dashed, 40..=70),                           // [G]
    token("postman-key", &["PMAK-"], Dashed, 59..=59),                                // [G]
    token("readme-key", &["rdme_"], Word, 60..=80),                                   // [G]
    token("figma-token", &["figd_", "figoh_", "figu_", "figor_"], Dashed, 36..=80),   // [H]
    token("linear-key", &["lin_api_", "lin_oauth_"], Word, 32..=70),                  // [G]
    token("notion-token", &["ntn_"], Word, 40..=60),                                  // [G]
    checked(Random, token("notion-token", &["secret_"], Word, 43..=43)),              // [H]
    checked(Parts(2), token("airtable-token", &["pat"], Dotted, 79..=79)),            // [G]
    checked(Parts(3), token("harness-key", &["pat.", "sat."], Dotted, 68..=68)),      // [G]
    token("typeform-token", &["tfp_"], Dotted, 40..=70),                              // [G]
    token("doppler-token", &["dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.scim."], Dotted, 40..=80), // [G]
    token("1password-secret-key", &["A3-"], Dashed, 31..=40), // [G]
    token("1password-token", &["ops_eyJ"], Base64, 100..=LONG), // [G]
    // Clouds.
    token("aws-key-id", &["AKIA", "ASIA", "ABIA", "ACCA"], Upper, 16..=16), // [G]
    token("aws-bedrock-key", &["ABSK"], Base64, 109..=269),                 // [G]
    behind(token("aws-bedrock-key", &["bedrock-api-key-"], Base64, 40..=LONG)), // [G]
    token("google-key", &["AIza"], Dashed, 35..=35),                        // [G]
    token("google-key", &["AQ.Ab8"], Dashed, 40..=60),                      // [H]
    token("google-oauth", &["ya29."], Dotted, 30..=LONG),                   // [H]
    token("google-refresh-token", &["1//0"], Dashed, 40..=200),             // [H]
    token("google-secret", &["GOCSPX-"], Dashed, 28..=28),                  // [H]
    token("alibaba-key-id", &["LTAI"], Word, 16..=20),                      // [G]
    token("tencent-key-id", &["AKID"], Word, 32..=32),                      // [H]
    token("yandex-key", &["AQVN"], Dashed, 35..=38),                        // [G]
    token("yandex-token", &["y0_AgAAAA"], Dashed, 40..=80),                 // [H]
    token("digitalocean-token", &["dop_v1_", "doo_v1_", "dor_v1_"], Hex, 64..=64), // [G]
    token("heroku-key", &["HRKU-"], Dashed, 36..=64),                       // [G]
    checked(Random, token("flyio-token", &["fo1_", "fm1a_", "fm1r_", "fm2_"], Header, 43..=LONG)), // [G]
    checked(
        Random,
        token("vercel-token", &["vcp_", "vci_", "vca_", "vcr_", "vck_"], Word, 24..=80),
    ), // [H]
    checked(Random, token("netlify-token", &["nfp_", "nfo_", "nfc_", "nfu_"], Word, 36..=40)), // [H]
    token("supabase-token", &["sbp_", "sb_secret_"], Dashed, 22..=60), // [H]
    token("neon-key", &["napi_"], Word, 60..=70),                      // [H]
    token("planetscale-token", &["pscale_tkn_", "pscale_oauth_", "pscale_pw_"], Dotted, 32..=64), // [G]
    token("databricks-token", &["dapi", "dose"], Hex, 32..=32), // [G]
    token("clickhouse-key", &["4b1d"], Word, 38..=38),          // [G]
    token("confluent-key", &["cflt"], Base64, 60..=64),         // [H]
    token("mongodb-key", &["mdb_sa_sk_"], Dashed, 30..=60),     // [H]
    within(14, token("terraform-token", &[".atlasv1."], Dashed, 60..=70)), // [G]
    token("pulumi-token", &["pul-"], Hex, 40..=40),             // [G]
    token("vault-token", &["hvs.", "hvb.", "hvr."], Dashed, 24..=300), // [G]
    token("openshift-token", &["sha256~"], Dashed, 43..=43),    // [G]
    token("scalingo-token", &["tk-us-"], Dashed, 48..=48),      // [G]
    token("docker-swarm-token", &["SWMTKN-1-"], Dashed, 60..=100), // [H]
    within(64, token("k3s-token", &["::server:"], Hex, 32..=32)), // [H]
    within(40, token("azure-devops-token", &["JQQJ99"], Word, 26..=30)), // [H]
    token("infracost-key", &["ico-"], Word, 32..=32),           // [G]
    token("prefect-key", &["pnu_", "pnb_"], Word, 36..=36),     // [G]
    token("age-key", &["AGE-SECRET-KEY-1"], Upper, 40..=58),    // [G]
    token("cloudflare-key", &["v1.0-"], Dashed, 171..=171),     // [G]
    checked(Random, token("cloudflare-token", &["cfut_", "cfat_", "cfk_"], Dashed, 40..=60)), // [H]
    within(4, token("azure-secret", &["Q~"], Dotted, 31..=34)), // [G]
    behind(token("azure-storage-key", &["AccountKey="], Base64, 80..=88)), // [H]
    // Talk, mail, telephone.
    token(
        "slack-token",
        &[
            "xoxb-",
            "xoxa-",
            "xoxp-",
            "xoxr-",
            "xoxs-",
            "xoxo-",
            "xoxc-",
            "xoxd-",
            "xoxe-",
            "xoxe.xoxp-",
            "xoxe.xoxb-",
        ],
        Dashed,
        10..=400,
    ), // [G]
    token("slack-app-token", &["xapp-"], Dashed, 12..=300), // [G]
    behind(token(
        "slack-webhook",
        &["hooks.slack.com/services/", "hooks.slack.com/workflows/", "hooks.slack.com/triggers/"],
        Base64,
        40..=60,
    )), // [G]
    behind(token(
        "discord-webhook",
        &["discord.com/api/webhooks/", "discordapp.com/api/webhooks/"],
        Header,
        60..=120,
    )), // [H]
    behind(token("teams-webhook", &[".webhook.office.com/webhookb2/"], Link, 80..=250)), // [G]
    within(8, token("telegram-token", &[":AA"], Dashed, 32..=34)), // [G]
    checked(Parts(2), token("sendgrid-key", &["SG."], Dotted, 50..=90)), // [G]
    token("brevo-key", &["xkeysib-", "xsmtpsib-"], Dashed, 64..=100), // [G]
    token("mailgun-key", &["key-"], Hex, 32..=32),          // [G]
    checked(Random, token("resend-key", &["re_"], Dashed, 24..=40)), // [H]
    token("twilio-key", &["SK"], Hex, 32..=32),             // [G]
    checked(Parts(2), token("mapbox-token", &["sk.eyJ"], Dotted, 60..=200)), // [H]
    // Money and shops.
    token(
        "stripe-key",
        &["sk_live_", "sk_test_", "sk_prod_", "rk_live_", "rk_test_", "rk_prod_"],
        Word,
        10..=150,
    ), // [G]
    token("stripe-webhook-secret", &["whsec_"], Base64, 24..=100), // [H]
    checked(Random, token("square-token", &["EAAA", "sq0atp-", "sq0csp-"], Dashed, 22..=64)), // [G]
    token("shopify-token", &["shpat_", "shpca_", "shppa_", "shpss_"], Hex, 32..=32), // [G]
    token("paypal-token", &["access_token$production$", "access_token$sandbox$"], Dashed, 16..=16), // [H]
    checked(
        Uuid,
        token(
            "plaid-token",
            &["access-sandbox-", "access-development-", "access-production-"],
            Dashed,
            36..=36,
        ),
    ), // [G]
    token("flutterwave-key", &["FLWSECK_TEST-", "FLWSECK-"], Dashed, 12..=60), // [G]
    token("razorpay-key", &["rzp_live_", "rzp_test_"], Word, 14..=24),         // [H]
    token("duffel-token", &["duffel_live_", "duffel_test_"], Dashed, 40..=50), // [G]
    token("shippo-token", &["shippo_live_", "shippo_test_"], Hex, 40..=40),    // [G]
    token("easypost-key", &["EZAK", "EZTK"], Word, 54..=54),                   // [G]
    token("facebook-token", &["EAAM", "EAAC", "EAAG", "EAAB"], Word, 80..=400), // [G]
    // Watching.
    checked(
        Uuid,
        token(
            "hubspot-token",
            &["pat-na1-", "pat-na2-", "pat-na3-", "pat-eu1-", "pat-ap1-"],
            Dashed,
            36..=36,
        ),
    ), // [H]
    within(36, token("newrelic-key", &["NRAL"], Word, 0..=0)), // [G]
    token("newrelic-key", &["NRAK-", "NRII-", "NRJS-", "NRAL-"], Dashed, 19..=40), // [G]
    token("sentry-token", &["sntryu_", "sntrys_", "sntrya_", "sntryi_"], Header, 40..=400), // [G]
    token("grafana-token", &["glc_", "glsa_"], Header, 32..=400), // [G]
    token("dynatrace-token", &["dt0c01.", "dt0s01.", "dt0s16."], Dotted, 80..=100), // [G]
    token("datadog-token", &["ddapp_", "ddpat_"], Dashed, 30..=60), // [H]
    token("posthog-key", &["phx_", "phs_"], Word, 40..=50),    // [H]
    token("honeycomb-key", &["hcaik_", "hcxik_", "hcamk_"], Word, 50..=70), // [H]
    checked(Uuid, token("launchdarkly-key", &["api-", "sdk-"], Dashed, 36..=36)), // [H]
    token("octopus-key", &["API-"], Upper, 25..=26),           // [G]
    token("tailscale-key", &["tskey-"], Dashed, 20..=100),     // [H]
    token("adobe-secret", &["p8e-", "p8s-"], Dashed, 32..=40), // [G]
    // What any service may give.
    checked(Jwt, token("jwt", &["eyJ"], Dotted, 30..=(8 << 10))), // [G]
    // What proves a visit, in addresses, cookies and signed requests.
    behind(token(
        "query-secret",
        &["?code=", "&code=", "?sig=", "&sig=", "-Signature=", " Signature="],
        Link,
        20..=300,
    )),
    behind(token(
        "cookie",
        &["sessionid=", "PHPSESSID=", "JSESSIONID=", "connect.sid=", "session="],
        Link,
        20..=LONG,
    )),
    behind(token("authorization", &["response=\""], Hex, 32..=32)),
    behind(token("bearer", &["Bearer ", "bearer ", "BEARER "], Header, 16..=LONG)), // [G]
    checked(
        Key,
        token(
            "private-key",
            &["LS0tLS1CRUdJTi", "0tLS0tQkVHSU4g", "tLS0tLUJFR0lOI"],
            Base64,
            60..=(16 << 10),
        ),
    ),
];
