//! More requests than the gateway takes at once: those that can wait are turned away first.

use serde_json::json;
use tests::{Events, Gateway, Provider, Request, question};

use crate::house::setup;

const LIMITS: &str = "[limits]\nrequests_max = 10\n\n\
    [[tenant]]\nname = \"batch\"\nkey = \"batch-key\"\npriority = \"low\"\n\n\
    [[tenant]]\nname = \"site\"\nkey = \"site-key\"\n\n\
    [[tenant]]\nname = \"pager\"\nkey = \"pager-key\"\npriority = \"high\"\n";

fn request(model: &str, tenant: &str, stream: bool) -> Request {
    let body = question(model, json!({"stream": stream}));
    Request::post("/v1/chat/completions", &body).header("x-api-key", &format!("{tenant}-key"))
}

/// Opens a stream that stays until its gate opens.
fn open(gateway: &Gateway, tenant: &str) -> Events {
    let mut stream = request("gated", tenant, true).open(gateway.data);
    assert_eq!(stream.status(), 200, "{tenant}");
    assert!(stream.next_event().is_some());
    stream
}

#[test]
fn what_can_wait_is_turned_away_first() {
    let provider = Provider::start();
    let setup = setup(&provider, &["ok", "gated"]).with("gateway.toml", LIMITS);
    let gateway = Gateway::start(&setup);
    let status = |tenant: &str| request("ok", tenant, false).send(gateway.data).status;
    let check = |expected: [u16; 3]| {
        assert_eq!(["batch", "site", "pager"].map(status), expected);
    };
    let mut live: Vec<Events> = (0..6).map(|_| open(&gateway, "site")).collect();
    check([200, 200, 200]);
    live.push(open(&gateway, "batch"));
    check([503, 200, 200]);
    live.extend((0..2).map(|_| open(&gateway, "site")));
    check([503, 503, 200]);
    live.push(open(&gateway, "pager"));
    check([503, 503, 503]);

    let refused = request("ok", "batch", false).send(gateway.data);
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("overloaded", "1"));
    assert_eq!(gateway.metric("pointsman_shed_total{tenant=\"batch\",priority=\"low\"}"), 4.0);
    // Nobody gets before others by a header, and whoever likes may step behind them.
    drop(live.pop());
    gateway.wait_until_idle_but(9);
    let pushing = request("ok", "site", false).header("x-pointsman-priority", "high").send(gateway.data);
    assert_eq!(pushing.status, 503);
    let waiting = request("ok", "pager", false).header("x-pointsman-priority", "low").send(gateway.data);
    assert_eq!(waiting.status, 503);
    check([503, 503, 200]);

    provider.open_gate("gated");
    live.into_iter().for_each(|stream| assert!(stream.events().len() > 1));
    gateway.wait_until_idle();
    check([200, 200, 200]);
}
