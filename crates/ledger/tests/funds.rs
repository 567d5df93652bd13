//! The law of budgets, by random interleavings and by real threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use api::{Money, Tenant};
use ledger::{Funds, Record, Reservation, Standing};
use proptest::prelude::*;

const DAY_MS: u64 = 86_400_000;
const NEVER: u64 = u64::MAX;

fn tenant(name: &str, budget_nanos: i64) -> Tenant {
    Tenant { name: Arc::from(name), daily_budget: Some(nanos(budget_nanos)), ..Tenant::open() }
}

fn nanos(nanos: i64) -> Money {
    Money::from_nanos(nanos)
}

#[derive(Clone, Debug)]
enum Act {
    Reserve {
        worst: i64,
        lasts_ms: u64,
    },
    Post {
        which: usize,
        share: i64,
    },
    Void {
        which: usize,
    },
    Drop {
        which: usize,
    },
    /// The reservation is lost: nobody will ever settle it.
    Lose {
        which: usize,
    },
    Wait {
        ms: u64,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let which = || 0..8_usize;
    prop_oneof![
        4 => (0..60_i64, 1..2_000_u64).prop_map(|(worst, lasts_ms)| Act::Reserve { worst, lasts_ms }),
        2 => (which(), 0..=200_i64).prop_map(|(which, share)| Act::Post { which, share }),
        1 => which().prop_map(|which| Act::Void { which }),
        1 => which().prop_map(|which| Act::Drop { which }),
        1 => which().prop_map(|which| Act::Lose { which }),
        1 => (0..1_500_u64).prop_map(|ms| Act::Wait { ms }),
        1 => Just(Act::Wait { ms: DAY_MS / 3 }),
    ]
}

/// The same rules, told simply: every hold is listed with what it is worth and when it ends.
#[derive(Default)]
struct Model {
    day: u64,
    spent: i64,
    holds: Vec<(u64, i64, u64)>,
}

impl Model {
    fn advance(&mut self, now_ms: u64) {
        if now_ms / DAY_MS > self.day {
            *self = Self { day: now_ms / DAY_MS, ..Self::default() };
        }
        self.holds.retain(|(_, _, expires_ms)| *expires_ms > now_ms);
    }

