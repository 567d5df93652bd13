//! What every store promises: the same checks, whatever it keeps its passages in.

mod encoder;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use api::{Error, Findings};
use knowledge::{Corpus, Feed, FeedReport, Filter, Ranking, Scope, SearchOptions, Store, Upload};
use serde_json::{Map, Value, json};

use encoder::HashEmbed;

/// A kind of store.
pub(crate) struct Kind<'a> {
    /// Opens the store of a name, for the vectors of an encoder.
    pub(crate) open: &'a (dyn Fn(&str, &str) -> Box<dyn Store> + Sync),
}

type Check = (&'static str, fn(&Site<'_>));

/// Asks every promise of stores of this kind, each on a thread of its name.
pub(crate) fn check_all(kind: &Kind<'_>) {
    let checks: &[Check] = &[
        ("nothing_is_there_at_first", nothing_is_there_at_first),
        ("what_was_fed_is_found", what_was_fed_is_found),
        ("a_question_is_words_and_never_syntax", a_question_is_words_and_never_syntax),
        ("a_scope_hides_what_is_outside", a_scope_hides_what_is_outside),
        ("documents_are_found_in_their_language", documents_are_found_in_their_language),
        ("one_ranking_alone_counts", one_ranking_alone_counts),
        ("filters_ask_attributes", filters_ask_attributes),
        ("uploads_are_kept", uploads_are_kept),
        ("only_changes_are_embedded", only_changes_are_embedded),
        ("a_shrunk_document_leaves_nothing", a_shrunk_document_leaves_nothing),
        ("documents_are_taken_out", documents_are_taken_out),
        ("documents_are_listed_in_pages", documents_are_listed_in_pages),
        ("another_encoder_is_refused", another_encoder_is_refused),
        ("a_failed_rebuild_changes_nothing", a_failed_rebuild_changes_nothing),
        ("readers_never_miss_a_document", readers_never_miss_a_document),
    ];
    for (name, check) in checks {
        std::thread::scope(|scope| {
            let named = std::thread::Builder::new().name((*name).to_owned());
            named.spawn_scoped(scope, || check(&Site::new(kind, name))).unwrap().join().unwrap();
        });
    }
}

/// A corpus in a folder of its own, and the store that is fed from it.
struct Site<'a> {
    kind: &'a Kind<'a>,
    name: String,
    folder: tempfile::TempDir,
    embed: HashEmbed,
    store: Box<dyn Store>,
}

impl<'a> Site<'a> {
    fn new(kind: &'a Kind<'a>, name: &str) -> Self {
        let embed = HashEmbed::new(64);
        let store = (kind.open)(name, &embed.fingerprint);
        let site = Self { kind, name: name.to_owned(), folder: tempfile::tempdir().unwrap(), embed, store };
        site.write(
            "guide.md",
            "# Guide\n\nThe gateway routes each request.\n\n## Budgets\n\nA budget of 500 dollars ends at midnight.\n",
        );
        site.write("ops/deploy.txt", "Deploy the unit file with systemd.\n\nRestart takes three seconds.");
        site.write(
            "faq.jsonl",
            "{\"id\":\"q1\",\"title\":\"Caching\",\"text\":\"The cache keeps whole answers only.\"}\n",
        );
        site
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("corpus")
    }

    fn corpus(&self) -> Corpus {
        Corpus::new(vec![self.root()])
    }

    fn feed(&self, feed: &Feed<'_>) -> Result<FeedReport, Error> {
        self.store.feed(feed, &self.embed, &|_| ())
    }

    fn build(&self) -> FeedReport {
        self.feed(&Feed::Build(&self.corpus())).unwrap()
    }

    fn search(&self, question: &str) -> Findings {
        self.search_in(question, &Scope::everything())
    }

    fn search_in(&self, question: &str, scope: &Scope) -> Findings {
        let options = SearchOptions { scope: scope.clone(), ..SearchOptions::default() };
        self.store.search(question, Some(&self.embed.one(question)), &options).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let listed = self.store.documents(&Scope::everything(), None, 1_000).unwrap();
        listed.into_iter().map(|listed| listed.name).collect()
    }
}

