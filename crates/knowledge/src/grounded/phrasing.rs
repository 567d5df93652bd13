//! Sentences of answers that need no passage: those that lead over to others, and those that say that there is no answer.

use crate::evidence::Said;

/// Stems of sentences that only lead over to what comes.
const FRAME_WORDS: &[&str] = &[
    "accord", "answer", "ask", "base", "below", "cite", "common", "conclus", "context", "cours", "detail",
    "differ", "document", "follow", "found", "given", "hope", "index", "inform", "knowledg", "mention",
    "note", "passag", "point", "provid", "question", "relev", "sourc", "state", "summari", "sure", "text",
    "thank", "yes",
];

/// Whether a sentence says nothing of its own.
pub(super) fn is_frame(said: &Said) -> bool {
    said.numbers.is_empty()
        && said.words.iter().all(|word| FRAME_WORDS.binary_search(&word.as_str()).is_ok())
        && !said.negated
}

/// Whether a sentence says, as `prompt` asks for it, that the passages do not cover the question.
pub(super) fn is_refusal(sentence: &str) -> bool {
    const VERBS: &[&str] = &[
        "address",
        "answer",
        "contain",
        "cover",
        "describe",
        "explain",
        "find",
        "give",
        "include",
        "information",
        "indicate",
        "mention",
        "provide",
        "say",
        "specify",
        "state",
        "tell",
    ];
    const OF_PASSAGES: &[&str] = &[
        "context",
        "document",
        "documents",
        "excerpt",
        "excerpts",
        "index",
        "information",
        "passage",
        "passages",
        "source",
        "sources",
        "text",
        "texts",
    ];
    const WHOLE: &[&str] = &[
        "i do not know",
        "i don't know",
        "not covered",
        "cannot answer",
        "can't answer",
        "unable to answer",
    ];
    let plain = sentence.to_lowercase().replace('’', "'");
    if WHOLE.iter().any(|whole| plain.contains(whole)) {
        return true;
    }
    let words: Vec<&str> = plain.split(|c: char| !c.is_alphabetic() && c != '\'').collect();
    let has = |list: &[&str]| words.iter().any(|word| list.contains(word));
    let verb = words.iter().any(|word| {
        let stem = ["", "s", "es", "ed"]
            .iter()
            .find_map(|end| word.strip_suffix(end).filter(|stem| VERBS.contains(stem)));
        stem.is_some()
    });
    verb && has(OF_PASSAGES)
        && has(&["not", "no", "don't", "doesn't", "didn't", "cannot", "can't", "none", "neither", "nor"])
}
