//! A text may repeat what secrets begin with as often as it likes: the time that it takes grows as its length does.

use super::scan::literals;
use super::*;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// A text that repeats a unit.
fn repeated(unit: &str, bytes: usize) -> Vec<u8> {
    unit.bytes().cycle().take(bytes).collect()
}

fn time(redactor: &Redactor, text: &[u8]) -> Duration {
    let begin = computed();
    std::hint::black_box(redactor.look(text));
    computed() - begin
}

/// How long this thread has computed.
fn computed() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("it is after the beginning")
}

/// How much longer a text of four times the length takes, of the best of some tries.
fn growth(redactor: &Redactor, unit: &str) -> f64 {
    let (short, long) = (repeated(unit, SHORT), repeated(unit, 4 * SHORT));
    let (mut least, mut ratio) = ([Duration::MAX; 2], f64::INFINITY);
    for _ in 0..24 {
        least[0] = least[0].min(time(redactor, &short));
        least[1] = least[1].min(time(redactor, &long));
        ratio = least[1].as_secs_f64() / least[0].as_secs_f64();
        if ratio < 5.5 {
            break;
        }
    }
    if std::env::var_os("GROWTH").is_some() {
        println!(
            "{ratio:6.1} {:8.1} us/KB {unit:?}",
            least[1].as_secs_f64() * 1e6 / (4 * SHORT / 1024) as f64
        );
    }
    ratio
}

const SHORT: usize = 16 << 10;

#[test]
fn no_word_takes_more_time_the_more_of_it_there_is() {
    let redactor = rules();
    let frames = ["#", "#\n", "# ", "#=", "\"#\":\"#\",", "#=\"", "#:\\n", "# a1;"];
    let words = literals().into_iter().enumerate();
    // All tokens are looked at in one way: each stands in one frame.
    let units = words.flat_map(|(n, (word, is_token))| {
        let frames = frames.iter().enumerate();
        let frames = frames.filter(move |(frame, _)| *frame == n % 8 || !is_token && *frame == 3);
        frames.map(move |(_, frame)| frame.replace('#', word))
    });
    let slow: Vec<_> = units
        .chain(UNITS.into_iter().map(str::to_owned))
        .filter(|unit| growth(&redactor, unit) > 6.0)
        .collect();
    assert_eq!(slow, [""; 0]);
}

const UNITS: [&str; 38] = [
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----\n",
    "-----END PRIVATE KEY-----",
    "-----END PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n",
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n",
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7 ",
    "MHcCAQEEI",
    "Private-Lines: 4 ",
    "{\"kty\":\"RSA\",\"d\":\"",
    "{\"kty\":\"RSA\",\"d\":\"abcdefgh12345678\"},",
    "{\\\"name\\\":\\\"Cookie\\\",\\\"value\\\":\\\"sid=1; theme=dark; token=abc1\\\"},",
    "{\"name\":\"Cookie\",\"value\":\"sid=1; theme=dark; token=abc1\"},",
    "<input type=\"password\" name=\"password\" id=\"password\">",
    "password\t",
    "password = ",
    "\"key\":\"password\",",
    "\"password\",value",
    "\"password\" value,",
    "Cookie: a=b; ",
    "Authorization: ",
    "Authorization: Basic ",
    "eyJhbGciOi.",
    "eyJhbGciOiJIUzI1NiJ9.eyJhbGciOiJIUzI1NiJ9.a1b2c3d4 ",
    "root:$6$",
    "http://",
    "postgres://a:",
    "postgres://a:b@",
    "mysql -p ",
    "mysql -pabc1 \\\n",
    "--password",
    "--password ",
    "00000000 ",
    "00000000: 6768 705f 6768 705f 6768 705f 6768 705f  ghp_ghp_ghp_ghp_\n",
    "Z2hwX2FCM2RFNmdIOWpLMm1ONXBROHJTMXRVNHZXN3hZMHpBMWJDMg== ",
    "ghp_aB3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zA1bC2\n",
    "\\\\u",
    "\u{1b}]",
    "\\u001b]0;",
];

#[test]
fn a_run_of_one_byte_takes_its_length() {
    let redactor = rules();
    let bytes = (0..128_u8).map(|byte| char::from(byte).to_string());
    let slow: Vec<_> = bytes.filter(|unit| growth(&redactor, unit) > 6.0).collect();
    assert_eq!(slow, [""; 0]);
    // One beginning, and what may go on without an end.
    for start in ["password=", "password: \"", "api key:", "mysql ", "Cookie: ", "eyJ", "\\u"] {
        for unit in ["a", " ", "\\", "a1;", "\t", "=", "\n"] {
            let text = |bytes| {
                let rest = repeated(unit, bytes);
                [start.repeat(bytes / 64).as_bytes(), &rest].concat()
            };
            let time = |bytes| (0..3).map(|_| time(&redactor, &text(bytes))).min().unwrap();
            let slow = (0..4).all(|_| time(4 * SHORT) > 6 * time(SHORT));
            assert!(!slow, "{start:?} {unit:?}");
        }
    }
}

/// What a piece of a text costs does not grow with what came before.
#[test]
fn a_piece_takes_no_longer_the_more_came_before() {
    let of = |unit: &str, bytes: usize| {
        let mut gate = Gate::new(rules());
        let begin = computed();
        for piece in repeated(unit, bytes).chunks(120) {
            let piece = String::from_utf8_lossy(piece);
            let line = serde_json::json!({"delta": {"text": piece}, "type": "x"}).to_string();
            std::hint::black_box(gate.push(line.as_bytes()));
        }
        computed() - begin
    };
    let units = [
        "MHcCAQEEI",
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n",
        "{\"kty\":\"RSA\",\"d\":\"",
        "Cookie: a=b; ",
        "Z2hwX2FCM2RFNmdIOWpLMm1ONXBROHJTMXRVNHZXN3hZMHpBMWJDMg",
    ];
    let slow: Vec<_> = units
        .into_iter()
        .filter(|unit| {
            let ratio = || of(unit, 4 * SHORT).as_secs_f64() / of(unit, SHORT).as_secs_f64();
            let ratio = (0..6).map(|_| ratio()).find(|ratio| *ratio < 6.0);
            if std::env::var_os("GROWTH").is_some() {
                println!("{ratio:?} {unit:?}");
            }
            ratio.is_none()
        })
        .collect();
    assert_eq!(slow, [""; 0]);
}

fn rules() -> Redactor {
    Redactor::new(&Redaction::default(), &Environment::default(), None)
}
