//! What a caller asks for in headers: budgets, privacy, a policy, a task, tags, the use of the cache.

use std::time::Duration;

use api::filter::Filter;
use api::{Error, Money, Priority};
use cache::CacheControl;
use http::HeaderMap;

/// Tags kept from one request: they end up in records, so their number and length are bounded.
const TAGS_MAX: usize = 16;
const TAG_BYTES_MAX: usize = 64;

/// The wishes of one request, checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    /// `x-pointsman-policy`: the policy that decides.
    pub(crate) policy: Option<String>,
    /// `x-pointsman-task`: the task that the request belongs to.
    pub(crate) task: Option<String>,
    /// Where its passages may come from.
    pub(crate) reach: Reach,
    /// `x-pointsman-tags`: words for reports and for the policy's expressions.
    pub(crate) tags: Vec<String>,
    /// `x-pointsman-latency-budget-ms`.
    pub(crate) latency_budget: Option<Duration>,
    /// `x-pointsman-cost-budget-usd`.
    pub(crate) cost_budget: Option<Money>,
    /// `x-pointsman-privacy: local`: the request never leaves this host.
    pub(crate) private: bool,
    /// `x-pointsman-priority`: what can wait says `low`.
    pub(crate) priority: Option<Priority>,
    /// `x-pointsman-explain: true`: the decision comes with the answer.
    pub(crate) explain: bool,
    /// `cache-control`.
    pub(crate) cache: CacheControl,
}

impl Wishes {
    /// Reads the headers of a request.
    ///
    /// # Errors
    /// A 400 that names the header and what it may hold.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Error> {
        Ok(Self {
            policy: text(headers, "x-pointsman-policy")?.map(str::to_owned),
            task: text(headers, "x-pointsman-task")?.map(str::to_owned),
            reach: Reach::read(headers)?,
            tags: tags(headers)?,
            latency_budget: latency_budget(headers)?,
            cost_budget: cost_budget(headers)?,
            private: switch(headers, "x-pointsman-privacy", "local")?,
            priority: priority(headers)?,
            explain: switch(headers, "x-pointsman-explain", "true")?,
            cache: CacheControl::parse(
                headers.get_all(http::header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()),
            ),
        })
    }
}

/// What a caller may see of the stores: it narrows what its tenant may, and never widens it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reach {
    /// `x-pointsman-store`: the store, where it is not the policy's.
    pub(crate) store: Option<String>,
    /// `x-pointsman-scope`: folders or documents, with commas between.
    pub(crate) folders: Option<Vec<String>>,
    /// `x-pointsman-filter`: what the documents' attributes must be, as JSON in the manner of OpenAI's vector stores.
    pub(crate) filter: Option<Filter>,
}

impl Reach {
    fn read(headers: &HeaderMap) -> Result<Self, Error> {
        const FILTER: &str = "x-pointsman-filter";
        let folders = text(headers, "x-pointsman-scope")?.map(|list| {
            list.split(',').map(str::trim).filter(|folder| !folder.is_empty()).map(str::to_owned)
        });
        let filter = match text(headers, FILTER)? {
            None => None,
            Some(json) => {
                let value = serde_json::from_str(json).map_err(|error| {
                    Error::field(FILTER, format!("The header `{FILTER}` is not JSON: {error}."))
                })?;
                Some(Filter::parse(&value, FILTER)?)
            }
        };
        Ok(Self {
            store: text(headers, "x-pointsman-store")?.map(str::to_owned),
            folders: folders.map(Iterator::collect),
            filter,
        })
    }

    /// Everything of it in one text, for a key that tells answers apart; `None` where nothing is narrowed.
    pub(crate) fn told(&self) -> Option<String> {
        (*self != Self::default()).then(|| format!("{self:?}"))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Error> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Error::field(name, format!("The header `{name}` is given twice.")));
    }
    match first.to_str() {
        Ok(value) => Ok(Some(value.trim()).filter(|value| !value.is_empty())),
        Err(_) => Err(Error::field(name, format!("The header `{name}` must be visible ASCII."))),
    }
}

