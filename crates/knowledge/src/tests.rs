//! The crate as its callers use it: build, open, search, quote; and what happens when things break.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use api::{Embed, Error};
use proptest::prelude::*;

use crate::testing::HashEmbed;
use crate::{
    Corpus, Index, Opened, Ranking, Scope, SearchOptions, Stage, build, fingerprint, open, read_extractively,
};

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

    fn build(&self) -> crate::BuildReport {
        build(&self.corpus(), &self.dir(), &self.embed, &|_| ()).unwrap()
    }

    fn open(&self) -> Result<Opened, Error> {
        open(&self.dir(), &self.embed.fingerprint)
    }

    fn ready(&self) -> Index {
        match self.open().unwrap() {
            Opened::Ready(index) => index,
            other => panic!("{other:?}"),
        }
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

// === Building and searching ===

#[test]
fn what_was_indexed_is_found_and_cited() {
    let site = Site::small();
    let stages = RefCell::new(Vec::new());
    let report = build(&site.corpus(), &site.dir(), &site.embed, &|progress| {
        assert!(progress.bytes_done <= progress.bytes_total);
        stages.borrow_mut().push(progress.stage);
    });
    let report = report.unwrap();
    stages.borrow_mut().dedup();
    assert_eq!(
        stages.into_inner(),
        [Stage::Fingerprinting, Stage::Indexing, Stage::Merging, Stage::Publishing]
    );
    assert_eq!((report.generation, report.documents, report.passages, report.skipped_total), (1, 3, 4, 0));

    let index = site.ready();
    assert_eq!((index.stats().documents, index.stats().passages, index.stats().segments), (3, 4, Some(1)));
    assert_eq!(index.manifest().corpus, fingerprint(&site.corpus()).unwrap());
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
    let report = build(&corpus, &site.dir(), &site.embed, &|_| ()).unwrap();
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
        build(&corpus, &site.dir(), &site.embed, &|_| ()).map(|report| report.documents)
    };
    assert_eq!(names(&["*.md"], &[]).unwrap(), 1);
    assert_eq!(names(&["**/*.txt", "*.jsonl"], &[]).unwrap(), 2);
    assert_eq!(names(&[], &["ops/**"]).unwrap(), 2);
    assert_eq!(names(&["*.nothing"], &[]).unwrap_err().code, "corpus_empty");
    let error = names(&["a[", "b"], &[]).unwrap_err();
    assert_eq!((error.param.as_deref(), error.code), (Some("include"), "invalid_value"));
    let gone = Corpus::new(vec![site.root().join("gone")]);
    assert_eq!(build(&gone, &site.dir(), &site.embed, &|_| ()).unwrap_err().code, "corpus_unreadable");
}

#[test]
fn the_fingerprint_follows_names_and_contents() {
    let site = Site::small();
    let first = fingerprint(&site.corpus()).unwrap();
    assert_eq!(fingerprint(&site.corpus()).unwrap(), first);
    site.write("faq.jsonl", b"{\"text\":\"other\"}");
    let second = fingerprint(&site.corpus()).unwrap();
    site.write("new.md", b"");
    assert!(first != second && second != fingerprint(&site.corpus()).unwrap());
}

// === Breaking ===

