#!/usr/bin/env python3
"""Generated logins: file -> policy -> DynamoDB, each item once, on one machine.

Beside it, in the same run and into a table of the same shape: boto3's batch writer with rows that were masked before, on
one thread as its documentation has it, and on four. The server is DynamoDB Local (in memory) on 127.0.0.1, of the tests;
its CPU seconds are told too. It sets the limit: what is compared is what a writer costs beside it.

    bench/dynamodb.py --rows 20000 --rounds 3
"""

import subprocess
import sys

from common import arguments, ask, build, environment, instance, keys, loads, logins, masked, measured, python_with, rounds, sample, server_cpu

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


def main():
    options = arguments(__doc__, rows=20_000)
    cloakroom, python = build(options.binary), python_with(options.folder, "boto3")
    environ = environment(options.folder)
    keys(cloakroom, environ)
    data = sample(cloakroom, "logins", options.rows, options.folder)
    # The one named main is in memory.
    server = instance("dynamodb", "start", "main")
    try:
        compare(options, cloakroom, python, environ, data, server["url"], server["pid"])
    finally:
        instance("dynamodb", "stop", "main")


def compare(options, cloakroom, python, environ, data, url, pid):
    folder = options.folder

    def call(action, body):
        scope = "Credential=test/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
        headers = {"X-Amz-Target": f"DynamoDB_20120810.{action}", "Content-Type": "application/x-amz-json-1.0",
                   "Authorization": f"AWS4-HMAC-SHA256 {scope}"}
        return ask("POST", url, body, headers)

    def tables():
        return call("ListTables", {})["TableNames"]

    def count():
        total, start = 0, {}
        while True:
            page = call("Scan", {"TableName": "bench", "Select": "COUNT", **start})
            total += page["Count"]
            if "LastEvaluatedKey" not in page:
                return total
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    rows, rival = masked(cloakroom, environ, data, folder, with_id=True), folder / "rival.py"
    rival.write_text(RIVAL)
    files = {}
    for concurrency in (1, 4):
        files[concurrency] = folder / f"dynamodb-{concurrency}.yaml"
        sink = f'{{ dynamodb: {{ table: bench, key: id, endpoint: "{url}", concurrency: {concurrency}, ledger_table: bench_ledger }} }}'
        files[concurrency].write_text(logins("bench", data, sink, with_id=True))

    def contender(command):
        def run():
            for name in {"bench", "bench_ledger"} & set(tables()):
                call("DeleteTable", {"TableName": name})
            call("CreateTable", {"TableName": "bench", "BillingMode": "PAY_PER_REQUEST",
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
        "boto3 batch_writer, masked before": contender([python, rival, url, rows, "1"]),
        "boto3 batch_writer, masked before, 4 threads": contender([python, rival, url, rows, "4"]),
    })
    loads(options, results, "items", "DynamoDB Local", data)


if __name__ == "__main__":
    main()
