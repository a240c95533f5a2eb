//! Who goes next: by hand for each rule, and by chance against what must always hold.

use super::*;

type Task = u64;

const MACHINES: [&str; 4] = ["orders", "refunds", "reports", "mail"];

fn key(connector: usize, service: &str, machine: u64) -> CallKey {
    CallKey {
        connector,
        service: service.into(),
        machine: MachineKey { scope: 0, machine },
        machine_name: MACHINES[machine as usize % MACHINES.len()].into(),
    }
}

fn limit(concurrency: usize, rate: u32) -> Limit {
    Limit { concurrency: (concurrency > 0).then_some(concurrency), rate: (rate > 0).then_some(rate) }
}

fn limits(connector: usize, named: &[(&str, Limit)]) -> TaskLimits {
    TaskLimits {
        connector: limit(connector, 0),
        named: named.iter().map(|(name, limit)| ((*name).to_owned(), *limit)).collect(),
        ..TaskLimits::default()
    }
}

fn fair(limits: TaskLimits) -> Fair<Task> {
    Fair::new([("lambda", usize::MAX), ("sqs", usize::MAX)], limits)
}

/// All that may go now.
fn all(fair: &mut Fair<Task>, now: Millis) -> Vec<Task> {
    std::iter::from_fn(|| fair.next(now)).map(|(_, task)| task).collect()
}

fn push(fair: &mut Fair<Task>, key: &CallKey, tasks: impl IntoIterator<Item = Task>) {
    for task in tasks {
        fair.push(key, task, task, 0);
    }
}

#[test]
fn machines_take_turns_in_a_lane_and_the_oldest_goes_first() {
    let mut fair = fair(limits(0, &[("lambda:pay", limit(1, 0))]));
    let (orders, refunds) = (key(0, "pay", 0), key(0, "pay", 1));
    assert!(fair.reserve(&orders, 0));
    // A flood of one machine, and then a few of another.
    push(&mut fair, &orders, [3, 1, 2, 4]);
    push(&mut fair, &refunds, [6, 5]);
    let mut order = Vec::new();
    let mut holder = orders;
    while fair.waiting() > 0 {
        fair.release(&holder, true);
        let (next, task) = fair.next(0).expect("a slot is free");
        assert!(fair.next(0).is_none(), "there is one slot");
        order.push(task);
        holder = next;
    }
    assert_eq!(order, [1, 5, 2, 6, 3, 4]);
}

#[test]
fn who_comes_now_does_not_overtake_who_waits() {
    let mut fair = fair(limits(0, &[("lambda:pay", limit(1, 0))]));
    assert!(fair.reserve(&key(0, "pay", 0), 0));
    push(&mut fair, &key(0, "pay", 1), [1]);
    fair.release(&key(0, "pay", 0), true);
    assert!(!fair.reserve(&key(0, "pay", 0), 0), "1 is the next");
    assert!(fair.reserve(&key(0, "ship", 0), 0), "another service is another lane");
    assert_eq!(all(&mut fair, 0), [1]);
}

#[test]
fn a_service_that_hangs_leaves_slots_to_all_others() {
    let mut fair = fair(limits(100, &[]));
    let mut taken = Vec::new();
    for hanging in ["a", "b", "c"] {
        let key = key(0, hanging, 0);
        taken.push((0..1_000).filter(|_| fair.reserve(&key, 0)).count());
        push(&mut fair, &key, taken.len() as u64 * 1_000..taken.len() as u64 * 1_000 + 500);
        assert_eq!(all(&mut fair, 0), [0; 0], "{hanging} has all it may have");
    }
    assert_eq!(taken, [50, 25, 13]);
    // With three of them hanging, many others still find slots, a call each at a time.
    for other in 0..1_000 {
        let other = key(0, &format!("other-{other}"), 1);
        assert!(fair.reserve(&other, 0));
        fair.release(&other, true);
        assert_eq!(all(&mut fair, 0), [0; 0]);
    }
    // Another connector has slots of its own, and its only service all of them.
    let sqs = key(1, "sqs", 0);
    assert_eq!((0..1_000).filter(|_| fair.reserve(&sqs, 0)).count(), 100);
}

