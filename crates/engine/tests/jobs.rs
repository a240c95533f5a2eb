//! Jobs (`.sync`): submitted once, followed to their end, and ended when their task closes without them, over crashes,
//! refusals and whatever retention and deletion take meanwhile.

mod common;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use common::{World, chain, machine_arn, until_true};
use serde_json::{Value, json};
use stepwright_asl::Resource;
use stepwright_engine::{
    BoxFuture, Connector, ConnectorFailure, Engine, StepFunction, TaskCall, TaskOutcome, check::check,
};
use stepwright_machine::{Definition, Effects, Execution, Input, Status};
use stepwright_store::Table;
use tokio::sync::Semaphore;

/// A service that runs jobs, and what it was asked. What it does waits for permits, of which there are plenty unless a test
/// takes them away.
struct Jobs {
    asked: Mutex<Vec<(&'static str, TaskCall)>>,
    submissions: Semaphore,
    ends: Semaphore,
    cancels: Semaphore,
    refuses: AtomicBool,
    fails: AtomicBool,
    cannot_cancel: AtomicBool,
    repeats: AtomicBool,
}

const PLENTY: usize = 1_000;

impl Jobs {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            asked: Mutex::default(),
            submissions: Semaphore::new(PLENTY),
            ends: Semaphore::new(0),
            cancels: Semaphore::new(PLENTY),
            refuses: AtomicBool::new(false),
            fails: AtomicBool::new(false),
            cannot_cancel: AtomicBool::new(false),
            repeats: AtomicBool::new(false),
        })
    }

    fn ask(&self, what: &'static str, task: TaskCall) {
        self.asked.lock().unwrap().push((what, task));
    }

    fn count(&self, what: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(asked, _)| *asked == what).count()
    }

    async fn until(&self, what: &str, count: usize) {
        until_true(|| self.count(what) >= count).await;
        assert_eq!(self.count(what), count, "{what}");
    }

    fn tokens(&self) -> Vec<Arc<str>> {
        self.asked.lock().unwrap().iter().map(|(_, task)| task.token.clone()).collect()
    }
}

struct Service(Arc<Jobs>);

impl Connector for Service {
    fn name(&self) -> &'static str {
        "jobs"
    }

    fn accepts(&self, resource: &Resource) -> bool {
        resource.is_job()
    }

    fn lost_error(&self, _: &Resource) -> ConnectorFailure {
        ConnectorFailure::new("Jobs.Lost", "The answer was lost.")
    }

    fn repeats(&self, _: &Resource) -> bool {
        self.0.repeats.load(Ordering::SeqCst)
    }

    fn call(&self, task: TaskCall) -> BoxFuture<TaskOutcome> {
        let jobs = self.0.clone();
        Box::pin(async move {
            jobs.ask("submit", task);
            jobs.submissions.acquire().await.unwrap().forget();
            if jobs.refuses.load(Ordering::SeqCst) {
                return TaskOutcome::Failed(ConnectorFailure::new("Jobs.Refused", "as told"));
            }
            TaskOutcome::Submitted("{\"id\":1}".into())
        })
    }

    fn follow(&self, task: TaskCall) -> BoxFuture<TaskOutcome> {
        let jobs = self.0.clone();
        Box::pin(async move {
            jobs.ask("follow", task);
            jobs.ends.acquire().await.unwrap().forget();
            if jobs.fails.load(Ordering::SeqCst) {
                return TaskOutcome::Failed(ConnectorFailure::new("Jobs.Failed", "as told"));
            }
            TaskOutcome::Succeeded("{\"done\":true}".into())
        })
    }

    fn cancel(&self, task: TaskCall) -> BoxFuture<Result<(), ConnectorFailure>> {
        let jobs = self.0.clone();
        Box::pin(async move {
            jobs.ask("cancel", task);
            if jobs.cannot_cancel.load(Ordering::SeqCst) {
                return Err(ConnectorFailure::new("Jobs.Throttled", "as told"));
            }
            jobs.cancels.acquire().await.unwrap().forget();
            Ok(())
        })
    }
}

fn open(world: &World, jobs: &Arc<Jobs>) -> Engine {
    let connectors: Vec<Arc<dyn Connector>> = vec![Arc::new(Service(jobs.clone()))];
    Engine::open(world.store.clone(), connectors, world.options.clone()).unwrap()
}

fn job() -> Value {
    json!({"StartAt": "J", "States": {"J": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync",
        "Parameters": {"StateMachineArn": machine_arn("m"), "Input": {"n.$": "$.n"}}, "End": true}}})
}

