//! Budgets: money is reserved before a call, then posted, voided, or let go when it expires.
//!
//! Owns what each tenant has spent and reserved in the current UTC day. The law: a reservation is given only if what is
//! spent, all that is reserved and its own worst case together fit the budget, so that no interleaving of requests can
//! overspend by more than a call exceeds its own worst case. Refuses clocks: every caller brings `now_ms`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::{Error, Fault, Money, Tenant};

use crate::day;
use crate::record::Record;

/// What every tenant has spent and reserved today. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct Funds {
    accounts: Arc<Mutex<HashMap<Arc<str>, Account>>>,
}

/// The money of one tenant on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Posted.
    pub spent: Money,
    /// Held by requests under way.
    pub reserved: Money,
}

#[derive(Debug, Default)]
struct Account {
    day: u64,
    spent: Money,
    /// The sum of `holds`: wider than [`Money`], as worst cases of tenants without a budget may be boundless.
    reserved_nanos: i128,
    /// By expiry, so that the lost ones are found at the front.
    holds: BTreeMap<HoldId, Money>,
    holds_given: u64,
}

/// When a hold expires, and which of the account's it is.
type HoldId = (u64, u64);

impl Account {
    /// Brings the account to `now_ms`: a new day starts from nothing, expired holds are let go. A clock that went back
    /// a day does not bring that day's budget back.
    fn advance(&mut self, now_ms: u64) {
        let today = day::number(now_ms);
        if today > self.day {
            *self = Self { day: today, holds_given: self.holds_given, ..Self::default() };
        }
        while let Some(first) = self.holds.first_entry() {
            if first.key().0 > now_ms {
                return;
            }
            self.reserved_nanos -= i128::from(first.remove().nanos());
        }
    }

    fn release(&mut self, hold: HoldId) {
        if let Some(worst) = self.holds.remove(&hold) {
            self.reserved_nanos -= i128::from(worst.nanos());
        }
    }

    fn reserved(&self) -> Money {
        i64::try_from(self.reserved_nanos).map_or(Money::MAX, Money::from_nanos)
    }
}

impl Funds {
    /// Nothing spent, nothing reserved.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts what `records` of the day of `now_ms` have cost as spent: for a start in the middle of a day. Records of
    /// other days are passed over.
    pub fn restore(&self, records: impl IntoIterator<Item = Record>, now_ms: u64) {
        let today = day::number(now_ms);
        for record in records {
            if day::number(record.at_ms) != today || record.cost <= Money::ZERO {
                continue;
            }
            let mut accounts = self.lock();
            let account = accounts.entry(Arc::from(record.tenant)).or_default();
            account.advance(now_ms);
            account.spent += record.cost;
        }
    }

    /// Holds `worst` of the tenant's budget until it is posted or voided, or until `expires_ms` (milliseconds since 1970,
    /// like `now_ms`) should the reservation get lost. A tenant without a budget is never refused.
    ///
    /// # Errors
    /// A 429 `budget_exceeded` that says when to come back: at the day's end if the money is spent, in a second if
    /// requests under way hold it, and not at all if the request could never fit.
    pub fn reserve(
        &self,
        tenant: &Tenant,
        worst: Money,
        now_ms: u64,
        expires_ms: u64,
    ) -> Result<Reservation, Error> {
        let worst = worst.max(Money::ZERO);
        let mut accounts = self.lock();
        let account = match accounts.get_mut(&tenant.name) {
            Some(account) => account,
            None => accounts.entry(Arc::clone(&tenant.name)).or_default(),
        };
        account.advance(now_ms);
        if let Some(budget) = tenant.daily_budget {
            fits(account, budget, worst, now_ms)?;
        }
        account.holds_given += 1;
        let hold = (expires_ms, account.holds_given);
        account.holds.insert(hold, worst);
        account.reserved_nanos += i128::from(worst.nanos());
        let day = account.day;
        drop(accounts);
        Ok(Reservation {
            funds: self.clone(),
            tenant: Arc::clone(&tenant.name),
            day,
            hold,
            worst,
            settled: false,
        })
    }

    /// What is left of the tenant's budget on the day of `now_ms`, reservations taken off; `None` without a budget.
    pub fn remaining(&self, tenant: &Tenant, now_ms: u64) -> Option<Money> {
        let budget = tenant.daily_budget?;
        let standing = self.standing(tenant, now_ms);
        Some(budget.less(standing.spent + standing.reserved))
    }

    /// What the tenant has spent and reserved on the day of `now_ms`.
    pub fn standing(&self, tenant: &Tenant, now_ms: u64) -> Standing {
        let mut accounts = self.lock();
        let Some(account) = accounts.get_mut(&tenant.name) else { return Standing::default() };
        account.advance(now_ms);
        Standing { spent: account.spent, reserved: account.reserved() }
    }

    /// Ends a hold. Money spent under a reservation of an earlier day belongs to that day, whose account is closed.
    fn settle(&self, reservation: &Reservation, actual: Money) {
        let mut accounts = self.lock();
        let Some(account) = accounts.get_mut(&reservation.tenant) else { return };
        if account.day == reservation.day {
            account.release(reservation.hold);
            account.spent += actual.max(Money::ZERO);
        }
    }

    /// A panic elsewhere cannot leave the sums half-changed: no code between lock and unlock panics.
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fits(account: &Account, budget: Money, worst: Money, now_ms: u64) -> Result<(), Error> {
    let (budget_nanos, worst_nanos) = (i128::from(budget.nanos()), i128::from(worst.nanos()));
    let after_spent = i128::from(account.spent.nanos()) + worst_nanos;
    if after_spent + account.reserved_nanos <= budget_nanos {
        return Ok(());
    }
    let refusal = |message: String| Error::new(Fault::BudgetExceeded, "budget_exceeded", message);
    if worst_nanos > budget_nanos {
        return Err(refusal(format!(
            "This request may cost up to {worst} USD and the key's whole daily budget is {budget} USD: lower \
             `max_tokens`, shorten the prompt, or choose a cheaper model."
        )));
    }
    if after_spent <= budget_nanos {
        return Err(refusal(format!(
            "Requests under way hold the rest of the key's daily budget of {budget} USD: try again when they are done."
        ))
        .with_retry_after(Duration::from_secs(1)));
    }
    Err(refusal(format!(
        "The key has spent {} of its daily budget of {budget} USD and this request may cost up to {worst} USD: the \
         budget resets at 00:00 UTC.",
        account.spent
    ))
    .with_retry_after(day::until_next_day(now_ms)))
}

/// Money held for one request. Posting or voiding consumes it; dropping it voids it, so that no path can leak money or
/// settle twice.
#[derive(Debug)]
#[must_use = "a reservation that is dropped is void"]
pub struct Reservation {
    funds: Funds,
    tenant: Arc<str>,
    day: u64,
    hold: HoldId,
    worst: Money,
    settled: bool,
}

impl Reservation {
    /// What is held.
    pub fn worst(&self) -> Money {
        self.worst
    }

    /// Lets the hold go and counts `actual` as spent: all of it, more than was held included, because it is owed.
    pub fn post(mut self, actual: Money) {
        self.settled = true;
        self.funds.settle(&self, actual);
    }

    /// Lets the hold go: nothing was spent.
    pub fn void(self) {
        drop(self);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.settled {
            self.funds.settle(self, Money::ZERO);
        }
    }
}