fn scope(folders: &[&str]) -> Scope {
    Scope::everything().narrowed(&folders.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn files(findings: &Findings) -> Vec<&str> {
    let mut files: Vec<&str> = findings.passages.iter().map(|passage| passage.file.as_str()).collect();
    files.sort_unstable();
    files.dedup();
    files
}

fn nothing_is_there_at_first(site: &Site<'_>) {
    let question = site.store.search("x", None, &SearchOptions::default());
    assert_eq!(question.unwrap_err().code, "index_missing");
    assert_eq!(site.store.stats().unwrap_err().code, "index_missing");
    let empty = tempfile::tempdir().unwrap();
    let refused = site.feed(&Feed::Build(&Corpus::new(vec![empty.path().to_owned()])));
    assert_eq!(refused.unwrap_err().code, "corpus_empty");
    assert_eq!(site.store.stats().unwrap_err().code, "index_missing");
}

fn what_was_fed_is_found(site: &Site<'_>) {
    let report = site.build();
    assert_eq!((report.documents, report.passages, report.written, report.embedded), (3, 4, 3, 4));
    let stats = site.store.stats().unwrap();
    assert_eq!((stats.documents, stats.passages, stats.dimensions), (3, 4, 64));
    assert_eq!((stats.text_bytes, stats.generation), (report.text_bytes, report.generation));
    let check = |question: &str, file: &str, section: &str, text: &str| {
        for vector in [Some(site.embed.one(question)), None] {
            let findings = site.store.search(question, vector.as_deref(), &SearchOptions::default()).unwrap();
            let best = &findings.passages[0];
            assert_eq!((&*best.file, &*best.section, &*best.text), (file, section, text), "{question}");
            assert!((0.0..=1.0).contains(&findings.coverage));
            assert!((0.0..=1.000_001).contains(&best.score) && best.bm25 > 0.0);
            assert_eq!(best.cosine > 0.0, vector.is_some());
            let marked: Vec<&str> = best.highlights.iter().map(|&(from, to)| &best.text[from..to]).collect();
            assert!(!marked.is_empty() && marked.iter().all(|word| !word.contains(' ')), "{marked:?}");
        }
    };
    check(
        "When does the budget of dollars end?",
        "guide.md",
        "Guide > Budgets",
        "A budget of 500 dollars ends at midnight.",
    );
    check("which answers does the cache keep", "q1", "Caching", "The cache keeps whole answers only.");
    check(
        "a restart with systemd",
        "ops/deploy.txt",
        "",
        "Deploy the unit file with systemd.\n\nRestart takes three seconds.",
    );
    let source = fs::read_to_string(site.root().join("guide.md")).unwrap();
    let budget = &site.search("midnight").passages[0];
    assert_eq!(source[budget.span.0..budget.span.1], budget.text);
    let covered = site.search("A budget of 500 dollars ends at midnight").coverage;
    let foreign = site.search("volcanic islands of the southern ocean").coverage;
    assert!(covered > 0.9 && foreign < 0.1, "{covered} {foreign}");
    assert!(site.search("").passages.len() <= 5);
    let refused = site.store.search("x", Some(&[1.0; 7]), &SearchOptions::default());
    assert_eq!(refused.unwrap_err().code, "wrong_vector");
}

fn a_question_is_words_and_never_syntax(site: &Site<'_>) {
    site.write("names.md", "# Names\n\n日本語の検索 works, and so does the Straße of a café.\n");
    site.build();
    for question in [
        "budget midnight",
        "+budget -midnight",
        "\"budget midnight",
        "budget^9 midnight~",
        "budget\") or 1 == 1 or text_match(words, \"midnight",
        "(budget {midnight}",
        "budget\0midnight",
    ] {
        let found = site.store.search(question, None, &SearchOptions::default()).unwrap();
        assert_eq!(found.passages[0].section, "Guide > Budgets", "{question:?}");
    }
    let long = "budget ".repeat(50_000) + &(0..5_000).map(|n| format!("word{n} ")).collect::<String>();
    let found = site.store.search(&long, None, &SearchOptions::default()).unwrap();
    assert_eq!(found.passages[0].section, "Guide > Budgets");
    for question in ["検索", "strasse", "cafe", "CAFÉ"] {
        let found = site.store.search(question, None, &SearchOptions::default()).unwrap();
        assert_eq!(files(&found), ["names.md"], "{question}");
    }
}

fn a_scope_hides_what_is_outside(site: &Site<'_>) {
    let odd = "od\"d] or 1 == 1 or [\\";
    site.write(&format!("{odd}/x.md"), "The gateway has odd folders.\n");
    site.build();
    let check = |folders: &[&str], expected: &[&str]| {
        let found = site.search_in("the gateway deploy budget cache", &scope(folders));
        assert_eq!(files(&found), expected, "{folders:?}");
        let listed = site.store.documents(&scope(folders), None, 10).unwrap();
        assert_eq!(listed.iter().map(|listed| listed.name.as_str()).collect::<Vec<_>>(), expected);
    };
    check(&["ops"], &["ops/deploy.txt"]);
    check(&["op", "nowhere"], &[]);
    check(&[], &[]);
    check(&["guide.md", "q1"], &["guide.md", "q1"]);
    check(&[odd], &[&format!("{odd}/x.md")]);
    check(&["ops\"] ) or 1 == 1 or array_contains_any(within, [\""], &[]);
    check(&["o\np", "o\u{1}p", "%"], &[]);
}

fn documents_are_found_in_their_language(site: &Site<'_>) {
    site.write(
        "katzen.txt",
        "Die Häuser der Katzen stehen am Ufer des Flusses, und niemand weiß, wer sie dort vor langer Zeit gebaut hat.",
    );
    site.build();
    let found = site.store.search("ein Haus für die Katze", None, &SearchOptions::default()).unwrap();
    let best = &found.passages[0];
    assert_eq!(best.file, "katzen.txt");
    let marked: Vec<&str> = best.highlights.iter().map(|&(from, to)| &best.text[from..to]).collect();
    assert_eq!(marked, ["Häuser", "Katzen"]);
}

fn one_ranking_alone_counts(site: &Site<'_>) {
    site.build();
    let question = "systemd";
    let vector = site.embed.one("A budget of 500 dollars ends at midnight.");
    let check = |ranking, expected: &str, others: bool| {
        let options = SearchOptions { ranking, ..SearchOptions::default() };
        let found = site.store.search(question, Some(&vector), &options).unwrap();
        assert_eq!(found.passages[0].file, expected, "{ranking:?}");
        assert_eq!(found.passages.len() > 1, others, "{ranking:?}");
    };
    check(Ranking::Words, "ops/deploy.txt", false);
    check(Ranking::Vectors, "guide.md", true);
    check(Ranking::Hybrid, "guide.md", true);
    let blind = SearchOptions { ranking: Ranking::Vectors, ..SearchOptions::default() };
    assert_eq!(site.store.search(question, None, &blind).unwrap().passages, []);
}

fn filters_ask_attributes(site: &Site<'_>) {
    site.write(
        "tagged.jsonl",
        r#"{"id":"t1","text":"Tagged one","team":"ops","year":2024,"share":0.5,"open":true,"a\"] or 1 == 1":"x"}
{"id":"t2","text":"Tagged two","team":"Ops","year":2025,"share":1,"open":false}
{"id":"t3","text":"Tagged three","team":"dev","year":"2024","share":-2.5}
{"id":"t4","text":"Tagged four","team":"","year":9007199254740993}
"#,
    );
    site.build();
    let listed = site.store.documents(&Scope::everything(), None, 100).unwrap();
    assert!(listed.iter().any(|listed| listed.attributes.len() > 3));
    let one = |kind: &str, key: &str, value: Value| json!({"type": kind, "key": key, "value": value});
    let tagged = one("in", "year", json!([2024, 2025]));
    for filter in [
        one("eq", "team", json!("ops")),
        one("ne", "team", json!("ops")),
        one("eq", "year", json!(2024.0)),
        one("eq", "year", json!("2024")),
        one("ne", "year", json!(2024)),
        one("eq", "year", json!(9_007_199_254_740_992_i64)),
        one("gt", "year", json!(2024)),
        one("gte", "year", json!(2023.5)),
        one("lt", "share", json!(0.75)),
        one("lte", "share", json!(-2.5)),
        one("gt", "team", json!("dev")),
        one("lte", "team", json!("ops")),
        one("lt", "year", json!("3")),
        one("eq", "open", json!(true)),
        one("ne", "open", json!(true)),
        one("in", "team", json!(["dev", "", "none"])),
        one("nin", "team", json!(["dev", "ops"])),
        one("in", "team", json!([])),
        one("eq", "a\"] or 1 == 1", json!("x")),
        one("gt", "a\"] or 1 == 1 or attributes[\"b", json!("")),
        one("eq", "team", json!("\"] or 1 == 1 or array_contains_any(facets, [\"")),
        json!({"type": "and", "filters": [tagged, one("lt", "share", json!(1))]}),
        json!({"type": "or", "filters": [one("eq", "open", json!(false)), one("lt", "share", json!(0))]}),
    ] {
        let parsed = Filter::parse(&filter, "filters").unwrap();
        let mut expected: Vec<&str> = listed
            .iter()
            .filter(|listed| parsed.admits(&listed.attributes))
            .map(|listed| listed.name.as_str())
            .collect();
        expected.sort_unstable();
        let options = SearchOptions { filter: Some(parsed), passages_max: 50, ..SearchOptions::default() };
        let found = site.store.search("tagged", Some(&site.embed.one("tagged")), &options).unwrap();
        assert_eq!(files(&found), expected, "{filter}");
        let inside = SearchOptions { scope: scope(&["t1"]), ..options };
        let found = site.store.search("tagged", Some(&site.embed.one("tagged")), &inside).unwrap();
        assert!(files(&found).iter().all(|file| *file == "t1"), "{filter}");
    }
}

fn uploads_are_kept(site: &Site<'_>) {
    site.build();
    let upload = |name: &str, text: &str| Upload {
        name: name.to_owned(),
        bytes: text.as_bytes().to_vec(),
        attributes: Map::from_iter([(String::from("team"), json!("ops"))]),
    };
    let report = site
        .feed(&Feed::Upload(&[upload("notes/rate.md", "# Rates\n\nThe rate of the lighthouse is seven.\n")]));
    assert_eq!((report.as_ref().unwrap().written, report.unwrap().documents), (1, 4));
    let best = site.search("the rate of the lighthouse").passages[0].clone();
    assert_eq!((best.file.as_str(), best.attributes.get("team")), ("notes/rate.md", Some(&json!("ops"))));
    let renewed = site.feed(&Feed::Renew(None)).unwrap();
    assert_eq!((renewed.written, renewed.removed, renewed.documents), (0, 0, 4));
    let replaced = site.feed(&Feed::Upload(&[upload("notes/rate.md", "It is eight.")])).unwrap();
    assert_eq!((replaced.written, replaced.documents, replaced.passages), (1, 4, 5));
    assert_eq!(site.search("eight").passages[0].text, "It is eight.");
    // Another encoder, or a lost collection, is made good from the same files.
    let embed = HashEmbed::new(32);
    let other = (site.kind.open)(&site.name, &embed.fingerprint);
    assert_eq!(other.feed(&Feed::Renew(None), &embed, &|_| ()).unwrap().documents, 4);
    let found = other.search("eight", Some(&embed.one("eight")), &SearchOptions::default()).unwrap();
    assert_eq!(found.passages[0].file, "notes/rate.md");
    let names = [String::from("notes")];
    let removed = other.feed(&Feed::Remove(&names), &embed, &|_| ()).unwrap();
    assert_eq!((removed.removed, removed.documents), (1, 3));
    assert_eq!(other.feed(&Feed::Renew(None), &embed, &|_| ()).unwrap().documents, 3);
    let refused = other.feed(&Feed::Upload(&[upload("x.bin", "\0\0")]), &embed, &|_| ()).unwrap_err();
    assert_eq!(refused.code, "corpus_empty");
}

fn only_changes_are_embedded(site: &Site<'_>) {
    let first = site.build();
    let again = site.build();
    assert_eq!((again.written, again.removed, again.embedded), (0, 0, 0));
    assert_eq!((again.documents, again.passages, again.text_bytes), (3, 4, first.text_bytes));
    site.write("ops/deploy.txt", "Deploy nothing at all.");
    site.write("ops/new.txt", "A new document about volcanoes.");
    fs::remove_file(site.root().join("guide.md")).unwrap();
    let third = site.build();
    assert_eq!((third.written, third.removed, third.embedded), (2, 1, 2));
    assert_eq!((third.documents, third.passages), (3, 3));
    assert_eq!(site.names(), ["ops/deploy.txt", "ops/new.txt", "q1"]);
    assert_eq!(site.search("volcanoes").passages[0].file, "ops/new.txt");
    assert!(site.search("systemd").passages.iter().all(|passage| passage.bm25 == 0.0));
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("q1"), "no").unwrap();
    fs::write(other.path().join("more.md"), "# More\n\nAdded beside the others.\n").unwrap();
    let added = site.feed(&Feed::Add(&Corpus::new(vec![other.path().join("more.md")]))).unwrap();
    assert_eq!((added.written, added.removed, added.documents), (1, 0, 4));
    let rebuilt = site.feed(&Feed::Rebuild(&site.corpus())).unwrap();
    assert_eq!((rebuilt.written, rebuilt.embedded, rebuilt.documents), (3, 3, 3));
    assert!(rebuilt.generation > added.generation);
}

fn a_shrunk_document_leaves_nothing(site: &Site<'_>) {
    let long: String = (0..600).map(|n| format!("Sentence number {n} is about rivers. ")).collect();
    site.write("long.txt", &long);
    let first = site.build();
    assert!(first.passages > 15, "{}", first.passages);
    site.write("long.txt", "One sentence is left.");
    let second = site.build();
    assert_eq!((second.written, second.embedded, second.passages), (1, 1, 5));
    assert!(site.search("rivers number sentence").passages.iter().all(|p| !p.text.contains("rivers")));
    site.write("long.txt", &long);
    assert_eq!(site.build().passages, first.passages);
}

fn documents_are_taken_out(site: &Site<'_>) {
    site.write("ops/more/deep.txt", "Deep down.");
    site.write("opsy.txt", "No part of ops.");
    site.build();
    let remove = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        site.feed(&Feed::Remove(&names)).unwrap()
    };
    assert_eq!(remove(&["ops", "q1"]).removed, 3);
    assert_eq!(site.names(), ["guide.md", "opsy.txt"]);
    assert_eq!(files(&site.search("deploy deep cache ops")), ["guide.md", "opsy.txt"]);
}

