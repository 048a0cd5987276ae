"""What the benchmarks share: running programs with their CPU seconds and peak memory, servers, and tables."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent

# The same work for every sink: two HMACs, lengths checked, a date.
LOGINS = """name: {name}
source: {{ file: {{ path: "{data}" }} }}
record: {{ require: [user_id, ip, device_id], unlisted: drop }}
fields:
  user_id:     {{ type: string, max_length: 128 }}
  device_type: {{ type: string, max_length: 32 }}
  ip:          {{ protect: hmac, as: masked_ip }}
  device_id:   {{ protect: hmac, as: masked_device_id }}
  locale:      {{ type: string, max_length: 32 }}
  app_version: {{ type: string, max_length: 10 }}
  create_date: {{ set: ingest_date }}
"""


def arguments(doc, rival=None, rival_help=None, rows=1_000_000):
    """What the benchmarks are told on the command line; makes their folder."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=rows)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "target" / "bench")
    if rival:
        parser.add_argument(rival, help=rival_help)
    parser.add_argument("--binary", type=pathlib.Path, help="a cloakroom to measure (default: one is built, with --release)")
    parser.add_argument("--json", help="where to write the figures")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    return options


def build(binary=None):
    """The release binary of this checkout, or the one that is given."""
    if binary:
        return binary.resolve()
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


def logins(name, data, sink, with_id=False):
    """The policy of generated logins into a sink; with an `id` that is the same when a record comes again."""
    return LOGINS.format(name=name, data=data) + "  id: { set: uuid }\n" * with_id + f"sink: {sink}\n"


def masked(cloakroom, environ, data, folder, ending="jsonl", with_id=False):
    """The rows as they are after the policy, for writers that get them masked."""
    path, policy = folder / f"masked.{ending}", folder / "masked.yaml"
    more = ", format: csv" if ending == "csv" else ""
    policy.write_text(logins("masked", data, f'{{ file: {{ path: "{path}", replace: true{more} }} }}', with_id))
    subprocess.run([cloakroom, "run", policy], env=environ, check=True, stdout=subprocess.DEVNULL)
    return path


def instance(kind, action, name="bench"):
    """Starts or stops a server of the tests; gives its `url` and `pid`."""
    script = ROOT / "scripts" / "test-servers.sh"
    done = subprocess.run([script, f"{kind}-{action}", name], stdout=subprocess.PIPE, check=True, text=True)
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def server_cpu(pid):
    """CPU seconds of a server and all of its children, living and gone (Linux)."""
    try:
        ticks = os.sysconf("SC_CLK_TCK")
        total = 0
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if entry.name == pid:
                total += sum(map(int, fields[11:15]))
            elif fields[1] == pid:
                total += sum(map(int, fields[11:13]))
        return total / ticks
    except OSError:
        return 0.0


def python_with(folder, *packages):
    """A Python that has these packages, in the benchmark's own folder; they are brought with pip, once."""
    home = folder / "-".join(["python", *packages])
    if not (home / "ready").exists():
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "-q", *packages], check=True)
        (home / "ready").touch()
    return home / "bin" / "python"


def ask(method, url, body=None, headers=None, ok=()):
    """One request with JSON, past any proxy; statuses of errors that are no failure stand in `ok`."""
    headers = {"Content-Type": "application/json", **(headers or {})}
    data = None if body is None else json.dumps(body).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, data, headers, method=method)) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code not in ok:
            raise
        return {}


def loads(options, results, what, server, data):
    """Prints what each writer of `what` cost, and its server."""
    print(f"\n{options.rows:,} logins, {data.stat().st_size / 1e6:.0f} MB, {server}, {os.cpu_count()} cores shared, median of {options.rounds}\n")
    rows = []
    for name, runs in results.items():
        wall, cpu = median(runs, "wall_s"), median(runs, "cpu_s")
        best = options.rows / min(run["wall_s"] for run in runs)
        rows.append([name, f"{options.rows / wall:,.0f}", f"{best:,.0f}", f"{wall:.2f}", f"{cpu:.2f}", f"{median(runs, 'server_cpu_s'):.2f}", f"{median(runs, 'rss_mb'):.0f}"])
    table(["program", f"{what} / s", "best", "wall s", "CPU s", "server CPU s", "peak MB"], rows)
    save(options.json, results)
