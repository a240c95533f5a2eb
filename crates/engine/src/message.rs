//! What the parts of the engine tell each other. Data only; nothing here acts.

use std::sync::Arc;

use stepwright_machine::{ExecutionId, InputKind, Millis, TaskId, TimerId};
use stepwright_store::{
    Commit,
    keys::{ScopeNumber, VersionNumber},
};
use tokio::sync::oneshot;

use crate::{
    activities::Poller,
    catalog::{Revision, StartPermit},
    connector::TaskCall,
    dispatch::Slot,
    error::Result,
    express::{Accepted, Ended},
    fair::CallKey,
    lane::{Job, Ran},
    map_runs::{ChildStart, Happening, RunRef},
    model::Started,
    notices::{Channel, Notice},
    timers::Later,
};

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T>>;

/// An execution in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ExecutionRef {
    pub(crate) scope: ScopeNumber,
    pub(crate) id: ExecutionId,
}

/// A task in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TaskRef {
    pub(crate) execution: ExecutionRef,
    pub(crate) task: TaskId,
}

/// A timer in the store, as its row is keyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TimerRef {
    pub(crate) due: Millis,
    pub(crate) execution: ExecutionRef,
    pub(crate) timer: TimerId,
}

/// A task and its place in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueuedTask {
    pub(crate) task: TaskRef,
    pub(crate) sequence: u64,
    /// "Started" is durable already: an undelivered reply, or a call to make again.
    pub(crate) started: bool,
}

/// An execution to start.
pub(crate) struct StartRequest {
    pub(crate) scope: ScopeNumber,
    pub(crate) revision: Arc<Revision>,
    /// The version and the alias it is started by.
    pub(crate) version: Option<VersionNumber>,
    pub(crate) alias: Option<Arc<str>>,
    pub(crate) permit: StartPermit,
    pub(crate) arn: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) input: Arc<str>,
    pub(crate) trace_header: Option<Arc<str>>,
    pub(crate) test_case: Option<Arc<str>>,
    pub(crate) reply: Reply<Started>,
}

/// What a shard is told.
pub(crate) enum ShardMessage {
    /// Start an execution.
    Start(Box<StartRequest>),
    /// Something happened to an execution.
    Input { execution: ExecutionRef, kind: InputKind, origin: Origin },
    /// Timers that are due, those of one execution together: they are one turn.
    Fired(Vec<TimerRef>),
    /// Hand a started task to another worker.
    Redeliver { queued: QueuedTask, poller: Poller },
    /// Make a started call again.
    Resend { queued: QueuedTask, slot: Slot },
    /// A task that waited for a slot when the process died waits again.
    Requeue(QueuedTask),
    /// A started call was lost with the process that made it.
    Lost(QueuedTask),
    /// A submitted job is followed again.
    Follow(QueuedTask),
    /// Take an execution out of quarantine.
    Leave(Leave),
    /// Go on with a closed execution.
    Redrive(Box<RedriveRequest>),
    /// Start a child of a map run.
    StartChild(Box<ChildStart>),
    /// Something happened to a map run.
    MapRun { run: RunRef, happening: Box<Happening> },
    /// A turn was computed in the lane.
    Back(Box<(Job, Ran)>),
    /// Turns of these executions are durable.
    Committed(Vec<ExecutionRef>),
    /// Commits of this shard were refused; forget what is not durable and go on with this generation.
    Rejected { generation: u64 },
    /// Answer when everything before is durable.
    Flush(Reply<()>),
    /// End the thread.
    Stop,
}

impl ShardMessage {
    /// Whether it stops an execution.
    pub(crate) fn stops(&self) -> bool {
        matches!(self, ShardMessage::Input { origin: Origin::Stop(_), .. })
    }

    /// The execution in memory that it is for, if it is for one.
    pub(crate) fn execution(&self) -> Option<ExecutionId> {
        match self {
            ShardMessage::Input { execution, .. } => Some(execution.id),
            ShardMessage::Fired(timers) => timers.first().map(|timer| timer.execution.id),
            ShardMessage::Redeliver { queued, .. }
            | ShardMessage::Resend { queued, .. }
            | ShardMessage::Requeue(queued)
            | ShardMessage::Follow(queued)
            | ShardMessage::Lost(queued) => Some(queued.task.execution.id),
            ShardMessage::Redrive(request) => Some(request.execution.id),
            ShardMessage::Start(_)
            | ShardMessage::StartChild(_)
            | ShardMessage::MapRun { .. }
            | ShardMessage::Leave(_)
            | ShardMessage::Back(_)
            | ShardMessage::Committed(_)
            | ShardMessage::Rejected { .. }
            | ShardMessage::Flush(_)
            | ShardMessage::Stop => None,
        }
    }
}

/// A closed execution to go on with.
pub(crate) struct RedriveRequest {
    pub(crate) execution: ExecutionRef,
    pub(crate) client_token: Option<Arc<str>>,
    /// Its machine is not gone meanwhile; none: it is, or is about to be.
    pub(crate) permit: Option<StartPermit>,
    /// It is the map run of the execution that asks.
    pub(crate) by_run: bool,
    pub(crate) reply: Reply<Millis>,
}

