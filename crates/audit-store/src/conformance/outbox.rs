//! `Alerts`: the outbox of their deliveries.

use std::sync::Arc;
use std::time::Duration;

use audit_event::Timestamp;
use futures::future::join_all;

use super::TestStore;
use super::alerts::{HANDLER, SECOND, alert, change, delivery, keys_of, write};
use crate::{AlertId, AlertState, AlertWrite, Alerts, Delivery, OutboxState};

const HOLD: Duration = Duration::from_secs(60);

/// Writes an alert of a group that is told these keys.
async fn tell(store: &Arc<dyn Alerts>, n: u8, group: u8, keys: &[&str]) {
    let deliveries = keys.iter().map(|key| delivery(HANDLER, key)).collect();
    let new = AlertWrite {
        deliveries,
        ..alert(n, group)
    };
    write(store, &new).await;
}

async fn take(store: &Arc<dyn Alerts>, hold: Duration) -> Vec<Delivery> {
    store.take(HANDLER, hold, 1_000).await.unwrap()
}

fn keys(taken: &[Delivery]) -> Vec<&str> {
    taken.iter().map(|one| one.what.key.as_str()).collect()
}

async fn waiting(store: &Arc<dyn Alerts>, handler: &str) -> (u64, u64) {
    let states = store.outbox().await.unwrap();
    let state = states.iter().find(|state| state.handler == handler);
    state.map_or((0, 0), |state| (state.waiting, state.dead))
}

/// "Of a group only the oldest that is left is given out"; "in the order of the writes"; "oldest first"; "durable on return".
pub async fn a_handler_hears_of_a_group_in_order(subject: &mut dyn TestStore) {
    let store = subject.store().alerts;
    tell(&store, 1, 1, &["a1", "a2"]).await;
    tell(&store, 2, 2, &["b1"]).await;
    tell(&store, 3, 1, &["a3"]).await;
    let other = AlertWrite {
        deliveries: vec![delivery("log", "a4"), delivery(HANDLER, "a4")],
        ..change(&alert(1, 1), 1)
    };
    write(&store, &other).await;
    assert_eq!(keys_of(&store, "nobody").await, [""; 0]);
    assert_eq!(
        keys_of(&store, "log").await,
        ["a4"],
        "handlers by themselves"
    );
    let mut heard = Vec::new();
    for round in 1..=4_u32 {
        subject.crash().await;
        let store = subject.store().alerts;
        let taken = take(&store, HOLD).await;
        assert_eq!(take(&store, HOLD).await, [], "round {round}");
        for one in &taken {
            assert_eq!((one.attempts, one.error.as_str()), (1, ""));
            assert!(one.written_at > Timestamp::EPOCH);
            assert_eq!(one.what, delivery(HANDLER, &one.what.key));
            let group = if one.what.key.starts_with('a') { 1 } else { 2 };
            assert_eq!(one.group, [group; 32]);
            let of = [("a1", 1), ("a2", 1), ("a3", 3), ("a4", 1), ("b1", 2)];
            let of = of.into_iter().find(|(key, _)| *key == one.what.key);
            assert_eq!(one.alert, AlertId([of.unwrap().1; 32]));
            store.delivered(one.number).await.unwrap();
        }
        assert!(taken.is_sorted_by_key(|one| one.number));
        heard.push(keys(&taken).join(" "));
    }
    assert_eq!(heard, ["a1 b1", "a2", "a3", "a4"]);
    let store = subject.store().alerts;
    assert_eq!(take(&store, HOLD).await, []);
    store.delivered(1_000_000).await.unwrap();
}

/// "holds it from others for so long"; "only when it is neither held nor put off".
pub async fn what_is_taken_is_held_until_its_time_runs_out(subject: &mut dyn TestStore) {
    let store = subject.store().alerts;
    tell(&store, 1, 1, &["a1", "a2"]).await;
    tell(&store, 2, 2, &["b1"]).await;
    let most = store.take(HANDLER, HOLD, 1).await.unwrap();
    assert_eq!(keys(&most), ["a1"], "at most so many");
    assert_eq!(keys(&take(&store, HOLD).await), ["b1"]);
    subject.crash().await;
    assert_eq!(take(&subject.store().alerts, HOLD).await, []);
    subject.pass(58 * SECOND).await;
    assert_eq!(take(&subject.store().alerts, HOLD).await, []);
    subject.pass(3 * SECOND).await;
    let store = subject.store().alerts;
    let again = take(&store, HOLD).await;
    assert_eq!(keys(&again), ["a1", "b1"]);
    assert!(again.iter().all(|one| one.attempts == 2), "{again:?}");
    // Who was slow, and told it all the same.
    store.delivered(again[0].number).await.unwrap();
    assert_eq!(keys(&take(&store, HOLD).await), ["a2"]);
    assert_eq!(waiting(&store, HANDLER).await, (2, 0));
}