#[test]
fn any_changed_byte_sets_a_generation_aside() {
    let site = Site::small();
    site.build();
    let count = files(&site.dir().join("gen-1")).len();
    let check = |damage: &dyn Fn(&Path, usize), has_older: bool| {
        for place in 0..count {
            let _ = fs::remove_dir_all(site.dir());
            if has_older {
                site.build();
            }
            let generation = site.build().generation;
            let path = site.dir().join(format!("gen-{generation}"));
            let target = &files(&path)[place];
            if fs::metadata(target).unwrap().len() == 0 {
                continue;
            }
            damage(target, place);
            let set = match (site.open().unwrap(), has_older) {
                (Opened::Fallback { index, set_aside, why }, true) => {
                    assert_eq!(site.search(&index, "midnight").passages[0].file, "guide.md");
                    (set_aside, why)
                }
                (Opened::Damaged { set_aside, why }, false) => (set_aside, why),
                (other, _) => panic!("{}: {other:?}", target.display()),
            };
            assert!(set.0.ends_with(format!("damaged-{generation}")) && set.0.is_dir() && !set.1.is_empty());
            let next = site.build().generation;
            assert_eq!(next, generation + 1);
            assert_eq!(site.ready().stats().generation, Some(next));
        }
    };
    let truncate = |path: &Path, _| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    let flip = |path: &Path, place: usize| {
        let mut bytes = fs::read(path).unwrap();
        let at = (place * 7919 + 11) % bytes.len();
        bytes[at] ^= 1 << (place % 8);
        fs::write(path, bytes).unwrap();
    };
    check(&truncate, true);
    check(&truncate, false);
    check(&flip, true);
    check(&flip, false);
    check(&|path, _| fs::remove_file(path).unwrap(), true);
}

#[test]
fn trouble_in_reading_is_not_damage() {
    let site = Site::small();
    site.build();
    for target in files(&site.dir().join("gen-1")) {
        let bytes = fs::read(&target).unwrap();
        fs::remove_file(&target).unwrap();
        // A link to itself cannot be read by anyone, root included, and says nothing about the bytes.
        std::os::unix::fs::symlink(&target, &target).unwrap();
        assert_eq!(site.open().unwrap_err().code, "index_unreadable", "{}", target.display());
        assert!(site.dir().join("gen-1").is_dir());
        fs::remove_file(&target).unwrap();
        fs::write(&target, bytes).unwrap();
    }
    assert_eq!(site.ready().stats().generation, Some(1));
}

#[test]
fn a_build_that_was_killed_or_fails_changes_nothing() {
    let site = Site::small();
    site.build();
    let left = site.dir().join("gen-2.tmp");
    fs::create_dir_all(left.join("text")).unwrap();
    fs::write(left.join("text/meta.json"), "{").unwrap();
    assert_eq!(site.ready().stats().generation, Some(1));

    struct Failing(HashEmbed);
    impl Embed for Failing {
        fn embed(&self, _: &[&str]) -> Result<Vec<api::Vector>, Error> {
            Err(Error::internal("no encoder"))
        }
        fn dimensions(&self) -> usize {
            64
        }
        fn fingerprint(&self) -> &str {
            "failing"
        }
        fn count_tokens(&self, text: &str) -> usize {
            self.0.count_tokens(text)
        }
        fn window_tokens(&self) -> usize {
            256
        }
    }
    let failed = build(&site.corpus(), &site.dir(), &Failing(HashEmbed::default()), &|_| ());
    assert_eq!(failed.unwrap_err().code, "internal_error");
    assert!(!left.exists());
    assert_eq!(fs::read_dir(site.dir()).unwrap().count(), 2);
    assert_eq!(site.ready().stats().generation, Some(1));
    assert_eq!(site.build().generation, 2);
}

#[test]
fn an_index_of_another_encoder_or_layout_is_stale() {
    let mut site = Site::small();
    assert!(matches!(site.open().unwrap(), Opened::Missing));
    site.build();
    site.embed.fingerprint = String::from("other");
    let Opened::Stale { why } = site.open().unwrap() else { panic!() };
    assert!(why.contains("hash-64") && why.contains("other"));
    assert!(site.dir().join("gen-1").is_dir());
    site.build();
    assert_eq!(site.ready().stats().generation, Some(2));
}

#[test]
fn an_open_index_serves_on_while_others_replace_it() {
    let site = Site::small();
    site.build();
    let old = site.ready();
    site.write("guide.md", b"# Other\n\nNothing of before.\n");
    for _ in 0..3 {
        site.build();
    }
    assert!(!site.dir().join("gen-1").exists());
    assert_eq!(site.search(&old, "midnight").passages[0].file, "guide.md");
    assert_eq!(site.ready().stats().generation, Some(4));
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