#[test]
fn lanes_take_turns_when_their_connector_has_no_slot() {
    let services = ["a", "b", "c"];
    let mut fair = fair(limits(3, &[]));
    let busy: Vec<CallKey> = ["x", "y", "z"].map(|service| key(0, service, 0)).into();
    assert_eq!(busy.iter().filter(|key| fair.reserve(key, 0)).count(), 3);
    push(&mut fair, &key(0, "a", 0), 10..20);
    push(&mut fair, &key(0, "b", 0), 20..22);
    push(&mut fair, &key(0, "c", 0), 30..31);
    let mut order = Vec::new();
    let mut holders = busy;
    while let Some(holder) = holders.pop() {
        fair.release(&holder, true);
        while let Some((next, task)) = fair.next(0) {
            order.push(task);
            holders.push(next);
        }
    }
    assert_eq!(&order[..6], [10, 20, 30, 11, 21, 12], "{services:?} in turn");
    assert_eq!(order.len(), 13);
}

#[test]
fn a_machine_at_its_limit_keeps_nobody_else() {
    let mut fair = fair(limits(0, &[("machine:orders", limit(2, 0))]));
    let (pay, ship) = (key(0, "pay", 0), key(0, "ship", 0));
    assert!(fair.reserve(&pay, 0) && fair.reserve(&pay, 0));
    assert!(!fair.reserve(&pay, 0) && !fair.reserve(&ship, 0), "two are under way");
    push(&mut fair, &pay, [1]);
    push(&mut fair, &ship, [2]);
    assert_eq!(all(&mut fair, 0), [0; 0]);
    // Others go on in both lanes, waiting or not.
    assert!(fair.reserve(&key(0, "pay", 1), 0) && fair.reserve(&key(0, "ship", 1), 0));
    fair.release(&pay, true);
    assert_eq!(all(&mut fair, 0), [1]);
    fair.release(&pay, true);
    assert_eq!(all(&mut fair, 0), [2], "it waits in whichever lane");
}

#[test]
fn a_rate_lets_calls_begin_one_after_the_other() {
    let mut fair = fair(limits(0, &[("lambda:pay", limit(0, 10))]));
    let pay = key(0, "pay", 0);
    assert!(fair.reserve(&pay, 1_000));
    push(&mut fair, &pay, [1, 2, 3]);
    let mut now = 1_000;
    let mut begun = Vec::new();
    while fair.waiting() > 0 {
        for task in all(&mut fair, now) {
            begun.push((now, task));
        }
        assert!(!fair.reserve(&key(0, "pay", 1), now), "nobody overtakes");
        assert!(fair.reserve(&key(0, "ship", 0), now), "another service has no rate");
        if fair.waiting() > 0 {
            now = fair.wakes_at().expect("it knows when to look again");
        }
    }
    assert_eq!(begun, [(1_100, 1), (1_200, 2), (1_300, 3)]);
}

#[test]
fn rates_of_connectors_and_machines_hold_over_all_their_services() {
    let mut fair = fair(limits(0, &[("lambda", limit(0, 10)), ("machine:refunds", limit(0, 5))]));
    assert!(fair.reserve(&key(0, "a", 0), 1_000));
    assert!(!fair.reserve(&key(0, "b", 0), 1_000), "its connector has one a tenth of a second");
    push(&mut fair, &key(0, "a", 0), [1]);
    push(&mut fair, &key(0, "b", 0), [2]);
    assert_eq!(all(&mut fair, 1_000), [0; 0]);
    assert!(!fair.reserve(&key(0, "c", 0), 1_100), "two wait for it");
    assert_eq!((all(&mut fair, 1_100), all(&mut fair, 1_200)), (vec![1], vec![2]));

    let (sqs, other) = (key(1, "sqs", 1), key(1, "sqs", 2));
    assert!(fair.reserve(&sqs, 2_000) && !fair.reserve(&sqs, 2_000) && fair.reserve(&other, 2_000));
    push(&mut fair, &sqs, [3]);
    assert_eq!(all(&mut fair, 2_199), [0; 0]);
    assert_eq!(fair.wakes_at(), Some(2_200));
    assert_eq!(all(&mut fair, 2_200), [3]);
}

