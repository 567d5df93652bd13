//! What happens when bytes change, reading fails, builds are cut short.

use std::fs;
use std::path::Path;

use api::{Embed, Error};

use super::{Site, files, names, upload};
use crate::sources::{Copy, Sources};
use crate::testing::{HashEmbed, kill_after};
use crate::{Corpus, Embedded, Feed, Opened, Store};

/// The store as it was built, and a generation that was made from it by an upload.
fn twice_fed() -> Site {
    let site = Site::small();
    site.build();
    let uploads = [upload("up/a.md", "Penguins swim.")];
    assert_eq!(site.feed(&Feed::Upload(&uploads)).unwrap().generation, Some(2));
    site
}

fn truncate(path: &Path, _: usize) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn flip(path: &Path, place: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = (place * 7919 + 11) % bytes.len();
    bytes[at] ^= 1 << (place % 8);
    fs::write(path, bytes).unwrap();
}

fn remove(path: &Path, _: usize) {
    fs::remove_file(path).unwrap();
}

/// Damages each file of the newest generation in turn; `before` is done before it, `after` sees what is left.
fn for_each_file(damage: fn(&Path, usize), after: impl Fn(&Site, &Path)) {
    let mut place = 0;
    loop {
        let site = twice_fed();
        let Some(target) = files(&site.dir().join("gen-2")).into_iter().nth(place) else { return };
        place += 1;
        if fs::metadata(&target).unwrap().len() > 0 {
            damage(&target, place);
            after(&site, &target);
        }
    }
}

fn renewed(site: &Site, store: &Embedded) {
    let report = store.feed(&Feed::Renew(None), &site.embed, &|_| ()).unwrap();
    assert_eq!((report.generation, report.documents), (Some(3), 4));
    assert_eq!(site.search(&site.ready(), "penguins").passages[0].file, "up/a.md");
    assert!(matches!(Sources::read(&site.dir()), Copy::Whole(sources) if sources.generation == 3));
}

#[test]
fn any_changed_byte_sets_a_generation_aside() {
    let with_older = |site: &Site, target: &Path| {
        let (store, opened) = site.open().unwrap();
        let Opened::Fallback { set_aside, why } = opened else { panic!("{}: {opened:?}", target.display()) };
        assert!(set_aside.ends_with("damaged-2") && set_aside.is_dir() && !why.is_empty());
        let index = store.index().unwrap();
        assert_eq!(site.search(&index, "midnight").passages[0].file, "guide.md");
        renewed(site, &store);
    };
    let without_older = |site: &Site, target: &Path| {
        fs::remove_dir_all(site.dir().join("gen-1")).unwrap();
        let (store, opened) = site.open().unwrap();
        assert!(matches!(opened, Opened::Damaged { .. }), "{}: {opened:?}", target.display());
        assert!(store.index().is_none());
        renewed(site, &store);
    };
    for_each_file(truncate, with_older);
    for_each_file(flip, with_older);
    for_each_file(remove, with_older);
    for_each_file(flip, without_older);
}

#[test]
fn damage_is_not_copied_into_the_next_generation() {
    let site = twice_fed();
    let text = files(&site.dir().join("gen-2/text")).len();
    for place in 0..text {
        let site = twice_fed();
        let (store, _) = site.open().unwrap();
        let target = &files(&site.dir().join("gen-2/text"))[place];
        if fs::metadata(target).unwrap().len() == 0 {
            continue;
        }
        flip(target, place);
        let report =
            store.feed(&Feed::Upload(&[upload("b.md", "Seals dive.")]), &site.embed, &|_| ()).unwrap();
        assert_eq!((report.generation, report.documents), (Some(3), 5), "{}", target.display());
        assert!(site.dir().join("damaged-2").is_dir());
        assert_eq!(site.search(&site.ready(), "penguins").passages[0].file, "up/a.md");
    }
}

#[test]
fn the_stores_own_copy_of_its_sources_can_be_lost() {
    for (place, damage) in [truncate, flip, remove].into_iter().enumerate() {
        let site = twice_fed();
        damage(&site.dir().join("sources.json"), place);
        let (store, opened) = site.open().unwrap();
        assert_eq!(opened, Opened::Ready);
        store.feed(&Feed::Remove(&[String::from("q1")]), &site.embed, &|_| ()).unwrap();
        assert!(matches!(Sources::read(&site.dir()), Copy::Whole(sources) if sources.generation == 3));
    }
    // With all copies gone nobody can say what it was made from; only a whole build helps.
    let site = twice_fed();
    for copy in ["sources.json", "gen-1/sources.json", "gen-2/sources.json"] {
        fs::remove_file(site.dir().join(copy)).unwrap();
    }
    let (store, opened) = site.open().unwrap();
    assert!(matches!(opened, Opened::Damaged { .. }));
    let lost = store.feed(&Feed::Renew(None), &site.embed, &|_| ()).unwrap_err();
    assert_eq!(lost.code, "index_sources_lost");
    assert_eq!(store.feed(&Feed::Build(&site.corpus()), &site.embed, &|_| ()).unwrap().documents, 3);
}

