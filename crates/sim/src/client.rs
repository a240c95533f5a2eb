//! Calls of simulated clients: futures of the production engine's own operations, polled by the world between its
//! steps. Nothing here decides when; a call that is dropped is a client that went away.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use stepwright_engine::{
    Configurations, Delivery, Engine, Error, ExecutionDescription, ExecutionItem, ExpressEnd, HistoryPage, MachineType,
    MapRunDescription, MapRunOf, MapRunSettings, NewActivity, NewExecution, NewStateMachine, Page, PageRequest, Scope,
    Started, StateMachineUpdate, ValidDefinition,
};
use stepwright_machine::{Millis, Status};

use crate::{
    model,
    workload::{Machine, activity_arn, machine_arn},
};

/// What a client asks for.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    CreateMachine(Machine),
    UpdateMachine(Machine),
    DeleteMachine {
        name: String,
    },
    CreateActivity(String),
    /// `start`: its number in the workload.
    Start {
        start: usize,
        machine: String,
        name: Arc<str>,
        input: Arc<str>,
    },
    /// Start an Express execution, and wait for its end or not.
    Express {
        machine: String,
        name: Arc<str>,
        input: Arc<str>,
        wait: bool,
    },
    Stop {
        arn: Arc<str>,
    },
    Redrive {
        arn: Arc<str>,
        token: Option<Arc<str>>,
    },
    Describe {
        arn: Arc<str>,
    },
    History {
        arn: Arc<str>,
        size: usize,
        reverse: bool,
        token: Option<String>,
        from: usize,
    },
    List {
        machine: String,
        status: Option<Status>,
        size: usize,
    },
    Poll {
        activity: String,
    },
    Succeed {
        token: Arc<str>,
        output: Arc<str>,
    },
    Fail {
        token: Arc<str>,
        error: &'static str,
    },
    Heartbeat {
        token: Arc<str>,
    },
    RetryQuarantined {
        arn: Arc<str>,
    },
    FailQuarantined {
        arn: Arc<str>,
    },
    ForgetTold,
    DescribeRun {
        arn: Arc<str>,
    },
    UpdateRun {
        arn: Arc<str>,
        settings: MapRunSettings,
    },
    ListChildren {
        arn: Arc<str>,
        status: Option<MapRunOf>,
        size: usize,
    },
    ListRuns {
        arn: Arc<str>,
        size: usize,
    },
}

impl Call {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Call::CreateMachine(_) => "CreateStateMachine",
            Call::UpdateMachine(_) => "UpdateStateMachine",
            Call::DeleteMachine { .. } => "DeleteStateMachine",
            Call::CreateActivity(_) => "CreateActivity",
            Call::Start { .. } => "StartExecution",
            Call::Express { wait: true, .. } => "StartSyncExecution",
            Call::Express { wait: false, .. } => "StartExecution of EXPRESS",
            Call::Stop { .. } => "StopExecution",
            Call::Redrive { .. } => "RedriveExecution",
            Call::Describe { .. } => "DescribeExecution",
            Call::History { .. } => "GetExecutionHistory",
            Call::List { .. } => "ListExecutions",
            Call::Poll { .. } => "GetActivityTask",
            Call::Succeed { .. } => "SendTaskSuccess",
            Call::Fail { .. } => "SendTaskFailure",
            Call::Heartbeat { .. } => "SendTaskHeartbeat",
            Call::RetryQuarantined { .. } => "quarantine retry",
            Call::FailQuarantined { .. } => "quarantine fail",
            Call::ForgetTold => "forget",
            Call::DescribeRun { .. } => "DescribeMapRun",
            Call::UpdateRun { .. } => "UpdateMapRun",
            Call::ListChildren { .. } => "ListExecutions of a map run",
            Call::ListRuns { .. } => "ListMapRuns",
        }
    }

    /// Names for the report: answered well, refused, without an answer.
    pub(crate) fn counted(&self, answer: Option<&Reply>) -> &'static str {
        macro_rules! names {
            ($($name:literal),*) => {
                match (self.name(), answer) {
                    $(($name, Some(Ok(_))) => concat!($name, " ok"),
                    ($name, Some(Err(_))) => concat!($name, " refused"),
                    ($name, None) => concat!($name, " unanswered"),)*
                    _ => "other",
                }
            };
        }
        names!(
            "CreateStateMachine",
            "UpdateStateMachine",
            "DeleteStateMachine",
            "CreateActivity",
            "StartExecution",
            "StartExecution of EXPRESS",
            "StartSyncExecution",
            "StopExecution",
            "RedriveExecution",
            "DescribeExecution",
            "GetExecutionHistory",
            "ListExecutions",
            "GetActivityTask",
            "SendTaskSuccess",
            "SendTaskFailure",
            "SendTaskHeartbeat",
            "quarantine retry",
            "quarantine fail",
            "forget",
            "DescribeMapRun",
            "UpdateMapRun",
            "ListExecutions of a map run",
            "ListMapRuns"
        )
    }
}

/// What an operation answered.
#[derive(Debug)]
pub(crate) enum Answer {
    Done,
    Started(Started),
    Ended(Box<ExpressEnd>),
    Stopped(Millis),
    Redriven(Millis),
    Described(Box<ExecutionDescription>),
    History(HistoryPage),
    Listed(Page<ExecutionItem>),
    Polled(Option<Delivery>),
    Run(Box<MapRunDescription>),
}

pub(crate) type Reply = Result<Answer, Error>;

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A call under way.
pub(crate) struct Pending {
    pub(crate) call: Call,
    future: Pin<Box<dyn Future<Output = Reply>>>,
    woken: Arc<Woken>,
}

