//! Changes of what a store holds, one after another: what is embedded, what is kept, and what is remembered.

use std::collections::BTreeMap;
use std::fs;

use api::Error;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Site, names, upload};
use crate::testing::HashEmbed;
use crate::{Corpus, Embedded, Feed, Opened, Scope, SearchOptions, Store, Upload};

fn own(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn only_what_has_changed_is_embedded() {
    let site = Site::small();
    let (store, _) = site.open().unwrap();
    let corpus = site.corpus();
    let check = |feed: &Feed<'_>, generation, written, removed, embedded, held: &[&str]| {
        let report = store.feed(feed, &site.embed, &|_| ()).unwrap();
        assert_eq!(
            (report.generation, report.written, report.removed, report.embedded, report.skipped_total),
            (Some(generation), written, removed, embedded, 0),
        );
        assert_eq!(names(&store), held);
        let stats = store.stats().unwrap();
        assert_eq!(
            (stats.documents, stats.passages, stats.text_bytes, stats.segments),
            (report.documents, report.passages, report.text_bytes, Some(usize::from(report.passages > 0)))
        );
    };
    let build = Feed::Build(&corpus);
    check(&build, 1, 3, 0, 4, &["guide.md", "ops/deploy.txt", "q1"]);
    check(&build, 1, 0, 0, 0, &["guide.md", "ops/deploy.txt", "q1"]);
    check(&Feed::Renew(None), 1, 0, 0, 0, &["guide.md", "ops/deploy.txt", "q1"]);
    site.write("guide.md", b"# Guide\n\nAnother text.\n");
    fs::remove_file(site.root().join("faq.jsonl")).unwrap();
    check(&build, 2, 1, 1, 1, &["guide.md", "ops/deploy.txt"]);
    assert_eq!(store.search("midnight", None, &SearchOptions::default()).unwrap().passages, []);
    let uploads = [
        upload("up/a.md", "Uploaded words."),
        upload("faq.jsonl", "{\"id\":\"q2\",\"text\":\"Two\"}\n{\"text\":\"Three\"}"),
    ];
    check(
        &Feed::Upload(&uploads),
        3,
        3,
        0,
        3,
        &["faq.jsonl:2", "guide.md", "ops/deploy.txt", "q2", "up/a.md"],
    );
    check(
        &Feed::Upload(&uploads),
        4,
        0,
        0,
        0,
        &["faq.jsonl:2", "guide.md", "ops/deploy.txt", "q2", "up/a.md"],
    );
    // A file that is uploaded again takes its former documents with it.
    let fewer = [upload("faq.jsonl", "{\"id\":\"q2\",\"text\":\"Two\"}")];
    check(&Feed::Upload(&fewer), 5, 0, 1, 0, &["guide.md", "ops/deploy.txt", "q2", "up/a.md"]);
    check(&Feed::Remove(&own(&["ops/", "faq.jsonl", "nowhere"])), 6, 0, 2, 0, &["guide.md", "up/a.md"]);
    check(&Feed::Remove(&own(&["nowhere"])), 6, 0, 0, 0, &["guide.md", "up/a.md"]);
    // What was taken out stays out until it is named again.
    check(&Feed::Renew(None), 6, 0, 0, 0, &["guide.md", "up/a.md"]);
    check(&Feed::Add(&corpus), 7, 1, 0, 1, &["guide.md", "ops/deploy.txt", "up/a.md"]);
    check(&build, 8, 0, 1, 0, &["guide.md", "ops/deploy.txt"]);
    check(&Feed::Rebuild(&corpus), 9, 2, 0, 2, &["guide.md", "ops/deploy.txt"]);
    check(&Feed::Remove(&own(&["guide.md", "ops"])), 10, 0, 2, 0, &[]);
    assert_eq!(store.search("words", None, &SearchOptions::default()).unwrap().passages, []);
}

