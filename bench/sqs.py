#!/usr/bin/env python3
"""Logins from an SQS queue into PostgreSQL, with the CPU seconds of each program, on one machine.

Beside Cloakroom, in the same run: the loop that teams write first (sqs_naive.py: Python, boto3 and psycopg2, brought into
target/bench with pip), which masks with MD5 and knows no duplicates, and Benthos, the engine of Redpanda Connect, which is
built into target/bench where Go is (minutes, once) unless a binary is given. The queue is ElasticMQ, which is the limit of wall time for all of them; "fake" is a queue in memory that
costs little (sqs_fake.py). ElasticMQ and PostgreSQL are started on 127.0.0.1 and stopped at the end.

    bench/sqs.py --rows 20000 --rounds 3
    bench/sqs.py --benthos /path/to/benthos
"""

import http.client
import json
import os
import shutil
import subprocess
import sys
import time

from common import ROOT, arguments, build, environment, instance, keys, logins, median, python_with, rounds, sample, save, table
from postgres import CREATE

BENTHOS = """http: {{ enabled: false }}
logger: {{ level: ERROR }}
input:
  aws_sqs:
    url: "{queue}"
    endpoint: "{endpoint}"
    region: us-east-1
    credentials: {{ id: test, secret: test }}
    wait_time_seconds: 2
pipeline:
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
    batching: {{ count: 500, period: 200ms }}
"""

BENTHOS_MAIN = """package main

import (
	"context"

	"github.com/redpanda-data/benthos/v4/public/service"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure/extended"
	_ "github.com/redpanda-data/connect/v4/public/components/aws"
	_ "github.com/redpanda-data/connect/v4/public/components/sql/base"
)

func main() { service.RunCLI(context.Background()) }
"""
BENTHOS_MODULE = """module bench

go 1.24

require (
	github.com/redpanda-data/benthos/v4 v4.78.0
	github.com/redpanda-data/connect/v4 v4.105.0
)
"""


def benthos(folder):
    """Benthos with the components of this job, built once; None where Go is missing."""
    module = folder / "benthos"
    binary = module / "bench"
    if not binary.exists() and shutil.which("go"):
        module.mkdir(exist_ok=True)
        (module / "main.go").write_text(BENTHOS_MAIN)
        (module / "go.mod").write_text(BENTHOS_MODULE)
        environ = dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-mod=mod")
        if subprocess.run(["go", "build", "-o", "bench", "."], cwd=module, env=environ).returncode:
            print("Benthos is left out: it does not build", file=sys.stderr)
    return binary if binary.exists() else None


