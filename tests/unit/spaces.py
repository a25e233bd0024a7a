"""Search spaces as a person writes them: one with every kind of entry, and random ones."""

import random
from typing import Any

SPACE: dict[str, Any] = {
    "blocks": {"low": 1, "high": 3},
    "filters_1": [16, 32, 64],
    "filters_2": {"choices": [32, 64], "when": {"blocks": [2, 3]}},
    "filters_3": {"choices": [64, 128], "when": {"blocks": 3}},
    "norm_3": {"choices": [True, False], "when": {"blocks": [3], "filters_3": [64, 128]}},
    "lr": {"low": 1e-4, "high": 1e-2, "log": True},
    "dropout": {"low": 0.0, "high": 0.5, "step": 0.1},
    "units": {"low": 16, "high": 256, "step": 16},
    "epochs": {"low": 1, "high": 50, "log": True},
    "optimizer": ["sgd", "adam"],
    "batch": 128,
}


def random_table(rng: random.Random) -> dict[str, Any]:
    """Return a legal space with awkward names, values and conditions."""
    names = [
        "a",
        "b c",
        'quo"te',
        "dot.ted",
        "é",
        "x-1",
        "new\nline",
        "tab\t\x7f",
        "#",
        "7",
        "[t]",
        "\U0001d538",
    ]
    rng.shuffle(names)
    table: dict[str, Any] = {}
    parents: list[tuple[str, list[Any]]] = []
    for name in names[: rng.randint(1, len(names))]:
        form: dict[str, Any]
        match rng.randrange(6):
            case 0:
                low = rng.uniform(-5, 5)
                form = {"low": low, "high": low + 10.0 ** rng.randint(-9, 20)}
            case 1:
                form = {"low": 10.0 ** rng.randint(-30, 0), "high": 1e22, "log": True}
            case 2:
                form = {
                    "low": 0.1,
                    "high": 0.1 + rng.random(),
                    "step": rng.choice([0.1, 0.25, 1.0]),
                }
            case 3:
                low = rng.randint(-9, 9)
                form = {"low": low, "high": low + rng.randint(0, 9), "step": rng.randint(1, 4)}
                parents.append((name, [low]))
            case 4:
                form = {"low": 1, "high": rng.randint(1, 2**53), "log": True}
                parents.append((name, [1]))
            case _:
                pool = [
                    "",
                    "a'b",
                    'q"',
                    "back\\slash",
                    "\x00\x1f\x7f",
                    "😀",
                    5,
                    -7,
                    0.5,
                    1e-300,
                    True,
                ]
                form = {"choices": rng.sample(pool, rng.randint(1, len(pool)))}
                parents.append((name, rng.sample(form["choices"], 1)))
        earlier = [parent for parent in parents if parent[0] != name]
        if earlier and rng.random() < 0.5:
            form["when"] = dict(rng.sample(earlier, min(len(earlier), rng.randint(1, 2))))
        table[name] = form
    return table
