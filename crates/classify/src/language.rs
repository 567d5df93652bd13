//! The language of a request.
//!
//! Owns one guess from what the user said: function words first (a question of six words has two of them), letter
//! statistics behind them. Refuses to guess where neither is sure: `und`.

use std::sync::LazyLock;

use whatlang::{Lang, Script};

use crate::lexicon::Lexicon;
use crate::view::{View, head};
use crate::words::words;

/// What cannot be told.
const UNKNOWN: &str = "und";
/// So much of a text tells its language.
const READ_BYTES: usize = 600;

/// Words of each language that are common and seldom another's; places are those of [`CODES`].
const FUNCTION_WORDS: [&str; 12] = [
    "the|is|are|what|how|and|of|to|in|that|this|with|for|you|my|it|does|did|was|write|please|why|who|when|where|can|from|on|an",
    "der|die|das|und|ist|nicht|ein|eine|einen|wie|was|ich|zu|den|mit|für|auf|im|bitte|warum|wer|sind|dem|von|wir|auch|schreibe",
    "le|la|les|et|est|une|des|du|que|qui|pour|dans|ce|cette|je|vous|pas|sur|avec|quel|quelle|comment|pourquoi|au|moi|ne",
    "el|la|los|las|y|es|una|que|para|por|con|como|cuál|qué|del|está|mi|al|en|se|dónde|quién|más|hay|escribe|un",
    "il|lo|gli|la|e|è|una|che|per|con|come|di|del|della|sono|qual|non|mi|questo|questa|quale|perché|dove|scrivi|nel|un",
    "o|os|as|e|é|uma|que|para|com|como|do|da|dos|não|em|você|qual|meu|minha|por|onde|quem|escreva|um|ao",
    "de|het|een|en|is|van|dat|ik|niet|op|te|met|voor|wat|hoe|waarom|wie|zijn|deze|dit|naar|schrijf|aan|je",
    "i|nie|się|jest|na|to|że|jak|czy|co|dla|ten|gdzie|dlaczego|kto|napisz|jestem|mi|przez",
    "och|är|att|det|en|ett|som|på|jag|inte|för|med|hur|vad|varför|vem|den|av|till|skriv",
    "ve|bir|bu|için|ne|nasıl|mı|mi|da|de|çok|ben|kim|neden|değil|ile|var|yaz|olan",
    "og|er|det|at|en|et|som|på|jeg|ikke|for|med|hvordan|hva|hvad|hvorfor|hvem|til|av|af|skriv",
    "ja|on|ei|että|se|mitä|miten|missä|miksi|kuka|olen|tämä|joka|mutta|kirjoita",
];

/// ISO 639-3 codes.
const CODES: [&str; 12] =
    ["eng", "deu", "fra", "spa", "ita", "por", "nld", "pol", "swe", "tur", "nob", "fin"];

/// The ISO 639-3 code of what the user said, of the instructions where the user said nothing, or `und`.
pub fn language(view: &View) -> &'static str {
    let text = if view.user.trim().is_empty() { &view.system } else { &view.user };
    language_of(head(text, READ_BYTES))
}

fn language_of(text: &str) -> &'static str {
    // Byte order marks and the like belong to a script, too.
    if !text.chars().any(char::is_alphabetic) {
        return UNKNOWN;
    }
    let Some(script) = whatlang::detect_script(text) else { return UNKNOWN };
    if script != Script::Latin {
        return whatlang::detect(text).map_or(UNKNOWN, |info| match script {
            // Sisters in one script: unless the letters are sure, the one with the most speakers.
            Script::Cyrillic if !info.is_reliable() => Lang::Rus.code(),
            Script::Devanagari if !info.is_reliable() => Lang::Hin.code(),
            Script::Arabic if !info.is_reliable() => Lang::Ara.code(),
            _ => info.lang().code(),
        });
    }
    let votes = Votes::of(text);
    // Letters cost more than words: they are asked only where the words are not clear.
    if let Some(code) = votes.clear() {
        return code;
    }
    let by_letters = whatlang::detect(text);
    let guess = by_letters.as_ref().map_or(UNKNOWN, |info| info.lang().code());
    match (votes.decide(guess), by_letters) {
        (Some(code), _) => code,
        (None, Some(info)) if info.is_reliable() && is_common(info.lang()) && enough(text) => guess,
        _ => UNKNOWN,
    }
}

