#!/usr/bin/env python3
"""Documents of the format `eax-scrypt`, whole ones, on one core: `cloakroom` beside a plain loop in Python.

Prints documents per CPU second, written and read. The loop is crates/cloakroom-cli/tests/eax_scrypt/twin.py with
pycryptodome and scrypt (PyPI; `scripts/test-servers.sh start python` brings them). No bcrypt on either side:

    bench/eax_scrypt.py --rows 2000 --rounds 5
    bench/eax_scrypt.py --packages /path/to/site-packages    # pycryptodome and scrypt from elsewhere

Fails when the two do not read each other's documents. All contenders run in turn on the same core.
"""

import json
import sys

from common import ROOT, arguments, build, environment, keys, measured, median, rounds, save, table

TWIN = ROOT / "crates" / "cloakroom-cli" / "tests" / "eax_scrypt" / "twin.py"
MASTER = "a master key for measuring"

POLICY = """name: documents
fields: { username: {}, cc: {}, ccv: {}, cuenta_numero: {} }
envelope:
  eax_scrypt:
    user: username
    master_key: "${CLOAKROOM_MASTER_KEY}"
    fields: { cc: cc, ccv: ccv, cuenta_numero: cuenta }
"""


def plain(number):
    """About the size of a real user: half a kilobyte."""
    return {
        "id": number, "username": f"user.{number}", "code_zip": "22139", "cc": f"4242-4242-4242-{number % 10000:04}",
        "ccv": f"{number % 1000:03}", "cuenta_numero": f"{number:08}", "direccion": "Amelia Forks 17, 3º",
        "geo_latitud": "-40.0728", "geo_longitud": "-39.5073", "color_favorito": "añil", "ip": "192.0.2.10",
        "auto": "Citroën", "auto_modelo": "2CV", "fec_alta": "2024-02-29 23:59:59", "compras": number,
    }


def main():
    options = arguments(__doc__, "--packages", "folder with pycryptodome and scrypt")
    if options.rows == 1_000_000:
        options.rows = 1_000
    cloakroom = build(options.binary)
    packages = options.packages or ROOT / "target" / "test-servers" / "python" / "packages"
    environ = dict(environment(options.folder), CLOAKROOM_MASTER_KEY=MASTER, PYTHONPATH=str(packages), PYTHONIOENCODING="utf-8")
    keys(cloakroom, environ)
    folder = options.folder
    policy, data = folder / "eax_scrypt.yaml", folder / f"eax_scrypt-{options.rows}.jsonl"
    policy.write_text(POLICY)
    records = [plain(number) for number in range(options.rows)]
    data.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    log = open(folder / "eax_scrypt.log", "w")

    def run(command, source, target):
        with open(source) as given, open(folder / target, "w") as out:
            return measured(command, cores=1, env=environ, stdin=given, stdout=out, stderr=log)

    twin = [sys.executable, TWIN]
    reveal = [cloakroom, "reveal", "--jsonl", "-", "--format", "eax-scrypt", "--reason", "bench"]
    contenders = {
        "write, cloakroom protect": lambda: run([cloakroom, "protect", "--policy", policy], data, "ours.jsonl"),
        "write, Python": lambda: run(twin + ["write"], data, "theirs.jsonl"),
        # Each reads what the other has written.
        "read, cloakroom reveal": lambda: run(reveal, folder / "theirs.jsonl", "read-ours.jsonl"),
        "read, Python": lambda: run(twin + ["read"], folder / "ours.jsonl", "read-theirs.jsonl"),
    }
    results = rounds(options.rounds, contenders)
    print(f"\n{options.rows:,} documents, one core, median of {options.rounds}\n")
    rate = {name: options.rows / median(runs, "cpu_s") for name, runs in results.items()}
    rows = []
    for name, runs in results.items():
        spread = f"{min(run['cpu_s'] for run in runs):.2f}-{max(run['cpu_s'] for run in runs):.2f}"
        ratio = f"{rate[name] / rate[name.split(',')[0] + ', Python']:.1f}"
        rows.append([name, f"{median(runs, 'cpu_s'):.2f}", spread, f"{rate[name]:,.0f}", ratio, f"{median(runs, 'rss_mb'):.0f}"])
    table(["program", "CPU s", "spread", "documents / CPU s", "times Python", "peak MB"], rows)
    save(options.json, results)
    wrong = [name for name in ("read-ours.jsonl", "read-theirs.jsonl") if [json.loads(line) for line in open(folder / name)] != records]
    print(f"\nnot read as they were written: {', '.join(wrong) or 'none'}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
