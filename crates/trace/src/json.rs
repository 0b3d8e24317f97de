//! A JSON value that stays as its author wrote it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;

/// A JSON text, kept byte for byte: key order, number precision and spacing included (a line feed between
/// values becomes a space, since records are lines).
///
/// Tool arguments pass through belay in this form, so that nothing is decoded and encoded again on the way.
/// Reading one back from a stored record may normalise spaces; the value stays the same. A value that no
/// decoder would take (nested more than a hundred deep, a number out of range) is kept as a JSON string, and so
/// is one with a key that means something to the decoder itself.
#[derive(Clone)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Takes a text that the JSON parser has already delimited.
    pub fn from_raw(raw: &RawValue) -> Self {
        Self::of(raw.to_owned())
    }

    /// Checks and takes a text.
    ///
    /// # Errors
    /// When `text` is not one JSON value.
    pub fn parse(text: impl Into<String>) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text.into()).map(Self::of)
    }

    fn of(mut raw: Box<RawValue>) -> Self {
        if raw.get().contains('\n') {
            // It is white space, for no JSON string holds one; and a record is one line.
            let line = raw.get().replace('\n', " ");
            raw = RawValue::from_string(line).unwrap_or_else(|_| RawValue::NULL.to_owned());
        }
        let is_undecodable = may_be_undecodable(raw.get()) && !decodes_in_a_record(raw.get());
        if is_undecodable || has_private_key(raw.get()) {
            return Self::from(serde_json::Value::from(raw.get()));
        }
        Self(raw)
    }

    /// The text.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// The decoded value, for callers who look inside; null if it is nested too deeply to decode.
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(self.get()).unwrap_or_default()
    }
}

/// A record puts its own level around a value, and a reader's another one.
fn decodes_in_a_record(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(&format!("[[{text}]]")).is_ok()
}

/// A cheap look at the text: are there so many brackets, or such a number, that decoding could fail?
fn may_be_undecodable(text: &str) -> bool {
    let openers =
        text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).take(DEPTH_SAFE + 1).count();
    let long_exponent = |window: &[u8]| {
        matches!(window[0], b'e' | b'E')
            && matches!(window[1], b'+' | b'-' | b'0'..=b'9')
            && window[2..].iter().all(u8::is_ascii_digit)
    };
    let bytes = text.as_bytes();
    let longest_number = bytes.split(|byte| !byte.is_ascii_digit()).map(<[u8]>::len).max();
    openers > DEPTH_SAFE
        || longest_number > Some(DIGITS_SAFE)
        || bytes.windows(4).any(long_exponent)
}

/// True if the text holds, perhaps with escapes, the name under which serde_json hands raw values to itself:
/// decoding would take the value behind such a key for JSON text.
fn has_private_key(text: &str) -> bool {
    const ESCAPE: &str = "\\u00";
    text.contains(PRIVATE)
        || text.contains(ESCAPE) && {
            let mut parts = text.split(ESCAPE);
            let mut plain = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                let (code, rest) = part.split_at_checked(2).unwrap_or(("", part));
                plain.extend(u8::from_str_radix(code, 16).ok().map(char::from));
                plain.push_str(rest);
            }
            plain.contains(PRIVATE)
        }
}

/// How the names of serde_json's own keys begin.
const PRIVATE: &str = "$serde_json::private::";

/// Fewer brackets than this cannot be nested too deeply.
const DEPTH_SAFE: usize = 100;

/// A number of so few digits, without an exponent, is in the range of a double.
const DIGITS_SAFE: usize = 300;

impl Default for Json {
    fn default() -> Self {
        Self(RawValue::NULL.to_owned())
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        let raw = serde_json::value::to_raw_value(&value);
        Self(raw.expect("a decoded JSON value encodes again"))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get() || self.to_value() == other.to_value()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    // Through a value: the tagged enum that holds us is buffered by serde, and a buffer has no raw text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Json {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AnyValue".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        true.into()
    }
}
