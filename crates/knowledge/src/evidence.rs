//! What speaks for a sentence in a passage: its words, numbers, names and negations, found again.
//!
//! Owns the comparison of one sentence with the words of passages. Refuses to weigh it (`grounded` does) and to encode.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use tantivy::tokenizer::{TextAnalyzer, TokenStream};

use crate::sentences::units;
use crate::words::says_something;

/// Words that turn a sentence round.
const NEGATIONS: &[&str] = &[
    "ain't",
    "aren't",
    "barely",
    "can't",
    "cannot",
    "couldn't",
    "didn't",
    "doesn't",
    "don't",
    "hadn't",
    "hardly",
    "hasn't",
    "haven't",
    "isn't",
    "neither",
    "never",
    "no",
    "nobody",
    "none",
    "nor",
    "not",
    "nothing",
    "shouldn't",
    "unable",
    "wasn't",
    "weren't",
    "without",
    "won't",
    "wouldn't",
];

/// Numbers that are written as words.
const NUMBER_WORDS: &[(&str, &str)] = &[
    ("eight", "8"),
    ("eighteen", "18"),
    ("eighty", "80"),
    ("eleven", "11"),
    ("fifteen", "15"),
    ("fifty", "50"),
    ("five", "5"),
    ("forty", "40"),
    ("four", "4"),
    ("fourteen", "14"),
    ("nine", "9"),
    ("nineteen", "19"),
    ("ninety", "90"),
    ("seven", "7"),
    ("seventeen", "17"),
    ("seventy", "70"),
    ("six", "6"),
    ("sixteen", "16"),
    ("sixty", "60"),
    ("ten", "10"),
    ("thirteen", "13"),
    ("thirty", "30"),
    ("three", "3"),
    ("twelve", "12"),
    ("twenty", "20"),
    ("two", "2"),
];

/// What a text says, in a form that can be compared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// Stems of words that say something, in order, with repeats.
    pub(crate) words: Vec<String>,
    /// Numbers as digits: "1,000" and "twelve" are `1000` and `12`.
    pub(crate) numbers: HashSet<String>,
    /// Stems of words with a capital that do not begin the text, with the words as they stand.
    pub(crate) names: HashMap<String, String>,
    /// Whether it denies something.
    pub(crate) negated: bool,
}

impl Said {
    pub(crate) fn of(analyzer: &mut TextAnalyzer, text: &str) -> Self {
        let mut said = Self { numbers: numbers(text), ..Self::default() };
        let mut stream = analyzer.token_stream(text);
        let mut begun = false;
        while let Some(token) = stream.next() {
            if !says_something(&token.text) {
                continue;
            }
            let word = text.get(token.offset_from..token.offset_to).unwrap_or_default();
            let capital = word.chars().next().is_some_and(char::is_uppercase);
            let shouted = word.chars().filter(|c| c.is_uppercase()).nth(1).is_some();
            // The first word of a text has a capital whatever it is.
            let first = !begun && text[..token.offset_from].chars().all(|c| !c.is_alphanumeric());
            if capital && (!first || shouted) {
                said.names.insert(token.text.clone(), word.to_owned());
            }
            begun = true;
            said.words.push(token.text.clone());
        }
        let mut plain = text.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’');
        said.negated = plain
            .any(|word| NEGATIONS.binary_search(&word.to_lowercase().replace('’', "'").as_str()).is_ok());
        said
    }
}

/// The numbers of a text as digits, without the commas between thousands and without zeros behind a point's last digit.
pub(crate) fn numbers(text: &str) -> HashSet<String> {
    let mut found = HashSet::new();
    let bytes = text.as_bytes();
    let mut place = 0;
    while place < bytes.len() {
        if !bytes[place].is_ascii_digit() {
            place += 1;
            continue;
        }
        let start = place;
        let digit = |place: usize| bytes.get(place).is_some_and(u8::is_ascii_digit);
        while digit(place) || (matches!(bytes.get(place), Some(b',' | b'.')) && digit(place + 1)) {
            place += 1;
        }
        found.insert(plain_number(&text[start..place]));
    }
    for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| (3..=9).contains(&word.len())) {
        let word = word.to_lowercase();
        if let Ok(at) = NUMBER_WORDS.binary_search_by_key(&word.as_str(), |(word, _)| word) {
            found.insert(NUMBER_WORDS[at].1.to_owned());
        }
    }
    found
}

fn plain_number(digits: &str) -> String {
    let plain = digits.replace(',', "");
    match plain.split_once('.') {
        Some((whole, part)) if !part.contains('.') => {
            let part = part.trim_end_matches('0');
            if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
        }
        _ => plain,
    }
}

/// Passages as a sentence is compared with them.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Which passage each unit is of, and where it stands.
    units: Vec<(usize, Range<usize>)>,
    said: Vec<Said>,
    /// Words, numbers and names above the text: file and headings.
    above: HashSet<String>,
    words: HashSet<String>,
    numbers: HashSet<String>,
}