/// "Every method may be called concurrently and by many processes": nobody is given what another holds.
pub async fn of_those_who_take_at_once_each_gets_something_else(subject: &mut dyn TestStore) {
    let store = subject.store().alerts;
    let names: Vec<_> = (0..40).map(|n| format!("key-{n}")).collect();
    for (n, name) in (0..).zip(&names) {
        tell(&store, n, n / 2, &[name]).await;
    }
    for _half in 0..2 {
        let takers = (0..8).map(|_taker| store.take(HANDLER, HOLD, 3));
        let mut taken = Vec::new();
        for part in join_all(takers).await {
            taken.extend(part.unwrap());
        }
        // Who came second may have gone on without waiting; what is left is there for the next call.
        taken.extend(take(&store, HOLD).await);
        let mut groups: Vec<_> = taken.iter().map(|one| one.group).collect();
        groups.sort_unstable();
        groups.dedup();
        assert_eq!((taken.len(), groups.len()), (20, 20));
        assert!(taken.iter().all(|one| one.attempts == 1));
        let settle = taken.iter().map(|one| store.delivered(one.number));
        for settled in join_all(settle).await {
            settled.unwrap();
        }
    }
    assert_eq!(waiting(&store, HANDLER).await, (0, 0));
}

/// "offers it again after so long. Those of its group behind it wait with it."
pub async fn what_is_put_off_holds_its_group_back_and_no_other(subject: &mut dyn TestStore) {
    let store = subject.store().alerts;
    tell(&store, 1, 1, &["a1", "a2"]).await;
    tell(&store, 2, 2, &["b1", "b2"]).await;
    let taken = take(&store, HOLD).await;
    assert_eq!(keys(&taken), ["a1", "b1"]);
    let error = "HTTP 503\0 of a foreign server";
    let wait = Duration::from_secs(300);
    store.put_off(&taken[0], wait, error).await.unwrap();
    store.delivered(taken[1].number).await.unwrap();
    assert_eq!(keys(&take(&store, HOLD).await), ["b2"]);
    subject.crash().await;
    subject.pass(298 * SECOND).await;
    let store = subject.store().alerts;
    assert_eq!(keys(&take(&store, HOLD).await), ["b2"], "its hold ran out");
    subject.pass(3 * SECOND).await;
    let store = subject.store().alerts;
    let again = take(&store, HOLD).await;
    assert_eq!(keys(&again), ["a1"]);
    assert_eq!(again[0].attempts, 2);
    assert_eq!(again[0].error, "HTTP 503 of a foreign server");
    // At once, although it is held for longer.
    let at_once = store.put_off(&again[0], Duration::ZERO, "again");
    at_once.await.unwrap();
    let again = take(&store, HOLD).await;
    assert_eq!((keys(&again), again[0].attempts), (vec!["a1"], 3));
    store.delivered(again[0].number).await.unwrap();
    // "Nothing happens when it does not wait (any more)."
    let late = store.put_off(&again[0], Duration::ZERO, "late");
    late.await.unwrap();
    assert_eq!(keys(&take(&store, HOLD).await), ["a2"]);
}