#[test]
fn a_slot_that_was_not_used_costs_no_rate() {
    let mut fair = fair(limits(0, &[("lambda:pay", limit(0, 10))]));
    let pay = key(0, "pay", 0);
    for _ in 0..5 {
        assert!(fair.reserve(&pay, 1_000));
        fair.release(&pay, false);
    }
    assert!(fair.reserve(&pay, 1_000));
    fair.release(&pay, true);
    assert!(!fair.reserve(&pay, 1_000));
}

#[test]
fn a_clock_that_is_set_back_keeps_nobody() {
    let mut fair = fair(limits(0, &[("lambda:pay", limit(0, 10))]));
    let pay = key(0, "pay", 0);
    assert!(fair.reserve(&pay, 1_000_000));
    push(&mut fair, &pay, [1]);
    assert_eq!(all(&mut fair, 1_000_000), [0; 0]);
    assert_eq!(all(&mut fair, 5_000), [0; 0]);
    assert_eq!(fair.wakes_at(), Some(5_100));
    assert_eq!(all(&mut fair, 5_100), [1]);
}

#[test]
fn what_is_shown_is_bounded_and_nothing_counted_is_lost() {
    let mut fair = fair(limits(0, &[]));
    let shown = |fair: &Fair<Task>| fair.stats(1_000).len();
    for service in 0..10 * KEPT {
        let key = key(0, &format!("f-{service}"), 0);
        assert!(fair.reserve(&key, 0));
        fair.made(&key);
        fair.failed(&key);
        fair.release(&key, true);
        assert!(service % 97 > 0 || shown(&fair) <= SHOWN + 1);
        assert!(fair.pools[0].lanes.len() <= KEPT + 1, "idle lanes are forgotten");
    }
    push(&mut fair, &key(0, "last", 0), [1]);
    let stats = fair.stats(1_000);
    let sum = |of: fn(&ServiceStats) -> u64| stats.iter().map(of).sum::<u64>();
    assert_eq!((sum(|one| one.calls), sum(|one| one.failures)), (10 * KEPT as u64, 10 * KEPT as u64));
    assert_eq!((sum(|one| one.waiting), sum(|one| one.in_flight)), (1, 0));
    assert_eq!(stats.iter().map(|one| one.oldest_wait_ms).max(), Some(1_000));
    assert_eq!(stats.last().map(|one| &*one.service), Some(OTHERS));
}

impl Lane<Task> {
    fn waiting_machines(&self) -> impl Iterator<Item = MachineKey> {
        self.queues.iter().filter(|(_, queue)| !queue.tasks.is_empty()).map(|(key, _)| *key)
    }
}

/// Small numbers from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// What is under way, counted again.
#[derive(Default)]
struct Book {
    under_way: Vec<CallKey>,
    begun: Vec<(Millis, CallKey)>,
}

impl Book {
    fn count(&self, of: impl Fn(&CallKey) -> bool) -> usize {
        self.under_way.iter().filter(|key| of(key)).count()
    }

    fn begin(&mut self, fair: &Fair<Task>, key: CallKey, now: Millis) {
        self.under_way.push(key.clone());
        let check = |what: &str, limit: Limit, of: &dyn Fn(&CallKey) -> bool| {
            if let Some(most) = limit.concurrency {
                assert!(self.count(of) <= most, "more than {most} of {what}");
            }
            if let Some(rate) = limit.rate {
                // In any second: those that are let through at once, and those of the second.
                let from = now - 999;
                let lately =
                    self.begun.iter().rev().take_while(|(at, _)| *at >= from).filter(|(_, key)| of(key)).count();
                let most = (rate + (rate / 10).max(1)) as usize;
                assert!(lately < most, "{lately} of {what} within a second");
            }
        };
        let pool = fair.pools[key.connector].name;
        check(pool, fair.limits.of_connector(pool), &|other| other.connector == key.connector);
        check(&key.service, fair.limits.of_service(pool, &key.service), &|other| {
            other.connector == key.connector && other.service == key.service
        });
        check(&key.machine_name, fair.limits.of_machine(&key.machine_name), &|other| other.machine == key.machine);
        self.begun.push((now, key));
    }
}

