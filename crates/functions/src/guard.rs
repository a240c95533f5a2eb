//! The guard: a process of our own binary that outlives the server by a moment, and ends the functions of a server that
//! was killed before it could do so itself.
//!
//! It reads a pipe that only the server holds. `+7` says that process group 7 began, `-7` that it is gone; the end of the
//! pipe is the end of the server, and then all groups that are left are killed. So it does for what a function started
//! itself as well, and on every Unix.

use std::{
    collections::BTreeSet,
    io::{BufRead, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::process::{Pid, Signal, kill_process_group};

/// How the guard is started.
#[derive(Clone, Debug)]
pub struct GuardCommand {
    /// The program, which calls [`watch`] with its standard input.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// What the guard does: reads until the other side is gone, then kills what it has left.
pub fn watch(input: impl BufRead) {
    let mut groups = BTreeSet::new();
    for line in input.lines() {
        let Ok(line) = line else { break };
        let number = |text: &str| text.parse().ok().filter(|number| *number > 1);
        match (line.strip_prefix('+').and_then(number), line.strip_prefix('-').and_then(number)) {
            (Some(began), _) => groups.insert(began),
            (_, Some(ended)) => groups.remove(&ended),
            _ => continue,
        };
    }
    for group in groups.into_iter().filter_map(Pid::from_raw) {
        kill(group);
    }
}

/// Kills a process group; one that is gone is fine.
pub(crate) fn kill(group: Pid) {
    let _gone = kill_process_group(group, Signal::KILL);
}

/// The server's end.
#[derive(Debug)]
pub struct Guard {
    command: Option<GuardCommand>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    groups: BTreeSet<i32>,
    process: Option<(Child, ChildStdin)>,
}

impl Guard {
    /// One that is started with the first group; without a command, nobody guards.
    #[must_use]
    pub fn new(command: Option<GuardCommand>) -> Self {
        Self { command, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process group began.
    pub fn began(&self, group: Pid) {
        let group = group.as_raw_nonzero().get();
        let mut state = self.state();
        state.groups.insert(group);
        self.tell(&mut state, &format!("+{group}\n"));
    }

    /// A process group is gone.
    pub fn ended(&self, group: Pid) {
        let group = group.as_raw_nonzero().get();
        let mut state = self.state();
        state.groups.remove(&group);
        self.tell(&mut state, &format!("-{group}\n"));
    }

    /// A guard that is gone is replaced by one that is told everything.
    fn tell(&self, state: &mut State, line: &str) {
        let Some(command) = &self.command else { return };
        if let Some((_, input)) = &mut state.process
            && input.write_all(line.as_bytes()).is_ok()
        {
            return;
        }
        if let Some((mut gone, _)) = state.process.take() {
            let _reaped = gone.wait();
        }
        let all: String = state.groups.iter().map(|group| format!("+{group}\n")).collect();
        match start(command, &all) {
            Ok(process) => state.process = Some(process),
            Err(error) => tracing::warn!(
                %error,
                program = %command.program.display(),
                "the guard of the functions could not be started; if this server is killed, their processes stay"
            ),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some((mut child, input)) = self.state().process.take() {
            drop(input);
            let _reaped = child.wait();
        }
    }
}

fn start(command: &GuardCommand, groups: &str) -> std::io::Result<(Child, ChildStdin)> {
    use std::os::unix::process::CommandExt as _;
    let mut child = Command::new(&command.program)
        .arg0("stepwright")
        .args(&command.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // The terminal's Ctrl-C is not for it.
        .process_group(0)
        .spawn()?;
    let mut input = child.stdin.take().ok_or_else(|| std::io::Error::other("it has no standard input"))?;
    input.write_all(groups.as_bytes())?;
    Ok((child, input))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").process_group(0).spawn().expect("sleep starts")
    }

    #[test]
    fn what_is_left_is_killed_and_nothing_else() {
        let (mut left, mut gone) = (sleeper(), sleeper());
        watch(format!("+{}\nnonsense\n+{}\n-{}\n+0\n+1\n", left.id(), gone.id(), gone.id()).as_bytes());
        assert_eq!(left.wait().expect("it ended").signal(), Some(9));
        assert!(gone.try_wait().expect("it is ours").is_none(), "a group that had ended was killed");
        gone.kill().expect("it can be killed");
        gone.wait().expect("it ended");
    }

    #[test]
    fn a_guard_that_died_is_replaced_and_told_everything() {
        let folder = tempfile::tempdir().expect("a folder");
        let told = folder.path().join("told");
        // Each takes three lines and ends.
        let script = format!("head -n 3 >> {}", told.display());
        let command = GuardCommand { program: "sh".into(), arguments: vec!["-c".to_owned(), script] };
        let guard = Guard::new(Some(command));
        let pid = |number| Pid::from_raw(number).expect("a number");
        guard.began(pid(1_000_001));
        guard.began(pid(1_000_002));
        guard.ended(pid(1_000_001));
        // The first has taken its lines and goes: some time after, a line is refused.
        while !std::fs::read_to_string(&told).is_ok_and(|text| text.lines().count() >= 4) {
            guard.began(pid(1_000_003));
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let text = std::fs::read_to_string(&told).expect("told");
        let lines: Vec<&str> = text.lines().take(4).collect();
        assert_eq!(lines, ["+1000001", "+1000002", "-1000001", "+1000002"]);
    }
}
