//! Kinds of secrets that were missed once, each with values that the rules have not been made for.

use super::*;

/// How programs write a name and its value.
const FRAMES: [&str; 24] = [
    "ENV POSTGRES_PASSWORD ~",
    "MY_SECRET_THING=~",
    "#define API_KEY \"~\"",
    "setenv API_KEY ~",
    "set -x API_KEY ~",
    "API_KEY ?= ~",
    "proxy_set_header X-Auth-Token \"~\";",
    "<key>API_TOKEN</key>\n\t<string>~</string>",
    "variable \"db_password\" { default = \"~\" }",
    "variable \"db_password\" {\n  type = string\n  default = \"~\"\n}",
    "Content-Disposition: form-data; name=\"password\"\n\n~",
    "Content-Disposition: form-data; name=\"password\"\r\n\r\n~\r\n--x",
    "password:: '~'",
    "password = [[~]]",
    "$password = q{~};",
    "my $password = qq(~);",
    "The API key is `~`",
    "password “~”",
    "password: “~”",
    "password: |\n  ~\n",
    "token: >-\n    ~",
    "{\"access_token\": \"~\"}",
    "clientSecret: '~'",
    "secret_key = \"~\"",
];

fn values(rng: &mut fastrand::Rng) -> [String; 3] {
    let mut of = |len: usize, alphabet: &str| -> String {
        let alphabet: Vec<char> = alphabet.chars().collect();
        (0..len).map(|_| alphabet[rng.usize(..alphabet.len())]).collect()
    };
    let word = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    [of(22, word), of(32, "0123456789abcdef"), of(40, word)]
}

/// How many of the values in a frame stay, plain or in JSON.
fn missed(frame: &str, values: impl IntoIterator<Item = String>) -> Vec<String> {
    let redaction = Redaction::default();
    let texts = values.into_iter().map(|value| (frame.replace('~', &value), value));
    let is_missed = |(text, value): &(String, String)| {
        let json = serde_json::json!({ "text": text }).to_string();
        [redaction.text(text), redaction.text(&json)].iter().any(|it| it.contains(value.as_str()))
    };
    texts.filter(is_missed).map(|(text, _)| text).collect()
}

#[test]
fn values_are_found_however_programs_write_them() {
    let mut rng = fastrand::Rng::with_seed(11);
    let mut left = Vec::new();
    for frame in FRAMES {
        let all: Vec<String> = (0..20).flat_map(|_| values(&mut rng)).collect();
        let missed = missed(frame, all);
        // Chance makes words, too.
        if missed.len() > 3 {
            left.push(format!("{} of 60: {}", missed.len(), missed[0]));
        }
    }
    assert_eq!(left, [""; 0]);
}

#[test]
fn short_values_in_quotes_behind_the_name_of_a_token_are_found() {
    let mut rng = fastrand::Rng::with_seed(12);
    let alphabet = b"abcdefghijklmnopqrstuvwxyz0123456789";
    for name in ["access_token", "clientSecret", "secret_key", "api_key", "apiKey"] {
        let value = |_| (0..12).map(|_| char::from(alphabet[rng.usize(..36)])).collect();
        let values: Vec<String> = (0..50).map(value).collect();
        let missed = missed(&format!("\"{name}\": \"~\""), values);
        assert!(missed.len() < 18, "{name}: {} of 50: {missed:?}", missed.len());
    }
}

#[test]
fn passwords_begin_with_signs_and_stand_in_addresses() {
    for value in ["!x9Kw2PvT4q", "%7Hq2mZ9tRw", "*Rt4vB8nQ2x", "/Qx7Vt2PzKm9RbWc4LnYd8Hs"] {
        for frame in ["password: \"~\"", "DB_PASSWORD=~", "--password=~"] {
            assert_eq!(missed(frame, [value.to_owned()]), [""; 0]);
        }
    }
    for value in ["pw^9tKq", "pw*9tKq", "pw#9tKq", "a^b*c#d9"] {
        assert_eq!(missed("postgres://app:~@db.example.com/shop", [value.to_owned()]), [""; 0]);
    }
}

#[test]
fn a_token_is_seen_behind_a_letter_where_its_form_is_certain() {
    let token = "ghp_aB3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zA1bC2";
    for before in ["tool_", "weird_", "x", "_", "9"] {
        assert_eq!(missed(&format!("see {before}~, ok"), [token.to_owned()]), [""; 0]);
    }
}

#[test]
fn what_programs_write_beside_such_names_stays() {
    let redaction = Redaction::default();
    for text in [
        "ENV API_KEY in the shell",
        "#define TOKEN_KEY VALUE_1",
        "#define OBJ_userPassword                2L,5L,4L,35L",
        "[/sk-[A-Za-z0-9_-]{20,}/g,\"<token>\"],[/a2Qx9_[A-Z]{3}/g,\"<token>\"]",
        "#define MAX_TOKEN \"%s\"",
        "MY_SECRET_NAME=projects-2/secrets-1",
        "Token::parse(input)",
        "variable \"db_password\" { default = \"\" }",
        "password = q{};",
        "api_key = \"sha256sum\"",
        "tokenizer = getUserPasswordTokenStoreFactory",
        "password: *default-password2",
        "password: !Ref DbPassword2",
        "monkey_api-1f2e3d4c5b6a79881f2e3d4c5b6a7988",
    ] {
        assert_eq!(redaction.text(text), text);
    }
}

#[test]
fn base64_of_a_secret_is_held_from_where_it_begins() {
    let secret = "Z2hwX2FCM2RFNmdIOWpLMm1ONXBROHJTMXRVNHZXN3hZMHpBMWJDMg";
    let mut gate = Gate::new(Redactor::new(&Redaction::default(), &Environment::default(), None));
    let mut shown = String::new();
    let mut show = |line: &[u8]| {
        let line: serde_json::Value = serde_json::from_slice(line).unwrap();
        shown.push_str(line["delta"]["text"].as_str().unwrap());
    };
    for char in format!("see {secret} there\n").chars() {
        let line = serde_json::json!({"delta": {"text": char.to_string()}}).to_string();
        match gate.push(line.as_bytes()) {
            None => show(line.as_bytes()),
            Some(passed) => passed.iter().for_each(|it| show(&it.line)),
        }
    }
    gate.finish().iter().for_each(|it| show(&it.line));
    assert!(!shown.contains(&secret[..8]) && shown.ends_with(" there\n"), "{shown}");
}
