"""Fuzzes the verifiers, guided by what of their code is reached: `make fuzz SECONDS=60`, or `RUNS=n` for as many inputs,
which are the same ones for the same code.

An input is a known request, written out, and the number of the verifier that gets it. Whatever becomes of it, it is
judged without an exception, and accepted only with all that was signed. An input that breaks this, and those that
reached something new, are kept in var/fuzz.
"""

import sys
from pathlib import Path

import atheris

FOLDER = Path("var/fuzz")
LONGEST = 4096

with atheris.instrument_imports(
    include=["gateway.verify", "gateway.selector", "jwt", "http_message_signatures", "http_sf"]
):
    from tests.support.fuzz_target import Target
    from tests.support.known_requests import all_known


def main(seconds: int, runs: int) -> None:
    target = Target(all_known())
    seeds, reached = FOLDER / "seeds", FOLDER / "reached"
    for folder in (seeds, reached):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (seeds / f"{number:03}").write_bytes(seed)
    bound = [f"-runs={runs}", "-seed=1"] if runs else [f"-max_total_time={seconds}"]
    options = [*bound, f"-max_len={LONGEST}", "-print_final_stats=1"]
    options += [f"-artifact_prefix={FOLDER}/", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, str(reached), str(seeds)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
