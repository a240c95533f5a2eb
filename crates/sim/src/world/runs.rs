//! What happens around map runs: datasets answer, and clients look at runs, change their settings, stop their children and
//! ask for what is refused.

use std::sync::Arc;

use stepwright_engine::{MapRunOf, MapRunSettings};
use stepwright_machine::Status;

use super::{Step, World};
use crate::{client::Call, dataset::Outcome};

impl World {
    /// A read or a write of a dataset ends.
    pub(super) fn answer_access(&mut self) -> Step {
        let calm = self.calm_since.is_some();
        let due: Vec<usize> = (0..self.accesses.len()).filter(|at| calm || self.accesses[*at].1 <= self.now).collect();
        if due.is_empty() {
            return Ok(());
        }
        let at = *self.dice.pick(&due);
        let (access, _) = self.accesses.remove(at);
        let outcome = match self.dice.roll(40) {
            0 if !calm => Outcome::Panics,
            1 | 2 if !calm => Outcome::Fails,
            3..=8 if !calm => Outcome::Well(0),
            9..=20 => Outcome::Well(self.dice.between(1, 3) as usize),
            _ => Outcome::Well(self.dice.between(4, 200) as usize),
        };
        trace!(self, "a dataset is {}: {outcome:?}", if access.writes { "written" } else { "read" });
        // Nobody may wait for it any more.
        let _ = access.end.send(outcome);
        Ok(())
    }

    /// What clients do with map runs and children.
    pub(super) fn meddle(&mut self) -> Step {
        let (runs, children): (Vec<Arc<str>>, Vec<Arc<str>>) = {
            let ledger = self.setup.ledger.lock();
            (ledger.runs.arns(), ledger.runs.children().into_iter().map(Arc::from).collect())
        };
        if runs.is_empty() {
            return Ok(());
        }
        let arn = self.dice.pick(&runs).clone();
        let child = if children.is_empty() { None } else { Some(self.dice.pick(&children).clone()) };
        let call = match (self.dice.roll(12), child) {
            (0..=2, _) => Call::UpdateRun { arn, settings: self.settings() },
            (3, Some(arn)) => Call::Stop { arn },
            (4, Some(arn)) => Call::Redrive { arn, token: None },
            (5, Some(arn)) => Call::Describe { arn },
            (6, Some(arn)) => Call::History { arn, size: 20, reverse: false, token: None, from: 0 },
            (7 | 8, _) => {
                let statuses = [
                    None,
                    Some(MapRunOf::Status(Status::Running)),
                    Some(MapRunOf::Status(Status::Failed)),
                    Some(MapRunOf::PendingRedrive),
                ];
                Call::ListChildren { arn, status: *self.dice.pick(&statuses), size: self.dice.between(1, 9) as usize }
            }
            (9, _) => match self.arns().first() {
                Some(arn) => Call::ListRuns { arn: arn.clone(), size: self.dice.between(1, 3) as usize },
                None => return Ok(()),
            },
            _ => Call::DescribeRun { arn },
        };
        trace!(self, "{}", call.name());
        self.process.as_mut().expect("it runs").call(call);
        Ok(())
    }

    fn settings(&mut self) -> MapRunSettings {
        let mut settings = MapRunSettings::default();
        if self.dice.one_in(2) {
            settings.max_concurrency = Some(self.dice.roll(5));
        }
        if self.dice.one_in(2) {
            settings.tolerated_failure_count = Some(self.dice.roll(6));
        }
        if settings == MapRunSettings::default() || self.dice.one_in(4) {
            settings.tolerated_failure_percentage = Some(*self.dice.pick(&[0.0, 25.0, 100.0]));
        }
        settings
    }
}
