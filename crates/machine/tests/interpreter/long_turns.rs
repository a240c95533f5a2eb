//! Turns whose expressions take long: given up where there is a bound, cut between states, put off by a pause.

use stepwright_machine::{Command, Execution, Input, InputKind, Limits, Outcome, Payload, step, step_within};

use super::world::{START, World, info, parse};

/// A state that takes some ten thousand steps, again and again.
fn many(items: usize) -> String {
    format!(
        r#"{{"StartAt":"M","QueryLanguage":"JSONata","States":{{"M":{{"Type":"Map","End":true,
            "Items":"{{% [1..{items}] %}}","ItemProcessor":{{"StartAt":"P","States":{{"P":{{
            "Type":"Pass","Output":"{{% $sum([1..3000].($ * 2)) %}}","End":true}}}}}}}}}}}}"#
    )
}

fn start() -> Input {
    Input { at: START, seed: 1, kind: InputKind::Start { input: Payload::new("{}") } }
}

#[test]
fn a_turn_is_given_up_at_its_bound_and_goes_well_without() {
    let definition = parse(&many(1));
    let mut execution = Execution::new(info(Limits::AWS));
    assert!(step_within(&definition, &mut execution, &[start()], 1_000).is_none());

    let mut execution = Execution::new(info(Limits::AWS));
    let effects = step(&definition, &mut execution, &[start()]);
    assert!(effects.commands.iter().any(|command| matches!(command, Command::Finish(_))));
    let steps = effects.steps;
    assert!(steps > 1_000, "{steps}");

    // A bound that is not reached changes nothing.
    let mut execution = Execution::new(info(Limits::AWS));
    let within = step_within(&definition, &mut execution, &[start()], steps + 1).expect("it is enough");
    assert_eq!((within.steps, within.events), (steps, effects.events));
    let mut execution = Execution::new(info(Limits::AWS));
    assert!(step_within(&definition, &mut execution, &[start()], steps).is_none(), "the bound itself is too many");
}

#[test]
fn many_evaluations_are_many_turns() {
    let mut world = World::start(&many(30), "{}");
    world.run();
    assert!(world.closing.is_some());
    assert!(world.inputs.len() > 5, "only {} turns", world.inputs.len());
    world.check_fold();
}

#[test]
fn a_pause_puts_off_what_its_turn_would_do() {
    let mut plain = World::start(&many(1), r#"{"a":1}"#);
    plain.run();

    let mut paused = World::new(&many(1), Limits::AWS, &[]);
    let start = InputKind::Start { input: Payload::new(r#"{"a":1}"#) };
    assert_eq!(paused.submit_all(vec![InputKind::Pause, start]), [Outcome::Accepted, Outcome::Accepted]);
    assert_eq!(paused.events.len(), 1, "it started, and nothing else");
    paused.run();
    assert_eq!(paused.history(), plain.history());
    paused.check_fold();
}
