//! Stores over HTTP and by command: who may see and change what, and that what was taken is there.

use std::fs;

use serde_json::{Value, json};
use tests::{Answer, Gateway, Provider, Request, Setup, eventually, run};

use crate::house::setup;

/// Two stores beside the default one, and two tenants with folders of their own beside one who sees all.
const STORES: &str = "\
[store.notes]\nuploads = true\n\
[store.staff]\nuploads = true\ntenants = [\"ann\"]\n\
[[tenant]]\nname = \"ann\"\nkey = \"key-of-ann\"\n\
[[tenant]]\nname = \"bob\"\nkey = \"key-of-bob\"\nscope = [\"bob\"]\n\
[[tenant]]\nname = \"eve\"\nkey = \"key-of-eve\"\nscope = [\"eve\"]\n";

fn house(provider: &Provider) -> Setup {
    setup(provider, &["ok"]).with("gateway.toml", STORES)
}

/// A form with one file.
fn form(path: &str, name: &str, content: &str, attributes: &Value) -> Request {
    let text = format!(
        "--cut\r\ncontent-disposition: form-data; name=\"attributes\"\r\n\r\n{attributes}\r\n--cut\r\n\
         content-disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n--cut\r\n\
         content-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\ncontent-type: text/plain\r\n\r\n\
         {content}\r\n--cut--\r\n"
    );
    Request::post_bytes(path, text)
        .without("content-type")
        .header("content-type", "multipart/form-data; boundary=cut")
}

fn key(request: Request, who: &str) -> Request {
    request.header("authorization", &format!("Bearer key-of-{who}"))
}

struct Asking<'a> {
    gateway: &'a Gateway,
    who: &'a str,
}