/// "It is given up and kept […]; those of its group behind it go on"; "Offers all of a handler that were given up again, as if
/// never tried, in their old places; how many."
pub async fn what_is_given_up_is_kept_and_can_be_revived(subject: &mut dyn TestStore) {
    let store = subject.store().alerts;
    tell(&store, 1, 1, &["a1", "a2", "a3"]).await;
    tell(&store, 2, 2, &["b1"]).await;
    let log = AlertWrite {
        deliveries: vec![delivery("log", "c1")],
        ..alert(3, 3)
    };
    write(&store, &log).await;
    let first = take(&store, HOLD).await;
    for one in &first {
        let given_up = store.give_up(one, "HTTP 400\0").await;
        given_up.unwrap();
    }
    let logged = store.take("log", HOLD, 1).await.unwrap();
    store.give_up(&logged[0], "disk full").await.unwrap();
    let second = take(&store, HOLD).await;
    assert_eq!(keys(&second), ["a2"]);
    store.delivered(second[0].number).await.unwrap();
    // "Nothing happens when it does not wait (any more)."
    store.give_up(&second[0], "late").await.unwrap();
    let late = store.put_off(&first[0], Duration::ZERO, "late");
    late.await.unwrap();
    subject.crash().await;
    let store = subject.store().alerts;
    let kept = store.given_up(HANDLER, 10).await.unwrap();
    assert_eq!(keys(&kept), ["a1", "b1"]);
    assert_eq!(kept[0].what, first[0].what);
    assert_eq!((kept[0].attempts, kept[0].error.as_str()), (1, "HTTP 400"));
    assert_eq!(store.given_up(HANDLER, 1).await.unwrap(), kept[..1]);
    assert_eq!(store.given_up("nobody", 10).await.unwrap(), []);
    assert_eq!(store.revive("nobody").await.unwrap(), 0);
    assert_eq!(store.revive(HANDLER).await.unwrap(), 2);
    assert_eq!(store.revive(HANDLER).await.unwrap(), 0);
    assert_eq!(store.given_up(HANDLER, 10).await.unwrap(), []);
    assert_eq!(store.given_up("log", 10).await.unwrap().len(), 1);
    let again = take(&store, HOLD).await;
    assert_eq!(keys(&again), ["a1", "b1"], "before a3");
    assert!(
        again
            .iter()
            .all(|one| one.attempts == 1 && one.error.is_empty()),
        "{again:?}"
    );
    // Who told it after all.
    store.give_up(&again[0], "no answer").await.unwrap();
    store.delivered(again[0].number).await.unwrap();
    assert_eq!(store.revive(HANDLER).await.unwrap(), 0);
    assert_eq!(keys(&take(&store, HOLD).await), ["a3"]);
}

/// "or was taken again since: then it is that taker's."
pub async fn whose_hold_ran_out_decides_nothing(subject: &mut dyn TestStore) {
    let store = subject.store().alerts;
    tell(&store, 1, 1, &["a1", "a2"]).await;
    let slow = take(&store, HOLD).await;
    subject.pass(61 * SECOND).await;
    let store = subject.store().alerts;
    let other = take(&store, HOLD).await;
    assert_eq!((keys(&other), other[0].attempts), (vec!["a1"], 2));
    store.give_up(&slow[0], "too slow").await.unwrap();
    assert_eq!(store.given_up(HANDLER, 10).await.unwrap(), []);
    let late = store.put_off(&slow[0], Duration::ZERO, "too slow");
    late.await.unwrap();
    assert_eq!(keys(&take(&store, HOLD).await), [""; 0], "it is held");
    store.give_up(&other[0], "HTTP 400").await.unwrap();
    assert_eq!(keys(&take(&store, HOLD).await), ["a2"]);
}

/// "a handler has each key once as long as the outbox remembers it. One that it has already is left out."
pub async fn a_handler_has_each_key_once(subject: &mut dyn TestStore) {
    let store = subject.store().alerts;
    tell(&store, 1, 1, &["once", "once", "dead", "told"]).await;
    let taken = take(&store, HOLD).await;
    store.delivered(taken[0].number).await.unwrap();
    let taken = take(&store, HOLD).await;
    assert_eq!(keys(&taken), ["dead"]);
    store.give_up(&taken[0], "HTTP 400").await.unwrap();
    subject.crash().await;
    let store = subject.store().alerts;
    tell(&store, 2, 2, &["told", "dead", "once", "new"]).await;
    assert_eq!(keys(&take(&store, HOLD).await), ["told", "new"]);
    assert_eq!(waiting(&store, HANDLER).await, (2, 1));
    let other = AlertWrite {
        deliveries: vec![delivery("log", "once")],
        ..alert(3, 3)
    };
    write(&store, &other).await;
    assert_eq!(keys_of(&store, "log").await, ["once"], "another handler");
}

