#!/usr/bin/env python3
"""Keys of people: made for a million, used, wrapped under a new root, and one of them destroyed.

    bench/keys.py --rows 1000000

Prints what each step takes beside the same records protected with one key for all, on one core; JSON in and JSON out, each
record another person. Then values are opened, by the library alone: `reveal` of `ck1` has no command that could be measured
without its audit log. Fails when somebody who was erased can be encrypted for again, or when the key table does not open as a
whole.
"""

import json
import statistics
import subprocess
import sys

from common import ROOT, arguments, build, environment, keys, measured, sample, save, table

FIELDS = """fields:
  ssn:  { protect: encrypt }
  card: { protect: encrypt }
"""

# A whole user: three values under a key of their own, and one of them found by a blind index.
USER = """fields:
  ssn:   { protect: encrypt }
  card:  { protect: encrypt }
  email: { protect: encrypt, index: email_bidx }
"""

OF_PEOPLE = "subject: id\n"


def main():
    options = arguments(__doc__, "--erasures", "how many people are erased, one after the other (default: 20)")
    erasures = int(options.erasures or 20)
    cloakroom = build(options.binary)
    environ = environment(options.folder)
    keys(cloakroom, environ)
    home = options.folder / "home"
    data = sample(cloakroom, "customers", options.rows, options.folder)
    out = options.folder / "protected.jsonl"
    quiet = {"env": environ, "stderr": open(options.folder / "keys.log", "w"), "stdout": subprocess.DEVNULL}

    def protect(policy):
        path = options.folder / "keys.yaml"
        path.write_text(policy)
        return measured([cloakroom, "protect", "--policy", path, data, out], cores=1, **quiet)

    results = {}
    # The whole users first: what comes after them goes on with the keys of the others.
    for what, fields in (("whole users", USER), ("two values", FIELDS)):
        for old in home.glob("keys.s*"):
            old.unlink()
        results[f"{what}, one key for all"] = protect(fields)
        results[f"{what}, a key for each, made now"] = protect(OF_PEOPLE + fields)
        results[f"{what}, a key for each, known"] = protect(OF_PEOPLE + fields)
    rows = [
        [name, f"{run['wall_s']:.2f}", f"{run['cpu_s']:.2f}", f"{options.rows / run['cpu_s']:,.0f}", f"{run['rss_mb']:.0f}"]
        for name, run in results.items()
    ]
    print(f"\n{options.rows:,} people, one core; whole users: three values encrypted and a blind index\n")
    table(["protect", "wall s", "CPU s", "records / CPU s", "peak MB"], rows)

    size = (home / "keys.subjects.db").stat().st_size
    print(f"\nkey table: {size / 1e6:.0f} MB, {size / options.rows:.0f} bytes a person")
    results["rotate"] = measured([cloakroom, "keys", "rotate"], **quiet)
    print(f"rotation of the root: {results['rotate']['wall_s'] * 1000:.0f} ms, process and all; data rows touched: 0")
    people = [json.loads(line)["id"] for _, line in zip(range(erasures), open(data))]
    runs = [measured([cloakroom, "keys", "erase", str(person)], **quiet) for person in people]
    walls = sorted(run["wall_s"] * 1000 for run in runs)
    results["erase"] = runs
    print(f"erasure of one: median {statistics.median(walls):.0f} ms, slowest {walls[-1]:.0f} ms, process and all")
    results["check"] = measured([cloakroom, "keys", "export-check"], **quiet)
    print(f"check of every key: {results['check']['wall_s']:.1f} s")
    again = measured([cloakroom, "protect", "--policy", options.folder / "keys.yaml", data, out], ok=(0, 1), **quiet)
    left = sum(1 for _ in open(out))
    print(f"records that are refused because their person was erased: {options.rows - left:,}")
    results["again"] = again
    save(options.json, results)
    print("\nthe library alone, one thread, two values of each person encrypted, then one of them opened:")
    example = ["cargo", "run", "--quiet", "--release", "-p", "cloakroom-pipeline", "--example", "keys_of_people", "--"]
    subprocess.run([*example, str(options.rows), str(options.folder)], cwd=ROOT, check=True)
    sys.exit(0 if options.rows - left == erasures else 1)


if __name__ == "__main__":
    main()
