# SPDX-License-Identifier: BSD-3-Clause
"""One line a figure, as docs/benchmarks.md says."""


def figure(name, value, unit, at_least=None, places=2):
    goal = "" if at_least is None else (
        f" (goal >= {at_least}) {'ok' if value >= at_least else 'short'}")
    print(f"{name} = {value:.{places}f} {unit}{goal}", flush=True)
