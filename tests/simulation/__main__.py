"""Play seeds: `python -m tests.simulation --seeds 2000`, or one: `python -m tests.simulation --seed 17 --mode off`.

Owns the command line of the simulation. Exits 1 when any seed had a false alarm or a miss.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.simulation.judged import MODES, Verdict, play
from tests.simulation.seeds import hush, play_many


def tell(verdict: Verdict) -> str:
    """What was wrong, and how to see it again."""
    wrong = "\n".join(f"  {text}" for text in (*verdict.false[:10], *verdict.missed[:10]))
    return f"python -m tests.simulation --seed {verdict.seed} --mode {verdict.mode}\n{wrong}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Play what was asked for and say how it went."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one")
    parser.add_argument("--mode", choices=MODES, help="the stream of that one")
    parser.add_argument("--seeds", type=int, default=200, help="play so many")
    parser.add_argument("--from", type=int, default=0, dest="first", help="begin with this one")
    asked = parser.parse_args(arguments)
    hush()
    if asked.seed is not None:
        mode = asked.mode or MODES[asked.seed % len(MODES)]
        played = iter([play(asked.seed, mode)])
    else:
        played = play_many(asked.first, asked.seeds)
    verdicts = []
    for verdict in played:
        verdicts.append(verdict)
        if not verdict.good:
            sys.stdout.write(f"{tell(verdict)}\n")
            sys.stdout.flush()  # there may be half an hour to go
    found = sorted(seconds for verdict in verdicts for seconds in verdict.found)
    false, missed = sum(len(v.false) for v in verdicts), sum(len(v.missed) for v in verdicts)
    runs, drifts = sum(v.runs for v in verdicts), sum(v.drifts for v in verdicts)
    sys.stdout.write(
        f"{len(verdicts)} seeds, {runs} passes, {drifts} true drifts: "
        f"{false} false alarms, {missed} missed; from rest to verdict at most {found[-1] if found else 0:.1f} s\n"
    )
    return 0 if all(verdict.good for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
