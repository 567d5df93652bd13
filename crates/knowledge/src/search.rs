//! A question to an opened index: what is asked, what both rankings say, and the passages that come of it.

use std::collections::HashSet;

use api::{Error, Fault, Findings, Passage};
use serde_json::{Map, Value};
use tantivy::schema::document::CompactDocValue;
use tantivy::schema::{OwnedValue, Value as _};
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{DocAddress, TantivyDocument, Term};

use crate::admitted::Admitted;
use crate::coverage::{BY_WORDS, Estimate, Features, Near, PASSAGES_READ, Weighed};
use crate::errors::not_searched;
use crate::fuse::{Fused, fuse};
use crate::highlight::{Asked, highlights};
use crate::index::Index;
use crate::languages::Language;
use crate::lexical;
use crate::phrase::{phrases, raise};
use crate::scan;
use crate::scope::Scope;
use crate::words::question_words_in;
use api::filter::Filter;

/// How to search.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchOptions {
    /// The most passages to give back.
    pub passages_max: usize,
    /// How many of each ranking are fused. Where BM25 alone counts, no more are looked for than phrases may raise.
    pub candidates: usize,
    /// The share of the vectors in the fused score, 0 to 1. At 0.6 the fused ranking is nowhere more than 0.004
    /// nDCG@10 below the better of its parts (SciFact train, Cranfield, NaturalQuestions, SQuAD); at 0.5 it is 0.012
    /// below on NaturalQuestions, and otherwise the same within 0.005.
    pub weight_dense: f32,
    /// What may be found.
    pub scope: Scope,
    /// What the documents must be besides.
    pub filter: Option<Filter>,
    /// Whose ranking counts.
    pub ranking: Ranking,
    /// How the coverage is estimated.
    pub estimate: Estimate,
}

/// With BM25 alone, this many times the passages that are wanted are ranked before phrases raise some: for ten passages 30
/// give the nDCG@10 of 100 on SciFact, Cranfield, NaturalQuestions and SQuAD to the fourth digit, in 0.64 ms instead of 0.74.
const RAISED_PER_WANTED: usize = 3;

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            passages_max: 5,
            candidates: 100,
            weight_dense: 0.6,
            scope: Scope::everything(),
            filter: None,
            ranking: Ranking::Hybrid,
            estimate: Estimate::default(),
        }
    }
}

/// Whose ranking of the passages counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ranking {
    /// BM25's and the vectors', fused; BM25's alone where the question has no vector.
    #[default]
    Hybrid,
    /// BM25's alone.
    Words,
    /// The vectors' alone; nothing is found where the question has none.
    Vectors,
}

impl Index {
    /// The best passages for `question`, and whether the index covers it. `vector` is the question's; without it only
    /// words count.
    ///
    /// # Errors
    /// The vector is of another length than the index's, or reading fails.
    pub fn search(
        &self,
        question: &str,
        vector: Option<&[f32]>,
        options: &SearchOptions,
    ) -> Result<Findings, Error> {
        self.search_measured(question, vector, options).map(|(findings, _)| findings)
    }

    /// The same, with what was measured about the question: what [`crate::learn_coverage`] learns from.
    ///
    /// # Errors
    /// As [`Index::search`].
    pub fn search_measured(
        &self,
        question: &str,
        vector: Option<&[f32]>,
        options: &SearchOptions,
    ) -> Result<(Findings, Features), Error> {
        // Where there are no vectors, words alone count.
        let vector = vector.filter(|_| self.manifest.dimensions > 0);
        if let Some(vector) = vector.filter(|vector| vector.len() != self.manifest.dimensions) {
            let detail =
                format!("a vector of {} numbers, the index has {}", vector.len(), self.manifest.dimensions);
            return Err(Error::new(Fault::Internal, "wrong_vector", "The index is of another encoder.")
                .with_detail(detail));
        }
        self.search_checked(question, vector, options).map_err(|error| not_searched(&error))
    }

    fn search_checked(
        &self,
        question: &str,
        vector: Option<&[f32]>,
        options: &SearchOptions,
    ) -> tantivy::Result<(Findings, Features)> {
        let words = question_words_in(&mut self.analyzers.clone(), question);
        let admitted = Admitted::of(&self.searcher, &self.fields, &options.scope, options.filter.as_ref())?;
        let bm25 = match options.ranking {
            Ranking::Vectors => Vec::new(),
            Ranking::Hybrid => self.by_words(question, &words, &admitted, options.candidates)?,
            Ranking::Words => {
                let wanted = options.passages_max.max(BY_WORDS).saturating_mul(RAISED_PER_WANTED);
                self.by_words(question, &words, &admitted, options.candidates.min(wanted))?
            }
        };
        let ranked_by = vector.filter(|_| options.ranking != Ranking::Words);
        let dense = ranked_by.map(|vector| {
            let narrow = options.scope.folders().is_some() || options.filter.is_some();
            let admit = |segment, document| admitted.has(segment, document);
            scan::nearest(&self.vectors, vector, options.candidates, narrow, admit)
        });
        let weight_dense = if options.ranking == Ranking::Vectors { 1.0 } else { options.weight_dense };
        let fused = fuse(&bm25, dense.as_deref(), weight_dense);
        let asked = Asked::new(words.iter().map(String::as_str));
        let mut reading = Reading { analyzers: self.analyzers.clone(), asked, words: Vec::new() };
        let mut passages = Vec::new();
        for fused in fused.iter().take(options.passages_max.max(PASSAGES_READ)) {
            passages.push(self.passage(fused, vector, &mut reading)?);
        }
        let near = vector.map(|vector| Near {
            by_vector: dense.as_ref().and_then(|dense| dense.first()).map_or(0.0, |(cosine, _)| *cosine),
            by_words: {
                let nearness = bm25.iter().take(BY_WORDS).map(|(_, place)| self.cosine(*place, vector));
                nearness.fold(0.0, f32::max)
            },
        });
        let features = Features::of(near, &self.weighed(&words)?, self.idf(0.0), &reading.words);
        passages.truncate(options.passages_max);
        let coverage = options.estimate.probability(&features);
        Ok((Findings { passages, coverage }, features))
    }

