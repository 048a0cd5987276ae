#!/usr/bin/env python3
"""Generated logins: file -> policy -> DynamoDB, each item once, on one machine.

Beside it, in the same run and into a table of the same shape: boto3's batch writer with rows that were masked before, on
one thread as its documentation has it, and on four. The server is DynamoDB Local (in memory) on 127.0.0.1, of the tests;
its CPU seconds are told too. It sets the limit: what is compared is what a writer costs beside it.

    bench/dynamodb.py --rows 20000 --rounds 3
"""

import json
import os
import subprocess
import sys
import urllib.request
import venv

from common import ROOT, arguments, build, environment, keys, measured, median, rounds, sample, save, table
from postgres import server_cpu

POLICY = """name: bench
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
  id:          {{ set: uuid }}
sink: {sink}
"""

RIVAL = """
import concurrent.futures, json, sys
import boto3, botocore.config
url, path, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
rows = [json.loads(line) for line in open(path)]
def write(part):
    service = boto3.Session().resource("dynamodb", endpoint_url=url, region_name="us-east-1", aws_access_key_id="test",
                                       aws_secret_access_key="test", config=botocore.config.Config(proxies={}))
    with service.Table("bench").batch_writer() as batch:
        for row in part:
            batch.put_item(Item=row)
with concurrent.futures.ThreadPoolExecutor(threads) as pool:
    list(pool.map(write, [rows[at::threads] for at in range(threads)]))
"""


def server(action):
    script = ROOT / "scripts" / "test-servers.sh"
    done = subprocess.run([script, action, "dynamodb"], stdout=subprocess.PIPE, check=True, text=True)
    return done.stdout


def rival_python():
    folder = ROOT / "target" / "bench" / "boto3"
    if not (folder / "bin" / "python").exists():
        venv.create(folder, with_pip=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", "boto3"], check=True)
    return folder / "bin" / "python"


def main():
    options = arguments(__doc__)
    cloakroom, python = build(), rival_python()
    environ = environment(options.folder)
    keys(cloakroom, environ)
    data = sample(cloakroom, "logins", options.rows, options.folder)
    server("start")
    try:
        lines = (ROOT / "target" / "test-servers" / "env").read_text().splitlines()
        url = next(line.partition("=")[2] for line in lines if "DYNAMODB" in line)
        pid = (ROOT / "target/test-servers/run/dynamodb/main/pid").read_text().split()[0]
        compare(options, cloakroom, python, environ, data, url, pid)
    finally:
        server("stop")


def compare(options, cloakroom, python, environ, data, url, pid):
    folder = options.folder
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(action, body):
        scope = "Credential=test/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
        headers = {"X-Amz-Target": f"DynamoDB_20120810.{action}", "Content-Type": "application/x-amz-json-1.0",
                   "Authorization": f"AWS4-HMAC-SHA256 {scope}"}
        with opener.open(urllib.request.Request(url, json.dumps(body).encode(), headers)) as answer:
            return json.load(answer)

    def tables():
        return ask("ListTables", {})["TableNames"]

    def count():
        total, start = 0, {}
        while True:
            page = ask("Scan", {"TableName": "bench", "Select": "COUNT", **start})
            total += page["Count"]
            if "LastEvaluatedKey" not in page:
                return total
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    masked, policy, rival = folder / "masked.jsonl", folder / "masked.yaml", folder / "rival.py"
    policy.write_text(POLICY.format(data=data, sink=f'{{ file: {{ path: "{masked}", replace: true }} }}'))
    subprocess.run([cloakroom, "run", policy], env=environ, check=True, stdout=subprocess.DEVNULL)
    rival.write_text(RIVAL)
    files = {}
    for concurrency in (1, 4):
        files[concurrency] = folder / f"dynamodb-{concurrency}.yaml"
        sink = f'{{ dynamodb: {{ table: bench, key: id, endpoint: "{url}", concurrency: {concurrency}, ledger_table: bench_ledger }} }}'
        files[concurrency].write_text(POLICY.format(data=data, sink=sink))

    def contender(command):
        def run():
            for name in {"bench", "bench_ledger"} & set(tables()):
                ask("DeleteTable", {"TableName": name})
            ask("CreateTable", {"TableName": "bench", "BillingMode": "PAY_PER_REQUEST",
                                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]})
            before = server_cpu(pid)
            result = measured(command, env=environ, stdout=subprocess.DEVNULL)
            result["server_cpu_s"] = server_cpu(pid) - before
            if (there := count()) != options.rows:
                sys.exit(f"{command[0]}: {there} items where {options.rows} were to arrive")
            return result
        return run

    results = rounds(options.rounds, {
        "cloakroom: file, policy, 4 requests at once": contender([cloakroom, "run", files[4]]),
        "cloakroom: file, policy, 1 request at once": contender([cloakroom, "run", files[1]]),
        "boto3 batch_writer, masked before": contender([python, rival, url, masked, "1"]),
        "boto3 batch_writer, masked before, 4 threads": contender([python, rival, url, masked, "4"]),
    })
    print(f"\n{options.rows:,} logins, {data.stat().st_size / 1e6:.0f} MB, DynamoDB Local, {os.cpu_count()} cores shared, median of {options.rounds}\n")
    rows = []
    for name, runs in results.items():
        wall, cpu = median(runs, "wall_s"), median(runs, "cpu_s")
        best = options.rows / min(run["wall_s"] for run in runs)
        rows.append([name, f"{options.rows / wall:,.0f}", f"{best:,.0f}", f"{wall:.2f}", f"{cpu:.2f}", f"{median(runs, 'server_cpu_s'):.2f}", f"{median(runs, 'rss_mb'):.0f}"])
    table(["program", "items / s", "best", "wall s", "CPU s", "server CPU s", "peak MB"], rows)
    save(options.json, results)


if __name__ == "__main__":
    main()