fn documents_are_listed_in_pages(site: &Site<'_>) {
    let lines: String = (0..9).map(|n| format!("{{\"id\":\"日本 {n}\",\"text\":\"Line {n}\"}}\n")).collect();
    site.write("many.jsonl", &lines);
    site.write("a/b.txt", "One.");
    site.write("a.txt", "Two.");
    site.write("a b.txt", "Three.");
    site.build();
    let mut expected = site.names();
    expected.sort_unstable();
    assert_eq!(site.names(), expected);
    assert_eq!(expected.len(), 15);
    let mut paged: Vec<String> = Vec::new();
    loop {
        let page = site.store.documents(&Scope::everything(), paged.last().map(String::as_str), 4).unwrap();
        assert!(page.iter().all(|listed| listed.hash.len() == 64 && listed.passages > 0));
        if page.is_empty() {
            break;
        }
        paged.extend(page.into_iter().map(|listed| listed.name));
    }
    assert_eq!(paged, expected);
    assert_eq!(site.store.documents(&Scope::everything(), None, 0).unwrap(), []);
}

fn another_encoder_is_refused(site: &Site<'_>) {
    site.build();
    let embed = HashEmbed::new(32);
    let store = (site.kind.open)(&site.name, &embed.fingerprint);
    let refused = store.search("budget", None, &SearchOptions::default()).unwrap_err();
    assert!(matches!(refused.code, "index_stale" | "index_missing"), "{refused}");
    store.feed(&Feed::Rebuild(&site.corpus()), &embed, &|_| ()).unwrap();
    let found =
        store.search("budget midnight", Some(&embed.one("budget midnight")), &SearchOptions::default());
    assert_eq!(found.unwrap().passages[0].section, "Guide > Budgets");
    assert_eq!(store.stats().unwrap().dimensions, 32);
}

