//! Wrong files as a table: what is told, where.

use std::time::Duration;

use super::*;
use api::Money;

/// Reads a file of every kind of value and returns what is told of it, a line each.
fn told(text: &str) -> String {
    let document = match Document::parse("f.toml", text) {
        Ok(document) => document,
        Err(mistakes) => return mistakes.to_string(),
    };
    let root = document.root();
    root.optional("name").text();
    root.optional("port").integer(1..=65535);
    root.optional("share").probability();
    root.optional("price").money_usd();
    root.optional("wait_ms").duration_ms(1..=1000);
    root.optional("on").boolean();
    root.optional("list").text_list();
    root.optional("track").one_of(&[("local", 1), ("retrieval", 2), ("external", 3)]);
    root.optional("key").setting(&|_| None);
    if let Some(inner) = root.optional("inner").table() {
        inner.required("deep").boolean();
        inner.finish();
    }
    for model in root.optional("model").tables() {
        model.required("name").text();
        model.finish();
    }
    root.finish();
    document.check().map_or_else(|mistakes| mistakes.to_string(), |()| String::new())
}

#[test]
fn each_mistake_names_its_line_its_key_and_what_is_allowed() {
    for (text, expected) in [
        ("", ""),
        ("name = \"x\"\nport = 8080\nshare = 1\nprice = 0.5\nlist = [\"a\"]\non = true", ""),
        ("\nname = 3", "f.toml:2: name: this must be a text in quotes, not a whole number"),
        ("name = \" \"", "f.toml:1: name: this text is empty; give one"),
        ("port = 70000", "port: 70000 is out of range; allowed: a whole number from 1 to 65535"),
        ("port = -1", "port: -1 is out of range"),
        ("port = 1.5", "port: this must be a whole number from 1 to 65535, not a number with decimals"),
        ("share = 1.5", "share: this number is out of range; allowed: a number from 0 to 1"),
        ("share = nan", "share: this number is out of range"),
        ("price = -0.1", "price: this number is out of range; allowed: a number from 0 to 1000000"),
        ("wait_ms = \"2s\"", "wait_ms: this must be a whole number from 1 to 1000, not a text"),
        ("on = 1", "on: this must be true or false, not a whole number"),
        ("list = \"a\"", "list: this must be a list of texts in brackets, not a text"),
        ("list = [\n \"a\",\n 2,\n]", "f.toml:3: list[1]: this must be a text in quotes"),
        (
            "track = \"extern\"",
            "track: `extern` is not known; did you mean `external`?; allowed: local, retrieval, external",
        ),
        ("track = \"xyz\"", "track: `xyz` is not known; allowed: local"),
        ("key = \"env:\"", "key: `env:` must be followed by the name"),
        ("key = \"file: \"", "key: `file:` must be followed by the path"),
        ("prot = 1", "f.toml:1: prot: this key is unknown; did you mean `port`?; allowed: name, port"),
        ("[inner]\ndepe = true", "f.toml:1: inner.deep: this key is missing\nf.toml:2: inner.depe: this key"),
        ("inner = 1", "inner: this must be a table"),
        ("[[model]]\nname = \"a\"\n[[model]]\nnam = 1", "f.toml:3: model[1].name: this key is missing"),
        ("[model]\nname = \"a\"", "model: this must be a list of tables, each under its own [[...]]"),
        ("a = 1\na = 2", "f.toml:2: this is not valid TOML: duplicate key"),
        ("name = \"x\"\nport = \n", "f.toml:2: this is not valid TOML"),
        ("\"a b\" = 1", "f.toml:1: \"a b\": this key is unknown"),
    ] {
        let got = told(text);
        assert!(if expected.is_empty() { got.is_empty() } else { got.contains(expected) }, "{text}\n{got}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let got = told("on = 1\nport = 0\nxyz = 1\n[inner]\n");
    let lines: Vec<&str> = got.lines().map(|line| line.split(": ").next().unwrap_or("")).collect();
    assert_eq!(lines, ["f.toml:1", "f.toml:2", "f.toml:3", "f.toml:4"], "{got}");
}

#[test]
fn values_come_as_they_are_meant() {
    let text = "price = 0.15\nwait_ms = 1_500\nhex = 0x1f\nkey = \"env:KEY\"\nheld = \"file:/run/key\"\nplain = \"p\"\n[names]\nb = 1\na = 2";
    let document = Document::parse("f.toml", text).unwrap();
    let root = document.root();
    assert_eq!(root.optional("price").money_usd(), Some(Money::from_nanos(150_000_000)));
    assert_eq!(root.optional("wait_ms").duration_ms(0..=2000), Some(Duration::from_millis(1500)));
    assert_eq!(root.optional("hex").integer(0..=99), Some(31));
    let set = |place: Place<'_>| match place {
        Place::Variable(name) => (name == "KEY").then(|| "secret".to_owned()),
        Place::File(path) => (path == "/run/key").then(|| "rotated\n".to_owned()),
    };
    assert_eq!(root.optional("key").setting(&set), Some(Setting::Value("secret".into())));
    assert_eq!(
        root.optional("key").setting(&|_| Some(String::new())),
        Some(Setting::Unset(Unset::Variable("KEY".into())))
    );
    let held = root.optional("held");
    assert_eq!(held.setting(&set), Some(Setting::Value("rotated".into())));
    assert_eq!(held.setting(&|_| None), Some(Setting::Unset(Unset::File("/run/key".into()))));
    assert_eq!(root.optional("plain").setting(&|_| None), Some(Setting::Value("p".into())));
    let names = root.optional("names").table().unwrap();
    let order: Vec<&str> = names.entries().iter().map(|entry| entry.name).collect();
    assert_eq!(order, ["b", "a"]);
    assert!(root.optional("absent").text().is_none());
    assert_eq!(document.check(), Ok(()));
}