impl Pending {
    pub(crate) fn new(engine: &Engine, scope: &Scope, call: Call) -> Self {
        let future = Box::pin(perform(engine.clone(), scope.clone(), call.clone()));
        Self { call, future, woken: Arc::new(Woken(AtomicBool::new(true))) }
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::Relaxed)
    }

    /// The answer, if it is there. Inside the runtime's context, not inside one of its tasks.
    pub(crate) fn poll(&mut self) -> Option<Reply> {
        if !self.woken.0.swap(false, Ordering::Relaxed) {
            return None;
        }
        let waker = Waker::from(self.woken.clone());
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(reply) => Some(reply),
            Poll::Pending => None,
        }
    }
}

fn valid(text: &str) -> ValidDefinition {
    let compiled = model::definition(text).expect("workloads have valid definitions");
    ValidDefinition { text: text.into(), compiled }
}

async fn perform(engine: Engine, scope: Scope, call: Call) -> Reply {
    Ok(match call {
        Call::CreateMachine(machine) => {
            let new = NewStateMachine {
                publish: None,
                arn: machine_arn(&machine.name).into(),
                name: machine.name.as_str().into(),
                definition: valid(&machine.definition),
                role_arn: "arn:aws:iam::000000000000:role/simulated".into(),
                machine_type: if machine.express { MachineType::Express } else { MachineType::Standard },
                configurations: Configurations { logging: "{}".into(), tracing: "{}".into(), encryption: "{}".into() },
                tags: Vec::new(),
            };
            engine.create_state_machine(&scope, new).await?;
            Answer::Done
        }
        Call::UpdateMachine(machine) => {
            let update =
                StateMachineUpdate { definition: Some(valid(&machine.definition)), ..StateMachineUpdate::default() };
            engine.update_state_machine(&scope, &machine_arn(&machine.name), update).await?;
            Answer::Done
        }
        Call::DeleteMachine { name } => {
            engine.delete_state_machine(&scope, &machine_arn(&name)).await?;
            Answer::Done
        }
        Call::CreateActivity(name) => {
            let new = NewActivity {
                arn: activity_arn(&name).into(),
                name: name.as_str().into(),
                encryption: "{}".into(),
                tags: Vec::new(),
            };
            engine.create_activity(&scope, new).await?;
            Answer::Done
        }
        Call::Start { machine, name, input, .. } => {
            let new = NewExecution {
                state_machine_arn: machine_arn(&machine).into(),
                name,
                input,
                trace_header: None,
                test_case: None,
            };
            Answer::Started(engine.start_execution(&scope, new).await?)
        }
        Call::Express { machine, name, input, wait } => {
            let new = NewExecution {
                state_machine_arn: machine_arn(&machine).into(),
                name,
                input,
                trace_header: None,
                test_case: None,
            };
            if wait {
                Answer::Ended(Box::new(engine.start_sync_execution(&scope, new).await?))
            } else {
                Answer::Started(engine.start_execution(&scope, new).await?)
            }
        }
        Call::Stop { arn } => Answer::Stopped(engine.stop_execution(&scope, &arn, Some("Stopped".into()), None).await?),
        Call::Redrive { arn, token } => Answer::Redriven(engine.redrive_execution(&scope, &arn, token).await?),
        Call::Describe { arn } => Answer::Described(Box::new(engine.describe_execution(&scope, &arn).await?)),
        Call::History { arn, size, reverse, token, .. } => {
            let page = PageRequest { max_results: size, next_token: token };
            Answer::History(engine.history(&scope, &arn, page, reverse).await?)
        }
        Call::List { machine, status, size } => {
            let page = PageRequest { max_results: size, next_token: None };
            Answer::Listed(engine.list_executions(&scope, &machine_arn(&machine), status, page).await?)
        }
        Call::Poll { activity } => {
            let worker = Some(format!("worker of {activity}").into());
            Answer::Polled(engine.get_activity_task(&scope, &activity_arn(&activity), worker).await?)
        }
        Call::Succeed { token, output } => {
            engine.send_task_success(&scope, &token, output).await?;
            Answer::Done
        }
        Call::Fail { token, error } => {
            engine.send_task_failure(&scope, &token, Some(error.into()), Some("as decided".into())).await?;
            Answer::Done
        }
        Call::Heartbeat { token } => {
            engine.send_task_heartbeat(&scope, &token).await?;
            Answer::Done
        }
        Call::RetryQuarantined { arn } => {
            engine.quarantine_retry(&arn).await?;
            Answer::Done
        }
        Call::FailQuarantined { arn } => {
            engine.quarantine_fail(&arn).await?;
            Answer::Done
        }
        Call::DescribeRun { arn } => Answer::Run(Box::new(engine.describe_map_run(&scope, &arn).await?)),
        Call::UpdateRun { arn, settings } => {
            engine.update_map_run(&scope, &arn, settings).await?;
            Answer::Done
        }
        Call::ListChildren { arn, status, size } => {
            let page = PageRequest { max_results: size, next_token: None };
            Answer::Listed(engine.list_map_run_executions(&scope, &arn, status, None, page).await?)
        }
        Call::ListRuns { arn, size } => {
            let page = PageRequest { max_results: size, next_token: None };
            engine.list_map_runs(&scope, &arn, page).await?;
            Answer::Done
        }
        Call::ForgetTold => {
            engine.forget_notices(engine.take_settled_notices()).await?;
            Answer::Done
        }
    })
}
