//! `POST /v1/feedback`: a verdict on an earlier answer, or the label that it should have had. It becomes an outcome that
//! later estimates rest on.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{Error, Fault, parse_object};
use http::Response;
use serde_json::{Map, Value, json};

use super::read::read_json;
use super::{Arrived, Step};
use crate::answered::{Answered, same_answer};
use crate::body::Body;
use crate::house::House;
use crate::journal::packed;
use crate::outcomes::{Fared, Row};
use crate::tasks::clerk::{News, Told};

/// Takes one verdict.
pub(crate) async fn feedback(arrived: Arrived) -> Response<Body> {
    feedback_or_refuse(arrived).await.unwrap_or_else(|refusal| *refusal)
}

async fn feedback_or_refuse(arrived: Arrived) -> Step<Response<Body>> {
    let admitted = arrived.admit()?;
    let mut ticket = admitted.ticket;
    ticket.keep_off_the_book();
    let house = Arc::clone(&ticket.house);
    let said = read_json(&admitted.headers, admitted.body, &house.decider.settings.limits)
        .await
        .and_then(|bytes| parse_object(&bytes))
        .and_then(|body| Said::from_body(&body));
    let judged = said.and_then(|said| said.judge(&house, &ticket.tenant.name));
    let (id, score, label, answered) = match judged {
        Ok(judged) => judged,
        Err(error) => return Err(ticket.refuse(&error)),
    };
    let told = json!({ "object": "feedback", "id": id, "model": answered.model, "score": score });
    if let (Some(label), Some((task, input, with_examples))) = (label, &answered.task) {
        let news = News::Told(Box::new(Told {
            tenant: Arc::clone(&answered.tenant),
            task: Arc::clone(task),
            input: input.clone(),
            label,
            said: answered.said.clone(),
            with_examples: *with_examples,
            decision: id.clone(),
        }));
        if !house.clerk.tell(news) {
            let busy = Error::new(Fault::Unavailable, "busy", "Too many labels at once: send it again.");
            return Err(ticket.refuse(&busy));
        }
    }
    let work = move || keep(&house, id, score, &answered);
    match tokio::task::spawn_blocking(work).await.map_err(Error::internal).and_then(|kept| kept) {
        Ok(()) => Ok(ticket.answer(&told)),
        Err(error) => Err(ticket.refuse(&error)),
    }
}

/// Writes the verdict as an outcome, and learns anew when enough have come. Blocks.
fn keep(house: &Arc<House>, id: String, score: f64, answered: &Answered) -> Result<(), Error> {
    let decider = &house.decider;
    let vector = match &answered.vector {
        Some(vector) => vector.clone(),
        None => decider.vector(&answered.prompt)?,
    };
    let fared = Fared { score: Some(score), cost: Some(answered.cost.usd()) };
    let row = Row {
        id,
        group: String::new(),
        prompt: answered.prompt.clone(),
        models: BTreeMap::from([(answered.model.clone(), fared)]),
        vector: packed(&vector),
        encoder: api::Embed::fingerprint(&*decider.encoder).to_owned(),
    };
    decider.learn_from(&row)
}

/// What somebody says of an answer.
#[derive(Debug, PartialEq)]
struct Said {
    id: String,
    verdict: Verdict,
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Score(f64),
    Label(String),
}

