//! The languages whose stems and stop words are known, and which one a document is written in.

use tantivy::schema::Field;
use tantivy::tokenizer::Language as Snowball;
use tantivy::{Searcher, Term};
use whatlang::Lang;

/// What is looked at of a long document: its language does not change behind it.
const BYTES_READ: usize = 4_096;

/// A shorter text says too little of its language.
const LETTERS_MIN: usize = 60;

/// The share of the commonest English words that settles the matter without asking further: 99.5 % of 11,250 English
/// texts have it. Other languages have the odd one among their own words (Dutch `of`, Polish `to`): they stay below.
const ENGLISH_SHARE: f32 = 0.08;
const ENGLISH: &[&str] =
    &["and", "are", "for", "from", "in", "is", "of", "that", "the", "to", "was", "were", "with"];

/// How sure whatlang must be. Of the English texts that come to it no more than one reaches that for another language.
const CONFIDENCE_MIN: f64 = 0.5;

/// A smaller part of an index's passages than this is not worth another reading of every question.
const SHARE_MIN: f64 = 0.01;

macro_rules! languages {
    ($($name:ident $code:literal $lang:ident),+ $(,)?) => {
        /// A language with an analysis of its own. What is written in any other is analysed as English, whose stems leave
        /// foreign words nearly as they are, the same way in documents and in questions.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub(crate) enum Language { #[default] English, $($name),+ }

        impl Language {
            /// All of them, in the order of [`Self::number`].
            pub(crate) const ALL: &[Self] = &[Self::English, $(Self::$name),+];

            /// Its code in ISO 639-1, as the index stores it.
            pub(crate) fn code(self) -> &'static str {
                match self { Self::English => "en", $(Self::$name => $code),+ }
            }

            /// As the stemmers call it.
            pub(crate) fn snowball(self) -> Snowball {
                match self { Self::English => Snowball::English, $(Self::$name => Snowball::$name),+ }
            }

            fn of_lang(lang: Lang) -> Self {
                match lang { $(Lang::$lang => Self::$name,)+ _ => Self::English }
            }
        }
    };
}

languages! {
    Arabic "ar" Ara, Danish "da" Dan, Dutch "nl" Nld, Finnish "fi" Fin, French "fr" Fra, German "de" Deu, Greek "el" Ell,
    Hungarian "hu" Hun, Italian "it" Ita, Norwegian "no" Nob, Portuguese "pt" Por, Romanian "ro" Ron, Russian "ru" Rus,
    Spanish "es" Spa, Swedish "sv" Swe, Tamil "ta" Tam, Turkish "tr" Tur,
}

impl Language {
    /// The language that `text`, a whole document, is analysed in: English where it is too short or too mixed to tell.
    pub(crate) fn of(text: &str) -> Self {
        let start = &text[..text.floor_char_boundary(BYTES_READ)];
        if is_plainly_english(start) || start.chars().filter(|c| c.is_alphabetic()).count() < LETTERS_MIN {
            return Self::English;
        }
        let info = whatlang::detect(start).filter(|info| info.confidence() >= CONFIDENCE_MIN);
        info.map_or(Self::English, |info| Self::of_lang(info.lang()))
    }

    /// The language with this code; English for any other.
    pub(crate) fn with_code(code: &str) -> Self {
        Self::ALL.iter().copied().find(|language| language.code() == code).unwrap_or_default()
    }

    /// Its place among all.
    pub(crate) fn number(self) -> usize {
        self as usize
    }

    /// The languages of at least a hundredth of an index's passages, English first; English where there are none.
    pub(crate) fn present(searcher: &Searcher, field: Field) -> tantivy::Result<Vec<Self>> {
        let passages = |language: Self| searcher.doc_freq(&Term::from_field_text(field, language.code()));
        Self::among(searcher.num_docs(), passages)
    }

    /// The same of `all` passages, of which `passages` tells how many are in a language.
    pub(crate) fn among<E>(
        all: u64,
        mut passages: impl FnMut(Self) -> Result<u64, E>,
    ) -> Result<Vec<Self>, E> {
        let mut present = Vec::new();
        for language in Self::ALL {
            if passages(*language)? as f64 >= (all as f64 * SHARE_MIN).max(1.0) {
                present.push(*language);
            }
        }
        if present.is_empty() {
            present.push(Self::English);
        }
        Ok(present)
    }
}

fn is_plainly_english(text: &str) -> bool {
    let mut words = 0_u32;
    let mut english = 0_u32;
    for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
        words += 1;
        english += u32::from(ENGLISH.contains(&word));
    }
    words >= 10 && english as f32 >= ENGLISH_SHARE * words as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_in_its_language() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Language::of(text).code(), expected, "{text}");
            assert_eq!(Language::with_code(expected).code(), expected);
        };
        check("The gateway sends each request down the cheapest track that will get it there.", "en");
        check(
            "Die Anfragen werden an das billigste Gleis geschickt, das sie ans Ziel bringt; was nicht passt, wird abgelehnt.",
            "de",
        );
        check(
            "Les requêtes sont envoyées sur la voie la moins chère qui les mène à destination, et le reste est refusé.",
            "fr",
        );
        check(
            "Запросы отправляются по самому дешёвому пути, который приведёт их к цели, остальные отклоняются.",
            "ru",
        );
        check(
            "Las solicitudes se envían por la vía más barata que las lleve a su destino; las demás se rechazan.",
            "es",
        );
        // Too short, of no known stems, or no words at all.
        check("Kurz und gut", "en");
        check(
            "ゲートウェイは各リクエストを最も安いトラックに送ります。予算は真夜中に終わります。設定はファイルにあります。",
            "en",
        );
        check(&"0123 4567 -- ".repeat(50), "en");
        check("", "en");
    }

    #[test]
    fn numbers_are_places() {
        assert!(Language::ALL.iter().enumerate().all(|(place, language)| language.number() == place));
    }
}
