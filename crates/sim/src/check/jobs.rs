//! Jobs (`.sync`): none is submitted again that is known to be submitted; none is followed or ended that should not be; none
//! runs on though its task is over, unless a callback said that all is well; and that one is to be ended is not forgotten
//! before it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use stepwright_machine::{ExecutionId, TaskId, frame::TaskStage, token::Token};
use stepwright_store::{
    Table,
    records::{self, TaskRow, TaskTarget},
};

use super::{Checked, ensure, tasks};
use crate::model::{Answer, Model};

/// The jobs that the services run, and what became of them. They live on when the server dies.
#[derive(Default)]
pub(crate) struct Book {
    /// By the tokens of their tasks.
    running: BTreeMap<Arc<str>, (ExecutionId, TaskId)>,
    ended: BTreeSet<Arc<str>>,
    submissions: BTreeMap<Arc<str>, u64>,
    /// How many were submitted, followed to their end, ended because nobody waited, and submitted again.
    pub(crate) counts: [u64; 4],
}

impl Book {
    /// A job is submitted, perhaps again.
    pub(crate) fn submitted(&mut self, token: &Arc<str>, resent: bool, model: Option<&Model>) -> Checked {
        let before = self.submissions.entry(token.clone()).or_default();
        *before += 1;
        let again = *before > 1;
        self.counts[if again { 3 } else { 0 }] += 1;
        ensure(!again || resent, "jobs", "a job that is submitted again is marked so", || format!("{token} is not"))?;
        let known = model.zip(Token::parse(token)).is_some_and(|(model, of)| model.submitted.contains(&of.task));
        ensure(!known, "jobs", "a job whose submission is durable is not submitted again", || format!("{token} is"))
    }

    /// Whether a job was submitted more than once.
    pub(crate) fn was_repeated(&self, token: &Arc<str>) -> bool {
        self.submissions.get(token).is_some_and(|submissions| *submissions > 1)
    }

    /// A job begins, unless it runs or ended by itself: services know tokens. Whether it does.
    pub(crate) fn begins(&mut self, token: &Arc<str>) -> bool {
        let of = Token::parse(token).filter(|_| !self.ended.contains(token));
        of.is_some_and(|of| self.running.insert(token.clone(), (of.execution, of.task)).is_none())
    }

    /// A job ends by itself.
    pub(crate) fn ends(&mut self, token: &Arc<str>) {
        self.running.remove(token);
        self.ended.insert(token.clone());
        self.counts[1] += 1;
    }

    /// Whether a job has ended by itself.
    pub(crate) fn has_ended(&self, token: &Arc<str>) -> bool {
        self.ended.contains(token)
    }

    /// A job is followed.
    pub(crate) fn followed(token: &Arc<str>, model: Option<&Model>) -> Checked {
        let known = model.zip(Token::parse(token)).is_some_and(|(model, of)| model.submitted.contains(&of.task));
        ensure(known, "jobs", "only a job whose submission is durable is followed", || format!("{token} is followed"))
    }

    /// A job is asked to end because nobody waits for it.
    pub(crate) fn is_to_end(token: &Arc<str>, model: Option<&Model>) -> Checked {
        let open = model.zip(Token::parse(token)).and_then(|(model, of)| tasks::find(model, of.task));
        ensure(open.is_none(), "jobs", "a job is ended only when its task is closed", || {
            format!("{token} is to end, and its task is open: {open:?}")
        })
    }

    /// It does.
    pub(crate) fn ended(&mut self, token: &Arc<str>) {
        if self.running.remove(token).is_some() {
            self.counts[2] += 1;
        }
    }

    /// The row of a task goes.
    pub(crate) fn row_deleted(&self, row: &[u8]) -> Checked {
        let row: Option<TaskRow> = records::decode(Table::Task, row).ok();
        let Some(TaskTarget::Cancel(job)) = row.map(|row| row.target) else { return Ok(()) };
        ensure(!self.running.contains_key(&job.token), "jobs", "what is to be ended is not forgotten before", || {
            format!("the job of {} in {} runs on", job.state_name, job.execution_arn)
        })
    }

    /// Everything is over: what still runs?
    pub(crate) fn complete(&self, models: &BTreeMap<ExecutionId, Model>) -> Checked {
        for (token, (execution, task)) in &self.running {
            let model = models.get(execution);
            let answers = model.and_then(|model| model.answers.get(task)).map_or(&[][..], Vec::as_slice);
            let goes_on = answers.iter().any(|answer| matches!(answer, Answer::Succeeded(_)));
            let stage = model.and_then(|model| tasks::find(model, *task)).map(|open| open.stage);
            ensure(goes_on || stage == Some(TaskStage::Submitted), "jobs", "no job runs whose task is closed", || {
                let label = model.map_or("an unknown execution", |model| model.label.as_str());
                format!("the job of task {task:?} of {label} runs on, token {token}")
            })?;
        }
        Ok(())
    }
}