fn switch(headers: &HeaderMap, name: &'static str, on: &str) -> Result<bool, Error> {
    match text(headers, name)? {
        None | Some("false" | "any") => Ok(false),
        Some(value) if value.eq_ignore_ascii_case(on) => Ok(true),
        Some(_) => Err(Error::field(name, format!("The header `{name}` may be `{on}`, or left out."))),
    }
}

fn priority(headers: &HeaderMap) -> Result<Option<Priority>, Error> {
    const NAME: &str = "x-pointsman-priority";
    let Some(value) = text(headers, NAME)? else { return Ok(None) };
    let found = Priority::ALL.into_iter().find(|(name, _)| value.eq_ignore_ascii_case(name));
    found.map(|(_, priority)| Some(priority)).ok_or_else(|| {
        Error::field(NAME, format!("The header `{NAME}` may be low, normal or high, or left out."))
    })
}

fn latency_budget(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    const NAME: &str = "x-pointsman-latency-budget-ms";
    const LONGEST_MS: u64 = 3_600_000;
    let Some(value) = text(headers, NAME)? else { return Ok(None) };
    match value.parse::<u64>() {
        Ok(ms) if (1..=LONGEST_MS).contains(&ms) => Ok(Some(Duration::from_millis(ms))),
        _ => Err(Error::field(
            NAME,
            format!("The header `{NAME}` must be whole milliseconds from 1 to {LONGEST_MS}."),
        )),
    }
}

fn cost_budget(headers: &HeaderMap) -> Result<Option<Money>, Error> {
    const NAME: &str = "x-pointsman-cost-budget-usd";
    let Some(value) = text(headers, NAME)? else { return Ok(None) };
    value
        .parse::<f64>()
        .ok()
        .filter(|usd| *usd >= 0.0)
        .and_then(Money::from_usd)
        .map(Some)
        .ok_or_else(|| Error::field(NAME, format!("The header `{NAME}` must be dollars, such as 0.002.")))
}

fn tags(headers: &HeaderMap) -> Result<Vec<String>, Error> {
    const NAME: &str = "x-pointsman-tags";
    let tags: Vec<String> = text(headers, NAME)?
        .unwrap_or("")
        .split(',')
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
        .map(str::to_owned)
        .collect();
    if tags.len() > TAGS_MAX || tags.iter().any(|tag| tag.len() > TAG_BYTES_MAX) {
        let allowed = format!(
            "The header `{NAME}` may hold {TAGS_MAX} tags of {TAG_BYTES_MAX} bytes, with commas between."
        );
        return Err(Error::field(NAME, allowed));
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(pairs: &[(&'static str, &str)]) -> Result<Wishes, Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).expect("a header value"));
        }
        Wishes::read(&headers)
    }

    #[test]
    fn wishes_are_read() {
        let wishes = read(&[
            ("x-pointsman-latency-budget-ms", "250"),
            ("x-pointsman-cost-budget-usd", "0.002"),
            ("x-pointsman-privacy", "local"),
            ("x-pointsman-tags", "a, b,,c"),
        ])
        .expect("good headers");
        assert_eq!(wishes.latency_budget, Some(Duration::from_millis(250)));
        assert_eq!(wishes.cost_budget, Some(Money::from_nanos(2_000_000)));
        assert!(wishes.private && !wishes.explain);
        assert_eq!(wishes.tags, ["a", "b", "c"]);
    }

    #[test]
    fn a_wrong_wish_is_named() {
        for (name, value) in [
            ("x-pointsman-latency-budget-ms", "soon"),
            ("x-pointsman-latency-budget-ms", "0"),
            ("x-pointsman-cost-budget-usd", "-1"),
            ("x-pointsman-cost-budget-usd", "inf"),
            ("x-pointsman-privacy", "maybe"),
            ("x-pointsman-explain", "perhaps"),
            ("x-pointsman-priority", "urgent"),
        ] {
            let error = read(&[(name, value)]).expect_err(value);
            assert_eq!(error.param.as_deref(), Some(name));
        }
        let twice = read(&[("x-pointsman-policy", "a"), ("x-pointsman-policy", "b")]);
        assert_eq!(twice.expect_err("twice").param.as_deref(), Some("x-pointsman-policy"));
    }
}