#[test]
fn roots_keep_their_names() {
    let site = Site::small();
    let other = site.folder.path().join("elsewhere/corpus");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("guide.md"), "Other words").unwrap();
    let other = Corpus::new(vec![other]);
    let (store, _) = site.open().unwrap();
    let check = |feed: &Feed<'_>, held: &[&str]| {
        store.feed(feed, &site.embed, &|_| ()).unwrap();
        assert_eq!(names(&store), held);
    };
    let first = &["guide.md", "ops/deploy.txt", "q1"];
    let both = &["corpus/guide.md", "guide.md", "ops/deploy.txt", "q1"];
    check(&Feed::Add(&site.corpus()), first);
    check(&Feed::Add(&other), both);
    check(&Feed::Add(&other), both);
    check(&Feed::Renew(Some(&site.corpus())), both);
    // Two roots of one name, one of them twice.
    let roots = vec![site.root(), other.roots[0].clone(), site.root()];
    let three = &["corpus-2/guide.md", "corpus/guide.md", "corpus/ops/deploy.txt", "q1"];
    check(&Feed::Build(&Corpus::new(roots)), three);
    check(&Feed::Remove(&own(&["corpus-2"])), &three[1..]);
    check(&Feed::Build(&site.corpus()), first);
    check(&Feed::Add(&other), both);
    check(&Feed::Remove(&own(&["corpus"])), first);
    fs::remove_dir_all(&other.roots[0]).unwrap();
    check(&Feed::Renew(None), first);
    fs::remove_dir_all(site.root()).unwrap();
    let gone = store.feed(&Feed::Renew(None), &site.embed, &|_| ()).unwrap_err();
    assert_eq!(gone.code, "corpus_unreadable");
    assert_eq!(names(&store), first);
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let site = Site::small();
    site.build();
    let (store, _) = site.open().unwrap();
    let refused = |uploads: &[Upload]| -> Error {
        store.feed(&Feed::Upload(uploads), &site.embed, &|_| ()).unwrap_err()
    };
    let long = "x".repeat(513);
    for name in
        ["", "/a.md", "a//b.md", "a/../b.md", "./a.md", "..", "a/", "a\n.md", "a\0.md", "a\\b.md", &long]
    {
        let error = refused(&[upload("fine.md", "words"), upload(name, "words")]);
        assert_eq!(
            (error.code, error.param.as_deref()),
            ("invalid_value", Some("files[1].name")),
            "{name:?}"
        );
    }
    let twice = refused(&[upload("a.md", "x"), upload("a.md", "y")]);
    assert!(twice.message.contains("`a.md` is there twice"));
    let attributes = Map::from_iter([(String::from("a"), json!(["x"]))]);
    let nested = refused(&[Upload { attributes, ..upload("a.md", "x") }]);
    assert_eq!(nested.param.as_deref(), Some("files[0].attributes"));
    let nothing = refused(&[upload("a.md", "--"), upload("b.bin", "x")]);
    assert_eq!(nothing.code, "corpus_empty");
    assert!(nothing.message.contains("`a.md` has no words"));
    let remove = store.feed(&Feed::Remove(&own(&["a", "/"])), &site.embed, &|_| ()).unwrap_err();
    assert_eq!(remove.param.as_deref(), Some("names[1]"));
    // One that is fine is kept beside those that are not.
    let report =
        store.feed(&Feed::Upload(&[upload("a.md", "--"), upload("b.md", "words")]), &site.embed, &|_| ());
    assert_eq!(report.map(|report| (report.written, report.skipped_total)).unwrap(), (1, 1));
    assert_eq!(fs::read_dir(site.dir().join("files")).unwrap().count(), 1);
}

#[test]
fn documents_have_attributes() {
    let site = Site::new(&[
        ("a.md", "---\nyear: 2026\ntags: [x]\n---\n# A\n\nFront matter.\n"),
        ("b.jsonl", "{\"id\":\"b\",\"text\":\"Line.\",\"url\":\"u\",\"n\":0.5,\"deep\":{\"x\":1}}"),
    ]);
    site.build();
    let (store, _) = site.open().unwrap();
    let given = Map::from_iter([(String::from("year"), json!(2027)), (String::from("open"), json!(true))]);
    let uploads = [Upload { attributes: given, ..upload("c.md", "---\nyear: 1\nby: me\n---\nUploaded.\n") }];
    store.feed(&Feed::Upload(&uploads), &site.embed, &|_| ()).unwrap();
    let check = |name: &str, question: &str, expected: Value| {
        let listed = store.documents(&Scope::everything().narrowed(&own(&[name])), None, 9).unwrap();
        assert_eq!(Value::Object(listed[0].attributes.clone()), expected);
        let found = store.search(question, None, &SearchOptions::default()).unwrap();
        assert_eq!(Value::Object(found.passages[0].attributes.clone()), expected);
    };
    check("a.md", "front matter", json!({"year": 2026}));
    check("b", "line", json!({"url": "u", "n": 0.5}));
    check("c.md", "uploaded", json!({"by": "me", "year": 2027, "open": true}));
    let source = "---\nyear: 2026\ntags: [x]\n---\n# A\n\nFront matter.\n";
    let passage = &store.search("front", None, &SearchOptions::default()).unwrap().passages[0];
    assert_eq!(&source[passage.span.0..passage.span.1], "Front matter.");
}