/// An execution whose job is submitted, as far as that goes.
async fn begun(world: &World, engine: &Engine, jobs: &Jobs) -> Arc<str> {
    world.create(engine, "m", &job()).await;
    let arn = world.start(engine, "m", "e", "{\"n\":1}").await.unwrap().arn;
    jobs.until("submit", 1).await;
    arn
}

async fn stop(world: &World, engine: &Engine, arn: &str) {
    engine.stop_execution(&world.scope, arn, None, None).await.unwrap();
}

async fn no_tasks_left(world: &World) {
    until_true(|| world.store.rows(Table::Task).is_empty()).await;
}

#[track_caller]
fn check_clean(world: &World) {
    let report = check(&*world.store, world.options.compile, &mut |_| {}).expect("a store that can be read");
    let said: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(said, Vec::<String>::new());
}

// As it should go

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_followed_to_its_end_and_not_ended() {
    let (world, jobs) = (World::new(), Jobs::new());
    let engine = open(&world, &jobs);
    let arn = begun(&world, &engine, &jobs).await;
    jobs.until("follow", 1).await;
    jobs.ends.add_permits(1);
    let ended = world.end(&engine, &arn).await;
    assert_eq!((ended.status, ended.output.as_deref()), (Status::Succeeded, Some("{\"done\":true}")));
    jobs.fails.store(true, Ordering::SeqCst);
    jobs.ends.add_permits(1);
    let failed = world.start(&engine, "m", "f", "{\"n\":2}").await.unwrap().arn;
    let ended = world.end(&engine, &failed).await;
    assert_eq!((ended.status, ended.error.as_deref()), (Status::Failed, Some("Jobs.Failed")));
    no_tasks_left(&world).await;
    assert_eq!((jobs.count("submit"), jobs.count("cancel")), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_ended_when_its_execution_is_stopped() {
    let (world, jobs) = (World::new(), Jobs::new());
    let engine = open(&world, &jobs);
    let arn = begun(&world, &engine, &jobs).await;
    jobs.until("follow", 1).await;
    stop(&world, &engine, &arn).await;
    jobs.until("cancel", 1).await;
    no_tasks_left(&world).await;
    let asked = jobs.asked.lock().unwrap();
    let of = |what: &str| asked.iter().find(|(asked, _)| *asked == what).map(|(_, task)| task.clone()).unwrap();
    let (submitted, ended) = (of("submit"), of("cancel"));
    assert_eq!((submitted.token, submitted.input), (ended.token, ended.input));
    assert_eq!((submitted.execution_arn, submitted.account), (ended.execution_arn, ended.account));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_when_a_callback_says_that_all_is_well_and_only_then() {
    for (well, cancels) in [(true, 0), (false, 1)] {
        let (world, jobs) = (World::new(), Jobs::new());
        let engine = open(&world, &jobs);
        let arn = begun(&world, &engine, &jobs).await;
        jobs.until("follow", 1).await;
        let token = jobs.tokens()[0].clone();
        if well {
            engine.send_task_success(&world.scope, &token, "{}".into()).await.unwrap();
        } else {
            engine.send_task_failure(&world.scope, &token, Some("No".into()), None).await.unwrap();
        }
        world.end(&engine, &arn).await;
        no_tasks_left(&world).await;
        assert_eq!(jobs.count("cancel"), cancels, "answered well: {well}");
    }
}

// Submissions that are under way

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_task_closes_while_it_is_submitted_is_ended_once_that_is_answered() {
    let (world, mut jobs) = (World::new(), Jobs::new());
    Arc::get_mut(&mut jobs).unwrap().submissions = Semaphore::new(0);
    let engine = open(&world, &jobs);
    let arn = begun(&world, &engine, &jobs).await;
    stop(&world, &engine, &arn).await;
    assert_eq!(world.describe(&engine, &arn).await.status, Status::Aborted);
    assert_eq!(world.store.rows(Table::Task).len(), 1, "that it is to be ended is durable");
    assert_eq!(jobs.count("cancel"), 0, "there is nothing to end yet");
    check_clean(&world);
    jobs.submissions.add_permits(1);
    jobs.until("cancel", 1).await;
    no_tasks_left(&world).await;
    assert_eq!(jobs.count("follow"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_ended_when_the_late_answer_is_that_there_is_no_job() {
    let (world, mut jobs) = (World::new(), Jobs::new());
    Arc::get_mut(&mut jobs).unwrap().submissions = Semaphore::new(0);
    jobs.refuses.store(true, Ordering::SeqCst);
    let engine = open(&world, &jobs);
    let arn = begun(&world, &engine, &jobs).await;
    stop(&world, &engine, &arn).await;
    jobs.submissions.add_permits(1);
    no_tasks_left(&world).await;
    assert_eq!(jobs.count("cancel"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_that_a_crash_hides_is_ended_or_made_again() {
    for repeats in [false, true] {
        let (world, mut jobs) = (World::new(), Jobs::new());
        Arc::get_mut(&mut jobs).unwrap().submissions = Semaphore::new(0);
        jobs.repeats.store(repeats, Ordering::SeqCst);
        let engine = open(&world, &jobs);
        let arn = begun(&world, &engine, &jobs).await;
        drop(engine);
        jobs.submissions.add_permits(PLENTY);
        jobs.ends.add_permits(1);
        let engine = open(&world, &jobs);
        let ended = world.end(&engine, &arn).await;
        no_tasks_left(&world).await;
        if repeats {
            assert_eq!(ended.status, Status::Succeeded);
            assert_eq!((jobs.count("submit"), jobs.count("follow"), jobs.count("cancel")), (2, 1, 0));
            assert!(jobs.asked.lock().unwrap()[1].1.resent);
        } else {
            assert_eq!(ended.error.as_deref(), Some("Jobs.Lost"));
            assert_eq!((jobs.count("submit"), jobs.count("follow"), jobs.count("cancel")), (1, 0, 1));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_submitted_before_may_be_there_though_it_is_refused_the_second_time() {
    let (world, mut jobs) = (World::new(), Jobs::new());
    Arc::get_mut(&mut jobs).unwrap().submissions = Semaphore::new(0);
    jobs.repeats.store(true, Ordering::SeqCst);
    let engine = open(&world, &jobs);
    let arn = begun(&world, &engine, &jobs).await;
    drop(engine);
    jobs.refuses.store(true, Ordering::SeqCst);
    jobs.submissions.add_permits(PLENTY);
    let engine = open(&world, &jobs);
    assert_eq!(world.end(&engine, &arn).await.error.as_deref(), Some("Jobs.Refused"));
    jobs.until("cancel", 1).await;
    no_tasks_left(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_submitted_is_followed_after_a_crash_and_not_submitted_again() {
    let (world, jobs) = (World::new(), Jobs::new());
    jobs.repeats.store(true, Ordering::SeqCst);
    let engine = open(&world, &jobs);
    let arn = begun(&world, &engine, &jobs).await;
    jobs.until("follow", 1).await;
    drop(engine);
    jobs.ends.add_permits(1);
    let engine = open(&world, &jobs);
    assert_eq!(world.end(&engine, &arn).await.status, Status::Succeeded);
    assert_eq!((jobs.count("submit"), jobs.count("follow"), jobs.count("cancel")), (1, 2, 0));
}

// Quarantine

fn broken(_: &Definition, _: &mut Execution, _: &[Input], _: u64) -> Option<Effects> {
    panic!("an invariant is broken")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_begins_as_its_execution_leaves_quarantine_is_not_taken_for_lost() {
    for repeats in [false, true] {
        let (mut world, mut jobs) = (World::new(), Jobs::new());
        Arc::get_mut(&mut jobs).unwrap().submissions = Semaphore::new(0);
        jobs.repeats.store(repeats, Ordering::SeqCst);
        world.options.step.begin = broken;
        world.options.shards = 1;
        let engine = open(&world, &jobs);
        world.create(&engine, "m", &job()).await;
        let arn = world.start(&engine, "m", "e", "{\"n\":1}").await.unwrap().arn;
        drop(engine);
        world.options.step = StepFunction::default();
        jobs.ends.add_permits(1);
        let engine = open(&world, &jobs);
        engine.quarantine_retry(&arn).await.unwrap();
        jobs.until("submit", 1).await;
        // The shard has taken what came for it when another execution has ended.
        world.create(&engine, "other", &chain(1)).await;
        let other = world.start(&engine, "other", "e", "{}").await.unwrap().arn;
        world.end(&engine, &other).await;
        jobs.submissions.add_permits(PLENTY);
        assert_eq!(world.end(&engine, &arn).await.status, Status::Succeeded, "repeats: {repeats}");
        no_tasks_left(&world).await;
        assert_eq!((jobs.count("submit"), jobs.count("follow"), jobs.count("cancel")), (1, 1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_of_an_execution_that_is_failed_in_quarantine_is_ended() {
    for interpreter in [StepFunction::default(), StepFunction { begin: broken, more: broken }] {
        let (mut world, jobs) = (World::new(), Jobs::new());
        let engine = open(&world, &jobs);
        let arn = begun(&world, &engine, &jobs).await;
        jobs.until("follow", 1).await;
        drop(engine);
        let whole = std::mem::replace(&mut world.options.step, StepFunction { begin: broken, more: broken });
        let engine = open(&world, &jobs);
        let token = jobs.tokens()[0].clone();
        engine.send_task_success(&world.scope, &token, "{}".into()).await.unwrap();
        assert!(world.describe(&engine, &arn).await.quarantined);
        drop(engine);
        world.options.step = interpreter;
        let engine = open(&world, &jobs);
        engine.quarantine_fail(&arn).await.unwrap();
        assert_eq!(world.end(&engine, &arn).await.status, Status::Failed);
        no_tasks_left(&world).await;
        assert_eq!(jobs.count("cancel"), 1);
        world.options.step = whole;
        check_clean(&world);
    }
}

// Ends that are not done at once

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_to_be_ended_when_the_process_died_is_ended_by_the_next() {
    let (world, mut jobs) = (World::new(), Jobs::new());
    Arc::get_mut(&mut jobs).unwrap().cancels = Semaphore::new(0);
    let engine = open(&world, &jobs);
    let arn = begun(&world, &engine, &jobs).await;
    jobs.until("follow", 1).await;
    stop(&world, &engine, &arn).await;
    jobs.until("cancel", 1).await;
    drop(engine);
    check_clean(&world);
    jobs.cancels.add_permits(PLENTY);
    let engine = open(&world, &jobs);
    jobs.until("cancel", 2).await;
    no_tasks_left(&world).await;
    assert_eq!(world.describe(&engine, &arn).await.status, Status::Aborted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_be_ended_is_tried_again_with_pauses_and_given_up_at_last() {
    let (world, jobs) = (World::new(), Jobs::new());
    jobs.cannot_cancel.store(true, Ordering::SeqCst);
    let engine = open(&world, &jobs);
    let arn = begun(&world, &engine, &jobs).await;
    jobs.until("follow", 1).await;
    stop(&world, &engine, &arn).await;
    jobs.until("cancel", 1).await;
    until_true(|| {
        world.clock.advance(60_000);
        world.store.rows(Table::Task).is_empty()
    })
    .await;
    assert_eq!(jobs.count("cancel"), 36);
    assert_eq!(world.describe(&engine, &arn).await.status, Status::Aborted);
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_deletion_nor_retention_waits_for_a_job_or_forgets_it() {
    let (mut world, mut jobs) = (World::new(), Jobs::new());
    Arc::get_mut(&mut jobs).unwrap().cancels = Semaphore::new(0);
    world.options.retention_ms = 10_000;
    world.options.name_retention_ms = 0;
    let engine = open(&world, &jobs);
    begun(&world, &engine, &jobs).await;
    jobs.until("follow", 1).await;
    engine.delete_state_machine(&world.scope, &machine_arn("m")).await.unwrap();
    jobs.until("cancel", 1).await;
    until_true(|| world.store.rows(Table::Machine).is_empty()).await;
    world.clock.advance(60_000);
    until_true(|| world.store.rows(Table::Execution).is_empty()).await;
    drop(engine);
    assert_eq!(world.store.rows(Table::Task).len(), 1);
    check_clean(&world);
    jobs.cancels.add_permits(PLENTY);
    let _engine = open(&world, &jobs);
    no_tasks_left(&world).await;
    check_clean(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_delays_what_is_done_and_loses_nothing() {
    let (world, mut jobs) = (World::new(), Jobs::new());
    Arc::get_mut(&mut jobs).unwrap().cancels = Semaphore::new(0);
    let engine = open(&world, &jobs);
    let arn = begun(&world, &engine, &jobs).await;
    jobs.until("follow", 1).await;
    stop(&world, &engine, &arn).await;
    jobs.until("cancel", 1).await;
    world.store.refuse(Some(common::Refusal::Full));
    jobs.cancels.add_permits(PLENTY);
    until_true(|| world.store.refused.load(Ordering::SeqCst) > 0).await;
    world.store.refuse(None);
    until_true(|| {
        world.clock.advance(1_000);
        world.store.rows(Table::Task).is_empty()
    })
    .await;
    assert_eq!(jobs.count("cancel"), 1);
}
