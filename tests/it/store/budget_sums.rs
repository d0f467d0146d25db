//! Budgets against a model of plain sums.

use longshore::domain::{
    call::{Begun, CallStart, Opens},
    money::Money,
};
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};

use super::{
    budgets::{all, begin, call, ended, set, strict},
    fixtures::*,
    harness::Harness,
};

/// A call as the model of the test knows it.
struct Known {
    id: String,
    hold: i64,
    waits: bool,
}

/// Whatever happens in whatever order, the store says what plain sums say.
pub(super) async fn any_order_of_calls_adds_up(h: &Harness) {
    let steps = proptest::collection::vec((0_u8..9, 0_i64..40, 0_i64..60), 150);
    let steps = steps.new_tree(&mut TestRunner::deterministic()).unwrap().current();
    let (mut limit, mut spent, mut open) = (200, 0, Vec::<Known>::new());
    set(h, &strict(Money(limit))).await;
    for (n, (what, amount, other)) in steps.into_iter().enumerate() {
        let picked = usize::try_from(other).unwrap() % open.len().max(1);
        match what {
            0..4 => {
                let (id, waits) = (n.to_string(), what == 0);
                let opens = if waits { Opens::Reserved(MINUTE / 2) } else { Opens::Sent };
                let begun = begin(h, &[CallStart { opens, ..call(&id, Money(amount)) }]).await.remove(0);
                let held: i64 = open.iter().map(|call| call.hold).sum();
                assert_eq!(begun == Begun::Written, spent + held + amount <= limit, "{begun:?}");
                if begun == Begun::Written {
                    open.push(Known { id, hold: amount, waits });
                }
            }
            4..7 if !open.is_empty() => {
                let call = open.swap_remove(picked);
                // Dearer than it may be, now and then.
                h.store
                    .journal_finish(&[ended(&call.id, Money(other)), ended(&call.id, Money(1))])
                    .await
                    .unwrap();
                spent += other;
            }
            7 if !open.is_empty() => {
                let sent = h.store.journal_send(&[call_id(&open[picked].id)]).await.unwrap();
                assert_eq!(sent, [open[picked].waits]);
                open[picked].waits = false;
            }
            8 if other < 15 => {
                h.elapse(MINUTE / 2).await;
                h.store.journal_lapsed(100).await.unwrap();
                open.retain(|call| !call.waits);
            }
            _ => {
                limit = 100 + other * 10;
                set(h, &strict(Money(limit))).await;
            }
        }
        let now = all(&*h.store).await.remove(0);
        let held: i64 = open.iter().map(|call| call.hold).sum();
        assert_eq!((now.spent, now.held, now.budget.limit), (Money(spent), Money(held), Money(limit)));
    }
    assert!(spent > 200, "{spent}");
}