    fn reserved(&self) -> i64 {
        self.holds.iter().map(|(_, worst, _)| worst).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn spent_and_reserved_never_exceed_the_budget(acts in prop::collection::vec(act(), 1..80)) {
        const BUDGET: i64 = 100;
        let funds = Funds::new();
        let tenant = tenant("t", BUDGET);
        let mut now_ms = 1_000;
        let mut model = Model::default();
        let mut live: Vec<(u64, u64, i64, Reservation)> = Vec::new();
        let mut ids = 0;
        for act in acts {
            let mut take = |which: usize| (which < live.len()).then(|| live.swap_remove(which));
            model.advance(now_ms);
            match act {
                Act::Reserve { worst, lasts_ms } => {
                    let expires_ms = now_ms + lasts_ms;
                    let expected = model.spent + model.reserved() + worst <= BUDGET;
                    let got = funds.reserve(&tenant, nanos(worst), now_ms, expires_ms);
                    prop_assert_eq!(got.is_ok(), expected);
                    match got {
                        Ok(reservation) => {
                            ids += 1;
                            model.holds.push((ids, worst, expires_ms));
                            live.push((ids, model.day, worst, reservation));
                            prop_assert!(model.spent + model.reserved() <= BUDGET);
                        }
                        Err(error) => prop_assert_eq!((error.fault.status(), error.code), (429, "budget_exceeded")),
                    }
                }
                Act::Post { which, share } => if let Some((id, day, worst, reservation)) = take(which) {
                    let actual = worst * share / 100;
                    reservation.post(nanos(actual));
                    model.holds.retain(|hold| hold.0 != id);
                    if day == model.day {
                        model.spent += actual;
                    }
                },
                Act::Void { which } => if let Some((id, _, _, reservation)) = take(which) {
                    reservation.void();
                    model.holds.retain(|hold| hold.0 != id);
                },
                Act::Drop { which } => if let Some((id, _, _, reservation)) = take(which) {
                    drop(reservation);
                    model.holds.retain(|hold| hold.0 != id);
                },
                Act::Lose { which } => if let Some((_, _, _, reservation)) = take(which) {
                    std::mem::forget(reservation);
                },
                Act::Wait { ms } => now_ms += ms,
            }
            model.advance(now_ms);
            let expected = Standing { spent: nanos(model.spent), reserved: nanos(model.reserved()) };
            prop_assert_eq!(funds.standing(&tenant, now_ms), expected);
            let left = (BUDGET - model.spent - model.reserved()).max(0);
            prop_assert_eq!(funds.remaining(&tenant, now_ms), Some(nanos(left)));
        }
    }
}

#[test]
fn threads_cannot_overspend_together() {
    const BUDGET: i64 = 10_000;
    let funds = Funds::new();
    let tenant = Arc::new(tenant("t", BUDGET));
    let posted = Arc::new(AtomicI64::new(0));
    let workers: Vec<_> = (0..8_i64)
        .map(|worker| {
            let (funds, tenant, posted) = (funds.clone(), Arc::clone(&tenant), Arc::clone(&posted));
            thread::spawn(move || {
                for round in 0..2_000_i64 {
                    let worst = 1 + (worker * 31 + round * 17) % 40;
                    let Ok(reservation) = funds.reserve(&tenant, nanos(worst), 0, NEVER) else { continue };
                    let standing = funds.standing(&tenant, 0);
                    assert!(standing.spent + standing.reserved <= nanos(BUDGET));
                    match round % 3 {
                        0 => reservation.void(),
                        1 => drop(reservation),
                        _ => {
                            reservation.post(nanos(worst / 2));
                            posted.fetch_add(worst / 2, Ordering::Relaxed);
                        }
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    let standing = funds.standing(&tenant, 0);
    assert_eq!(standing, Standing { spent: nanos(posted.load(Ordering::Relaxed)), reserved: Money::ZERO });
    assert!(standing.spent <= nanos(BUDGET) && standing.spent > nanos(BUDGET - 60), "the budget was used up");
}

#[test]
fn refusals_say_when_to_come_back() {
    let funds = Funds::new();
    let tenant = tenant("t", 100);
    let now_ms = 3 * DAY_MS - 90_000;
    let held = funds.reserve(&tenant, nanos(60), now_ms, NEVER).unwrap();
    let check = |worst: i64, retry_after: Option<Duration>, part: &str| {
        let error = funds.reserve(&tenant, nanos(worst), now_ms, NEVER).unwrap_err();
        assert_eq!((error.code, error.retry_after), ("budget_exceeded", retry_after));
        assert!(error.message.contains(part), "{}", error.message);
    };
    check(50, Some(Duration::from_secs(1)), "under way");
    check(101, None, "lower `max_tokens`");
    held.post(nanos(70));
    check(50, Some(Duration::from_secs(90)), "00:00 UTC");
    assert_eq!(funds.remaining(&tenant, now_ms), Some(nanos(30)));
    assert_eq!(funds.remaining(&tenant, now_ms + 90_000), Some(nanos(100)));
}

#[test]
fn more_than_was_held_is_still_owed() {
    let funds = Funds::new();
    let tenant = tenant("t", 100);
    funds.reserve(&tenant, nanos(10), 0, NEVER).unwrap().post(nanos(150));
    assert_eq!(funds.standing(&tenant, 0).spent, nanos(150));
    assert!(funds.reserve(&tenant, nanos(0), 0, NEVER).is_err());
}

#[test]
fn a_lost_hold_expires_and_a_late_post_still_counts() {
    let funds = Funds::new();
    let tenant = tenant("t", 100);
    let late = funds.reserve(&tenant, nanos(100), 0, 500).unwrap();
    assert!(funds.reserve(&tenant, nanos(1), 499, NEVER).is_err());
    let next = funds.reserve(&tenant, nanos(100), 500, NEVER).unwrap();
    late.post(nanos(30));
    assert_eq!(funds.standing(&tenant, 500), Standing { spent: nanos(30), reserved: nanos(100) });
    next.void();
    assert_eq!(funds.remaining(&tenant, 500), Some(nanos(70)));
}

#[test]
fn a_day_boundary_closes_the_old_account() {
    let funds = Funds::new();
    let tenant = tenant("t", 100);
    let yesterday = funds.reserve(&tenant, nanos(100), DAY_MS - 1, NEVER).unwrap();
    let today = funds.reserve(&tenant, nanos(100), DAY_MS, NEVER).unwrap();
    yesterday.post(nanos(100));
    assert_eq!(funds.standing(&tenant, DAY_MS), Standing { spent: Money::ZERO, reserved: nanos(100) });
    today.post(nanos(40));
    // A thread whose clock was read just before midnight is counted into the new day.
    assert_eq!(funds.remaining(&tenant, DAY_MS - 1), Some(nanos(60)));
}

#[test]
fn without_a_budget_nothing_is_refused_and_all_is_counted() {
    let funds = Funds::new();
    let open = Tenant::open();
    let boundless: Vec<_> = (0..3).map(|_| funds.reserve(&open, Money::MAX, 0, NEVER).unwrap()).collect();
    assert_eq!(funds.standing(&open, 0).reserved, Money::MAX);
    drop(boundless);
    funds.reserve(&open, Money::MAX, 0, NEVER).unwrap().post(nanos(5));
    assert_eq!(funds.standing(&open, 0), Standing { spent: nanos(5), reserved: Money::ZERO });
    assert_eq!(funds.remaining(&open, 0), None);
}

#[test]
fn a_restart_remembers_what_was_spent_today() {
    let funds = Funds::new();
    let record = |name: &str, at_ms: u64, cost: i64| Record {
        tenant: name.to_owned(),
        at_ms,
        cost: nanos(cost),
        ..Record::default()
    };
    let records = [
        record("t", DAY_MS - 1, 50),
        record("t", DAY_MS, 30),
        record("t", DAY_MS + 5, 20),
        record("u", DAY_MS, 1),
    ];
    funds.restore(records, DAY_MS + 10);
    assert_eq!(funds.remaining(&tenant("t", 100), DAY_MS + 10), Some(nanos(50)));
    assert_eq!(funds.remaining(&tenant("u", 100), DAY_MS + 10), Some(nanos(99)));
}
