#!/usr/bin/env python3
"""One million generated logins: file -> policy -> PostgreSQL, exactly once, on one machine.

Beside it, in the same run and into a table of the same shape: `psql \\copy` of rows that were masked
before (CSV and binary: the limit that PostgreSQL sets), and multi-row INSERT by psql. A PostgreSQL of its
own is started on 127.0.0.1 with default settings and stopped at the end; its CPU seconds are told too.

    bench/postgres.py --rows 1000000 --rounds 5
    bench/postgres.py --benthos /path/to/benthos       # the engine of Redpanda Connect, as a rival
"""

import itertools
import subprocess
import sys
import time

from common import arguments, build, environment, instance, keys, loads, logins, masked, measured, rounds, sample, server_cpu

COLUMNS = "user_id, device_type, masked_ip, masked_device_id, locale, app_version, create_date"
CREATE = """DROP TABLE IF EXISTS user_logins;
CREATE TABLE user_logins (user_id varchar(128), device_type varchar(32), masked_ip varchar(256),
    masked_device_id varchar(256), locale varchar(32), app_version varchar(10), create_date date)"""

BENTHOS = """http: {{ enabled: false }}
logger: {{ level: ERROR }}
input: {{ file: {{ paths: ["{data}"], scanner: {{ lines: {{}} }} }} }}
pipeline:
  threads: 2
  processors:
    - mapping: |
        root.user_id = this.user_id
        root.device_type = this.device_type
        root.masked_ip = this.ip.hash("hmac_sha256", "0123456789abcdef").encode("base64url")
        root.masked_device_id = this.device_id.hash("hmac_sha256", "0123456789abcdef").encode("base64url")
        root.locale = this.locale
        root.app_version = this.app_version
        root.create_date = now().ts_strftime("%Y-%m-%d")
output:
  sql_insert:
    driver: pgx
    dsn: "{url}?sslmode=disable"
    table: user_logins
    columns: [user_id, device_type, masked_ip, masked_device_id, locale, app_version, create_date]
    args_mapping: 'root = [this.user_id, this.device_type, this.masked_ip, this.masked_device_id, this.locale, this.app_version, this.create_date]'
    max_in_flight: 4
    batching: {{ count: 1000, period: 1s }}
"""


def main():
    options = arguments(__doc__, "--benthos", "a Benthos binary, to run beside")
    cloakroom = build(options.binary)
    environ = environment(options.folder)
    keys(cloakroom, environ)
    data = sample(cloakroom, "logins", options.rows, options.folder)
    server = instance("postgres", "start")
    try:
        compare(options, cloakroom, environ, data, server)
    finally:
        instance("postgres", "stop")


def compare(options, cloakroom, environ, data, server):
    url, folder = server["url"], options.folder

    def sql(text):
        done = subprocess.run(["psql", url, "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", text], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    # Rows masked before, for the limits: CSV by the pipeline itself, binary and INSERT by PostgreSQL from it.
    csv, binary, inserts = masked(cloakroom, environ, data, folder, "csv"), folder / "masked.bin", folder / "masked.sql"
    sql(CREATE)
    sql(f"\\copy user_logins ({COLUMNS}) FROM '{csv}' (FORMAT csv, HEADER)")
    sql(f"\\copy user_logins TO '{binary}' (FORMAT binary)")
    with open(csv) as rows, open(inserts, "w") as out:
        next(rows)
        # Quoted as SQL wants it; the generated values hold no quotes and no commas. Not all at once: a
        # program's peak memory is counted from its start, when it is still this one's copy.
        lines = (",".join(f"'{cell}'" if cell else "NULL" for cell in row.rstrip("\n").split(",")) for row in rows)
        while values := "),(".join(itertools.islice(lines, 1000)):
            out.write(f"INSERT INTO user_logins ({COLUMNS}) VALUES ({values});\n")
    policy = folder / "postgres.yaml"
    policy.write_text(logins("bench", data, f'{{ postgres: {{ url: "{url}", table: user_logins }} }}'))
    benthos = folder / "benthos.yaml"
    benthos.write_text(BENTHOS.format(data=data, url=url))

    def contender(command, forget=False):
        def run():
            sql(CREATE)
            if forget:
                sql("DROP TABLE IF EXISTS cloakroom_ledger, cloakroom_ledger_ids")
            sql("CHECKPOINT")
            before = server_cpu(server["pid"])
            result = measured(command, env=environ, stdout=subprocess.DEVNULL)
            time.sleep(0.3)  # until the server has counted the CPU seconds of the process that ended
            result["server_cpu_s"] = server_cpu(server["pid"]) - before
            count = int(sql("SELECT count(*) FROM user_logins"))
            if count != options.rows:
                sys.exit(f"{command[0]}: {count} rows where {options.rows} were to arrive")
            return result
        return run

    psql = ["psql", url, "-qX", "-v", "ON_ERROR_STOP=1"]
    contenders = {
        "cloakroom: file, policy, exactly once": contender([cloakroom, "run", policy], forget=True),
        "psql \\copy binary, masked before": contender(psql + ["-c", f"\\copy user_logins FROM '{binary}' (FORMAT binary)"]),
        "psql \\copy CSV, masked before": contender(psql + ["-c", f"\\copy user_logins ({COLUMNS}) FROM '{csv}' (FORMAT csv, HEADER)"]),
        "psql INSERT of 1,000 rows, masked before": contender(psql + ["-f", inserts]),
    }
    if options.benthos:
        contenders["benthos: file, mapping, at least once"] = contender([options.benthos, "-c", benthos])
    results = rounds(options.rounds, contenders)
    version = sql("SHOW server_version")
    loads(options, results, "rows", f"PostgreSQL {version}", data)


if __name__ == "__main__":
    main()