/// How a sentence stands to a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Evidence {
    /// The share of its words that the source has.
    pub(crate) words: f32,
    /// The share that the best two sentences in a row have, or the headings.
    pub(crate) words_together: f32,
    /// The most of its words that stand within a stretch not much longer than the sentence, as a share.
    pub(crate) words_near: f32,
    /// The share of its pairs of neighbouring words that stand in the same order, at most two words apart.
    pub(crate) pairs: f32,
    /// The same of the pairs with a name or a number in them, 1 where there are none.
    pub(crate) fact_pairs: f32,
    /// Numbers and names that the source does not have, as they stand.
    pub(crate) strange_numbers: Vec<String>,
    pub(crate) strange_names: Vec<String>,
    /// The share of its numbers and names that are in the source, but not in its best sentences.
    pub(crate) displaced: f32,
    /// One denies and the other does not.
    pub(crate) turned: bool,
    /// How many words it has.
    pub(crate) length: usize,
    /// The best unit, and how many units from there.
    pub(crate) window: (usize, usize),
}

impl Source {
    /// `passages` are the numbers' places, the text above (file and headings) and the text.
    pub(crate) fn of(analyzer: &mut TextAnalyzer, passages: &[(usize, String, &str)]) -> Self {
        let mut source = Self::default();
        for (place, above, text) in passages {
            let above = Said::of(analyzer, above);
            source.words.extend(above.words.iter().cloned());
            source.numbers.extend(above.numbers.iter().cloned());
            source.above.extend(above.words);
            source.above.extend(above.numbers);
            for unit in units(text) {
                let said = Said::of(analyzer, &text[unit.clone()]);
                source.words.extend(said.words.iter().cloned());
                source.numbers.extend(said.numbers.iter().cloned());
                source.said.push(said);
                source.units.push((*place, unit));
            }
        }
        source
    }

    /// Compares a sentence with it.
    pub(crate) fn compare(&self, sentence: &Said) -> Evidence {
        let different: HashSet<&String> = sentence.words.iter().collect();
        let share =
            |count: usize| if different.is_empty() { 0.0 } else { count as f32 / different.len() as f32 };
        let (window, together) = self.window(&different);
        let strange = |known: bool, word: &str| (!known).then(|| word.to_owned());
        let mut strange_numbers: Vec<String> = sentence
            .numbers
            .iter()
            .filter_map(|number| strange(self.numbers.contains(number), number))
            .collect();
        let mut strange_names: Vec<String> = sentence
            .names
            .iter()
            .filter_map(|(stem, name)| strange(self.words.contains(stem), name))
            .collect();
        strange_numbers.sort_unstable();
        strange_names.sort_unstable();
        let in_window = self.said.iter().skip(window.0).take(window.1);
        let turned = sentence.negated != in_window.clone().any(|said| said.negated);
        let facts = sentence.numbers.len() + sentence.names.len();
        let has = |fact: &String| {
            self.above.contains(fact)
                || in_window.clone().any(|said| said.numbers.contains(fact) || said.words.contains(fact))
        };
        let here = sentence.numbers.iter().chain(sentence.names.keys()).filter(|fact| has(fact)).count();
        let (pairs, fact_pairs) = self.pairs(sentence);
        let strangers = strange_numbers.len() + strange_names.len();
        let displaced = facts.saturating_sub(here + strangers) as f32 / facts.max(1) as f32;
        Evidence {
            words: share(different.iter().filter(|word| self.words.contains(**word)).count()),
            words_together: share(together),
            words_near: share(self.near(&different)),
            pairs,
            fact_pairs,
            strange_numbers,
            strange_names,
            displaced,
            turned,
            length: sentence.words.len(),
            window,
        }
    }

    /// The passage's place and the bytes of a window.
    pub(crate) fn window_bytes(&self, (first, length): (usize, usize)) -> Option<(usize, usize, usize)> {
        let (place, start) = self.units.get(first)?;
        let (_, end) = self.units.get(first + length.checked_sub(1)?)?;
        Some((*place, start.start, end.end))
    }

    /// The first unit or two in a row with the most of `words`, and how many those and the headings have.
    fn window(&self, words: &HashSet<&String>) -> ((usize, usize), usize) {
        let above = words.iter().filter(|word| self.above.contains(**word)).count();
        let mut best = ((0, self.said.len().min(1)), above);
        for first in 0..self.said.len() {
            for length in 1..=2 {
                let Some(said) = self.said.get(first..first + length) else { continue };
                if self.units[first].0 != self.units[first + length - 1].0 {
                    continue;
                }
                let has = |word: &String| {
                    self.above.contains(word) || said.iter().any(|said| said.words.contains(word))
                };
                let count = words.iter().filter(|word| has(word)).count();
                if count > best.1 {
                    best = ((first, length), count);
                }
            }
        }
        best
    }

