//! Keys of rows. Numbers are big-endian so that keys sort as their parts do; every key of a resource begins with its
//! account-and-region number, an execution's rows go on with its time-ordered identity. Part of the stored format.

use stepwright_machine::{ExecutionId, Millis, Status, TaskId, TimerId, TurnId};

/// The account-and-region number that begins a key.
pub type ScopeNumber = u32;

/// The number of a state machine in the store; never used twice.
pub type MachineNumber = u32;

/// Keys of [`Table::Meta`](crate::Table::Meta): facts about the store as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaKey {
    /// The secret that task tokens and page tokens are keyed with.
    MasterKey,
    /// The number of the next state machine.
    NextMachine,
    /// Where a virtual clock is.
    Clock,
}

/// The key of a fact about the store.
#[must_use]
pub fn meta(key: MetaKey) -> Vec<u8> {
    match key {
        MetaKey::MasterKey => b"master_key".to_vec(),
        MetaKey::NextMachine => b"next_machine".to_vec(),
        MetaKey::Clock => b"clock".to_vec(),
    }
}

/// The key of an account and region.
#[must_use]
pub fn scope(account: &str, region: &str) -> Vec<u8> {
    [account.as_bytes(), &[0], region.as_bytes()].concat()
}

/// A scope's number and a name: state machines, activities.
#[must_use]
pub fn named(scope: ScopeNumber, name: &str) -> Vec<u8> {
    [&scope.to_be_bytes()[..], name.as_bytes()].concat()
}

/// The first key after every key that begins with this scope.
#[must_use]
pub fn scope_end(scope: ScopeNumber) -> Vec<u8> {
    prefix_end(&scope.to_be_bytes())
}

/// The first key after every key that begins with `prefix`.
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    // Nothing sorts after a prefix of all ones but longer keys of ones, which no key here is.
    vec![u8::MAX; prefix.len() + 1]
}

/// What can carry tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tagged {
    /// A state machine.
    StateMachine,
    /// An activity.
    Activity,
}

/// The key of a resource's tags.
#[must_use]
pub fn tags(scope: ScopeNumber, kind: Tagged, name: &str) -> Vec<u8> {
    let kind = match kind {
        Tagged::StateMachine => 1,
        Tagged::Activity => 2,
    };
    [&scope.to_be_bytes()[..], &[kind], name.as_bytes()].concat()
}

/// The key of a revision.
#[must_use]
pub fn revision(scope: ScopeNumber, machine: MachineNumber, revision: u32) -> Vec<u8> {
    [scope.to_be_bytes(), machine.to_be_bytes(), revision.to_be_bytes()].concat()
}

/// What every revision of a machine begins with.
#[must_use]
pub fn revisions(scope: ScopeNumber, machine: MachineNumber) -> Vec<u8> {
    [scope.to_be_bytes(), machine.to_be_bytes()].concat()
}

/// The key of an execution, of its head and of its quarantine, and the beginning of its other rows.
#[must_use]
pub fn execution(scope: ScopeNumber, id: ExecutionId) -> Vec<u8> {
    [&scope.to_be_bytes()[..], &id.to_bytes()].concat()
}

/// Takes [`execution`] apart.
#[must_use]
pub fn parse_execution(key: &[u8]) -> Option<(ScopeNumber, ExecutionId)> {
    let scope = u32::from_be_bytes(key.get(..4)?.try_into().ok()?);
    let id = ExecutionId::from_bytes(key.get(4..20)?.try_into().ok()?);
    Some((scope, id))
}

/// The key of a frame.
#[must_use]
pub fn frame(scope: ScopeNumber, id: ExecutionId, frame: u32) -> Vec<u8> {
    [&execution(scope, id)[..], &frame.to_be_bytes()].concat()
}

/// The number of the frame that [`frame`] names.
#[must_use]
pub fn parse_frame(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(20..24)?.try_into().ok()?))
}

/// The key of a turn.
#[must_use]
pub fn turn(scope: ScopeNumber, id: ExecutionId, turn: TurnId) -> Vec<u8> {
    frame(scope, id, turn)
}

/// The number of the turn that [`turn`] names.
#[must_use]
pub fn parse_turn(key: &[u8]) -> Option<TurnId> {
    parse_frame(key)
}

/// The key of a payload that lies beside its turn.
#[must_use]
pub fn payload(scope: ScopeNumber, id: ExecutionId, turn: TurnId, index: u32) -> Vec<u8> {
    [&execution(scope, id)[..], &turn.to_be_bytes(), &index.to_be_bytes()].concat()
}

/// The key of an execution's name. A machine's name cannot hold the zero byte that ends it here.
#[must_use]
pub fn name(scope: ScopeNumber, machine_name: &str, name: &str) -> Vec<u8> {
    [&scope.to_be_bytes()[..], machine_name.as_bytes(), &[0], name.as_bytes()].concat()
}