/// Letter statistics need some letters.
fn enough(text: &str) -> bool {
    text.chars().filter(|letter| letter.is_alphabetic()).count() >= 24
}

/// Of the languages in Latin letters, those that requests are written in; short texts are otherwise taken for rare ones.
fn is_common(lang: Lang) -> bool {
    !matches!(
        lang,
        Lang::Epo
            | Lang::Aka
            | Lang::Zul
            | Lang::Sna
            | Lang::Tuk
            | Lang::Jav
            | Lang::Uzb
            | Lang::Lat
            | Lang::Tgl
    )
}

/// Function words of each language found in a text.
struct Votes {
    counts: [usize; CODES.len()],
    words: usize,
}

impl Votes {
    fn of(text: &str) -> Self {
        static LEXICON: LazyLock<Lexicon> =
            LazyLock::new(|| Lexicon::new((0_u16..).zip(FUNCTION_WORDS.iter().copied())));
        let words = words(text);
        let mut counts = [0; CODES.len()];
        LEXICON.find(text, &words, 0, |found| counts[usize::from(found.group)] += 1);
        Self { counts, words: words.len() }
    }

    fn most(&self) -> usize {
        self.counts.into_iter().max().unwrap_or(0)
    }

    /// The languages with the most words.
    fn first(&self) -> impl Iterator<Item = &'static str> + '_ {
        let most = self.most();
        CODES.iter().zip(self.counts).filter(move |(_, count)| *count == most).map(|(code, _)| *code)
    }

    /// The language with three words, a fifth of all and two more than any other.
    fn clear(&self) -> Option<&'static str> {
        let most = self.most();
        let rivals = self.counts.iter().filter(|count| **count + 2 > most).count();
        (most >= 3 && most * 5 >= self.words && rivals == 1).then(|| self.first().next()).flatten()
    }

    /// The language with the most words: two at least, or one in a very short text or with the letters' `guess` behind
    /// it. Sisters share many words (`qual`, `e`, `de`): between equals the guess decides.
    fn decide(&self, guess: &str) -> Option<&'static str> {
        let most = self.most();
        let agreed = most > 0 && self.first().any(|code| code == guess);
        let enough = agreed || (most * 8 >= self.words && (most >= 2 || (most == 1 && self.words <= 5)));
        let equals = self.first().count();
        self.first().find(|code| enough && (equals == 1 || *code == guess))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_requests_have_a_language() {
        for (text, expected) in [
            ("What is the capital of France?", "eng"),
            ("Was ist die Hauptstadt von Frankreich?", "deu"),
            ("Quelle est la capitale de la France ?", "fra"),
            ("¿Cuál es la capital de Francia?", "spa"),
            ("Qual è la capitale della Francia?", "ita"),
            ("Qual é a capital da França, por favor?", "por"),
            ("Wat is de hoofdstad van Frankrijk?", "nld"),
            ("Какая столица Франции?", "rus"),
            ("法国的首都是哪里？", "cmn"),
            ("フランスの首都はどこですか", "jpn"),
            ("프랑스의 수도는 어디입니까?", "kor"),
            ("Jaka jest stolica Francji i dlaczego?", "pol"),
            ("ok", "und"),
            ("", "und"),
            ("12345 !!!", "und"),
            ("\u{feff}\0🦀", "und"),
            ("ترجم هذه الجملة إلى الإنجليزية", "ara"),
        ] {
            assert_eq!(language_of(text), expected, "{text}");
        }
    }
}
