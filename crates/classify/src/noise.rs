//! How noisy a text is: slips of the finger, slang, shouting, broken form.
//!
//! Owns cheap cues, word by word. Refuses spelling dictionaries: what is odd is told by letters that do not go together
//! and by short lists, so rare good words count as clean.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::outline::{Outline, Zone, read_part};
use crate::words::{Shape, Word, fold, hash_of};

/// Short forms and spellings of messages.
const SLANG: &str = "u ur pls plz plss thx thnx tnx idk idc imo imho tbh lol lmao rofl omg wtf btw brb gonna wanna gotta kinda \
    sorta dunno lemme gimme aint yall yea yeah yep nope cuz coz bc tho thru rly srsly ppl msg txt tmrw tmr 2day 2nite b4 gr8 m8 \
    l8r ikr smh fyi asap wyd hbu wbu bro dude fam bruh ngl fr istg smth sth abt wat wut wht dont cant wont \
    isnt doesnt didnt wasnt couldnt shouldnt wouldnt havent hasnt ive thats whats hows lets pkease nvm jk kk okie ok xd hmu \
    af bcz becuz becos gud luv wassup whatsup yu y'all";

/// Words that are often misspelt, as they are misspelt.
const MISSPELT: &str = "teh hte taht thsi tihs waht whta wiht wih adn nad aer yuo yuor tyhe thier recieve recieved beleive \
    freind definately definatly seperate seperately occured untill wich wether alot becuase becasue beacuse tommorow tomorow begining \
    acheive accomodate arguement calender collegue comming concious existance foriegn goverment grammer happend immediatly \
    independant knowlege lenght libary maintenence neccessary necesary noticable occassion oppurtunity paragragh persistant posible \
    prefered probaly realy reccomend recomend refered relevent religous rember remeber sentance sumarize sumary suprise truely \
    usefull wierd writting wirte wrtie writ pharagraph pleese plese plaese pleae folowing follwoing tranlsate translte trasnlate \
    explian expain exmaple exaple questoin qestion anser answr awnser aswer hwo hw knwo konw jsut liek abuot mroe moer peopel poeple";

/// Pairs of letters that hardly stand together in the languages of Latin letters.
const ODD_PAIRS: [&str; 46] = [
    "bq", "bx", "cx", "dx", "fq", "fx", "gx", "hx", "hz", "jb", "jc", "jd", "jf", "jg", "jh", "jl", "jm",
    "jp", "jq", "jr", "js", "jt", "jv", "jw", "jx", "jz", "kq", "kx", "kz", "lx", "mx", "pq", "px", "qb",
    "qd", "qf", "qg", "qk", "ql", "qz", "vq", "vx", "wx", "xj", "zq", "zx",
];

/// Pairs that hardly start a word.
const ODD_STARTS: [&str; 30] = [
    "bd", "bt", "cd", "ct", "dl", "dt", "fd", "fn", "fp", "ft", "hl", "hr", "hw", "lb", "lc", "lk", "lm",
    "lp", "lr", "lt", "mk", "mp", "mr", "nb", "nd", "nr", "ns", "nt", "rd", "rt",
];

/// With fewer words of one's own the material is looked at too.
const OWN_WORDS_MIN: usize = 4;

/// The share of odd words among the words of the user's own text, quotations and code left out, 0 to 1. Shouting and a
/// missing form add to it.
pub fn noise(text: &str) -> f32 {
    let text = read_part(text);
    let outline = Outline::of(&text);
    let mut own = own_words(&outline, |zone| zone == Zone::Instruction);
    if own.len() < OWN_WORDS_MIN {
        own = own_words(&outline, |_| true);
    }
    if own.is_empty() {
        return 0.0;
    }
    let odd: f32 = own.iter().map(|word| oddness(&outline.text[word.start..word.end], word)).sum();
    #[expect(clippy::cast_precision_loss, reason = "counts of words")]
    let share = odd / own.len() as f32;
    (share + form(&outline, &own)).clamp(0.0, 1.0)
}

/// Words of scripts with spaces in the zones wanted.
fn own_words<'a>(outline: &'a Outline<'_>, wanted: impl Fn(Zone) -> bool) -> Vec<&'a Word> {
    let zoned = outline.words.iter().zip(&outline.zones);
    zoned
        .filter(|(word, zone)| wanted(**zone) && !word.shape.has(Shape::UNSPACED))
        .map(|(word, _)| word)
        .collect()
}

