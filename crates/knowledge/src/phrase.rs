//! Words that stand together in the question and in a passage: of the passages that words alone have found, those that say
//! them together come first.

use tantivy::query::{EnableScoring, PhraseQuery, Query, Weight};
use tantivy::schema::Field;
use tantivy::tokenizer::{TextAnalyzer, TokenStream};
use tantivy::{DocAddress, DocId, DocSet, Searcher, SeekDangerResult, SegmentReader, Term};

/// What a phrase that the question quotes adds, as a multiple of its BM25.
const QUOTED: f32 = 1.0;

/// What two words that the question has next to each other add.
const NEIGHBOURS: f32 = 0.1;

/// Phrases of a question that are looked for, quoted ones first.
const PHRASES_MAX: usize = 16;

/// Words of a phrase: of a longer one the first.
const WORDS_MAX: usize = 16;

/// Words at their distances from the first of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Phrase {
    words: Vec<(usize, String)>,
    weight: f32,
}

/// The phrases of a question: what it quotes, and each two neighbours among its words.
pub(crate) fn phrases(analyzer: &mut TextAnalyzer, question: &str) -> Vec<Phrase> {
    let quoted = quotations(question).map(|text| (placed(analyzer, text, WORDS_MAX), QUOTED));
    let mut found: Vec<(Vec<(usize, String)>, f32)> = quoted.collect();
    let words = placed(analyzer, question, PHRASES_MAX * 4);
    let neighbours = words.windows(2).filter(|pair| pair[1].0 == pair[0].0 + 1);
    found.extend(neighbours.map(|pair| (pair.to_vec(), NEIGHBOURS)));
    found.retain(|(words, _)| words.len() > 1);
    found.truncate(PHRASES_MAX);
    found.into_iter().map(|(words, weight)| Phrase { words, weight }).collect()
}

/// What stands in quotation marks.
fn quotations(question: &str) -> impl Iterator<Item = &str> {
    question.split(['"', '\u{201c}', '\u{201d}', '\u{201e}', '\u{ab}', '\u{bb}']).skip(1).step_by(2)
}

fn placed(analyzer: &mut TextAnalyzer, text: &str, words_max: usize) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    let mut stream = analyzer.token_stream(text);
    while words.len() < words_max && stream.advance() {
        words.push((stream.token().position, stream.token().text.clone()));
    }
    words
}

/// Adds to the scores of `ranking` what its passages' bodies have of `phrases`, best first again.
///
/// # Errors
/// Reading fails.
pub(crate) fn raise(
    searcher: &Searcher,
    body: Field,
    phrases: &[Phrase],
    mut ranking: Vec<(f32, DocAddress)>,
) -> tantivy::Result<Vec<(f32, DocAddress)>> {
    ranking.sort_unstable_by_key(|(_, place)| *place);
    for phrase in phrases {
        let terms = phrase.words.iter().map(|(place, word)| (*place, Term::from_field_text(body, word)));
        let query = PhraseQuery::new_with_offset(terms.collect());
        let weight = query.weight(EnableScoring::enabled_from_searcher(searcher))?;
        for of_segment in ranking.chunk_by_mut(|a, b| a.1.segment_ord == b.1.segment_ord) {
            let Some((_, first)) = of_segment.first() else { continue };
            raise_in(weight.as_ref(), searcher.segment_reader(first.segment_ord), phrase.weight, of_segment)?;
        }
    }
    ranking.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    Ok(ranking)
}

/// The same in one segment, whose passages are in its order. Only they are looked at: to look for the phrase from one to the
/// next would read all between.
fn raise_in(
    weight: &dyn Weight,
    reader: &SegmentReader,
    times: f32,
    ranking: &mut [(f32, DocAddress)],
) -> tantivy::Result<()> {
    let documents: Vec<DocId> = ranking.iter().map(|(_, place)| place.doc_id).collect();
    let Some(first) = documents.first() else { return Ok(()) };
    let (mut at, mut scorer) = weight.scorer_danger(reader, *first, 1.0)?;
    for (place, (score, _)) in ranking.iter_mut().enumerate() {
        let document = documents[place];
        if place > 0 {
            at = match at {
                // Nothing before that place has the phrase.
                SeekDangerResult::SeekLowerBound(bound) if bound > document => continue,
                _ => scorer.seek_danger(document),
            };
        }
        if at == SeekDangerResult::Found {
            *score += times * scorer.score();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages::Language;
    use crate::testing::{Written, written};
    use crate::words::analyzer;

    #[test]
    fn quotations_and_neighbours_are_phrases() {
        let check = |question: &str, expected: &[(&str, f32)]| {
            let found = phrases(&mut analyzer(Language::English), question);
            let joined = |phrase: &Phrase| {
                let words: Vec<&str> = phrase.words.iter().map(|(_, word)| word.as_str()).collect();
                words.join(" ")
            };
            let found: Vec<(String, f32)> =
                found.iter().map(|phrase| (joined(phrase), phrase.weight)).collect();
            let expected: Vec<(String, f32)> =
                expected.iter().map(|(words, weight)| (words.to_string(), *weight)).collect();
            assert_eq!(found, expected, "{question}");
        };
        check("", &[]);
        check("the house of cards", &[]);
        check("\"house of cards\" alone", &[("hous card", QUOTED), ("card alon", NEIGHBOURS)]);
        check("“red fox” and \"one", &[("red fox", QUOTED), ("red fox", NEIGHBOURS)]);
        check("\"\" \"word\"", &[]);
    }

    #[test]
    fn passages_that_say_it_together_come_first() {
        let bodies = [
            "cards of a house",
            "a house of cards",
            "the house and of some cards",
            "other words",
            "house of cards",
        ];
        let rows: Vec<Written> = bodies
            .iter()
            .enumerate()
            .map(|(place, body)| Written {
                file: place.to_string(),
                body: body.to_string(),
                ..Written::default()
            })
            .collect();
        let (searcher, fields) = written(&rows, 10, &[]);
        let ranking: Vec<(f32, DocAddress)> =
            (0..5).map(|document| (1.0, DocAddress::new(0, document))).collect();
        let raised = |question: &str| {
            let phrases = phrases(&mut analyzer(Language::English), question);
            let raised = raise(&searcher, fields.body, &phrases, ranking.clone()).unwrap();
            raised
                .into_iter()
                .filter(|(score, _)| *score > 1.0)
                .map(|(_, place)| place.doc_id)
                .collect::<Vec<_>>()
        };
        assert_eq!(raised("\"house of cards\""), [1, 4]);
        assert_eq!(raised("\"cards of houses\""), Vec::<u32>::new());
        assert_eq!(raised("\"never there\""), Vec::<u32>::new());
    }
}