#[test]
fn a_damaged_upload_is_listed_and_can_be_mended() {
    let site = twice_fed();
    let kept = files(&site.dir().join("files")).remove(0);
    flip(&kept, 3);
    let report = site.feed(&Feed::Renew(None)).unwrap();
    assert_eq!((report.documents, report.skipped_total), (4, 1));
    assert!(report.skipped[0].why.contains("upload it again"));
    let uploads = [upload("up/a.md", "Penguins swim.")];
    site.feed(&Feed::Upload(&uploads)).unwrap();
    let report = site.feed(&Feed::Renew(None)).unwrap();
    assert_eq!((report.documents, report.skipped_total), (4, 0));
}

// === Kills ===

const KILLED_IN: &str = "POINTSMAN_TEST_KILLED_IN";
const KILLED_AFTER: &str = "POINTSMAN_TEST_KILLED_AFTER";

/// Run by the test below in a process of its own.
#[test]
#[ignore = "is the process that is killed"]
fn a_process_that_is_killed() {
    let Ok(folder) = std::env::var(KILLED_IN) else { return };
    let folder = Path::new(&folder);
    let embed = HashEmbed::default();
    let (store, _) = Embedded::open(&folder.join("built"), Some(&embed.fingerprint)).unwrap();
    kill_after(std::env::var(KILLED_AFTER).unwrap().parse().unwrap());
    let corpus = Corpus::new(vec![folder.join("corpus")]);
    let uploads = [upload("a.md", "Penguins swim."), upload("guide.md", "Another guide.")];
    let names = [String::from("q1")];
    for (done, feed) in
        [Feed::Build(&corpus), Feed::Upload(&uploads), Feed::Remove(&names)].into_iter().enumerate()
    {
        store.feed(&feed, &embed, &|_| ()).unwrap();
        fs::write(folder.join("acknowledged"), (done + 1).to_string()).unwrap();
    }
}

#[test]
fn a_kill_at_any_step_loses_nothing_that_was_acknowledged() {
    let states: [&[&str]; 4] = [
        &[],
        &["guide.md", "ops/deploy.txt", "q1"],
        &["a.md", "guide.md", "ops/deploy.txt", "q1"],
        &["a.md", "guide.md", "ops/deploy.txt"],
    ];
    for steps in 0.. {
        let site = Site::small();
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::breaking::a_process_that_is_killed", "--ignored"])
            .env(KILLED_IN, site.folder.path())
            .env(KILLED_AFTER, steps.to_string())
            .output()
            .unwrap();
        let acknowledged = fs::read_to_string(site.folder.path().join("acknowledged")).unwrap_or_default();
        let acknowledged: usize = acknowledged.parse().unwrap_or(0);
        assert_eq!(child.status.success(), acknowledged == 3, "{child:?}");
        let (store, opened) = site.open().unwrap();
        assert!(matches!(opened, Opened::Ready | Opened::Missing), "{steps}: {opened:?}");
        let shown = if opened == Opened::Missing { Vec::new() } else { names(&store) };
        let state = states.iter().position(|state| *state == shown).unwrap();
        assert!((acknowledged..=acknowledged + 1).contains(&state), "{steps}: {shown:?}");
        // Whatever was left is cleared away by the next change, which starts from what was shown.
        let report = store.feed(&Feed::Add(&site.corpus()), &site.embed, &|_| ()).unwrap();
        let expected = if acknowledged == 3 || state == 3 { 4 } else { states[state.max(1)].len() as u64 };
        assert_eq!(report.documents, expected, "{steps}");
        let left = fs::read_dir(site.dir().join("files")).map_or(0, Iterator::count);
        assert_eq!(left, if state >= 2 { 2 } else { 0 }, "{steps}");
        if acknowledged == 3 {
            assert!(steps > 30);
            return;
        }
    }
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
        assert_eq!(site.open().map(|_| ()).unwrap_err().code, "index_unreadable", "{}", target.display());
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
            &self.0.fingerprint
        }
        fn count_tokens(&self, text: &str) -> usize {
            self.0.count_tokens(text)
        }
        fn window_tokens(&self) -> usize {
            256
        }
    }
    let (store, _) = site.open().unwrap();
    let failing = Failing(HashEmbed::default());
    let failed = store.feed(&Feed::Rebuild(&site.corpus()), &failing, &|_| ());
    assert_eq!(failed.unwrap_err().code, "internal_error");
    assert!(!left.exists());
    assert_eq!(fs::read_dir(site.dir()).unwrap().count(), 3);
    assert_eq!(site.ready().stats().generation, Some(1));
    assert_eq!(site.build().generation, Some(2));
}

#[test]
fn an_index_of_another_encoder_or_layout_is_stale() {
    let mut site = Site::small();
    assert_eq!(site.open().unwrap().1, Opened::Missing);
    site.build();
    site.embed.fingerprint = String::from("other");
    let Opened::Stale { why } = site.open().unwrap().1 else { panic!() };
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
