//! The form that the answer must have: what `response_format` says, otherwise the labels that the prompt lists.
//!
//! Owns finding closed label sets by their usual forms. Refuses open questions: a list without an order to choose from
//! it is no contract.

use api::Contract;

use crate::view::{View, head, tail};

/// Label sets have this many members.
const LABELS_MAX: usize = 60;
/// A label's length.
const LABEL_BYTES_MAX: usize = 48;
const LABEL_WORDS_MAX: usize = 4;
/// Labels are listed near the start or the end of a text.
const READ_BYTES: usize = 3000;

/// Phrases after which labels are listed.
const OPENERS: [&str; 28] = [
    "one of the following labels",
    "one of the following categories",
    "one of the following classes",
    "one of the following",
    "one of these labels",
    "one of these categories",
    "one of these",
    "exactly one of",
    "one of",
    "labels",
    "label set",
    "categories",
    "classes",
    "options",
    "choices",
    "intents",
    "departments",
    "choose from",
    "from the list of",
    "from the following list",
    "choose between",
    "pick from",
    "answer with",
    "one category from",
    "one label from",
    "kategorien",
    "categorías",
    "catégories",
];

/// Verbs before `as A, B or C`.
const VERBS: [&str; 11] = [
    "classify",
    "label",
    "categorize",
    "categorise",
    "tag",
    "mark",
    "rate",
    "clasifica",
    "classifie",
    "klassifiziere",
    "labelled",
];

/// The contract of a request.
pub(crate) fn contract(view: &View) -> Contract {
    if view.contract != Contract::Free {
        return view.contract.clone();
    }
    for text in [&view.user, &view.system] {
        let labels = labels(head(text, READ_BYTES));
        if !labels.is_empty() {
            return Contract::Labels(labels);
        }
        if text.len() > READ_BYTES {
            let labels = self::labels(tail(text, READ_BYTES));
            if !labels.is_empty() {
                return Contract::Labels(labels);
            }
        }
    }
    Contract::Free
}

fn labels(text: &str) -> Vec<String> {
    // ASCII lower case keeps every byte in its place.
    let lower = text.to_ascii_lowercase();
    after_openers(text, &lower)
        .or_else(|| after_verbs(text, &lower))
        .or_else(|| in_brackets(text, &lower))
        .or_else(|| fixed(&lower))
        .unwrap_or_default()
}

/// `one of: a, b, c`, `Labels: a | b`, `choose from [a, b]`.
fn after_openers(text: &str, lower: &str) -> Option<Vec<String>> {
    for opener in OPENERS {
        for place in places(lower, opener) {
            let rest = &text[place + opener.len()..];
            let rest = rest.strip_prefix('s').unwrap_or(rest);
            let listed = rest.trim_start_matches([' ', '\t']);
            let (listed, marked) = match listed.strip_prefix([':', '：', '=', '(', '[', '{']) {
                Some(after) => (after.trim_start_matches([' ', '\n', '[', '(', '{']), true),
                None => (listed, false),
            };
            // Without a mark "options" is an ordinary word, and "one of" mostly says "a certain".
            let chosen =
                opener.contains(' ') && listed.contains(" or ") && !lower[..place].ends_with("at least ");
            if !marked && !chosen {
                continue;
            }
            if let Some(labels) = listing(listed) {
                return Some(labels);
            }
        }
    }
    None
}

/// `classify ... as positive, negative or neutral`.
fn after_verbs(text: &str, lower: &str) -> Option<Vec<String>> {
    const BETWEEN_BYTES_MAX: usize = 160;
    for verb in VERBS {
        for place in places(lower, verb) {
            let after = place + verb.len();
            let window = head(&lower[after..], BETWEEN_BYTES_MAX);
            for link in [" as either ", " as being ", " as ", " into ", " in ", " como ", " comme ", " als "]
            {
                if let Some(found) = window.find(link) {
                    let labels = listing(&text[after + found + link.len()..]);
                    if let Some(labels) = labels.filter(|labels| labels.len() >= 2) {
                        return Some(labels);
                    }
                }
            }
        }
    }
    None
}