/// The number of a published version of a state machine; never used twice.
pub type VersionNumber = u32;

/// The key of a version.
#[must_use]
pub fn version(scope: ScopeNumber, machine: MachineNumber, version: VersionNumber) -> Vec<u8> {
    revision(scope, machine, version)
}

/// Takes [`version`] apart.
#[must_use]
pub fn parse_version(key: &[u8]) -> Option<(ScopeNumber, MachineNumber, VersionNumber)> {
    let part = |at: usize| Some(u32::from_be_bytes(key.get(at..at + 4)?.try_into().ok()?));
    (key.len() == 12).then_some((part(0)?, part(4)?, part(8)?))
}

/// The key of an alias.
#[must_use]
pub fn alias(scope: ScopeNumber, machine: MachineNumber, name: &str) -> Vec<u8> {
    [&scope.to_be_bytes()[..], &machine.to_be_bytes(), name.as_bytes()].concat()
}

/// Takes [`alias`] apart.
#[must_use]
pub fn parse_alias(key: &[u8]) -> Option<(ScopeNumber, MachineNumber, &str)> {
    let part = |at: usize| Some(u32::from_be_bytes(key.get(at..at + 4)?.try_into().ok()?));
    Some((part(0)?, part(4)?, std::str::from_utf8(key.get(8..)?).ok()?))
}

/// Which of a machine's executions a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed<'a> {
    /// All.
    All,
    /// Those that run this version.
    Version(VersionNumber),
    /// Those that were started by this alias.
    Alias(&'a str),
}

/// What every entry of a list begins with. `None`: executions of every status.
#[must_use]
pub fn list(scope: ScopeNumber, machine: MachineNumber, listed: Listed<'_>, status: Option<Status>) -> Vec<u8> {
    let status = match status {
        None => 0,
        Some(Status::Running) => 1,
        Some(Status::Succeeded) => 2,
        Some(Status::Failed) => 3,
        Some(Status::TimedOut) => 4,
        Some(Status::Aborted) => 5,
    };
    let mut key = [scope.to_be_bytes(), machine.to_be_bytes()].concat();
    match listed {
        Listed::All => key.push(status),
        Listed::Version(number) => {
            key.push(16 + status);
            key.extend(number.to_be_bytes());
        }
        Listed::Alias(name) => {
            key.push(32 + status);
            key.extend(name.as_bytes());
            // No alias's name has it, so that no list begins with another.
            key.push(0);
        }
    }
    key
}

/// The key of an entry of a list; ascending by start time.
#[must_use]
pub fn list_entry(
    scope: ScopeNumber,
    machine: MachineNumber,
    listed: Listed<'_>,
    status: Option<Status>,
    id: ExecutionId,
) -> Vec<u8> {
    let mut key = list(scope, machine, listed, status);
    key.extend(id.to_bytes());
    key
}

/// The execution that [`list_entry`] names.
#[must_use]
pub fn parse_list_entry(key: &[u8]) -> Option<ExecutionId> {
    // A scope, a machine and a selector come before it.
    let (list, id) = key.split_at_checked(key.len().checked_sub(16)?)?;
    (list.len() >= 9).then_some(ExecutionId::from_bytes(id.try_into().ok()?))
}

fn due_bytes(due: Millis) -> [u8; 8] {
    u64::try_from(due).unwrap_or(0).to_be_bytes()
}

/// The first possible key of a timer that is due at `due`.
#[must_use]
pub fn due(due: Millis) -> Vec<u8> {
    due_bytes(due).to_vec()
}

/// The key of a timer: by due time.
#[must_use]
pub fn timer(due: Millis, scope: ScopeNumber, id: ExecutionId, timer: TimerId) -> Vec<u8> {
    [&due_bytes(due)[..], &execution(scope, id), &timer.frame.0.to_be_bytes(), &timer.number.to_be_bytes()].concat()
}

/// Takes [`timer`] apart.
#[must_use]
pub fn parse_timer(key: &[u8]) -> Option<(Millis, ScopeNumber, ExecutionId, TimerId)> {
    let due = u64::from_be_bytes(key.get(..8)?.try_into().ok()?);
    let (scope, id) = parse_execution(key.get(8..)?)?;
    let frame = u32::from_be_bytes(key.get(28..32)?.try_into().ok()?);
    let number = u32::from_be_bytes(key.get(32..36)?.try_into().ok()?);
    let timer = TimerId { frame: stepwright_machine::FrameId(frame), number };
    Some((Millis::try_from(due).ok()?, scope, id, timer))
}

