//! Wrong `models.toml` files as a table, and the shipped one.

use super::*;
use crate::file::{Mistakes, Place};

fn parse(text: &str) -> Result<Catalogue, Mistakes> {
    Catalogue::parse("models.toml", text, &|place| {
        (place == Place::Variable("KEY")).then(|| "sk-12345678".to_owned())
    })
}

const PROVIDER: &str = "[provider.p]\nbase_url = \"https://api.example.com/v1/\"\napi_key = \"env:KEY\"\n";
const SERVICE: &str = "[[model]]\nname = \"e\"\nkind = \"provider\"\nprovider = \"p\"\nserves = \"embeddings\"\n\
                       prices = { input = 0.02 }\n";
const MODEL: &str = "[[model]]\nname = \"m\"\nkind = \"provider\"\nprovider = \"p\"\ncontext_tokens = 1000\n\
                     quality = { default = 0.5 }\nprices = { input = 1, output = 2 }\n";

#[test]
fn wrong_files_are_told_with_line_and_key() {
    for (text, expected) in [
        (format!("{PROVIDER}{MODEL}"), ""),
        (format!("{PROVIDER}{MODEL}{MODEL}"), "models.toml:12: model[1].name: the name `m` is given twice"),
        (format!("{PROVIDER}{}", MODEL.replace("\"p\"", "\"q\"")), "model[0].provider: there is no [provider.q]"),
        (MODEL.replace("\"m\"", "\"auto\""), "models.toml:2: model[0].name: the name `auto` has a meaning"),
        (MODEL.replace("\"m\"", "\"task/x\""), "model[0].name: the name `task/x` has a meaning"),
        (
            MODEL.replace("\"provider\"", "\"provder\""),
            "models.toml:3: model[0].kind: `provder` is not known; did you mean `provider`?; allowed: provider, llama",
        ),
        (MODEL.replace("prices", "price"), "models.toml:1: model[0].prices: this key is missing"),
        (MODEL.replace("prices", "price"), "models.toml:7: model[0].price: this key is unknown; did you mean `prices`"),
        (MODEL.replace("input = 1", "input = \"1\""), "models.toml:7: model[0].prices.input: this must be a number"),
        (MODEL.replace("default = 0.5", "reasoning = 0.5"), "model[0].quality.default: this key is missing"),
        (
            MODEL.replace("default = 0.5", "default = 0.5, reasonin = 0.1"),
            "models.toml:6: model[0].quality.reasonin: this key is unknown; did you mean `reasoning`?",
        ),
        (MODEL.replace("0.5", "1.5"), "model[0].quality.default: this number is out of range; allowed: a number from 0"),
        (format!("{MODEL}supports = [\"tool\"]"), "model[0].supports[0]: `tool` is not known; did you mean `tools`"),
        (
            format!("{PROVIDER}{MODEL}track = \"local\""),
            "model[0].provider: a local model's server stands on a private address",
        ),
        (format!("{PROVIDER}{SERVICE}"), ""),
        (format!("{PROVIDER}{MODEL}{}", SERVICE.replace("\"e\"", "\"m\"")), "model[1].name: the name `m` is given twice"),
        (format!("{PROVIDER}{SERVICE}quality = {{ default = 1 }}"), "model[0].quality: this key is unknown"),
        (format!("{PROVIDER}{}", SERVICE.replace("input = 0.02", "output = 1")), "model[0].prices: give `input`"),
        (format!("{PROVIDER}{}", SERVICE.replace("\"provider\"", "\"llama\"")), "kind: `llama` is not known; allowed: provider"),
        (
            format!("{PROVIDER}dialect = \"gemini\"\n{}", SERVICE.replace("embeddings", "rerank")),
            "models.toml:8: model[0].provider: the dialect of [provider.p] has no words for rerank",
        ),
        (format!("{PROVIDER}{SERVICE}[[alias]]\nname = \"e\"\nmodel = \"e\""), "alias[0].name: the name `e` is given twice"),
        (format!("{MODEL}track = \"retrieval\""), "model[0].track: `retrieval` is not known"),
        ("[[model]]\nname = \"l\"\nkind = \"llama\"\nquality = { default = 0.1 }".into(), "model[0].path: this key is missing"),
        (
            "[[model]]\nname = \"l\"\nkind = \"llama\"\npath = \"x\"\ntrack = \"external\"\nquality = { default = 0.1 }".into(),
            "models.toml:5: model[0].track: a model in this process is always local",
        ),
        (PROVIDER.replace("https", "http"), "models.toml:2: provider.p.base_url: plain http:// is for servers"),
        (PROVIDER.replace("https://", ""), "provider.p.base_url: this is not a URL"),
        (PROVIDER.replace("https", "ftp"), "provider.p.base_url: the URL must begin with https://"),
        (PROVIDER.replace("api.", "user:pw@api."), "the URL must not hold a user or a password"),
        (PROVIDER.replace("v1/", "v1?x=1"), "the URL must end with its path"),
        (PROVIDER.replace("base_url", "base_ulr"), "provider.p.base_url: this key is missing"),
        (format!("{PROVIDER}connect_timeout_ms = 0"), "models.toml:4: provider.p.connect_timeout_ms: 0 is out of range"),
        (
            format!("{PROVIDER}dialect = \"claude\""),
            "provider.p.dialect: `claude` is not known; allowed: openai, openai-responses, azure, anthropic, gemini",
        ),
        (format!("{PROVIDER}api_version = \"2024-10-21\""), "provider.p.api_version: only `dialect = \"azure\"` has"),
        (format!("{PROVIDER}hedge = {{ share_max = 0.9 }}"), "provider.p.hedge.share_max: this number is out of range"),
        (format!("{PROVIDER}continues = \"yes\""), "provider.p.continues: `yes` is not known; allowed: prefill, prefix"),
        (format!("{PROVIDER}[[provider.p.endpoint]]\n"), "provider.p.endpoint[0].base_url: this key is missing"),
        (format!("{PROVIDER}http_version = \"3\""), "provider.p.http_version: `3` is not known; allowed: auto, 1, 2"),
        (format!("{PROVIDER}{MODEL}[[alias]]\nname = \"m\"\nmodel = \"m\""), "alias[0].name: the name `m` is given twice"),
        (format!("{PROVIDER}{MODEL}[[alias]]\nname = \"a\"\nmodel = \"n\""), "alias[0].model: there is no model `n`"),
        ("[builtin.extractiv]\n".into(), "builtin.extractiv: this key is unknown; did you mean `extractive`?"),
        ("[[models]]\n".into(), "models.toml:1: models: this key is unknown; did you mean `model`?"),
    ] {
        let got = parse(&text).err().map(|mistakes| mistakes.to_string()).unwrap_or_default();
        assert!(if expected.is_empty() { got.is_empty() } else { got.contains(expected) }, "{text}\n---\n{got}");
    }
}

