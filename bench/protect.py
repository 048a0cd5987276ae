#!/usr/bin/env python3
"""`cloakroom protect` on generated customers of about 320 bytes, five protections, one core.

Prints rows per CPU second and peak memory beside `cp` of the same bytes (what reading and writing alone
costs), and beside VRL, the language of Vector, when its command line is given:

    bench/protect.py --rows 1000000 --rounds 5
    bench/protect.py --vrl /path/to/vrl            # cargo install vrl --locked

Fails when a raw value is found in the output. All contenders run in turn on the same core.
"""

import json
import sys

from common import arguments, build, environment, keys, measured, median, rounds, sample, save, table

POLICY = """name: customers
fields:
  email: { protect: hmac }
  name:  { protect: { mask: { first: 1 } } }
  card:  { protect: { mask: last4 } }
  note:  { protect: redact }
  ssn:   { protect: encrypt }
"""

# The same protections in VRL: HMAC, mask, last four, a placeholder, AES-256-GCM is not in VRL: AES-256-CTR.
VRL = r"""
.email = encode_base16(hmac(string!(.email), "0123456789abcdef0123456789abcdef", algorithm: "SHA-256"))
.name = (slice!(.name, 0, 1) + "***") ?? "***"
.card = ("***************" + slice!(.card, -4)) ?? "***"
.note = "[REDACTED]"
.ssn = encode_base64(encrypt!(.ssn, "AES-256-CTR-BE", "0123456789abcdef0123456789abcdef", random_bytes(16)))
"""


def leaks(raw, protected):
    """Raw e-mail addresses and social security numbers that are still in the output."""
    found = 0
    with open(raw) as before, open(protected) as after:
        for old, new in zip(before, after):
            record = json.loads(old)
            found += record["email"] in new or record["ssn"] in new or record["note"] in new
    return found


def main():
    options = arguments(__doc__, "--vrl", "the command line of VRL, to run beside")
    cloakroom = build(options.binary)
    environ = environment(options.folder)
    keys(cloakroom, environ)
    data = sample(cloakroom, "customers", options.rows, options.folder)
    policy = options.folder / "protect.yaml"
    policy.write_text(POLICY)
    out = options.folder / "protected.jsonl"
    quiet = {"env": environ, "stderr": open(options.folder / "protect.log", "w")}
    contenders = {
        "cloakroom protect": lambda: measured([cloakroom, "protect", "--policy", policy, data, out], cores=1, **quiet),
        "cp (reading and writing alone)": lambda: measured(["cp", data, options.folder / "copy.jsonl"], cores=1),
    }
    if options.vrl:
        program = options.folder / "protect.vrl"
        program.write_text(VRL)
        command = [options.vrl, "--input", data, "--program", program, "--print-object"]
        def vrl():
            with open(options.folder / "vrl.jsonl", "w") as target:
                return measured(command, cores=1, stdout=target)
        contenders["vrl"] = vrl
    results = rounds(options.rounds, contenders)
    print(f"\n{options.rows:,} rows, {data.stat().st_size / 1e6:.0f} MB, one core, median of {options.rounds}\n")
    rows = []
    for name, runs in results.items():
        cpu = median(runs, "cpu_s")
        spread = f"{min(run['cpu_s'] for run in runs):.2f}-{max(run['cpu_s'] for run in runs):.2f}"
        rows.append([name, f"{cpu:.2f}", spread, f"{options.rows / cpu:,.0f}", f"{data.stat().st_size / 1e6 / cpu:.0f}", f"{median(runs, 'rss_mb'):.0f}"])
    table(["program", "CPU s", "spread", "rows / CPU s", "MB / CPU s", "peak MB"], rows)
    found = leaks(data, out)
    print(f"\nraw values still in the output: {found}")
    save(options.json, results)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
