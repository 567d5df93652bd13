//! The crate as its callers use it: build, open, search, quote; and what happens when things break.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::Error;
use proptest::prelude::*;
use serde_json::Map;

use crate::testing::HashEmbed;
use crate::{
    Corpus, Embedded, Feed, FeedReport, Index, Opened, Ranking, Scope, SearchOptions, Stage, Store, Upload,
    read_extractively,
};

mod breaking;
mod feeding;

/// A corpus in a folder of its own, and the index beside it.
struct Site {
    folder: tempfile::TempDir,
    embed: HashEmbed,
}

impl Site {
    fn new(files: &[(&str, &str)]) -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap(), embed: HashEmbed::default() };
        for (name, text) in files {
            site.write(name, text.as_bytes());
        }
        site
    }

    fn small() -> Self {
        Self::new(&[
            (
                "guide.md",
                "# Guide\n\nThe gateway routes each request.\n\n## Budgets\n\nA budget of 500 dollars ends at midnight.\n",
            ),
            ("ops/deploy.txt", "Deploy the unit file with systemd.\n\nRestart takes three seconds."),
            (
                "faq.jsonl",
                "{\"id\":\"q1\",\"title\":\"Caching\",\"text\":\"The cache keeps whole answers only.\"}\n",
            ),
        ])
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("corpus")
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("built")
    }

    fn corpus(&self) -> Corpus {
        Corpus::new(vec![self.root()])
    }

    fn open(&self) -> Result<(Embedded, Opened), Error> {
        Embedded::open(&self.dir(), Some(&self.embed.fingerprint))
    }

    fn feed(&self, feed: &Feed<'_>) -> Result<FeedReport, Error> {
        self.open()?.0.feed(feed, &self.embed, &|_| ())
    }

    /// A new generation of the whole corpus, changed or not.
    fn build(&self) -> FeedReport {
        self.feed(&Feed::Rebuild(&self.corpus())).unwrap()
    }

    fn ready(&self) -> Arc<Index> {
        let (store, opened) = self.open().unwrap();
        assert_eq!(opened, Opened::Ready);
        store.index().unwrap()
    }

    fn search(&self, index: &Index, question: &str) -> api::Findings {
        index.search(question, Some(&self.embed.one(question)), &SearchOptions::default()).unwrap()
    }
}

/// Every file below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

fn upload(name: &str, text: &str) -> Upload {
    Upload { name: name.to_owned(), bytes: text.as_bytes().to_vec(), attributes: Map::new() }
}

fn names(store: &Embedded) -> Vec<String> {
    let listed = store.documents(&Scope::everything(), None, 1_000).unwrap();
    listed.into_iter().map(|listed| listed.name).collect()
}

// === Building and searching ===

