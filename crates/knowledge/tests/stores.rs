//! What every store promises, asked of a Milvus server.

#[cfg(test)]
mod contract;
#[cfg(test)]
mod server;

use knowledge::{Milvus, MilvusOptions};

use contract::Kind;
use server::Server;

/// One test for all, because each test is a process and each process would need a server.
#[test]
fn a_milvus_cluster_keeps_the_contract() {
    let server = Server::start();
    let open = |name: &str, embedder: &str| {
        let options = MilvusOptions { strong: true, ..MilvusOptions::new(&server.url, name) };
        Box::new(Milvus::connect(options, embedder).unwrap()) as Box<dyn knowledge::Store>
    };
    contract::check_all(&Kind { open: &open });
}