class ElasticMq:
    """A queue that is made anew and filled for each run."""

    def __init__(self, url, data):
        self.connection = http.client.HTTPConnection(url.removeprefix("http://").rstrip("/"))
        self.lines = data.read_text().splitlines()
        self.number = 0

    def call(self, action, **body):
        headers = {"X-Amz-Target": f"AmazonSQS.{action}", "Content-Type": "application/x-amz-json-1.0"}
        self.connection.request("POST", "/", json.dumps(body), headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            sys.exit(f"{action}: {answer.status}")
        return json.loads(text or "{}")

    def filled(self):
        self.number += 1
        url = self.call("CreateQueue", QueueName=f"bench-{self.number}")["QueueUrl"]
        for at in range(0, len(self.lines), 10):
            ten = enumerate(self.lines[at : at + 10])
            self.call("SendMessageBatch", QueueUrl=url, Entries=[{"Id": str(index), "MessageBody": line} for index, line in ten])
        return url

    def left(self, url):
        told = self.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return int(told["ApproximateNumberOfMessages"]) + int(told["ApproximateNumberOfMessagesNotVisible"])


def main():
    options = arguments(__doc__, "--benthos", "a Benthos binary, to run beside", rows=20_000)
    options.benthos = options.benthos or benthos(options.folder)
    cloakroom = build(options.binary)
    environ = environment(options.folder)
    python = python_with(options.folder, "boto3", "psycopg2-binary")
    keys(cloakroom, environ)
    data = sample(cloakroom, "logins", options.rows, options.folder)
    try:
        compare(options, cloakroom, python, environ, data, instance("postgres", "start")["url"], instance("elasticmq", "start")["url"])
    finally:
        instance("postgres", "stop")
        instance("elasticmq", "stop")


def compare(options, cloakroom, python, environ, data, url, server):
    folder, queues = options.folder, ElasticMq(server, data)

    def sql(text):
        done = subprocess.run(["psql", url, "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", text], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def until_complete(command):
        """Wall seconds from the start to the last row, and CPU seconds of the whole program, its waits at the end included."""
        began = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], env=environ, stdout=subprocess.DEVNULL)
        wall = None
        while process.poll() is None and wall is None:
            time.sleep(0.1)
            if int(sql("SELECT count(*) FROM user_logins")) >= options.rows:
                wall = time.perf_counter() - began
        time.sleep(1)  # the last messages are deleted
        if process.poll() is None:
            process.terminate()
        _, status, usage = os.wait4(process.pid, 0) if process.returncode is None else (0, 0, None)
        if wall is None or usage is None:
            sys.exit(f"{command[0]} ended before all rows were there")
        process.returncode = os.waitstatus_to_exitcode(status)
        return {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "rss_mb": usage.ru_maxrss / 1024}

    def contender(command_for, fake=False):
        def run():
            sql(CREATE)
            sql("DROP TABLE IF EXISTS cloakroom_ledger, cloakroom_ledger_ids")
            if not fake:
                queue = queues.filled()
                result = until_complete(command_for(queue))
                if left := queues.left(queue):
                    sys.exit(f"{left} messages are left in the queue")
            else:
                server = subprocess.Popen([sys.executable, ROOT / "bench" / "sqs_fake.py", data], stdout=subprocess.PIPE, text=True)
                try:
                    result = until_complete(command_for(server.stdout.readline().strip()))
                finally:
                    server.kill()
                    server.wait()
            rows = int(sql("SELECT count(*) FROM user_logins"))
            if rows != options.rows:
                sys.exit(f"{rows} rows where {options.rows} were to arrive")
            return result
        return run

    def with_cloakroom(queue):
        policy = folder / "sqs.yaml"
        text = logins("bench_sqs", data, f'{{ postgres: {{ url: "{url}", table: user_logins }} }}')
        policy.write_text(text.replace(f'file: {{ path: "{data}" }}', f'sqs: {{ queue_url: "{queue}", wait_s: 1 }}'))
        return [cloakroom, "run", policy]

    def with_python(queue):
        return [python, ROOT / "bench" / "sqs_naive.py", queue, url]

    def with_benthos(queue):
        config = folder / "benthos-sqs.yaml"
        config.write_text(BENTHOS.format(queue=queue, endpoint="/".join(queue.split("/")[:3]), url=url))
        return [options.benthos, "-c", config]

    contenders = {
        "cloakroom": contender(with_cloakroom),
        "cloakroom, fake queue": contender(with_cloakroom, fake=True),
        "Python loop": contender(with_python),
        "Python loop, fake queue": contender(with_python, fake=True),
    }
    if options.benthos:
        contenders["Benthos"] = contender(with_benthos)
        contenders["Benthos, fake queue"] = contender(with_benthos, fake=True)
    else:
        print("Benthos is left out: no Go, and no --benthos", file=sys.stderr)
    results = rounds(options.rounds, contenders)
    print(f"\n{options.rows:,} logins, queue -> PostgreSQL, {os.cpu_count()} cores shared, median of {options.rounds}\n")
    each = 100_000 / options.rows
    ours = {fake: median(results["cloakroom" + fake], "cpu_s") * each for fake in ("", ", fake queue")}
    lines = []
    for name, runs in results.items():
        wall, cpu = median(runs, "wall_s"), median(runs, "cpu_s") * each
        ratio = cpu / ours[", fake queue" if name.endswith("fake queue") else ""]
        lines.append([name, f"{options.rows / wall:,.0f}", f"{cpu:.1f}", f"{ratio:.1f}", f"{median(runs, 'rss_mb'):.0f}"])
    table(["program", "messages / s", "CPU s per 100,000", "times ours", "peak MB"], lines)
    save(options.json, results)


if __name__ == "__main__":
    main()