/// How odd one word is.
fn oddness(text: &str, word: &Word) -> f32 {
    let lists = lists();
    // `what's` and `whats` are one hash; only the second is noise.
    let listed = lists.misspelt.contains(&word.hash) || lists.slang.contains(&word.hash);
    if listed && !text.contains(['\'', '’']) {
        return 1.0;
    }
    if word.shape.has(Shape::REPEATED) {
        return 1.0;
    }
    if word.shape.has(Shape::DIGITS) || word.shape.has(Shape::NON_ASCII) {
        return 0.0;
    }
    // iPhone and JavaScript are names, `tHe` is not.
    if word.shape.has(Shape::MIXED_CASE) && !is_name(text) {
        return 0.8;
    }
    if word.shape.has(Shape::ALL_CAPITALS) || word.shape.has(Shape::CAPITAL) {
        return 0.0;
    }
    if word.shape.has(Shape::NO_VOWEL) && word.length >= 3 {
        return 0.8;
    }
    if (4..=16).contains(&word.length) && has_odd_pair(text) {
        return 0.9;
    }
    0.0
}

fn has_odd_pair(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is = |pair: &[u8], list: &[&str]| list.iter().any(|odd| odd.as_bytes().eq_ignore_ascii_case(pair));
    bytes.get(..2).is_some_and(|pair| is(pair, &ODD_STARTS))
        || bytes.windows(2).any(|pair| is(pair, &ODD_PAIRS))
}

/// Camel case: every capital inside the word starts a part of at least two small letters, or it starts like iPhone.
fn is_name(text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    let capitals = letters.iter().filter(|letter| letter.is_uppercase()).count();
    let inside = letters.iter().enumerate().skip(1).filter(|(_, letter)| letter.is_uppercase());
    let mut parts =
        inside.map(|(place, _)| letters[place..].iter().skip(1).take_while(|x| x.is_lowercase()).count());
    capitals <= 3 && letters.len() >= 5 && parts.all(|small| small >= 2)
}

/// What the whole form adds: shouting, no capital at a start of several words, runs of marks.
fn form(outline: &Outline<'_>, own: &[&Word]) -> f32 {
    const LINE_WORDS_MIN: usize = 5;
    let text = outline.text.trim();
    let mut sum = 0.0;
    // Short ones are abbreviations.
    let capitals = own.iter().filter(|word| word.shape.has(Shape::ALL_CAPITALS)).count();
    let long = own.iter().filter(|word| word.length > 4 && word.shape.has(Shape::ALL_CAPITALS)).count();
    if own.len() >= LINE_WORDS_MIN && capitals * 2 > own.len() && long >= 1 {
        sum += 0.3;
    }
    let starts_small = text.starts_with(|letter: char| letter.is_ascii_lowercase());
    if own.len() >= LINE_WORDS_MIN && starts_small {
        sum += 0.05;
        if !text.ends_with(['.', '?', '!', ':', '"', '`', '}', ')']) {
            sum += 0.05;
        }
    }
    if ["??", "!!", "....", ",,", "?!"].iter().any(|run| text.contains(run)) {
        sum += 0.08;
    }
    sum
}

struct Lists {
    slang: HashSet<u64>,
    misspelt: HashSet<u64>,
}

fn lists() -> &'static Lists {
    static LISTS: LazyLock<Lists> = LazyLock::new(|| {
        let hashes = |list: &str| {
            list.split_whitespace()
                .map(|word| hash_of(word.chars().filter(|c| *c != '\'').map(fold)))
                .collect()
        };
        Lists { slang: hashes(SLANG), misspelt: hashes(MISSPELT) }
    });
    &LISTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_seen_and_clean_text_is_clean() {
        for (text, low, high) in [
            ("What is the capital of France?", 0.0, 0.01),
            ("Schreibe bitte einen kurzen Text über Straßenbahnen.", 0.0, 0.06),
            ("Explain how JavaScript promises work on an iPhone.", 0.0, 0.01),
            ("wat r u doin 2nite lol", 0.5, 1.0),
            ("waht is teh captial of frnace plz", 0.4, 1.0),
            ("WHY IS THIS NOT WORKING AT ALL", 0.25, 1.0),
            ("wHaT iS tHe TiMe iN pARis", 0.3, 1.0),
            ("sooooo booored", 0.9, 1.0),
            ("今天天气很好", 0.0, 0.0),
            ("", 0.0, 0.0),
        ] {
            let got = noise(text);
            assert!((low..=high).contains(&got), "{text}: {got}");
        }
    }
}
