//! Timers fire in the order in which they are due, once, never before, and none is lost.

use std::collections::{BTreeMap, VecDeque};

use stepwright_engine::FiredTimer;
use stepwright_machine::{
    Execution, ExecutionId, InputKind, Millis, TimerId,
    frame::{Position, Work},
};
use stepwright_store::{Table, keys, records::TurnRow};

use super::{Checked, Complaint, ensure};
use crate::{model::Model, rows::Rows};

/// The timers that an execution waits for.
pub(crate) fn open(execution: &Execution) -> BTreeMap<TimerId, Millis> {
    let mut open: BTreeMap<TimerId, Millis> = execution.head.timeout.into_iter().collect();
    if execution.head.closing.is_some() {
        return BTreeMap::new();
    }
    for frame in execution.frames.values() {
        let Position::In(visit) = &frame.position else { continue };
        match &visit.work {
            Work::Waiting { timer } | Work::Retrying { timer } => open.extend([*timer]),
            Work::Task(task) => open.extend(task.timeout.into_iter().chain(task.heartbeat)),
            Work::Entered { .. } | Work::Beginning | Work::Parallel(_) | Work::Map(_) | Work::MapRun(_) => {}
        }
    }
    open
}

/// A turn that took timers: each was set and is due. `latest`: the latest time that the clock ever showed.
pub(crate) fn fired(model: &Model, set: &BTreeMap<TimerId, Millis>, row: &TurnRow, latest: Millis) -> Checked {
    let mut set = set.clone();
    for input in &row.inputs {
        let (InputKind::TimerFired { timer } | InputKind::HeartbeatGrace { timer }) = input.kind else { continue };
        let Some(due) = set.remove(&timer) else {
            return Err(Complaint::new(
                "timers",
                "a timer fires once, and only if it is set",
                format!("timer {timer:?} of {} fired and is not set", model.label),
            ));
        };
        ensure(due <= latest, "timers", "no timer fires before it is due", || {
            format!("timer {timer:?} of {} fired {} ms early", model.label, due - latest)
        })?;
    }
    Ok(())
}

/// The stored timers of an execution against those that its frames wait for. `stored`: by execution.
pub(crate) fn rows(model: &Model, stored: &BTreeMap<TimerId, Millis>) -> Checked {
    let open = open(&model.execution);
    ensure(open == *stored, "timers", "the timers that are stored are those that the execution waits for", || {
        format!("{} waits for {open:?}, and stored are {stored:?}", model.label)
    })
}

/// What the timers must do while one process lives and no commit is refused: at a look at the clock, whatever is due
/// goes to its shard, in order and once.
#[derive(Default)]
pub(crate) struct Order {
    expected: BTreeMap<usize, VecDeque<FiredTimer>>,
    seen: BTreeMap<(Millis, ExecutionId, TimerId), ()>,
    /// A commit was refused: its timers fire again, later.
    lenient: bool,
}

impl Order {
    /// A new process.
    pub(crate) fn restart(&mut self) {
        *self = Self::default();
    }

    /// Only the other rules hold for the rest of this process.
    pub(crate) fn relax(&mut self) {
        self.lenient = true;
    }

    /// The engine looked at the clock.
    pub(crate) fn tick(&mut self, rows: &Rows, now: Millis, shards: usize) {
        for (key, _) in rows.all(Table::Timer) {
            let Some((due, _, execution, timer)) = keys::parse_timer(key) else { continue };
            if due > now {
                break;
            }
            if self.seen.insert((due, execution, timer), ()).is_none() {
                let shard = usize::from(execution.partition()) % shards;
                self.expected.entry(shard).or_default().push_back(FiredTimer { due, execution, timer });
            }
        }
    }

    /// A shard was given timers.
    pub(crate) fn taken(&mut self, timers: &[FiredTimer], latest: Millis, shards: usize) -> Checked {
        for fired in timers {
            ensure(fired.due <= latest, "timers", "no timer fires before it is due", || {
                format!("{fired:?} was fired at {latest}")
            })?;
            if self.lenient {
                continue;
            }
            let shard = usize::from(fired.execution.partition()) % shards;
            let expected = self.expected.entry(shard).or_default().pop_front();
            ensure(
                expected == Some(*fired),
                "timers",
                "timers fire in the order in which they are due, each once",
                || format!("{fired:?} was fired, and {expected:?} was next"),
            )?;
        }
        Ok(())
    }

    /// A shard has nothing more to take: whatever was due has reached it.
    pub(crate) fn drained(&self, shard: usize) -> Checked {
        let waiting = self.expected.get(&shard).and_then(VecDeque::front);
        ensure(self.lenient || waiting.is_none(), "timers", "a timer that is due is fired", || {
            format!("{waiting:?} was due at the last look at the clock and was not fired")
        })
    }
}