impl Asking<'_> {
    fn send(&self, request: Request) -> Answer {
        key(request, self.who).send(self.gateway.data)
    }

    fn upload(&self, store: &str, name: &str, content: &str) -> Answer {
        self.send(form(
            &format!("/v1/vector_stores/{store}/files"),
            name,
            content,
            &json!({"size": content.len()}),
        ))
    }

    fn search(&self, store: &str, query: &str, more: &Value) -> Answer {
        let mut body = json!({"query": query});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.send(Request::post(&format!("/v1/vector_stores/{store}/search"), &body))
    }

    /// The names of the documents that are found.
    fn found(&self, store: &str, query: &str, more: &Value) -> Vec<String> {
        let found = self.search(store, query, more).expect(200).json();
        let names = found["data"].as_array().unwrap().iter();
        names.map(|result| result["filename"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn what_is_uploaded_is_found_replaced_and_taken_out() {
    let provider = Provider::start();
    let gateway = Gateway::start(&house(&provider));
    let ann = Asking { gateway: &gateway, who: "ann" };
    let missing = ann.search("notes", "teapot", &json!({})).expect(503);
    assert!(missing.message().contains("index"), "{}", missing.message());

    let taken =
        ann.upload("notes", "tea.md", "# Tea\n\nThe copper teapot stands in the pantry.").expect(200).json();
    let id = taken["id"].as_str().unwrap().to_owned();
    assert_eq!((&taken["status"], &taken["vector_store_id"]), (&json!("completed"), &json!("notes")));
    ann.upload("notes", "jam.txt", "The plum jam stands in the cellar, behind the coal.").expect(200);

    let found = ann.search("notes", "Where is the copper teapot?", &json!({})).expect(200).json();
    let best = &found["data"][0];
    assert_eq!(
        (&best["filename"], &best["file_id"], &best["section"]),
        (&json!("tea.md"), &json!(id), &json!("Tea"))
    );
    assert!(best["content"][0]["text"].as_str().unwrap().contains("pantry"), "{best}");
    assert!(!best["highlights"].as_array().unwrap().is_empty() && found["coverage"].as_f64().unwrap() > 0.5);

    let small = json!({"filters": {"type": "lt", "key": "size", "value": 50}});
    assert_eq!(ann.found("notes", "stands", &small), ["tea.md"]);
    let in_folder = Request::post("/v1/vector_stores/notes/search", &json!({"query": "stands"}))
        .header("x-pointsman-scope", "jam.txt");
    assert_eq!(ann.send(in_folder).expect(200).json()["data"][0]["filename"], "jam.txt");

    ann.upload("notes", "tea.md", "# Tea\n\nThe copper teapot was sold to a museum.").expect(200);
    let found = ann.search("notes", "copper teapot", &json!({"max_num_results": 50})).expect(200).text();
    assert!(found.contains("museum") && !found.contains("pantry"), "{found}");

    let listed = ann.send(Request::get("/v1/vector_stores/notes/files?limit=1")).expect(200).json();
    assert_eq!((&listed["data"][0]["filename"], &listed["has_more"]), (&json!("jam.txt"), &json!(true)));
    let after = format!("/v1/vector_stores/notes/files?after={}", listed["last_id"].as_str().unwrap());
    assert_eq!(ann.send(Request::get(&after)).expect(200).json()["data"][0]["filename"], "tea.md");

    let file = format!("/v1/vector_stores/notes/files/{id}");
    assert_eq!(ann.send(Request::get(&file)).expect(200).json()["filename"], "tea.md");
    ann.send(Request::get(&file).method("DELETE")).expect(200);
    ann.send(Request::get(&file)).expect(404);
    assert_eq!(ann.found("notes", "copper teapot", &json!({})), ["jam.txt"]);
}

#[test]
fn a_file_may_wait_before_it_is_put_into_a_store() {
    let provider = Provider::start();
    let gateway = Gateway::start(&house(&provider));
    let (ann, bob) = (Asking { gateway: &gateway, who: "ann" }, Asking { gateway: &gateway, who: "bob" });
    let staged = ann.send(form("/v1/files", "tea.md", "The teapot is blue.", &json!({}))).expect(200).json();
    let id = staged["id"].as_str().unwrap();
    assert_eq!((&staged["bytes"], &staged["filename"]), (&json!(19), &json!("tea.md")));
    bob.send(Request::get(&format!("/v1/files/{id}"))).expect(404);
    let attach = json!({"file_id": id, "attributes": {"room": "kitchen"}});
    let attached = ann.send(Request::post("/v1/vector_stores/notes/files", &attach)).expect(200).json();
    assert_eq!(attached["attributes"]["room"], "kitchen");
    ann.send(Request::get(&format!("/v1/files/{id}")).method("DELETE")).expect(200);
    ann.send(Request::post("/v1/vector_stores/notes/files", &attach)).expect(404);
    assert_eq!(ann.found("notes", "blue teapot", &json!({})), ["tea.md"]);
}

#[test]
fn tenants_see_and_change_only_what_is_theirs() {
    let provider = Provider::start();
    let gateway = Gateway::start(&house(&provider));
    let [ann, bob, eve] = ["ann", "bob", "eve"].map(|who| Asking { gateway: &gateway, who });
    for (asking, text) in
        [(&ann, "Ann has a red key."), (&bob, "Bob has a red key."), (&eve, "Eve has a red key.")]
    {
        asking.upload("notes", "key.txt", text).expect(200);
    }
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let query = "Who has a red key?";
    assert_eq!(sorted(ann.found("notes", query, &json!({}))), ["bob/key.txt", "eve/key.txt", "key.txt"]);
    assert_eq!(bob.found("notes", query, &json!({})), ["bob/key.txt"]);
    assert_eq!(eve.found("notes", query, &json!({})), ["eve/key.txt"]);
    // A caller narrows its scope and never widens it.
    for scope in ["eve", "key.txt", "bob/../eve", "", "bobs"] {
        let request = Request::post("/v1/vector_stores/notes/search", &json!({"query": query}))
            .header("x-pointsman-scope", scope);
        let found = bob.send(request).expect(200).text();
        assert!(!found.contains("Eve") && !found.contains("Ann"), "{scope}: {found}");
    }
    let ids = ann.send(Request::get("/v1/vector_stores/notes/files")).expect(200).json();
    for listed in ids["data"].as_array().unwrap() {
        let file = format!("/v1/vector_stores/notes/files/{}", listed["id"].as_str().unwrap());
        let own = listed["filename"] == "bob/key.txt";
        assert_eq!(bob.send(Request::get(&file)).status, if own { 200 } else { 404 });
        if !own {
            bob.send(Request::get(&file).method("DELETE")).expect(404);
        }
    }
    // Another tenant's store is as if it were not there.
    for (asking, status) in [(&ann, 503), (&bob, 404)] {
        assert_eq!(asking.search("staff", query, &json!({})).status, status);
    }
    let stores = bob.send(Request::get("/v1/vector_stores")).expect(200).text();
    assert!(stores.contains("notes") && !stores.contains("staff"), "{stores}");
    let upward = bob.upload("notes", "../ann.txt", "Bob was here.");
    assert!((400..500).contains(&upward.status), "{}", upward.text());
}

#[test]
fn wrong_files_and_read_only_stores_are_refused_by_name() {
    let provider = Provider::start();
    let gateway = Gateway::start(&house(&provider));
    let ann = Asking { gateway: &gateway, who: "ann" };
    for (answer, status, part) in [
        (ann.upload("default", "a.md", "words"), 403, "uploads = true"),
        (ann.upload("nowhere", "a.md", "words"), 404, "notes"),
        (ann.upload("task/none", "a.md", "words"), 403, "task label"),
        (ann.upload("notes", "a.exe", "words"), 422, "not"),
        (ann.upload("notes", "a.md", "\n"), 422, "no words"),
        (ann.upload("notes", "/etc/a.md", "words"), 400, "name"),
        (ann.send(Request::post("/v1/vector_stores/notes/files", &json!({"file": 1}))), 400, "file_id"),
        (
            ann.send(Request::post("/v1/vector_stores/notes/files", &json!({"file_id": "file-YQ"}))),
            404,
            "file-YQ",
        ),
        (ann.search("notes", "", &json!({})), 400, "query"),
        (ann.search("notes", "a", &json!({"filters": {"type": "near", "key": "a", "value": 1}})), 400, "eq"),
        (ann.send(Request::get("/v1/vector_stores/notes").method("PUT")), 405, "GET"),
        (ann.send(Request::get("/v1/vector_stores/notes/nothing")), 404, "search"),
        (Request::get("/v1/vector_stores").send(gateway.data), 401, "key"),
    ] {
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.message().contains(part), "{part}: {}", answer.message());
    }
}

#[test]
fn a_watched_folder_is_followed() {
    let provider = Provider::start();
    let setup =
        setup(&provider, &["ok"]).with_changed("gateway.toml", "[index]\n", "[index]\nwatch = true\n");
    setup.write("docs/kiln.md", "# Kiln\n\nThe kiln is fired with beech wood.\n");
    let gateway = Gateway::start(&setup);
    let holds = |part: &str| {
        let found = Request::post("/v1/vector_stores/default/search", &json!({"query": "kiln wood"}))
            .send(gateway.data);
        found.status == 200 && found.text().contains(part)
    };
    eventually("the folder is indexed at the start", || holds("beech"));
    setup.write("docs/kiln.md", "# Kiln\n\nThe kiln is fired with larch wood.\n");
    eventually("a changed file is taken over", || holds("larch") && !holds("beech"));
    setup.write("docs/more/glaze.md", "# Glaze\n\nThe glaze is made with wood ash.\n");
    eventually("a new one too", || holds("ash"));
    fs::remove_file(setup.path("docs/kiln.md")).unwrap();
    eventually("a deleted one is gone", || !holds("larch") && holds("ash"));
}

#[test]
fn commands_feed_a_store_step_by_step() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok"]);
    for (name, text) in [
        ("docs/a.md", "# Anvils\n\nThe anvil weighs ninety kilograms.\n"),
        ("docs/b.txt", "The bellows are made of ox hide.\n"),
        ("more/c.html", "<h1>Coal</h1><p>Coal comes on the first of the month.</p>"),
        ("bad/d.jsonl", "{\"text\": \"Dies are kept in oil.\"}\n{\"text\": 7}\n"),
    ] {
        setup.write(name, text);
    }
    let index = |arguments: &[&str]| {
        let done = run(&setup, &[&["index"], arguments].concat());
        (done.code, done.stdout, done.stderr)
    };
    let path = |name: &str| setup.path(name).display().to_string();
    let check = |arguments: &[&str], code: i32, part: &str| {
        let (status, stdout, stderr) = index(arguments);
        assert_eq!(status, Some(code), "{arguments:?}: {stdout}{stderr}");
        assert!(format!("{stdout}{stderr}").contains(part), "{part}: {stdout}{stderr}");
    };
    check(&["search", "anvil"], 69, "build the index");
    check(&["build"], 0, "2 documents (2 written");
    check(&["build"], 0, "(0 written, 0 removed, 0 passages embedded)");
    check(&["add", &path("more")], 0, "3 documents (1 written");
    check(&["add", &path("bad")], 65, "d.jsonl:2: `text` must be a string");
    check(&["list"], 0, "a.md");
    check(&["search", "When does coal come?"], 0, "**");
    check(&["search", "anvil", "--scope", "b.txt", "--json"], 0, "\"passages\"");
    check(&["remove", "a.md"], 0, "1 removed");
    // The bad line is still there.
    check(&["build"], 65, "(0 written");
    let (_, listed, _) = index(&["list"]);
    assert!(!listed.contains("a.md"), "what was removed stays out: {listed}");
    check(&["add", &path("docs")], 0, "1 written");
    check(&["stats", "--json"], 0, "\"documents\": 4");
    check(&["remove", "nothing.md"], 64, "nothing.md");
    check(&["stats", "--store", "gone"], 64, "default");
    check(&["search", "x", "--filter", "{\"type\": \"eq\"}"], 64, "--filter.");
}