/// "Forgets resolved alerts that were raised before this, the oldest first, at most `most`; how many. […] one with deliveries that
/// wait stays. When its last alert is forgotten, a group forgets when it was told last, if that was before this."
pub async fn resolved_alerts_are_forgotten_with_their_deliveries(subject: &mut dyn TestStore) {
    let cooled = |n, group| AlertWrite {
        cooldown: Duration::from_secs(86_400),
        ..alert(n, group)
    };
    let of = |n, group, state| AlertWrite {
        state,
        ..cooled(n, group)
    };
    let resolved = AlertState::Resolved;
    for one in [
        of(1, 1, resolved),
        of(2, 2, resolved),
        of(3, 3, resolved),
        of(4, 4, AlertState::Open),
        of(5, 5, AlertState::Acknowledged),
        of(6, 6, resolved),
    ] {
        write(&subject.store().alerts, &one).await;
        subject.pass(SECOND).await;
    }
    let store = subject.store().alerts;
    for one in take(&store, HOLD).await {
        match one.alert.0[0] {
            1 => store.give_up(&one, "HTTP 400").await.unwrap(),
            3 => {}
            _ => store.delivered(one.number).await.unwrap(),
        }
    }
    let of_six = store.get(AlertId([6; 32]), None).await.unwrap().unwrap();
    let before = of_six.raised_at;
    assert_eq!(store.forget_resolved(Timestamp::EPOCH, 9).await.unwrap(), 0);
    assert_eq!(store.forget_resolved(before, 1).await.unwrap(), 1);
    assert_eq!(store.get(AlertId([1; 32]), None).await.unwrap(), None);
    assert_eq!(waiting(&store, HANDLER).await, (1, 0), "nothing is dead");
    assert_eq!(store.forget_resolved(before, 9).await.unwrap(), 1);
    assert_eq!(store.forget_resolved(before, 9).await.unwrap(), 0);
    subject.crash().await;
    let store = subject.store().alerts;
    for (n, stays) in [
        (1, false),
        (2, false),
        (3, true),
        (4, true),
        (5, true),
        (6, true),
    ] {
        let found = store.get(AlertId([n; 32]), None).await.unwrap();
        assert_eq!(found.is_some(), stays, "alert {n}");
    }
    // Their groups were told before, and the keys are free; who stays keeps both.
    let new = [cooled(1, 1), cooled(2, 2), cooled(7, 4), cooled(8, 6)];
    let told = store.write(&new).await.unwrap();
    let notified = |notified| crate::AlertWritten::Done { notified };
    assert_eq!(told, [true, true, false, false].map(notified));
    let heard = take(&store, HOLD).await;
    assert_eq!(keys(&heard), ["raised-1", "raised-2"]);
    // What waited is told at last, and then it goes.
    subject.pass(61 * SECOND).await;
    let store = subject.store().alerts;
    let late = take(&store, HOLD).await;
    assert_eq!(keys(&late), ["raised-3", "raised-1", "raised-2"]);
    store.delivered(late[0].number).await.unwrap();
    assert_eq!(store.forget_resolved(before, 9).await.unwrap(), 1);
}

/// "Every handler that has something that waits or was given up, by name"; "When the oldest that waits was written".
pub async fn the_outbox_says_how_it_stands(subject: &mut dyn TestStore) {
    let store = subject.store().alerts;
    assert_eq!(store.outbox().await.unwrap(), []);
    for (n, handlers) in [(1, ["b", "a"]), (2, ["b", "c"]), (3, ["b", "c"])] {
        let deliveries = handlers.map(|handler| delivery(handler, &format!("key-{n}")));
        let new = AlertWrite {
            deliveries: deliveries.to_vec(),
            ..alert(n, n)
        };
        write(&store, &new).await;
    }
    let all = store.take("b", HOLD, 10).await.unwrap();
    let others = store.take("c", HOLD, 10).await.unwrap();
    store.delivered(all[0].number).await.unwrap();
    for one in &others {
        store.give_up(one, "HTTP 400").await.unwrap();
    }
    for one in store.take("a", HOLD, 10).await.unwrap() {
        store.delivered(one.number).await.unwrap();
    }
    subject.crash().await;
    let state = |handler: &str, waiting, dead, oldest| OutboxState {
        handler: handler.to_owned(),
        waiting,
        dead,
        oldest,
    };
    let oldest = Some(all[1].written_at);
    assert_eq!(
        subject.store().alerts.outbox().await.unwrap(),
        [state("b", 2, 0, oldest), state("c", 0, 2, None)],
        "what is held counts as waiting"
    );
}

/// "a dropped call has happened or has not": the alert and what is told of it.
pub async fn a_dropped_write_of_an_alert_happens_whole_or_not_at_all(subject: &mut dyn TestStore) {
    let store = subject.store().alerts;
    write(&store, &alert(1, 1)).await;
    {
        let writes = [alert(2, 1), alert(3, 2)];
        let mut writing = std::pin::pin!(store.write(&writes));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        // Polled once and dropped: the work is handed over or not.
        drop(writing.as_mut().poll(&mut context));
    }
    // Whatever writes after it shows the outcome.
    write(&store, &alert(4, 3)).await;
    subject.crash().await;
    let store = subject.store().alerts;
    let mut kept = 0;
    for n in [2, 3] {
        let found = store.get(AlertId([n; 32]), None).await.unwrap();
        kept += u64::from(found.is_some());
    }
    let told = waiting(&store, HANDLER).await.0 - 2;
    assert!(
        (kept, told) == (0, 0) || (kept, told) == (2, 2),
        "{kept} {told}"
    );
}