/// `sentiment (positive/negative)`, `answer yes | no`: a bracket of labels right behind a word that asks for one.
fn in_brackets(text: &str, lower: &str) -> Option<Vec<String>> {
    const CUE_BYTES_MAX: usize = 28;
    const CUES: [&str; 16] = [
        "label",
        "class",
        "categor",
        "sentiment",
        "answer",
        "type",
        "intent",
        "output",
        "reply",
        "emotion",
        "stance",
        "severity",
        "priority",
        "genre",
        "polarity",
        "choose",
    ];
    for (place, letter) in text.char_indices().filter(|(_, letter)| matches!(letter, '(' | '[' | '{')) {
        let close = match letter {
            '(' => ')',
            '[' => ']',
            _ => '}',
        };
        let before = tail(&lower[..place], CUE_BYTES_MAX);
        let Some(end) = text[place + 1..].find(close) else { continue };
        let inner = &text[place + 1..place + 1 + end];
        let separated = inner.contains(['/', '|']) || inner.matches(',').count() >= 2;
        if separated
            && CUES.iter().any(|cue| before.contains(cue))
            && let Some(labels) = listing(inner)
        {
            return Some(labels);
        }
    }
    None
}

/// The sets that everybody asks for.
fn fixed(lower: &str) -> Option<Vec<String>> {
    const SETS: [(&str, &[&str]); 16] = [
        ("positive, negative, or neutral", &["positive", "negative", "neutral"]),
        ("positive, negative or neutral", &["positive", "negative", "neutral"]),
        ("positive, neutral or negative", &["positive", "neutral", "negative"]),
        ("positive or negative", &["positive", "negative"]),
        ("entailment, contradiction or neutral", &["entailment", "contradiction", "neutral"]),
        ("entailment, contradiction, or neutral", &["entailment", "contradiction", "neutral"]),
        ("entailment, neutral or contradiction", &["entailment", "neutral", "contradiction"]),
        ("entailment, neutral, or contradiction", &["entailment", "neutral", "contradiction"]),
        ("yes, no or unknown", &["yes", "no", "unknown"]),
        ("answer yes or no", &["yes", "no"]),
        ("yes or no", &["yes", "no"]),
        ("yes/no", &["yes", "no"]),
        ("true or false", &["true", "false"]),
        ("true/false", &["true", "false"]),
        ("spam or ham", &["spam", "ham"]),
        ("ja oder nein", &["ja", "nein"]),
    ];
    let found = SETS.iter().find(|(phrase, _)| !places(lower, phrase).is_empty());
    found.map(|(_, labels)| labels.iter().map(|label| (*label).to_owned()).collect())
}

/// Where a phrase stands as whole words.
fn places(lower: &str, phrase: &str) -> Vec<usize> {
    let bounded = |place: usize| {
        let before = lower[..place].chars().next_back();
        let after = lower[place + phrase.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric)
            && !after.is_some_and(|letter| letter.is_alphanumeric() && letter != 's')
    };
    lower.match_indices(phrase).map(|(place, _)| place).filter(|place| bounded(*place)).collect()
}

/// Reads `a, b or c`, `a | b`, `a/b`, or one label a line, up to the end of the sentence.
fn listing(text: &str) -> Option<Vec<String>> {
    let line = first_line_of_list(text);
    let separators: &[char] = if line.contains('|') {
        &['|']
    } else if line.contains('\n') {
        &['\n']
    } else if line.contains([',', ';', '、', '，']) {
        &[',', ';', '、', '，']
    } else {
        &['/']
    };
    let mut labels: Vec<String> = Vec::new();
    for piece in line.split(separators) {
        let piece = piece.trim();
        let lowered = piece.to_ascii_lowercase();
        let joiner = [" or ", " and ", " oder ", " ou ", " o ", " und ", " et "]
            .iter()
            .find_map(|joiner| lowered.find(joiner).map(|place| (place, joiner.len())));
        match joiner {
            Some((place, length)) => {
                labels.push(clean(&piece[..place]));
                labels.push(clean(&piece[place + length..]));
            }
            None => {
                let stripped = ["or ", "and ", "oder ", "ou ", "und "]
                    .iter()
                    .find(|joiner| lowered.starts_with(*joiner));
                labels.push(clean(&piece[stripped.map_or(0, |joiner| joiner.len())..]));
            }
        }
    }
    labels.retain(|label| !label.is_empty());
    labels.dedup();
    ((2..=LABELS_MAX).contains(&labels.len()) && labels.iter().all(|label| is_label(label))).then_some(labels)
}