impl Said {
    fn from_body(body: &Map<String, Value>) -> Result<Self, Error> {
        const ALLOWED: &str = "id, and one of score, verdict, label";
        if let Some(other) =
            body.keys().find(|key| !matches!(key.as_str(), "id" | "score" | "verdict" | "label"))
        {
            let shown: String = other.chars().take(100).collect();
            return Err(Error::field(
                &shown,
                format!("`{shown}` is no field of feedback; allowed: {ALLOWED}."),
            ));
        }
        let id = match body.get("id") {
            Some(Value::String(id)) if !id.is_empty() => id,
            _ => {
                let wanted = "`id` must be the answer's `id` or its `x-pointsman-decision` header.";
                return Err(Error::field("id", wanted));
            }
        };
        let id = id.strip_prefix("chatcmpl-").unwrap_or(id).to_owned();
        let verdict = match (body.get("score"), body.get("verdict"), body.get("label")) {
            (Some(score), None, None) => match score.as_f64() {
                Some(score) if (0.0..=1.0).contains(&score) => Verdict::Score(score),
                _ => {
                    let wanted = "`score` must be a number from 0 (useless) to 1 (right).";
                    return Err(Error::field("score", wanted));
                }
            },
            (None, Some(verdict), None) => match verdict.as_str() {
                Some("good") => Verdict::Score(1.0),
                Some("bad") => Verdict::Score(0.0),
                _ => return Err(Error::field("verdict", "`verdict` must be \"good\" or \"bad\".")),
            },
            (None, None, Some(label)) => match label.as_str() {
                Some(label) if !label.trim().is_empty() => Verdict::Label(label.to_owned()),
                _ => return Err(Error::field("label", "`label` must be the text of the right answer.")),
            },
            _ => {
                let wanted = format!("Say exactly one thing of the answer; allowed: {ALLOWED}.");
                return Err(Error::field("score", wanted));
            }
        };
        Ok(Self { id, verdict })
    }

    /// The answer that is meant, and its score.
    fn judge(self, house: &House, tenant: &str) -> Result<Judged, Error> {
        let Some(answered) = house.judgeable.get(&self.id, tenant) else {
            let shown: String = self.id.chars().take(100).collect();
            let message = format!(
                "There is no answer `{shown}` to judge: it is older than `feedback.keep_hours`, was private, came from \
                 the cache, or was never given to this key."
            );
            return Err(Error::new(Fault::NotFound, "answer_not_found", message).with_param("id"));
        };
        let score = match &self.verdict {
            Verdict::Score(score) => *score,
            Verdict::Label(label) => match &answered.said {
                Some(said) => f64::from(u8::from(same_answer(said, label))),
                None => {
                    let message = "The answer is too long to be compared with a label; send a `score`.";
                    return Err(Error::field("label", message));
                }
            },
        };
        let label = match self.verdict {
            Verdict::Label(label) => Some(label),
            Verdict::Score(_) => None,
        };
        if let (Some(label), Some((task, ..))) = (&label, &answered.task) {
            task.check_label(label).map_err(|why| Error::field("label", why))?;
        }
        Ok((self.id, score, label, answered))
    }
}

/// The answer's id, its score, the label that it should have had, and the answer.
type Judged = (String, f64, Option<String>, Arc<Answered>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_is_read_or_told() {
        let check = |body: Value, expected: Result<Verdict, &str>| {
            let Value::Object(body) = body else { panic!("an object") };
            match (Said::from_body(&body), expected) {
                (Ok(said), Ok(verdict)) => assert_eq!(said, Said { id: "x1".to_owned(), verdict }),
                (Err(error), Err(param)) => assert_eq!(error.param.as_deref(), Some(param), "{error}"),
                (got, expected) => panic!("{got:?}, not {expected:?}"),
            }
        };
        check(json!({"id": "x1", "score": 0.5}), Ok(Verdict::Score(0.5)));
        check(json!({"id": "chatcmpl-x1", "verdict": "good"}), Ok(Verdict::Score(1.0)));
        check(json!({"id": "x1", "verdict": "bad"}), Ok(Verdict::Score(0.0)));
        check(json!({"id": "x1", "label": "refund"}), Ok(Verdict::Label("refund".to_owned())));
        check(json!({"score": 1}), Err("id"));
        check(json!({"id": 7, "score": 1}), Err("id"));
        check(json!({"id": "x1"}), Err("score"));
        check(json!({"id": "x1", "score": 1, "verdict": "good"}), Err("score"));
        check(json!({"id": "x1", "score": 3}), Err("score"));
        check(json!({"id": "x1", "verdict": "meh"}), Err("verdict"));
        check(json!({"id": "x1", "label": " "}), Err("label"));
        check(json!({"id": "x1", "score": 1, "rating": 5}), Err("rating"));
    }
}
