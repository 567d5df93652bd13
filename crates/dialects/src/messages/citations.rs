//! What a text rests on: Anthropic cites inside the block that rests on it, chat beside the text by its place in it.
//!
//! Owns both forms of a citation with an address: a `web_search_result_location`, or a `search_result_location` whose
//! source is one, and chat's `url_citation`. Refuses to make an address up: citations without one (of pages, characters
//! and blocks of documents) stay in their blocks, which travel whole, and annotations without one stay beside the answer.

use serde_json::{Map, Value, json};

use super::blocks::{self, given, text};

/// Characters of a text, as annotations count them.
pub(super) fn length(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}

/// Chat's annotations of a block whose text begins `base` characters into the answer's.
pub(super) fn to_chat(block: &Map<String, Value>, base: u64) -> Vec<Value> {
    let end = base.saturating_add(length(text(block, "text").unwrap_or_default()));
    let cited = blocks::objects(block, "citations").into_iter().filter_map(|citation| {
        let title = text(citation, "title").unwrap_or_default();
        let url = url_of(citation)?;
        let place = json!({"start_index": base, "end_index": end, "url": url, "title": title});
        Some(json!({"type": "url_citation", "url_citation": place}))
    });
    cited.collect()
}

fn url_of(citation: &Map<String, Value>) -> Option<&str> {
    match text(citation, "type")? {
        "web_search_result_location" => text(citation, "url"),
        "search_result_location" => text(citation, "source")
            .filter(|source| ["https://", "http://"].iter().any(|scheme| source.starts_with(scheme))),
        _ => None,
    }
}

/// The annotations that the blocks of an answer do not tell by themselves.
pub(super) fn untold(annotations: Option<&Value>, blocks: &[Value]) -> Vec<Value> {
    let annotations = annotations.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if annotations.is_empty() {
        return Vec::new();
    }
    let (mut base, mut told) = (0, Vec::new());
    for block in
        blocks.iter().filter_map(Value::as_object).filter(|block| text(block, "type") == Some("text"))
    {
        told.extend(to_chat(block, base));
        base = base.saturating_add(length(text(block, "text").unwrap_or_default()));
    }
    annotations.iter().filter(|annotation| !told.contains(annotation)).cloned().collect()
}

/// Where an annotation with an address stands, and its citation.
struct Place {
    begins: u64,
    ends: u64,
    citation: Value,
}

impl Place {
    fn of(annotation: &Value) -> Option<Self> {
        let annotation = annotation.as_object().filter(|fields| fields.len() == 2)?;
        let place = annotation.get("url_citation")?.as_object().filter(|fields| fields.len() == 4)?;
        let (begins, ends) = (place.get("start_index")?.as_u64()?, place.get("end_index")?.as_u64()?);
        let (url, title) = (text(place, "url")?, text(place, "title")?);
        let citation = json!({
            "type": "web_search_result_location", "url": url, "title": title, "cited_text": "", "encrypted_index": "",
        });
        Some(Self { begins, ends, citation })
    }
}

/// Puts annotations into the blocks of a whole answer that has one text: what rests on a source becomes a block of its
/// own. False, with the blocks as they were, where that would not say the same: an annotation without an address or a
/// place, places that overlap, or several texts.
pub(super) fn put(annotations: &[Value], blocks: &mut Vec<Value>) -> bool {
    let mut texts = blocks.iter().enumerate().filter(|(_, block)| block["type"] == "text");
    let (Some((at, block)), None) = (texts.next(), texts.next()) else { return false };
    let Some(said) = block["text"].as_str().filter(|_| block.get("citations").is_none()) else {
        return false;
    };
    let Some(mut places) = annotations.iter().map(Place::of).collect::<Option<Vec<_>>>() else {
        return false;
    };
    places.sort_by_key(|place| (place.begins, place.ends));
    let Some(cut) = cut(said, places) else { return false };
    blocks.splice(at..=at, cut);
    true
}

