//! Faults, the end of a server, and its next beginning.

use stepwright_machine::Millis;

use super::{Step, World};
use crate::{
    check::Complaint,
    client::Call,
    fault::Fault,
    process::{NotOpen, Process},
    report::Tally,
    script,
};

impl World {
    pub(super) fn fault(&mut self) -> Step {
        let disk = &self.setup.disk;
        if disk.is_full() && self.steps >= self.room_at {
            disk.make_room();
            trace!(self, "there is room again");
        }
        if self.steps < self.next_fault || self.faults() >= self.faults_wanted {
            return Ok(());
        }
        self.next_fault = self.steps + self.dice.between(5, 90);
        match self.dice.roll(20) {
            0 => {
                self.setup.disk.count(Fault::Kill);
                self.crash(false);
            }
            1 | 2 => {
                self.setup.disk.count(Fault::Power);
                self.crash(true);
            }
            3..=5 => script::break_after(Some(self.dice.roll(8) as u32)),
            6 => {
                self.setup.disk.count(Fault::ClockForward);
                let ahead = self.dice.roll(120_000) as Millis;
                self.set_clock(self.now + ahead);
                trace!(self, "the clock jumps ahead {ahead}");
            }
            7 => {
                self.setup.disk.count(Fault::ClockBack);
                let back = self.dice.roll(3_000) as Millis;
                self.set_clock(self.now - back);
                trace!(self, "the clock jumps back {back}");
            }
            _ => {
                let fault = *self.dice.pick(&Fault::OF_DISK);
                let after = match fault {
                    Fault::Write | Fault::Sync | Fault::Full | Fault::Cut => self.dice.roll(12),
                    _ => self.dice.roll(2),
                };
                self.room_at = self.steps + self.dice.between(30, 150);
                trace!(self, "armed: {} after {after}", fault.name());
                self.setup.disk.arm(fault, after);
            }
        }
        Ok(())
    }

    /// The server is gone.
    pub(super) fn crash(&mut self, power: bool) {
        trace!(self, "{}", if power { "power cut" } else { "killed" });
        if power {
            self.setup.disk.cut_power();
        } else {
            self.setup.disk.kill();
        }
        let Some(mut process) = self.process.take() else { return };
        for pending in std::mem::take(&mut process.pending) {
            self.unanswered(&pending.call);
            drop(pending);
        }
        drop(process);
        self.jobs_alone();
        // Services go on, but nobody hears them; whoever has a callback's token can still use it.
        self.live.clear();
        drop(self.setup.services.take_new());
        self.accesses.clear();
        drop(self.datasets.take_new());
    }

    /// Nobody will know what became of a call.
    pub(super) fn unanswered(&mut self, call: &Call) {
        Tally::add(&mut self.setup.ledger.lock().tally.replies, call.counted(None), 1);
        if let Call::Start { start, .. } = call {
            self.starts[*start].asked = false;
        }
    }

    pub(super) fn open(&mut self) -> Step {
        match Process::open(&self.setup) {
            Ok(process) => {
                trace!(self, "opened");
                self.process = Some(process);
                self.complaint()
            }
            Err(NotOpen::Fault(reason)) => {
                trace!(self, "not opened: {reason}");
                self.complaint()?;
                if self.calm_since.is_some() {
                    return Err(Complaint::new("liveness", "a server starts when nothing fails", reason));
                }
                let power = self.dice.one_in(2);
                self.crash(power);
                Ok(())
            }
            Err(NotOpen::Complaint(complaint)) => Err(complaint),
        }
    }
}