#[test]
fn secrets_come_from_the_environment_and_are_never_shown() {
    let text = format!(
        "{PROVIDER}headers = {{ \"x-org\" = \"env:ORG\" }}\n{MODEL}[[alias]]\nname = \"a\"\nmodel = \"m\""
    );
    let catalogue = parse(&text).unwrap();
    let provider = &catalogue.providers()[0];
    assert_eq!(provider.base_url.as_deref(), Some("https://api.example.com/v1"));
    assert_eq!(provider.api_key.as_ref().map(Secret::expose), Some("sk-12345678"));
    assert_eq!(catalogue.get("a").unwrap().missing(), Some("set ORG"));
    assert!(!format!("{catalogue:?}").contains("sk-1234"));
    let unset = Catalogue::parse("m", &text, &|_| None).unwrap();
    assert_eq!(unset.get("m").unwrap().missing(), Some("set KEY and set ORG"));
}

#[test]
fn an_environment_variable_may_move_the_base_url() {
    let text =
        "[provider.p]\nbase_url = \"https://a/v1\"\nbase_url_env = \"URL\"\nallow_private_addresses = true";
    let url = |value: &'static str| {
        Catalogue::parse("m", text, &move |_| Some(value.to_owned()))
            .map(|found| found.providers()[0].base_url.clone())
    };
    assert_eq!(url(" "), Ok(Some("https://a/v1".into())));
    assert_eq!(url("http://127.0.0.1:9/v1/"), Ok(Some("http://127.0.0.1:9/v1".into())));
    let told = url("nowhere").unwrap_err().to_string();
    assert!(told.contains("m:3: provider.p.base_url_env: this is not a URL"), "{told}");
}

#[test]
fn the_shipped_file_is_right() {
    let text = include_str!("../../../../config/models.toml");
    let catalogue = Catalogue::parse("config/models.toml", text, &|_| None).unwrap();
    let small = catalogue.get("smollm2").unwrap();
    assert_eq!((small.track, small.missing()), (Track::Local, None));
    let large = catalogue.get("gpt-4.1").unwrap();
    assert_eq!((large.track, large.missing()), (Track::External, Some("set OPENAI_API_KEY")));
    assert!(large.quality.of(Kind::Reasoning, false) > small.quality.of(Kind::Reasoning, false));
    assert_eq!(catalogue.get("task/x").unwrap().kind, ModelKind::Task);
    assert_eq!(catalogue.get(EXTRACTIVE).unwrap().quality.of(Kind::Question, true), 0.65);
}
