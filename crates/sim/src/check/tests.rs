//! Every checker complains about what it is there for: commits of a world that kept every rule are tampered with, and
//! what the world is told is made up.

use std::sync::Arc;

use stepwright_engine::{Error, FiredTimer, Started};
use stepwright_machine::{ExecutionId, FrameId, Millis, TaskId, TimerId};
use stepwright_store::{
    Commit, Mutation, Store, Table, keys,
    map_runs::{MapChildRow, MapRunStateRow},
    memory::MemoryStore,
    records,
};

use super::{express, history, liveness, names, replies, results, store, tasks, timers};
use crate::{
    client::{Answer, Call},
    generate,
    ledger::Ledger,
    model::{Model, Seen},
    report::Options,
    workload::{Dice, Expectation},
    world::World,
};

/// The commits of a world without faults, in which executions wait, run tasks and end.
fn commits() -> Vec<Commit> {
    (17..30).map(commits_of).find(|kept| kept.len() > 100).expect("a world in which much happens")
}

fn commits_of(seed: u64) -> Vec<Commit> {
    let options = Options { faults: 0, steps: 3_000, trace: false };
    let mut world = World::new(seed, options, generate::workload(&mut Dice::new(seed)));
    world.run().expect("a world that keeps every rule");
    std::mem::take(&mut world.ledger().lock().kept)
}

fn replay<'a>(commits: impl IntoIterator<Item = &'a Commit>) -> Ledger {
    let mut ledger = Ledger::at(Millis::MAX);
    ledger.express = express::Book::untold();
    commits.into_iter().for_each(|commit| ledger.take(commit));
    ledger
}

/// Who complains first about commits of which the first that can be was tampered with.
fn complains(commits: &[Commit], tamper: impl FnMut(&Commit) -> Option<Commit>) -> &'static str {
    let mut commits = commits.to_vec();
    let tampered = commits.iter().map(tamper).enumerate().find_map(|(at, commit)| Some((at, commit?)));
    let (at, commit) = tampered.expect("there is something to tamper with");
    commits[at] = commit;
    replay(&commits).complaint().expect("a complaint").checker
}

fn puts(mutation: &Mutation<'_>, wanted: Table) -> bool {
    matches!(mutation, Mutation::Put { table, .. } | Mutation::Insert { table, .. } if *table == wanted)
}

/// Leaves the first put into a table out.
fn without(commits: &[Commit], table: Table) -> &'static str {
    without_one(commits, |mutation| puts(mutation, table))
}