fn a_failed_rebuild_changes_nothing(site: &Site<'_>) {
    let first = site.build();
    site.write("guide.md", "# Guide\n\nAll is new.\n");
    site.embed.batches_left.store(1, Ordering::SeqCst);
    let long: String = (0..2_000).map(|n| format!("Sentence number {n} is about rivers. ")).collect();
    site.write("z.txt", &long);
    let failed = site.feed(&Feed::Rebuild(&site.corpus()));
    site.embed.batches_left.store(u32::MAX, Ordering::SeqCst);
    assert!(failed.unwrap_err().to_string().contains("the encoder is gone"));
    let stats = site.store.stats().unwrap();
    assert_eq!((stats.generation, stats.documents, stats.passages), (first.generation, 3, 4));
    assert_eq!(site.search("budget midnight").passages[0].section, "Guide > Budgets");
    assert_eq!(site.feed(&Feed::Rebuild(&site.corpus())).unwrap().documents, 4);
}

fn readers_never_miss_a_document(site: &Site<'_>) {
    let text = |round: usize, sentences: usize| -> String {
        (0..sentences).map(|n| format!("Round {round} tells of the lighthouse number {n}. ")).collect()
    };
    site.write("light.txt", &text(0, 300));
    site.build();
    let done = AtomicBool::new(false);
    let reads = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0_u32;
            while !done.load(Ordering::SeqCst) {
                let found = site.search("lighthouse");
                assert_eq!(found.passages.first().map(|passage| passage.file.as_str()), Some("light.txt"));
                reads += 1;
            }
            reads
        });
        for round in 1..4 {
            site.write("light.txt", &text(round, 50 * round));
            if round == 2 {
                site.feed(&Feed::Rebuild(&site.corpus())).unwrap();
            } else {
                site.build();
            }
        }
        done.store(true, Ordering::SeqCst);
        reader.join().unwrap()
    });
    assert!(reads > 0);
}

