//! What every store promises, asked of the embedded one and of a Milvus server.

#[cfg(test)]
mod contract;
#[cfg(test)]
mod server;

use knowledge::{Embedded, Milvus, MilvusOptions, Store};

use contract::{Kind, check_agreement, check_all};
use server::Server;

#[test]
fn the_embedded_store_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str, embedder: &str| {
        let (store, _) = Embedded::open(&folder.path().join(name), Some(embedder)).unwrap();
        Box::new(store) as Box<dyn Store>
    };
    check_all(&Kind { open: &open });
}

/// One test for all, because each test is a process and each process would need a server.
#[test]
fn a_milvus_cluster_keeps_the_contract() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str, embedder: &str| {
        let options = MilvusOptions::new(&server.url, name, folder.path().join(name));
        let options = MilvusOptions { strong: true, ..options };
        Box::new(Milvus::connect(options, embedder).unwrap()) as Box<dyn Store>
    };
    let milvus = Kind { open: &open };
    check_all(&milvus);
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str, embedder: &str| {
        let (store, _) = Embedded::open(&folder.path().join(name), Some(embedder)).unwrap();
        Box::new(store) as Box<dyn Store>
    };
    check_agreement(&milvus, &Kind { open: &open });
}