#[test]
fn by_chance_no_limit_is_broken_and_nothing_is_left_behind() {
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let mut chance = |concurrency: u64, rate: u64| {
            let concurrency = if dice.roll(2) == 0 { dice.roll(concurrency) as usize } else { 0 };
            limit(concurrency, if dice.roll(3) == 0 { dice.roll(rate) as u32 } else { 0 })
        };
        let limits = TaskLimits {
            connector: Limit { concurrency: Some(8), rate: chance(1, 60).rate },
            service: chance(4, 40),
            machine: chance(4, 40),
            named: [("lambda:a".to_owned(), chance(3, 20)), ("machine:mail".to_owned(), chance(2, 20))].into(),
        };
        let mut fair = fair(limits);
        let mut book = Book::default();
        let mut waiting: BTreeMap<Task, (CallKey, Place)> = BTreeMap::new();
        let (mut now, mut sequence, mut served) = (10_000, 0, 0);
        for step in 0..600 {
            let calm = step >= 400;
            match dice.roll(if calm { 5 } else { 10 }) {
                0 | 1 if !book.under_way.is_empty() => {
                    let at = dice.roll(book.under_way.len() as u64) as usize;
                    let key = book.under_way.swap_remove(at);
                    fair.release(&key, true);
                }
                2 | 3 => now += dice.roll(30) as Millis,
                4 if !waiting.is_empty() && dice.roll(4) == 0 => {
                    let (task, (_, place)) = waiting.pop_first().expect("one waits");
                    assert_eq!(fair.remove(place), Some(task));
                    assert_eq!(fair.remove(place), None);
                }
                5.. => {
                    let service = ["a", "b", "sqs"][dice.roll(3) as usize];
                    let key = key(usize::from(service == "sqs"), service, dice.roll(4));
                    if fair.reserve(&key, now) {
                        book.begin(&fair, key, now);
                    } else {
                        sequence += 1;
                        let place = fair.push(&key, sequence, sequence, now);
                        waiting.insert(sequence, (key, place));
                    }
                }
                _ => {}
            }
            while let Some((key, task)) = fair.next(now) {
                let (expected, _) = waiting.remove(&task).expect("it waited, once");
                assert_eq!(key, expected);
                let older = waiting.iter().find(|(other, (of, _))| **other < task && *of == key);
                assert_eq!(older.map(|(older, _)| *older), None, "seed {seed}: older than {task}");
                served += 1;
                book.begin(&fair, key, now);
            }
            // Nobody waits who could go: a look with fresh eyes finds nothing either.
            for at in 0..fair.lanes.len() {
                let machines: Vec<MachineKey> = fair.lanes[at].iter().flat_map(Lane::waiting_machines).collect();
                for machine in machines {
                    let name = MACHINES[machine.machine as usize];
                    assert!(
                        fair.begin(at, machine, name, now).is_err(),
                        "seed {seed}, step {step}: {machine:?} could go"
                    );
                }
            }
            assert_eq!(fair.waiting(), waiting.len());
        }
        // Calls end, and time passes: everything that waits gets its turn.
        while !waiting.is_empty() || !book.under_way.is_empty() {
            for key in std::mem::take(&mut book.under_way) {
                fair.release(&key, true);
            }
            let before = waiting.len();
            while let Some((key, task)) = fair.next(now) {
                waiting.remove(&task).expect("it waited, once");
                served += 1;
                book.begin(&fair, key, now);
            }
            if before == waiting.len() && book.under_way.is_empty() && before > 0 {
                let at = fair.wakes_at().unwrap_or_else(|| panic!("seed {seed}: {before} wait for nothing"));
                assert!(at > now && at <= now + 1_000);
                now = at;
            }
        }
        assert!(served > 0 || sequence == 0);
        assert!(fair.pools.iter().all(|pool| pool.in_flight == 0 && pool.turns.is_empty()));
        assert!(fair.lanes.iter().flatten().all(|lane| lane.in_flight == 0 && lane.waiting == 0));
        assert!(fair.machines.values().all(|machine| machine.in_flight == 0));
    }
}