/// Checks that both kinds find the same for the same questions.
pub(crate) fn check_agreement(one: &Kind<'_>, other: &Kind<'_>) {
    let sites = [one, other].map(|kind| Site::new(kind, "agreement"));
    let subjects = ["rivers", "budgets", "lighthouses", "gateways", "cafés", "volcanoes", "trains", "検索"];
    for site in &sites {
        for (place, subject) in subjects.iter().enumerate() {
            let text = format!(
                "Of {subject}, number {place}.\n\n{}",
                format!("All about {subject}. ").repeat(place + 2)
            );
            site.write(&format!("about/{place}.txt"), &text);
        }
        site.build();
    }
    for question in
        subjects.iter().copied().chain(["the gateway's budget", "unit files", "nothing of this kind"])
    {
        let vector = sites[0].embed.one(question);
        for ranking in [Ranking::Words, Ranking::Vectors, Ranking::Hybrid] {
            let options = SearchOptions { ranking, ..SearchOptions::default() };
            let found =
                sites.each_ref().map(|site| site.store.search(question, Some(&vector), &options).unwrap());
            let firsts =
                found.each_ref().map(|found| found.passages.first().map(|p| (&p.file, &p.text, p.span)));
            assert_eq!(firsts[0], firsts[1], "{question} {ranking:?}");
            assert_eq!(found[0].passages.len(), found[1].passages.len(), "{question} {ranking:?}");
            assert!((found[0].coverage - found[1].coverage).abs() < 0.1, "{question} {ranking:?} {found:?}");
            let cosines = found.each_ref().map(|found| found.passages.first().map_or(0.0, |p| p.cosine));
            assert!((cosines[0] - cosines[1]).abs() < 0.02, "{question} {ranking:?}");
        }
    }
}