#[test]
fn what_was_indexed_is_found_and_cited() {
    let site = Site::small();
    let stages = RefCell::new(Vec::new());
    let (store, opened) = site.open().unwrap();
    assert_eq!(opened, Opened::Missing);
    assert_eq!(store.search("x", None, &SearchOptions::default()).unwrap_err().code, "index_missing");
    let report = store.feed(&Feed::Build(&site.corpus()), &site.embed, &|progress| {
        assert!(progress.bytes_done <= progress.bytes_total);
        stages.borrow_mut().push(progress.stage);
    });
    let report = report.unwrap();
    stages.borrow_mut().dedup();
    assert_eq!(stages.into_inner(), [Stage::Indexing, Stage::Merging, Stage::Publishing]);
    assert_eq!(
        (report.generation, report.documents, report.passages, report.skipped_total),
        (Some(1), 3, 4, 0)
    );
    assert_eq!((report.written, report.removed, report.embedded), (3, 0, 4));

    let index = site.ready();
    assert_eq!((index.stats().documents, index.stats().passages, index.stats().segments), (3, 4, Some(1)));
    assert_eq!(store.stats().unwrap(), index.stats());
    let check = |question: &str, file: &str, section: &str, text: &str| {
        for vector in [Some(site.embed.one(question)), None] {
            let findings = index.search(question, vector.as_deref(), &SearchOptions::default()).unwrap();
            let best = &findings.passages[0];
            assert_eq!(
                (best.file.as_str(), best.section.as_str(), best.text.as_str()),
                (file, section, text)
            );
            assert!((0.0..=1.0).contains(&findings.coverage));
            assert_eq!(best.cosine > 0.0, vector.is_some());
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
    let budget = &site.search(&index, "midnight").passages[0];
    assert_eq!(source[budget.span.0..budget.span.1], budget.text);
    assert!(site.search(&index, "").passages.len() <= 5);
}

#[test]
fn a_question_is_words_and_never_syntax() {
    let site = Site::small();
    site.build();
    let index = site.ready();
    let plain = site.search(&index, "budget midnight").passages[0].clone();
    for question in [
        "+budget -midnight",
        "body:budget AND midnight",
        "\"budget midnight",
        "budget^9 midnight~",
        "[budget TO midnight]",
        "(budget",
        "budget\0midnight",
    ] {
        let found = index.search(question, None, &SearchOptions::default()).unwrap();
        assert_eq!(found.passages[0].text, plain.text, "{question}");
    }
    let long = "budget ".repeat(50_000) + &(0..5_000).map(|n| format!("word{n} ")).collect::<String>();
    assert_eq!(index.search(&long, None, &SearchOptions::default()).unwrap().passages[0].text, plain.text);
}

#[test]
fn a_scope_hides_what_is_outside() {
    let site = Site::small();
    site.build();
    let index = site.ready();
    let check = |folders: &[&str], expected: &[&str]| {
        let folders: Vec<String> = folders.iter().map(ToString::to_string).collect();
        let options = SearchOptions { scope: Scope::everything().narrowed(&folders), ..Default::default() };
        let question = "the gateway deploy budget cache";
        let found = index.search(question, Some(&site.embed.one(question)), &options).unwrap();
        let mut files: Vec<&str> = found.passages.iter().map(|passage| passage.file.as_str()).collect();
        files.sort_unstable();
        files.dedup();
        assert_eq!(files, expected);
    };
    check(&["ops"], &["ops/deploy.txt"]);
    check(&["op", "nowhere"], &[]);
    check(&[], &[]);
    check(&["guide.md", "q1"], &["guide.md", "q1"]);
}

#[test]
fn words_of_the_question_are_marked() {
    let site = Site::small();
    site.build();
    let question = "When does the ending of budgets come?";
    let best = &site.ready().search(question, None, &SearchOptions::default()).unwrap().passages[0];
    let marked: Vec<&str> = best.highlights.iter().map(|&(start, end)| &best.text[start..end]).collect();
    assert_eq!(marked, ["budget", "ends"]);
}

#[test]
fn each_document_is_found_in_its_language() {
    let german = "Die Anfragen werden an das billigste Gleis geschickt, das sie ans Ziel bringt. Was nicht passt, wird \
                  abgelehnt, und die Häuser am Gleis bleiben stehen.";
    let site = Site::small();
    site.write("de.txt", german.as_bytes());
    site.write("ja.txt", "予算は真夜中に終わります。GPU上の推論は速いです。".as_bytes());
    site.build();
    let index = site.ready();
    let check = |question: &str, file: &str, marked: &str| {
        let found = index.search(question, None, &SearchOptions::default()).unwrap();
        let best = &found.passages[0];
        let (start, end) = best.highlights[0];
        assert_eq!((best.file.as_str(), &best.text[start..end]), (file, marked), "{question}");
    };
    check("Welches Haus steht dort?", "de.txt", "Häuser");
    check("which routing", "guide.md", "routes");
    check("推論の速さ", "ja.txt", "推論");
    check("inference on a GPU", "ja.txt", "GPU");
}

#[test]
fn each_ranking_can_be_asked_alone() {
    let site = Site::small();
    site.build();
    let index = site.ready();
    let question = "budget midnight";
    let vector = site.embed.one(question);
    let ask = |ranking, vector| {
        let options = SearchOptions { ranking, ..SearchOptions::default() };
        index.search(question, vector, &options).unwrap().passages
    };
    assert!(ask(Ranking::Words, Some(&vector[..])).iter().all(|passage| passage.bm25 > 0.0));
    let by_vectors = ask(Ranking::Vectors, Some(&vector[..]));
    assert_eq!(by_vectors.len(), 4);
    assert!(by_vectors.is_sorted_by(|a, b| a.cosine >= b.cosine));
    assert_eq!(ask(Ranking::Vectors, None), []);
    assert_eq!(ask(Ranking::Hybrid, Some(&vector[..])).len(), 4);
}

#[test]
fn a_vector_of_another_length_is_refused() {
    let site = Site::small();
    site.build();
    let refused = site.ready().search("x", Some(&[1.0; 7]), &SearchOptions::default()).unwrap_err();
    assert_eq!(refused.code, "wrong_vector");
}

#[test]
fn what_cannot_be_read_is_listed() {
    let site = Site::small();
    site.write("bad.jsonl", b"{\"text\":\"fine words\"}\n\nnot json\n{\"text\":1}\n\xff\n{\"id\":\"q1\",\"text\":\"again\"}\n{\"text\":\"01234567890123456789012345678901234567890123456789012345678901234567890123456789\"}\n{\"text\":\"last\"}");
    site.write("binary.md", b"a\0b");
    site.write("latin.txt", b"caf\xe9");
    site.write("big.txt", "word ".repeat(100).as_bytes());
    site.write("empty.md", b"# Only a heading\n");
    site.write("image.png", b"x");
    site.write(".git/config.txt", b"hidden");
    site.write("drafts/no.md", b"excluded");
    std::os::unix::fs::symlink("/", site.root().join("link.md")).unwrap();
    let corpus = Corpus {
        exclude: vec![String::from("drafts/**")],
        file_bytes_max: 400,
        line_bytes_max: 80,
        ..site.corpus()
    };
    let report = site.feed(&Feed::Build(&corpus)).unwrap();
    let mut skipped: Vec<String> = report
        .skipped
        .iter()
        .map(|skipped| {
            let name = skipped.file.strip_prefix(site.root()).unwrap().display().to_string();
            let line = skipped.line.map(|line| format!(":{line}")).unwrap_or_default();
            format!("{name}{line} {}", &skipped.why[..skipped.why.len().min(24)])
        })
        .collect();
    skipped.sort_unstable();
    let expected = [
        "bad.jsonl:3 is not JSON: expected id",
        "bad.jsonl:4 `text` must be a string",
        "bad.jsonl:5 is not UTF-8",
        "bad.jsonl:7 is longer than 80 bytes",
        "big.txt is larger than 400 bytes",
        "binary.md is binary: it has zero b",
        "empty.md has no words",
        "faq.jsonl:1 a document named `q1` is",
        "image.png is not Markdown (.md, .m",
        "link.md is a symbolic link, whic",
    ];
    assert_eq!(skipped, expected);
    // The three of the small site, two lines of `bad.jsonl`, and `latin.txt` in its old encoding.
    assert_eq!(report.documents, 6);
}

#[test]
fn patterns_choose_files() {
    let site = Site::small();
    let names = |include: &[&str], exclude: &[&str]| {
        let own = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        let corpus = Corpus { include: own(include), exclude: own(exclude), ..site.corpus() };
        site.feed(&Feed::Build(&corpus)).map(|report| report.documents)
    };
    assert_eq!(names(&["*.md"], &[]).unwrap(), 1);
    assert_eq!(names(&["**/*.txt", "*.jsonl"], &[]).unwrap(), 2);
    assert_eq!(names(&[], &["ops/**"]).unwrap(), 2);
    assert_eq!(names(&["*.nothing"], &[]).unwrap_err().code, "corpus_empty");
    let error = names(&["a[", "b"], &[]).unwrap_err();
    assert_eq!((error.param.as_deref(), error.code), (Some("include"), "invalid_value"));
    let gone = Corpus::new(vec![site.root().join("gone")]);
    assert_eq!(site.feed(&Feed::Build(&gone)).unwrap_err().code, "corpus_unreadable");
}

// === Reading ===

#[test]
fn answers_are_quotes_with_their_numbers() {
    let site = Site::new(&[
        (
            "a.md",
            "# Limits\n\nBodies are at most 10 MB. Headers are at most 64 KB.\nSlow clients are cut off.\n",
        ),
        ("b.md", "# Other\n\n- Headers are compressed never.\n- Trains run on time.\n"),
    ]);
    site.build();
    let index = site.ready();
    let question = "How large are headers at most?";
    let findings = site.search(&index, question);
    let read = |sentences_max| {
        read_extractively(question, &site.embed.one(question), &findings, &site.embed, sentences_max).unwrap()
    };
    let answer = read(1);
    assert_eq!(answer.text, "Headers are at most 64 KB. [1]");
    assert_eq!((answer.citations.len(), answer.citations[0].file.as_str()), (1, "a.md"));
    assert!(answer.support > 0.3);
    let answer = read(3);
    assert_eq!(
        answer.text,
        "Bodies are at most 10 MB. Headers are at most 64 KB. [1] Headers are compressed never. [2]"
    );
    assert_eq!(answer.citations.len(), 2);
    let nothing =
        read_extractively(question, &site.embed.one(question), &Default::default(), &site.embed, 3).unwrap();
    assert_eq!((nothing.text.as_str(), nothing.support), ("", 0.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_text_can_be_indexed_and_asked(text in "\\PC{0,200}", question in "\\PC{0,80}", kind in 0_usize..3) {
        let site = Site::small();
        site.write(["x.md", "x.html", "x.txt"][kind], text.as_bytes());
        site.build();
        let index = site.ready();
        let findings = site.search(&index, &question);
        prop_assert!((0.0..=1.0).contains(&findings.coverage));
        read_extractively(&question, &site.embed.one(&question), &findings, &site.embed, 3).unwrap();
    }
}
