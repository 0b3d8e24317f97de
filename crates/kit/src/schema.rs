//! Answers that have to be JSON of a certain shape.

use crate::RunRequest;
use crate::json_text::{strip_code_fences, values};
use belay_agents::{AttemptEnd, Support};
use belay_trace::{EvidenceSource, Failure, FailureKind, Json};
use jsonschema::Validator;
use serde_json::Value;
use std::borrow::Cow;

/// The schema of a request's answer.
pub(crate) struct Schema {
    text: String,
    validator: Validator,
}

/// Why an answer does not fit.
#[derive(Debug, PartialEq)]
pub(crate) struct Misfit(Vec<String>);

impl Schema {
    /// That of the request, if it has one.
    ///
    /// # Errors
    /// A [`Failure`] if it is no schema. One that refers to another document is none: belay fetches nothing.
    pub(crate) fn of(request: &RunRequest) -> Result<Option<Self>, Failure> {
        let Some(schema) = &request.output_schema else { return Ok(None) };
        let validator = jsonschema::validator_for(schema).map_err(|error| {
            let message = format!("the output schema is no JSON Schema: {error}");
            Failure::new(FailureKind::InvalidRequest, message)
        })?;
        Ok(Some(Self { text: schema.to_string(), validator }))
    }

    /// The value that the turn has come to.
    pub(crate) fn judge(&self, end: &AttemptEnd) -> Result<Json, Misfit> {
        let mut why = None;
        let given = end.structured.as_ref().map(|json| Cow::from(json.get()));
        for text in given.into_iter().chain(candidates(&end.answer).map(Cow::from)) {
            let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
            match self.errors(&value) {
                errors if errors.is_empty() => {
                    return Ok(Json::parse(text.into_owned()).unwrap_or_else(|_| value.into()));
                }
                errors => why = why.or(Some(errors)),
            }
        }
        Err(Misfit(why.unwrap_or_else(|| vec!["there is no JSON in the answer".to_owned()])))
    }

    fn errors(&self, value: &Value) -> Vec<String> {
        let errors = self.validator.iter_errors(value).take(ERRORS_MAX);
        errors
            .map(|error| {
                let place = error.instance_path().to_string();
                let place = if place.is_empty() { "the value".to_owned() } else { place };
                format!("{place}: {}", cut(&error.to_string()))
            })
            .collect()
    }

    /// What the model is told that has answered otherwise.
    pub(crate) fn repair(&self, misfit: &Misfit) -> String {
        format!(
            "Your last answer does not fit the JSON Schema that it has to fit:\n- {}\n\nAnswer again, with nothing \
             but one JSON value that fits this JSON Schema:\n{}",
            misfit.0.join("\n- "),
            self.text
        )
    }
}

impl Misfit {
    /// What is wrong, in one line.
    pub(crate) fn words(&self) -> String {
        self.0.join("; ")
    }

    /// The failure of a run whose answer stays so.
    pub(crate) fn failure(&self) -> Failure {
        let message = format!("the answer does not fit the output schema: {}", self.words());
        Failure::new(FailureKind::OutputLimit, message).with(
            EvidenceSource::Field,
            "output_schema",
            self.0.len(),
        )
    }
}

/// More of them help no model.
const ERRORS_MAX: usize = 10;

/// An error repeats the value that is wrong, which may be long.
const ERROR_CHARS_MAX: usize = 300;

fn cut(words: &str) -> String {
    match words.char_indices().nth(ERROR_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.to_owned(),
    }
}

/// What could be the value: the answer itself, or a piece of it.
fn candidates(answer: &str) -> impl Iterator<Item = &str> {
    [answer.trim(), strip_code_fences(answer)].into_iter().chain(values(answer, "{["))
}

/// The request as the agent gets it: where it has no schemas of its own, the prompt says what is wanted.
pub(crate) fn asked(request: &RunRequest, support: Support) -> Cow<'_, RunRequest> {
    let is_native = support == Support::Native && request.native_schema().is_some();
    match &request.output_schema {
        Some(schema) if !is_native => {
            let mut request = request.clone();
            request.prompt.push_str(&format!(
                "\n\nAnswer with nothing but one JSON value that fits this JSON Schema:\n{schema}"
            ));
            Cow::Owned(request)
        }
        _ => Cow::Borrowed(request),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema(schema: Value) -> Schema {
        Schema::of(&RunRequest::new("p").output_schema(schema)).unwrap().unwrap()
    }

    #[track_caller]
    fn check(answer: &str, want: Result<&str, &str>) {
        let number =
            json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
        let mut end = AttemptEnd::default();
        end.answer = answer.to_owned();
        let judged = schema(number).judge(&end);
        let judged = judged.as_ref().map(Json::get).map_err(Misfit::words);
        assert_eq!(judged, want.map_err(str::to_owned));
    }

    #[test]
    fn a_value_is_found_in_its_words_and_the_first_that_fits_is_it() {
        check(r#"{"n": 1}"#, Ok(r#"{"n": 1}"#));
        check("```json\n{\"n\": 1}\n```", Ok(r#"{"n": 1}"#));
        check(r#"In {} there is nothing; so: {"n": 2}. Fine?"#, Ok(r#"{"n": 2}"#));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        check("None.", Err("there is no JSON in the answer"));
        check(r#"{"n": "x"}"#, Err(r#"/n: "x" is not of type "integer""#));
        check("{}", Err(r#"the value: "n" is a required property"#));
    }

    #[test]
    fn a_schema_that_is_none_or_lies_elsewhere_is_refused() {
        for bad in
            [json!({"type": "nothing"}), json!({"$ref": "http://127.0.0.1:1/x.json"}), json!(3)]
        {
            let error = Schema::of(&RunRequest::new("p").output_schema(bad.clone())).err();
            assert_eq!(error.map(|e| e.kind), Some(FailureKind::InvalidRequest), "{bad}");
        }
    }
}
