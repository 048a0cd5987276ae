"""What the benchmarks share: running programs with their CPU seconds and peak memory, and tables."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def arguments(doc, rival=None, rival_help=None, rows=1_000_000):
    """What the benchmarks are told on the command line; makes their folder."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=rows)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "target" / "bench")
    if rival:
        parser.add_argument(rival, help=rival_help)
    parser.add_argument("--json", help="where to write the figures")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    return options


def build():
    """The release binary of this checkout."""
    subprocess.run(["cargo", "build", "--release", "-p", "cloakroom-cli"], cwd=ROOT, check=True)
    return ROOT / "target" / "release" / "cloakroom"


def measured(command, cores=None, ok=(0,), **options):
    """Runs a command; gives wall seconds, CPU seconds (user and system) and peak resident megabytes."""
    pin = None
    if cores is not None:
        def pin():
            os.sched_setaffinity(0, set(range(cores)))
    began = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], preexec_fn=pin, **options)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in ok:
        sys.exit(f"{command[0]} ended with {process.returncode}")
    return {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "rss_mb": usage.ru_maxrss / 1024}


def rounds(count, contenders):
    """Runs every contender once a round, so that a noisy minute hits all of them."""
    results = {name: [] for name in contenders}
    for number in range(count):
        for name, run in contenders.items():
            print(f"round {number + 1} of {count}: {name}", file=sys.stderr, flush=True)
            results[name].append(run())
    return results


def median(results, key):
    return statistics.median(result[key] for result in results)


def table(header, rows):
    cells = [header] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in cells) for at in range(len(header))]
    for row in cells:
        print("  ".join(cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(row, widths))))


def save(path, results):
    if path:
        pathlib.Path(path).write_text(json.dumps(results, indent=2) + "\n")


def sample(cloakroom, kind, count, folder):
    """Generated records: the same kind and count are the same bytes on every machine."""
    path = folder / f"{kind}-{count}.jsonl"
    if not path.exists():
        with open(path, "wb") as out:
            subprocess.run([cloakroom, "sample", kind, "--count", str(count)], stdout=out, check=True)
    return path


def environment(folder):
    """Keys and state in the benchmark's own folder."""
    home = folder / "home"
    return dict(os.environ, CLOAKROOM_HOME=str(home), CLOAKROOM_LOG="error")


def keys(cloakroom, environ):
    if not (pathlib.Path(environ["CLOAKROOM_HOME"]) / "keys.json").exists():
        subprocess.run([cloakroom, "keys", "init"], env=environ, check=True, stdout=subprocess.DEVNULL)