/// How an execution leaves quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It is given its inputs again.
    Retry,
    /// It ends as failed.
    Fail,
}

/// An execution that is to leave quarantine.
pub(crate) struct Leave {
    pub(crate) execution: ExecutionRef,
    pub(crate) way: Way,
    pub(crate) reply: Reply<()>,
}

/// Who waits for what becomes of an input.
pub(crate) enum Origin {
    /// A caller that answered a task.
    Answer(Reply<()>),
    /// StopExecution; nobody, for a machine that is being deleted.
    Stop(Option<Reply<Millis>>),
    /// RedriveExecution.
    Redrive(Reply<Millis>),
    /// The timers.
    Timer(TimerRef),
    /// A connector's call, or whoever follows its job.
    Call,
    /// The engine, for a call of which nobody knows how it ended.
    Lost,
    /// The engine itself, which must not forget a `Continue`.
    Continue,
    /// A worker that is to get a queued task.
    Worker { poller: Poller, queued: QueuedTask },
    /// A slot that is to make a queued call.
    Slot { slot: Slot, queued: QueuedTask },
}

/// What is done once a commit is durable, in order and replies last; or undone when it was refused.
pub(crate) enum After {
    Started {
        reply: Reply<Started>,
        result: Result<Started>,
    },
    Answered {
        reply: Reply<()>,
        result: Result<()>,
    },
    Stopped {
        reply: Reply<Millis>,
        result: Result<Millis>,
    },
    Redriven {
        reply: Reply<Millis>,
        result: Result<Millis>,
    },
    /// A fired timer was taken.
    TimerTaken(TimerRef),
    /// A timer was set.
    TimerSet(TimerRef),
    /// A worker gets a task. `requeue`: the task was queued before this commit.
    HandOver {
        poller: Poller,
        queued: QueuedTask,
        token: Arc<str>,
        input: Arc<str>,
        requeue: bool,
    },
    /// A call is made. `requeue` as above.
    Call {
        slot: Slot,
        queued: QueuedTask,
        call: Box<TaskCall>,
        requeue: bool,
    },
    /// A job is followed to its end.
    Follow {
        task: TaskRef,
        call: Box<TaskCall>,
    },
    /// A task waits for a worker.
    QueueForWorker {
        activity: Arc<str>,
        queued: QueuedTask,
    },
    /// A task waits for a slot.
    QueueForSlot {
        key: Arc<CallKey>,
        queued: QueuedTask,
    },
    /// A task is over.
    TaskClosed {
        task: TaskRef,
        /// What it submitted is to be ended; its row says so.
        job: Option<Box<TaskCall>>,
    },
    /// The row of a job that was to be ended is gone.
    JobOver(TaskRef),
    /// The execution goes on at once.
    Continue(ExecutionRef),
    /// Nothing, if it is durable. If it was refused, or something was that it rests on, this is done again: what an
    /// execution took in, and also what it ignored because of a change that may yet be refused.
    Otherwise(Later),
    /// Something happened to a map run.
    MapRun(RunRef, Box<Happening>),
    /// A map run ended: its execution is told.
    MapRunEnded(ExecutionRef, InputKind),
    /// A child of a map run is durable.
    ChildStarted {
        run: RunRef,
        child: u32,
        execution: ExecutionRef,
    },
    /// Someone may watch the execution.
    Changed(ExecutionRef),
    /// A channel is to be told of the turn.
    Notice {
        channel: Channel,
        notice: Notice,
    },
    /// An execution is open.
    Opened(ScopeNumber),
    /// An execution closed.
    Closed(ScopeNumber),
    /// A start is over, done or not: dropping the permit says so.
    #[expect(dead_code, reason = "held until the commit is durable or refused, then dropped")]
    StartOver(StartPermit),
    /// Tasks of an execution that left quarantine are looked at as after a crash.
    RecoverTasks(ExecutionRef),
    /// Take an execution out of quarantine as is asked, now that everything about it is durable.
    Leave(Leave),
    /// An Express execution was started asynchronously: it begins.
    ExpressStarted(Box<Accepted>),
    /// Rows of Express executions that ended are gone.
    ExpressEnded(Vec<Ended>),
}

impl After {
    /// Whether a caller is answered.
    pub(crate) fn is_reply(&self) -> bool {
        matches!(self, Self::Started { .. } | Self::Answered { .. } | Self::Stopped { .. } | Self::Redriven { .. })
    }
}

/// A commit to make.
pub(crate) struct Pending {
    /// The shard and its generation; none for the catalog and the like.
    pub(crate) shard: Option<(usize, u64)>,
    /// Whose turn it is.
    pub(crate) execution: Option<ExecutionRef>,
    /// The rows; none: only to keep the order.
    pub(crate) commit: Commit,
    /// What follows.
    pub(crate) after: Vec<After>,
}

/// What the committer is told.
pub(crate) enum CommitMessage {
    Pending(Pending),
    Stop,
}