    /// The most different words of `words` within a stretch of half as many words again and four.
    fn near(&self, words: &HashSet<&String>) -> usize {
        let stretch = words.len() + words.len() / 2 + 4;
        let all: Vec<&String> = self.said.iter().flat_map(|said| &said.words).collect();
        let mut counts: HashMap<&String, usize> = HashMap::new();
        let mut most = 0;
        for (place, word) in all.iter().enumerate() {
            if words.contains(*word) {
                *counts.entry(*word).or_default() += 1;
            }
            if let Some(gone) = place.checked_sub(stretch).map(|gone| all[gone])
                && let Some(count) = counts.get_mut(gone)
            {
                *count -= 1;
                if *count == 0 {
                    counts.remove(gone);
                }
            }
            most = most.max(counts.len());
        }
        most
    }

    /// The shares of all neighbouring words and of those with a fact among them that are neighbours here.
    fn pairs(&self, sentence: &Said) -> (f32, f32) {
        let mut met: HashSet<(&String, &String)> = HashSet::new();
        for said in &self.said {
            for (place, first) in said.words.iter().enumerate() {
                met.extend(said.words.iter().skip(place + 1).take(2).map(|second| (first, second)));
            }
        }
        let is_fact = |word: &String| sentence.names.contains_key(word) || sentence.numbers.contains(word);
        let wanted: HashSet<(&String, &String)> =
            sentence.words.windows(2).map(|pair| (&pair[0], &pair[1])).collect();
        let (facts, others): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|(first, second)| is_fact(first) || is_fact(second));
        let met_of =
            |pairs: &[(&String, &String)]| pairs.iter().filter(|pair| met.contains(*pair)).count() as f32;
        let of_facts = met_of(&facts);
        let all = (of_facts + met_of(&others)) / (facts.len() + others.len()).max(1) as f32;
        (all, if facts.is_empty() { 1.0 } else { of_facts / facts.len() as f32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages::Language;
    use crate::words::analyzer;

    #[test]
    fn numbers_are_compared_as_digits() {
        let check = |text: &str, expected: &[&str]| {
            let mut found: Vec<String> = numbers(text).into_iter().collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{text:?}");
        };
        assert!(NUMBER_WORDS.is_sorted() && NEGATIONS.is_sorted());
        check("1,000 of 3.50, 12. Then 1990s", &["1000", "12", "1990", "3.5"]);
        check("Twelve of the 1.2.3, thirtyfold", &["1.2.3", "12"]);
        check("2.00 4,", &["2", "4"]);
        check("٣ zwölf", &[]);
    }

    #[test]
    fn a_text_says_words_names_and_denials() {
        let check = |text: &str, words: &[&str], names: &[&str], negated: bool| {
            let said = Said::of(&mut analyzer(Language::English), text);
            let mut found: Vec<&str> = said.names.values().map(String::as_str).collect();
            found.sort_unstable();
            assert_eq!(
                (said.words.as_slice(), found.as_slice(), said.negated),
                (&words.iter().map(ToString::to_string).collect::<Vec<_>>()[..], names, negated)
            );
        };
        check("", &[], &[], false);
        check("Rivers in Peru didn’t flood", &["river", "peru", "didn", "t", "flood"], &["Peru"], true);
        check("NATO and the Alps", &["nato", "alp"], &["Alps", "NATO"], false);
        check("There was no rain", &["rain"], &[], true);
    }

    #[test]
    fn evidence_is_what_stands_together() {
        let source = |text: &'static str| {
            Source::of(&mut analyzer(Language::English), &[(0, String::from("Harbour of Vell"), text)])
        };
        let vell = source(
            "The lights were lit in 1871. Smith paid 300 crowns. Later came Jones. A mill was not built.",
        );
        let evidence = |sentence: &str| vell.compare(&Said::of(&mut analyzer(Language::English), sentence));
        let whole = evidence("In Vell the lights were lit in 1871.");
        assert_eq!(
            (whole.words, whole.words_together, whole.displaced, whole.turned),
            (1.0, 1.0, 0.0, false)
        );
        assert_eq!(whole.window, (0, 1));
        let far = evidence("The lights were lit by Jones.");
        assert_eq!((far.words, far.words_together, far.displaced), (1.0, 2.0 / 3.0, 1.0));
        let strange = evidence("For 400 crowns Baker lit the lights.");
        assert_eq!(
            (strange.strange_numbers, strange.strange_names),
            (vec!["400".to_owned()], vec!["Baker".to_owned()])
        );
        assert!(evidence("A mill was built.").turned && !evidence("No mill was built.").turned);
        assert_eq!(Source::default().compare(&Said::default()).words, 0.0);
        let nothing = Source::default().compare(&Said::of(&mut analyzer(Language::English), "Two mills"));
        assert_eq!((nothing.words, nothing.window), (0.0, (0, 0)));
    }
}