/// A few words without the marks of programs and formulas.
fn is_label(label: &str) -> bool {
    let plain = |letter: char| letter.is_alphanumeric() || " _-'’&+/.".contains(letter);
    let has_letter = label.chars().any(char::is_alphabetic);
    label.len() <= LABEL_BYTES_MAX
        && label.split_whitespace().count() <= LABEL_WORDS_MAX
        && label.chars().all(plain)
        && (has_letter || label.len() == 1)
}

/// The text up to where a list ends: a full stop, a closing bracket, a blank line, the line's end unless labels follow
/// one a line.
fn first_line_of_list(text: &str) -> &str {
    let text = text.trim_start_matches([' ', '\t']);
    let bulleted = text.trim_start().starts_with(['-', '*', '•']) || text.starts_with('\n');
    let mut end = text.len();
    for (place, letter) in text.char_indices() {
        let after = &text[place + letter.len_utf8()..];
        let ends = match letter {
            '.' | '?' | '!' | ':' => after.is_empty() || after.starts_with([' ', '\n', '"']),
            ')' | ']' | '}' | '。' | '？' => true,
            '\n' => !bulleted || after.starts_with('\n'),
            _ => false,
        };
        if ends && place > 0 {
            end = place;
            break;
        }
    }
    &text[..end]
}

/// A label without quotation marks, bullets and marks around it.
fn clean(label: &str) -> String {
    label
        .trim()
        .trim_start_matches(['-', '*', '•', '"', '\'', '`', '“', '«', '「', '(', '['])
        .trim_end_matches(['"', '\'', '`', '”', '»', '」', '.', ')', ']', '?', ','])
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        match contract(&View::of(None, text)) {
            Contract::Labels(labels) => assert_eq!(labels, expected, "{text}"),
            Contract::Free => assert!(expected.is_empty(), "{text}: found none"),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn label_sets_are_found_in_their_usual_forms() {
        check(
            "Classify the sentiment of this review as positive, negative or neutral.\n\"x\"",
            &["positive", "negative", "neutral"],
        );
        check("Answer yes or no: is it raining?", &["yes", "no"]);
        check("Reply with exactly one of: a, b, c. Text: d", &["a", "b", "c"]);
        check("Labels: BILLING, OUTAGE, OTHER\nText: x", &["BILLING", "OUTAGE", "OTHER"]);
        check(
            "intent options: set_brightness | lock_door | none\noutput:",
            &["set_brightness", "lock_door", "none"],
        );
        check(
            "choose one category from [politics, sport, culture]:\n\nRowing",
            &["politics", "sport", "culture"],
        );
        check("Label (card_lost, fee_question, other):", &["card_lost", "fee_question", "other"]);
        check("Entailment, contradiction or neutral?", &["entailment", "contradiction", "neutral"]);
        check("Choose from the options below.", &[]);
        check(
            "Write a story about one of the kings, a queen and a very long journey through the mountains",
            &[],
        );
        check("What are my options?", &[]);
        check("", &[]);
    }

    #[test]
    fn the_request_speaks_first() {
        let view = View { contract: Contract::JsonObject, ..View::of(None, "yes or no") };
        assert_eq!(contract(&view), Contract::JsonObject);
        let view = View::of(Some("Answer only with one of: cat, dog."), "a tabby");
        assert_eq!(contract(&view), Contract::Labels(vec!["cat".into(), "dog".into()]));
    }
}