    /// BM25's ranking, raised by the phrases of the question.
    fn by_words(
        &self,
        question: &str,
        words: &[String],
        admitted: &Admitted,
        limit: usize,
    ) -> tantivy::Result<Vec<(f32, DocAddress)>> {
        let ranking = lexical::rank(&self.searcher, &self.fields, words, admitted, limit)?;
        let Some((_, analyzer)) = self.analyzers.first() else { return Ok(ranking) };
        let phrases = phrases(&mut analyzer.clone(), question);
        raise(&self.searcher, self.fields.body, &phrases, ranking)
    }

    fn cosine(&self, place: DocAddress, vector: &[f32]) -> f32 {
        let component = self.vectors.get(place.segment_ord as usize);
        component.map_or(0.0, |component| component.cosine(place.doc_id, vector))
    }

    fn passage(
        &self,
        fused: &Fused,
        vector: Option<&[f32]>,
        reading: &mut Reading<'_>,
    ) -> tantivy::Result<Passage> {
        let document: TantivyDocument = self.searcher.doc(fused.place)?;
        let text =
            |field| document.get_first(field).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        let number =
            |field| document.get_first(field).and_then(|value| value.as_u64()).unwrap_or_default() as usize;
        let mut passage = Passage {
            file: text(self.fields.file),
            section: text(self.fields.heading),
            span: (number(self.fields.start), number(self.fields.end)),
            text: text(self.fields.text),
            score: fused.score,
            bm25: fused.bm25,
            cosine: fused.cosine.or_else(|| Some(self.cosine(fused.place, vector?))).unwrap_or_default(),
            highlights: Vec::new(),
            attributes: attributes(document.get_first(self.fields.attributes)),
        };
        reading.read(&mut passage, Language::with_code(&text(self.fields.language)));
        Ok(passage)
    }

    /// Different words, with their idf in the passages' bodies.
    fn weighed(&self, words: &[String]) -> tantivy::Result<Vec<Weighed>> {
        let mut different: Vec<&String> = words.iter().collect();
        different.sort_unstable();
        different.dedup();
        let mut weighed = Vec::with_capacity(different.len());
        for word in different {
            let having = self.searcher.doc_freq(&Term::from_field_text(self.fields.body, word))?;
            weighed.push(Weighed { word: word.clone(), idf: self.idf(having as f32) });
        }
        Ok(weighed)
    }

    /// The idf, as BM25 has it, of a word that `having` passages have.
    fn idf(&self, having: f32) -> f32 {
        let passages = self.searcher.num_docs() as f32;
        (1.0 + (passages - having + 0.5) / (having + 0.5)).ln()
    }
}

/// The found passages' words: where those of the question stand, and which ones the first passages have.
pub(crate) struct Reading<'a> {
    pub(crate) analyzers: Vec<(Language, TextAnalyzer)>,
    pub(crate) asked: Asked<'a>,
    /// Those of `asked` that each of the first passages has, with its name and headings.
    pub(crate) words: Vec<HashSet<String>>,
}

impl Reading<'_> {
    pub(crate) fn read(&mut self, passage: &mut Passage, language: Language) {
        // A language of less than a hundredth of the passages has no analyzer here: the question was not read in it.
        let place = self.analyzers.iter().position(|(of, _)| *of == language).unwrap_or_default();
        let Some((_, analyzer)) = self.analyzers.get_mut(place) else { return };
        let mut met = HashSet::new();
        passage.highlights = highlights(analyzer, &passage.text, &self.asked, &mut met);
        if self.words.len() < PASSAGES_READ {
            let above = format!("{}\n{}", passage.file, passage.section);
            highlights(analyzer, &above, &self.asked, &mut met);
            self.words.push(met);
        }
    }
}

/// The attributes that a passage was stored with.
fn attributes(stored: Option<CompactDocValue<'_>>) -> Map<String, Value> {
    let object = stored.and_then(|stored| stored.as_object());
    object.into_iter().flatten().map(|(key, value)| (key.to_owned(), plain(value))).collect()
}

fn plain(value: CompactDocValue<'_>) -> Value {
    match OwnedValue::from(value) {
        OwnedValue::Str(text) => Value::String(text),
        OwnedValue::Bool(yes) => Value::Bool(yes),
        OwnedValue::U64(number) => number.into(),
        OwnedValue::I64(number) => number.into(),
        OwnedValue::F64(number) => number.into(),
        _ => Value::Null,
    }
}