#[test]
fn words_alone_need_no_encoder() {
    let site = Site::small();
    struct Never;
    impl api::Embed for Never {
        fn embed(&self, _: &[&str]) -> Result<Vec<api::Vector>, Error> {
            panic!("asked for vectors")
        }
        fn dimensions(&self) -> usize {
            384
        }
        fn fingerprint(&self) -> &str {
            "never"
        }
        fn count_tokens(&self, _: &str) -> usize {
            panic!("asked for tokens")
        }
        fn window_tokens(&self) -> usize {
            panic!("asked for its window")
        }
    }
    let (store, _) = Embedded::open(&site.dir(), None).unwrap();
    let report = store.feed(&Feed::Build(&site.corpus()), &Never, &|_| ()).unwrap();
    assert_eq!((report.documents, report.embedded), (3, 0));
    store.feed(&Feed::Upload(&[upload("a.md", "Penguins swim.")]), &Never, &|_| ()).unwrap();
    store.feed(&Feed::Remove(&own(&["q1"])), &Never, &|_| ()).unwrap();
    assert_eq!(store.stats().unwrap().dimensions, 0);
    for vector in [None, Some(&[1.0_f32; 384][..])] {
        let found = store.search("which penguins swim", vector, &SearchOptions::default()).unwrap();
        assert_eq!((found.passages[0].file.as_str(), found.passages[0].cosine), ("a.md", 0.0));
    }
    assert_eq!(Embedded::open(&site.dir(), None).unwrap().1, Opened::Ready);
    let (with_vectors, opened) = site.open().unwrap();
    assert!(matches!(opened, Opened::Stale { .. }));
    // Of another kind, it is made anew from all that it was made from.
    let report = with_vectors.feed(&Feed::Renew(None), &site.embed, &|_| ()).unwrap();
    assert_eq!((report.documents, report.embedded > 0), (3, true));
    assert_eq!(names(&with_vectors), ["a.md", "guide.md", "ops/deploy.txt"]);
}

#[test]
fn another_process_is_waited_for_and_taken_up() {
    let site = Site::small();
    site.build();
    let (here, _) = site.open().unwrap();
    let (there, _) = site.open().unwrap();
    let uploads = [upload("a.md", "Penguins swim.")];
    let busy = std::cell::Cell::new(0);
    there
        .feed(&Feed::Upload(&uploads), &site.embed, &|_| {
            let told = here.feed(&Feed::Renew(None), &site.embed, &|_| ()).unwrap_err();
            assert_eq!(told.code, "index_busy");
            busy.set(busy.get() + 1);
        })
        .unwrap();
    assert!(busy.get() > 0);
    assert_eq!(names(&here).len(), 3);
    assert_eq!(here.refresh().unwrap(), Opened::Ready);
    assert_eq!(names(&here), names(&there));
    let wrong = HashEmbed { fingerprint: String::from("other"), ..HashEmbed::default() };
    assert_eq!(here.feed(&Feed::Renew(None), &wrong, &|_| ()).unwrap_err().code, "internal_error");
}

// === The law of feeding ===

/// A step of what may happen to a store.
#[derive(Clone, Debug)]
enum Act {
    Write(usize, usize),
    Delete(usize),
    Build,
    Add,
    Renew,
    Upload(usize, usize),
    Remove(usize),
    Reopen,
}

const PLACES: [&str; 5] = ["a.md", "b/c.txt", "b/d.md", "e/f/g.txt", "lines.jsonl"];
const TEXTS: [&str; 4] =
    ["One budget.", "# Two\n\nSome routes.\n\n## Deep\n\nA cache.", "Three trains run.", "Four"];