/// The key of an open task.
#[must_use]
pub fn task(scope: ScopeNumber, id: ExecutionId, task: TaskId) -> Vec<u8> {
    [&execution(scope, id)[..], &task.frame.0.to_be_bytes(), &task.number.to_be_bytes()].concat()
}

/// Takes [`task`] apart.
#[must_use]
pub fn parse_task(key: &[u8]) -> Option<(ScopeNumber, ExecutionId, TaskId)> {
    let (scope, id) = parse_execution(key)?;
    let frame = u32::from_be_bytes(key.get(20..24)?.try_into().ok()?);
    let number = u32::from_be_bytes(key.get(24..28)?.try_into().ok()?);
    Some((scope, id, TaskId { frame: stepwright_machine::FrameId(frame), number }))
}

/// The key of a name that outlives its execution, by the time at which it is free again.
#[must_use]
pub fn expiry(at: Millis, scope: ScopeNumber, id: ExecutionId) -> Vec<u8> {
    [&due_bytes(at)[..], &execution(scope, id)].concat()
}

/// The key of a notice: by channel, in the order in which the channel is told.
#[must_use]
pub fn notice(channel: u8, sequence: u64) -> Vec<u8> {
    [&[channel][..], &sequence.to_be_bytes()].concat()
}

/// Takes [`notice`] apart.
#[must_use]
pub fn parse_notice(key: &[u8]) -> Option<(u8, u64)> {
    Some((*key.first()?, u64::from_be_bytes(key.get(1..9)?.try_into().ok()?)))
}

/// The key of a map run and of how far it is, and the beginning of its children's: by its identity, a UUID.
#[must_use]
pub fn map_run(scope: ScopeNumber, run: u128) -> Vec<u8> {
    [&scope.to_be_bytes()[..], &run.to_be_bytes()].concat()
}

/// The identity of the map run that [`map_run`] names.
#[must_use]
pub fn parse_map_run(key: &[u8]) -> Option<u128> {
    Some(u128::from_be_bytes(key.get(4..20)?.try_into().ok()?))
}

/// The key of a child of a map run, by its place among them.
#[must_use]
pub fn map_child(scope: ScopeNumber, run: u128, child: u32) -> Vec<u8> {
    [&map_run(scope, run)[..], &child.to_be_bytes()].concat()
}

/// The place of the child that [`map_child`] names.
#[must_use]
pub fn parse_map_child(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(20..24)?.try_into().ok()?))
}

/// The key of an entry in the list of an execution's map runs, in the order in which they began.
#[must_use]
pub fn map_run_of(scope: ScopeNumber, id: ExecutionId, number: u32) -> Vec<u8> {
    frame(scope, id, number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_machine::FrameId;

    #[test]
    fn keys_sort_as_their_parts_and_come_apart_again() {
        let id = ExecutionId::new(1_700_000_000_000, 7, 9);
        let later = ExecutionId::new(1_700_000_000_001, 0, 0);
        assert!(execution(1, id) < execution(1, later));
        assert!(execution(1, later) < execution(2, id));
        assert_eq!(parse_execution(&execution(3, id)), Some((3, id)));
        let t = TimerId { frame: FrameId(4), number: 5 };
        assert_eq!(parse_timer(&timer(77, 3, id, t)), Some((77, 3, id, t)));
        assert!(timer(255, 9, later, t) < timer(256, 1, id, t));
        let t = TaskId { frame: FrameId(4), number: 5 };
        assert_eq!(parse_task(&task(3, id, t)), Some((3, id, t)));
        for listed in [Listed::All, Listed::Version(7), Listed::Alias("live")] {
            assert_eq!(parse_list_entry(&list_entry(3, 8, listed, Some(Status::Failed), id)), Some(id));
        }
        assert_eq!(parse_list_entry(&list(3, 8, Listed::All, None)), None);
        assert_eq!(parse_version(&version(3, 8, 2)), Some((3, 8, 2)));
        assert_eq!(parse_alias(&alias(3, 8, "live")), Some((3, 8, "live")));
        assert_eq!(parse_turn(&turn(3, id, 300)), Some(300));
        assert_eq!(parse_timer(&[1, 2]), None);
        assert_eq!(parse_notice(&notice(3, 700)), Some((3, 700)));
        assert!(notice(3, 255) < notice(3, 256) && notice(3, u64::MAX) < notice(4, 0));
    }

    #[test]
    fn a_prefix_ends_after_its_last_key() {
        assert_eq!(prefix_end(&[1, 2]), vec![1, 3]);
        assert_eq!(prefix_end(&[1, 255]), vec![2]);
        assert!(prefix_end(&[255, 255]) > vec![255, 255]);
        assert!(named(1, "\u{10FFFF}") < scope_end(1));
    }
}