/// Leaves the first of these changes out.
fn without_one(commits: &[Commit], is_left_out: impl Fn(&Mutation<'_>) -> bool) -> &'static str {
    complains(commits, |commit| {
        let left_out = commit.mutations().position(|mutation| is_left_out(&mutation))?;
        let mut rest = Commit::default();
        let kept = commit.mutations().enumerate().filter(|(at, _)| *at != left_out);
        kept.for_each(|(_, mutation)| rest.push(&mutation));
        Some(rest)
    })
}

#[test]
fn commits_that_were_not_tampered_with_bring_no_complaint() {
    assert_eq!(replay(&commits()).complaint(), None);
}

#[test]
fn rows_of_express_executions_that_told_no_end_must_not_go() {
    let goes = |mutation: Mutation<'_>| matches!(mutation, Mutation::Delete { table: Table::Express, .. });
    let commits = (0..100).map(commits_of).find(|commits| commits.iter().any(|commit| commit.mutations().any(goes)));
    let mut ledger = Ledger::at(Millis::MAX);
    commits.expect("a world with Express executions").iter().for_each(|commit| ledger.take(commit));
    assert_eq!(ledger.complaint().expect("a complaint").checker, "express");
}

#[test]
fn tampered_commits_bring_the_complaint_of_the_checker_that_is_there_for_them() {
    let commits = commits();
    assert_eq!(without(&commits, Table::Timer), "timers");
    assert_eq!(without(&commits, Table::Task), "tasks");
    assert_eq!(without(&commits, Table::Execution), "names");
    assert_eq!(without(&commits, Table::Frame), "fold");
    assert_eq!(without(&commits, Table::Head), "fold");

    // A turn lost, a turn written twice.
    let is_later_turn = |commit: &Commit| {
        commit.mutations().any(|mutation| {
            matches!(mutation, Mutation::Put { table: Table::Turn, key, .. } if keys::parse_turn(key) == Some(2))
        })
    };
    let at = commits.iter().position(is_later_turn).expect("an execution with two turns");
    let lost = replay(commits[..at].iter().chain(&commits[at + 1..]));
    assert_eq!(lost.complaint().map(|complaint| complaint.checker), Some("turns"));
    let twice = replay(commits[..=at].iter().chain(&commits[at..]));
    assert_eq!(twice.complaint().map(|complaint| complaint.checker), Some("turns"));

    // A row that is said to be new, and is not.
    let twice = complains(&commits[..=at], |commit| {
        let new = commit.mutations().find(|mutation| matches!(mutation, Mutation::Insert { .. }))?;
        let mut tampered = commit.clone();
        tampered.push(&new);
        Some(tampered)
    });
    assert_eq!(twice, "store");

    // An event that the fold does not give, as if a turn had been written down wrongly.
    let with_one_more = |mutation: &Mutation<'_>| {
        let Mutation::Put { table: Table::Turn, value, .. } = mutation else { return None };
        let mut row: records::TurnRow = records::decode(Table::Turn, value).expect("a turn");
        row.events.push(row.events.last()?.clone());
        Some(encoded(&row))
    };
    let doubled = complains(&commits, |commit| {
        let mut tampered = Commit::default();
        let mut done = false;
        for mutation in commit.mutations() {
            match (mutation, with_one_more(&mutation)) {
                (Mutation::Put { table, key, .. }, Some(value)) if !done => {
                    tampered.put(table, key, value);
                    done = true;
                }
                _ => tampered.push(&mutation),
            }
        }
        done.then_some(tampered)
    });
    assert_eq!(doubled, "fold");
}

fn encoded(row: &records::TurnRow) -> Vec<u8> {
    records::encode(row)
}

#[test]
fn timers_that_are_early_out_of_order_lost_or_doubled_are_found() {
    let mut early = Ledger::at(0);
    early.express = express::Book::untold();
    commits().iter().for_each(|commit| early.take(commit));
    assert_eq!(early.complaint().map(|complaint| complaint.checker), Some("timers"));

    let fired = |due| FiredTimer {
        due,
        execution: ExecutionId::new(1, 0, 1),
        timer: TimerId { frame: FrameId::ROOT, number: u32::try_from(due).expect("small") },
    };
    let mut rows = crate::rows::Rows::default();
    let mut commit = Commit::default();
    for due in [10, 20] {
        let timer = fired(due);
        commit.put(Table::Timer, keys::timer(due, 1, timer.execution, timer.timer), vec![1]);
    }
    rows.apply(&commit);
    let order = || {
        let mut order = timers::Order::default();
        order.tick(&rows, 20, 1);
        order
    };
    assert!(order().taken(&[fired(10), fired(20)], 20, 1).is_ok());
    assert!(order().taken(&[fired(20), fired(10)], 20, 1).is_err(), "out of order");
    assert!(order().taken(&[fired(10), fired(10)], 20, 1).is_err(), "doubled");
    assert!(order().taken(&[fired(10), fired(20)], 15, 1).is_err(), "early");
    let mut lost = order();
    lost.taken(&[fired(10)], 20, 1).expect("in order");
    assert!(lost.drained(0).is_err(), "lost");
}

#[test]
fn a_task_that_is_called_twice_or_runs_after_its_answer_is_found() {
    let (execution, task) = (ExecutionId::new(1, 0, 1), TaskId { frame: FrameId::ROOT, number: 1 });
    let mut handed = tasks::Handed::default();
    handed.call(execution, task, false).expect("the first call");
    handed.call(execution, task, true).expect("a call that is made again because that was asked for");
    assert!(handed.call(execution, task, false).is_err());
    handed.answered(execution, task, false).expect("the first answer");
    assert!(handed.answered(execution, task, false).is_err());
    assert!(handed.worker(execution, task).is_err());
}

#[test]
fn a_name_with_two_executions_is_found() {
    let name = |id: u64| {
        let id = ExecutionId::new(1, 0, id);
        let mut commit = Commit::default();
        let row = records::NameRow { execution: id.to_bytes(), input_hash: [0; 16] };
        commit.put(Table::Name, keys::name(1, "m", "n"), records::encode(&row));
        commit.put(Table::Execution, keys::execution(1, id), vec![1]);
        commit
    };
    let mut rows = crate::rows::Rows::default();
    names::commit(&rows, &name(1)).expect("a free name");
    rows.apply(&name(1));
    assert!(names::commit(&rows, &name(2)).is_err());
}

#[test]
fn an_event_that_is_doubled_or_goes_back_in_time_is_found() {
    let mut ledger = replay(&commits());
    let model = ledger.models.values_mut().find(|model| model.events.len() > 6).expect("a long history");
    let original = model.events.clone();
    let mut check = |events: Vec<Seen>| {
        model.events = events;
        model.followers.clear();
        history::appended(model, 0)
    };
    check(original.clone()).expect("the history as it is");
    let mut doubled = original.clone();
    let copy = Seen { id: doubled[2].id + 1, ..doubled[2].clone() };
    doubled.truncate(3);
    doubled.push(copy);
    assert!(check(doubled).is_err(), "doubled");
    let mut back = original.clone();
    back[1].at -= 1;
    assert!(check(back).is_err(), "back in time");
    let mut gap = original;
    gap.remove(3);
    assert!(check(gap).is_err(), "a gap");
}

#[test]
fn a_reply_that_nothing_durable_bears_out_is_found() {
    let mut ledger = replay(&commits());
    let call = Call::Start { start: 0, machine: "m0".into(), name: "nobody".into(), input: "{}".into() };
    let arn: Arc<str> = crate::workload::execution_arn("m0", "nobody").into();
    let started = Ok(Answer::Started(Started { arn: arn.clone(), started_at: 0 }));
    assert!(replies::check(&mut ledger, &call, &started).is_err());
    let taken = Err(Error::ExecutionAlreadyExists { arn: arn.clone() });
    assert!(replies::check(&mut ledger, &call, &taken).is_err());
    let stopped = replies::check(&mut ledger, &Call::Stop { arn }, &Ok(Answer::Stopped(5)));
    assert!(stopped.is_err());
    let model = ledger.models.values().next().expect("an execution");
    let known = model.execution.info.arn.clone();
    let missing = Err(Error::ExecutionDoesNotExist { arn: known.clone() });
    assert!(replies::check(&mut ledger, &Call::Describe { arn: known }, &missing).is_err());
}

#[test]
fn a_store_that_lost_or_made_up_a_commit_is_found() {
    let commits = commits();
    let ledger = replay(&commits);
    let open = |commits: &[Commit]| {
        let store = MemoryStore::default();
        store.commit(commits).expect("memory takes everything");
        store
    };
    assert_eq!(store::settle(&open(&commits), &ledger.rows, &[]), Ok(0));
    let fewer = &commits[..commits.len() - 1];
    assert!(store::settle(&open(fewer), &ledger.rows, &[]).is_err(), "lost");
    let known = replay(fewer);
    let last = &commits[commits.len() - 1..];
    assert!(store::settle(&open(&commits), &known.rows, &[]).is_err(), "made up");
    assert_eq!(store::settle(&open(&commits), &known.rows, last), Ok(1), "in doubt, and made");
    assert_eq!(store::settle(&open(fewer), &known.rows, last), Ok(0), "in doubt, and not made");
}

#[test]
fn an_execution_that_ends_otherwise_than_it_should_or_not_at_all_is_found() {
    let failed = |model: &&Model| model.execution.head.closing.as_ref().is_some_and(|end| end.output.is_none());
    let commits = (17..40)
        .map(commits_of)
        .find(|kept| kept.len() > 100 && replay(kept).models.values().any(|model| failed(&model)));
    let commits = commits.expect("a world in which an execution fails");
    let ledger = replay(&commits);
    let model = ledger.models.values().find(failed).expect("an execution that failed");
    let other = Expectation { output: "\"something else\"".into() };
    assert!(results::expected(model, &other, false).is_err());
    results::expected(model, &other, true).expect("someone stopped it");
    liveness::nothing_left(&ledger.rows).expect("everything has ended");
    let half = replay(&commits[..commits.len() / 2]);
    assert!(liveness::nothing_left(&half.rows).is_err());
    assert!(half.models.values().any(|model| liveness::closed(model, 0).is_err()));
}

/// The commits of the first world without faults in which children of map runs ended.
fn commits_with_children() -> Vec<Commit> {
    let ended = |mutation: Mutation<'_>| puts(&mutation, Table::MapChild) && child(&mutation).stopped_at.is_some();
    let with = (0..100).map(commits_of).find(|commits| commits.iter().any(|commit| commit.mutations().any(ended)));
    with.expect("a world with map runs")
}

fn child(mutation: &Mutation<'_>) -> MapChildRow {
    let (Mutation::Put { value, .. } | Mutation::Insert { value, .. }) = mutation else { panic!("a row") };
    records::decode(Table::MapChild, value).expect("a child")
}

/// The first row of a table that can be is another.
fn with_other_row(
    commits: &[Commit],
    wanted: Table,
    other: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> (&'static str, String) {
    let mut done = false;
    let tampered: Vec<Commit> = commits
        .iter()
        .map(|commit| {
            let mut tampered = Commit::default();
            for mutation in commit.mutations() {
                let value = match mutation {
                    Mutation::Put { table, value, .. } | Mutation::Insert { table, value, .. } if table == wanted => {
                        other(value).filter(|_| !done)
                    }
                    _ => None,
                };
                match (mutation, value) {
                    (Mutation::Put { table, key, .. } | Mutation::Insert { table, key, .. }, Some(value)) => {
                        done = true;
                        tampered.put(table, key, value);
                    }
                    _ => tampered.push(&mutation),
                }
            }
            tampered
        })
        .collect();
    assert!(done, "there is something to tamper with");
    let complaint = replay(&tampered).complaint().expect("a complaint");
    (complaint.checker, complaint.expected)
}

#[test]
fn map_runs_whose_children_are_lost_counted_twice_or_made_up_are_found() {
    let commits = commits_with_children();
    assert_eq!(replay(&commits).complaint(), None);
    let ended = |mutation: &Mutation<'_>| puts(mutation, Table::MapChild) && child(mutation).stopped_at.is_some();
    assert_eq!(without_one(&commits, ended), "map_runs");
    let state = |change: fn(&mut MapRunStateRow)| {
        move |value: &[u8]| {
            let mut row: MapRunStateRow = records::decode(Table::MapRunState, value).expect("a run");
            let is_wanted = row.executions.succeeded + row.executions.unsuccessful() > 0;
            change(&mut row);
            is_wanted.then(|| records::encode(&row))
        }
    };
    let counted = with_other_row(&commits, Table::MapRunState, state(|row| row.item_counts.succeeded += 1));
    assert_eq!(counted, ("map_runs", "the counts are those of the children's rows".to_owned()));
    let lost = with_other_row(&commits, Table::MapRunState, state(|row| row.cursor.child += 1_000));
    assert_eq!(lost, ("map_runs", "reading goes on before the first child without a row".to_owned()));

    // A child that ended, once more and otherwise.
    let again = |commit: &Commit| {
        commit.mutations().find_map(|mutation| {
            let (Mutation::Put { table, key, .. } | Mutation::Insert { table, key, .. }) = &mutation else {
                return None;
            };
            if *table != Table::MapChild {
                return None;
            }
            let mut row = child(&mutation);
            row.stopped_at = Some(row.stopped_at? + 1);
            let mut again = Commit::default();
            again.put(Table::MapChild, *key, records::encode(&row));
            Some(again)
        })
    };
    let again = commits.iter().find_map(again).expect("a child that ended");
    let complaint = replay(commits.iter().chain([&again])).complaint().expect("a complaint");
    assert_eq!(complaint.expected, "a child ends once in each attempt, and well once");
}