const UPLOADED: [&str; 3] = ["a.md", "b/u.txt", "u.jsonl"];
const TAKEN_OUT: [&str; 6] = ["a.md", "b", "more", "e/f", "u.jsonl", "id1"];

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..PLACES.len() * 2, 0..TEXTS.len()).prop_map(|(place, text)| Act::Write(place, text)),
        (0..PLACES.len() * 2).prop_map(Act::Delete),
        Just(Act::Build),
        Just(Act::Add),
        Just(Act::Renew),
        (0..UPLOADED.len(), 0..TEXTS.len()).prop_map(|(name, text)| Act::Upload(name, text)),
        (0..TAKEN_OUT.len()).prop_map(Act::Remove),
        Just(Act::Reopen),
    ]
}

fn contents(name: &str, text: usize) -> String {
    if !name.ends_with(".jsonl") {
        return TEXTS[text].to_owned();
    }
    (0..=text)
        .map(|line| json!({"id": format!("id{line}"), "text": TEXTS[line]}).to_string() + "\n")
        .collect()
}

/// Documents with their hashes and counts of passages, and what is found for some questions.
type Shown = (BTreeMap<String, (String, u64)>, Vec<Vec<String>>);

/// What a search and a listing show.
fn shown(store: &Embedded, site: &Site) -> Shown {
    let listed = store.documents(&Scope::everything(), None, 1_000).unwrap();
    let listed = listed.into_iter().map(|listed| (listed.name, (listed.hash, listed.passages))).collect();
    let found = ["budget", "some routes and trains", "cache"].map(|question| {
        let vector = site.embed.one(question);
        let options = SearchOptions { passages_max: 100, ..SearchOptions::default() };
        let found = store.search(question, Some(&vector), &options).unwrap();
        let mut shown: Vec<String> =
            found.passages.iter().map(|passage| serde_json::to_string(passage).unwrap()).collect();
        shown.sort_unstable();
        shown.push(found.coverage.to_string());
        shown
    });
    (listed, found.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_way_to_the_same_state_gives_the_same_index(acts in prop::collection::vec(act(), 1..14)) {
        let site = Site::new(&[("base.md", "Always a budget here.")]);
        let more = site.folder.path().join("more");
        fs::create_dir(&more).unwrap();
        fs::write(more.join("always.md"), "Always more.").unwrap();
        let (mut store, _) = site.open().unwrap();
        let base = site.corpus();
        let more_corpus = Corpus::new(vec![more.clone()]);
        store.feed(&Feed::Build(&base), &site.embed, &|_| ()).unwrap();
        let file = |place: usize| {
            let folder = if place < PLACES.len() { site.root() } else { more.clone() };
            folder.join(PLACES[place % PLACES.len()])
        };
        for act in acts {
            let feed = |feed: &Feed<'_>| store.feed(feed, &site.embed, &|_| ()).unwrap();
            match act {
                Act::Write(place, text) => {
                    fs::create_dir_all(file(place).parent().unwrap()).unwrap();
                    fs::write(file(place), contents(PLACES[place % PLACES.len()], text)).unwrap();
                }
                Act::Delete(place) => { let _ = fs::remove_file(file(place)); }
                Act::Build => { feed(&Feed::Build(&base)); }
                Act::Add => { feed(&Feed::Add(&more_corpus)); }
                Act::Renew => { feed(&Feed::Renew(None)); }
                Act::Upload(name, text) => {
                    feed(&Feed::Upload(&[upload(UPLOADED[name], &contents(UPLOADED[name], text))]));
                }
                Act::Remove(name) => { feed(&Feed::Remove(&own(&[TAKEN_OUT[name]]))); }
                Act::Reopen => store = site.open().unwrap().0,
            }
        }
        // The files may have changed since they were read.
        store.feed(&Feed::Renew(None), &site.embed, &|_| ()).unwrap();
        // Its generations are gone, its sources are not: everything is read and embedded anew.
        let step_by_step = shown(&store, &site);
        for generation in fs::read_dir(site.dir()).unwrap().map(Result::unwrap) {
            if generation.file_name().to_string_lossy().starts_with("gen-") {
                fs::remove_dir_all(generation.path()).unwrap();
            }
        }
        let (fresh, opened) = site.open().unwrap();
        prop_assert_eq!(opened, Opened::Missing);
        fresh.feed(&Feed::Renew(None), &site.embed, &|_| ()).unwrap();
        prop_assert_eq!(step_by_step, shown(&fresh, &site));
    }
}
