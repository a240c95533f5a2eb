"""The suites of the examples, run by `stepwright test` as users run theirs."""
import json
import os
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "..", "..", "examples")
# What is run of each project, which is what it has to test.
RUNS = json.load(open(os.path.join(HERE, "dev_examples.json")))


def run(*arguments):
    command = [os.environ["STEPWRIGHT_BIN"], "test", *arguments]
    return subprocess.run(command, cwd=EXAMPLES, capture_output=True, text=True, timeout=300)


def test_every_example_has_a_suite_and_passes_it():
    began = time.monotonic()
    ran = run("projects", "order-fulfilment", "--json")
    took = time.monotonic() - began
    assert ran.returncode == 0, ran.stdout + ran.stderr
    tests = json.loads(ran.stdout)["tests"]
    print(f"{len(tests)} tests of the examples in {took:.2f} s")
    folders = [os.path.join("projects", project) for project in sorted(RUNS)] + ["order-fulfilment"]
    assert len(folders) == 11
    passed = {folder: 0 for folder in folders}
    for test in tests:
        passed[os.path.dirname(test["file"])] += 1
    assert all(count >= 2 for count in passed.values()), passed


def test_the_suites_enter_every_state_of_every_machine(tmp_path):
    table = tmp_path / "coverage.json"
    ran = run("projects", "order-fulfilment", "--coverage-json", str(table))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    definitions = json.loads(table.read_text())["definitions"]
    machines = sum(len(machines) for machines in RUNS.values())
    assert len(definitions) >= machines + 1, [definition["definition"] for definition in definitions]
    for definition in definitions:
        for what in ("states", "choiceRules", "retriers", "catchers"):
            assert definition[what]["hit"] == definition[what]["found"], definition