fn cut(said: &str, places: Vec<Place>) -> Option<Vec<Value>> {
    let end = length(said);
    let (mut characters, mut at) = (said.chars(), 0);
    let mut until = |place: u64, at: &mut u64| -> String {
        let count = usize::try_from(place.saturating_sub(*at)).unwrap_or(usize::MAX);
        *at = place;
        characters.by_ref().take(count).collect()
    };
    let mut cut: Vec<Value> = Vec::new();
    let mut last = None;
    for Place { begins, ends, citation } in places {
        if last == Some((begins, ends)) {
            cut.last_mut()?.get_mut("citations")?.as_array_mut()?.push(citation);
            continue;
        }
        if begins < at || begins >= ends || ends > end {
            return None;
        }
        if begins > at {
            cut.push(json!({"type": "text", "text": until(begins, &mut at)}));
        }
        cut.push(json!({"type": "text", "text": until(ends, &mut at), "citations": [citation]}));
        last = Some((begins, ends));
    }
    if at < end {
        cut.push(json!({"type": "text", "text": until(end, &mut at)}));
    }
    Some(cut)
}

/// Takes out of a block the citations that were made for a client: Anthropic asks for the index that it gave.
pub(super) fn drop_made_up(block: &mut Map<String, Value>) {
    let made_up = |citation: &Value| citation.get("encrypted_index").is_some_and(|index| index == "");
    let Some(citations) = block.get_mut("citations").and_then(Value::as_array_mut) else { return };
    let before = citations.len();
    citations.retain(|citation| !made_up(citation));
    if citations.len() == before {
        return;
    }
    if given(block, "citations").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        block.shift_remove("citations");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotation(begins: u64, ends: u64, url: &str) -> Value {
        json!({"type": "url_citation", "url_citation":
            {"start_index": begins, "end_index": ends, "url": url, "title": "t"}})
    }

    /// The texts that `said` is cut into, each with how many sources it has; `None` where it stays whole.
    fn check(said: &str, annotations: &[Value], expected: Option<&[(&str, usize)]>) {
        let before = vec![json!({"type": "text", "text": said}), json!({"type": "tool_use"})];
        let mut blocks = before.clone();
        if !put(annotations, &mut blocks) {
            assert_eq!((expected, blocks), (None, before), "{said}");
            return;
        }
        assert!(untold(Some(&json!(annotations)), &blocks).is_empty(), "{blocks:?}");
        assert_eq!(blocks.pop(), Some(json!({"type": "tool_use"})));
        let got: Vec<(&str, usize)> = blocks
            .iter()
            .map(|block| {
                (block["text"].as_str().unwrap_or("?"), block["citations"].as_array().map_or(0, Vec::len))
            })
            .collect();
        assert_eq!(Some(got.as_slice()), expected, "{said}");
    }

    #[test]
    fn a_text_is_cut_where_its_sources_are() {
        let both = [annotation(5, 8, "b"), annotation(0, 2, "a"), annotation(5, 8, "c")];
        check("éé is ßß.", &both, Some(&[("éé", 1), (" is", 0), (" ßß", 2), (".", 0)]));
        check("all", &[annotation(0, 3, "a")], Some(&[("all", 1)]));
        check("short", &[annotation(0, 9, "a")], None);
        check("overlap", &[annotation(0, 3, "a"), annotation(2, 5, "b")], None);
        check("empty", &[annotation(2, 2, "a")], None);
        check("file", &[json!({"type": "file_citation", "index": 1})], None);
        let mut more = annotation(0, 1, "a");
        more["url_citation"]["snippet"] = "x".into();
        check("more", &[more], None);
    }

    fn check_left(citations: &Value, expected: &Value) {
        let mut block = Map::from_iter([("citations".to_owned(), citations.clone())]);
        drop_made_up(&mut block);
        assert_eq!(block.get("citations").unwrap_or(&Value::Null), expected);
    }

    #[test]
    fn only_what_was_made_up_goes() {
        let (own, made_up, bare) =
            (json!({"encrypted_index": "x=="}), json!({"encrypted_index": ""}), json!({"title": "t"}));
        check_left(&json!([own, made_up, bare]), &json!([own, bare]));
        check_left(&json!([bare, 7]), &json!([bare, 7]));
        check_left(&json!([made_up]), &Value::Null);
        check_left(&json!([]), &json!([]));
        check_left(&json!("none"), &json!("none"));
    }
}
