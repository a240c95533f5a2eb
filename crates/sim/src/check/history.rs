//! Histories are well formed: events numbered 1, 2, 3, …, each with a predecessor that it can follow and that nothing
//! of its kind has followed before, times that never go back, one beginning and one end.

use std::mem::discriminant;

use stepwright_machine::EventKind;

use super::{Checked, ensure};
use crate::model::{Model, Seen};

/// Events that were appended to an execution's history. `from`: how many there were before.
pub(crate) fn appended(model: &mut Model, from: usize) -> Checked {
    for at in from..model.events.len() {
        let event = &model.events[at];
        let tell = |what: &str| format!("event {} of {}, {what}: {event:?}", event.id, model.label);
        ensure(event.id == at as u64 + 1, "history", "events are numbered 1, 2, 3, …", || tell("by its place"))?;
        if let Some(before) = at.checked_sub(1).and_then(|before| model.events.get(before)) {
            ensure(event.at >= before.at, "history", "times never go back", || tell("by its time"))?;
            let redriven = matches!(event.kind, EventKind::ExecutionRedriven { .. });
            let goes_on = redriven && !matches!(before.kind, EventKind::ExecutionSucceeded { .. });
            ensure(
                is_end(&before.kind) == redriven && (goes_on || !redriven),
                "history",
                "only a redrive follows the end",
                || tell("after the end"),
            )?;
        }
        ensure(event.previous < event.id, "history", "an event follows an earlier one", || tell("by its previous"))?;
        let previous = event.previous.checked_sub(1).and_then(|index| model.events.get(index as usize));
        ensure(
            follows(previous.map(|previous| &previous.kind), event),
            "history",
            "an event follows one that it can",
            || tell(&format!("after {previous:?}")),
        )?;
        let kind = discriminant(&event.kind);
        let followers = model.followers.get(&event.previous);
        let again = followers.is_some_and(|followers| followers.contains(&kind));
        let forks = previous.is_some_and(|previous| forks(&previous.kind));
        ensure(
            !again || forks || is_abort(&event.kind),
            "history",
            "nothing of its kind follows an event twice",
            || tell(&format!("again after {previous:?}")),
        )?;
        let previous = event.previous;
        if matches!(event.kind, EventKind::ExecutionRedriven { .. }) {
            // What follows an event once more does so in another run.
            model.followers.clear();
        }
        model.followers.entry(previous).or_default().push(kind);
    }
    Ok(())
}

fn is_end(kind: &EventKind) -> bool {
    use EventKind::{ExecutionAborted, ExecutionFailed, ExecutionSucceeded, ExecutionTimedOut};
    matches!(kind, ExecutionSucceeded { .. } | ExecutionFailed(_) | ExecutionAborted(_) | ExecutionTimedOut(_))
}

/// Events after which several branches or iterations begin, or go on.
fn forks(kind: &EventKind) -> bool {
    use EventKind::{ExecutionRedriven, MapStateStarted, ParallelStateStarted};
    matches!(kind, MapStateStarted { .. } | ParallelStateStarted | ExecutionRedriven { .. })
}

/// What one failure brings down with it.
fn is_abort(kind: &EventKind) -> bool {
    matches!(kind, EventKind::StateAborted { .. } | EventKind::MapIterationAborted { .. } | EventKind::MapRunAborted)
}

/// Whether an event may follow an event of this kind, or none.
fn follows(previous: Option<&EventKind>, event: &Seen) -> bool {
    use EventKind as K;
    let Some(previous) = previous else {
        return match event.kind {
            K::ExecutionStarted { .. } => event.id == 1,
            K::StateEntered { .. } => event.id == 2,
            // What fails at once in the first state follows what its entry follows (AWS: recorded).
            K::EvaluationFailed { .. } => event.id == 3,
            _ => is_end(&event.kind),
        };
    };
    if matches!(previous, K::ExecutionRedriven { .. }) {
        // What goes on does so from wherever it stood, but nothing is answered that was not sent again.
        return !matches!(
            event.kind,
            K::ExecutionStarted { .. }
                | K::ActivityStarted { .. }
                | K::ActivitySucceeded { .. }
                | K::LambdaFunctionStarted
                | K::LambdaFunctionSucceeded { .. }
                | K::TaskStarted { .. }
                | K::TaskSubmitted { .. }
                | K::TaskSucceeded { .. }
                | K::MapRunSucceeded
                | K::MapRunFailed(_)
        );
    }
    match event.kind {
        K::ExecutionStarted { .. } => false,
        K::ExecutionRedriven { .. } => is_end(previous),
        K::ExecutionSucceeded { .. } | K::MapIterationSucceeded { .. } | K::ParallelStateSucceeded => {
            matches!(previous, K::StateExited { .. })
        }
        K::StateEntered { .. } => {
            matches!(previous, K::StateExited { .. } | K::ParallelStateStarted | K::MapIterationStarted { .. })
        }
        K::MapIterationStarted { .. } => matches!(previous, K::MapStateStarted { .. } | K::StateExited { .. }),
        K::MapStateSucceeded => {
            matches!(previous, K::MapIterationSucceeded { .. } | K::MapStateStarted { .. } | K::MapRunSucceeded)
        }
        K::MapRunStarted { .. } => matches!(previous, K::MapStateStarted { .. }),
        K::MapRunSucceeded | K::MapRunFailed(_) => {
            matches!(previous, K::MapRunStarted { .. } | K::MapRunRedriven { .. })
        }
        K::ActivityScheduled { .. } => {
            matches!(
                previous,
                K::StateEntered { .. } | K::EvaluationFailed { .. } | K::ActivityFailed(_) | K::ActivityTimedOut(_)
            )
        }
        K::ActivityStarted { .. } => matches!(previous, K::ActivityScheduled { .. }),
        K::ActivitySucceeded { .. } => matches!(previous, K::ActivityStarted { .. }),
        K::ActivityTimedOut(_) | K::ActivityFailed(_) => {
            matches!(previous, K::ActivityStarted { .. } | K::ActivityScheduled { .. })
        }
        K::LambdaFunctionScheduled { .. } => {
            matches!(
                previous,
                K::StateEntered { .. }
                    | K::EvaluationFailed { .. }
                    | K::LambdaFunctionFailed(_)
                    | K::LambdaFunctionTimedOut(_)
            )
        }
        K::LambdaFunctionStarted => matches!(previous, K::LambdaFunctionScheduled { .. }),
        K::LambdaFunctionSucceeded { .. } => matches!(previous, K::LambdaFunctionStarted),
        K::LambdaFunctionFailed(_) | K::LambdaFunctionTimedOut(_) => {
            matches!(previous, K::LambdaFunctionStarted | K::LambdaFunctionScheduled { .. })
        }
        K::TaskScheduled { .. } => {
            matches!(
                previous,
                K::StateEntered { .. } | K::EvaluationFailed { .. } | K::TaskFailed { .. } | K::TaskTimedOut { .. }
            )
        }
        K::TaskStarted { .. } => matches!(previous, K::TaskScheduled { .. }),
        K::TaskSubmitted { .. } => matches!(previous, K::TaskStarted { .. }),
        K::TaskSucceeded { .. } => matches!(previous, K::TaskStarted { .. } | K::TaskSubmitted { .. }),
        K::TaskFailed { .. } | K::TaskTimedOut { .. } => {
            matches!(previous, K::TaskScheduled { .. } | K::TaskStarted { .. } | K::TaskSubmitted { .. })
        }
        _ => !is_end(previous),
    }
}
