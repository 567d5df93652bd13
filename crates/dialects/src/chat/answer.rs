//! Whole answers, and what every reader of this dialect looks for: errors, and what servers write that is not of the
//! format.
//!
//! Refuses an answer without choices, and an error dressed as an answer.

use api::Completion;
use serde_json::{Map, Value};

use crate::Trouble;

/// A whole answer.
pub(crate) fn whole(body: &[u8]) -> Result<Completion, Trouble> {
    let completion = match serde_json::from_slice::<Completion>(body) {
        Ok(completion) => completion,
        Err(problem) => {
            let mut value: Value =
                serde_json::from_slice(body).map_err(|_| Trouble::garbage(format!("not JSON: {problem}")))?;
            refuse_error(value.get("error"))?;
            drop_nulls(&mut value);
            serde_json::from_value(value)
                .map_err(|_| Trouble::garbage(format!("not an answer: {problem}")))?
        }
    };
    refuse_error(completion.extra.get("error"))?;
    if completion.choices.is_empty() {
        return Err(Trouble::garbage("an answer without choices"));
    }
    for choice in &completion.choices {
        refuse_broken(choice.finish_reason.as_deref(), &choice.extra)?;
    }
    Ok(completion)
}

/// An error in an answer's place.
pub(super) fn refuse_error(error: Option<&Value>) -> Result<(), Trouble> {
    match error {
        None | Some(Value::Null) => Ok(()),
        Some(error) => Err(Trouble::InBand(error.clone())),
    }
}

/// Aggregators say that their own upstream failed by the finish reason `error`, with the error inside the choice.
pub(super) fn refuse_broken(finish: Option<&str>, extra: &Map<String, Value>) -> Result<(), Trouble> {
    if finish != Some("error") {
        return Ok(());
    }
    refuse_error(extra.get("error"))?;
    Err(Trouble::Cut("the finish reason is `error`".to_owned()))
}

/// Some servers write null where the format has a number, a text or nothing at all, and times with a fraction.
pub(super) fn drop_nulls(value: &mut Value) {
    let Some(object) = value.as_object_mut() else { return };
    object.retain(|_, value| !value.is_null());
    if let Some(created) = object.get_mut("created")
        && let Some(seconds) = created.as_f64()
        && !created.is_u64()
    {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
        let whole = seconds as u64;
        *created = whole.into();
    }
    if let Some(usage) = object.get_mut("usage").and_then(Value::as_object_mut) {
        usage.retain(|_, value| !value.is_null());
    }
    let choices = object.get_mut("choices").and_then(Value::as_array_mut);
    for choice in choices.into_iter().flatten().filter_map(Value::as_object_mut) {
        // A null that may stand is the same as a field left out.
        choice.retain(|key, value| !value.is_null() || key == "logprobs");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(trouble: &Trouble) -> String {
        match trouble {
            Trouble::Garbage(_) => "garbage".to_owned(),
            Trouble::InBand(error) => format!("error {}", error["code"]),
            Trouble::Cut(_) => "cut".to_owned(),
        }
    }

    fn check_whole(answer: &str, expected: Result<&str, &str>) {
        match (whole(answer.as_bytes()), expected) {
            (Ok(got), Ok(text)) => {
                assert_eq!(got.choices[0].message.content.as_deref(), Some(text), "{answer}");
            }
            (Err(trouble), Err(kind)) => assert_eq!(kind_of(&trouble), kind, "{answer}"),
            (got, _) => panic!("{answer}: {got:?}"),
        }
    }

    #[test]
    fn a_whole_answer_is_told_from_everything_else() {
        check_whole(
            r#"{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"error":null}"#,
            Ok("hi"),
        );
        check_whole(
            r#"{"id":null,"created":1.5e9,"model":null,"choices":[{"index":null,"message":{"content":"hi"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":3,"completion_tokens":null}}"#,
            Ok("hi"),
        );
        check_whole(r#"{"error":{"message":"no","code":500}}"#, Err("error 500"));
        check_whole(r#"{"choices":[],"error":{"message":"no","code":429}}"#, Err("error 429"));
        check_whole(r#"{"choices":[]}"#, Err("garbage"));
        check_whole(r#"{"object":"list","data":[]}"#, Err("garbage"));
        check_whole(r#"{"choices":[{"message":{"content":"hi"#, Err("garbage"));
        check_whole("<html>", Err("garbage"));
        check_whole("", Err("garbage"));
        check_whole("[]", Err("garbage"));
        check_whole(
            r#"{"choices":[{"message":{"content":"h"},"finish_reason":"error","error":{"code":503,"message":"x"}}]}"#,
            Err("error 503"),
        );
    }
}
