#!/usr/bin/env python3
"""Generated logins: file -> policy -> OpenSearch, each document once, on one machine.

Beside it, in the same run and into an index of the same mapping: `helpers.bulk` of opensearch-py with rows that were masked
before, and its `helpers.parallel_bulk` with four threads. The server is a node of OpenSearch on 127.0.0.1, of the tests; its
CPU seconds are told too. It sets the limit: what is compared is what a writer costs beside it.

    bench/search.py --rows 200000 --rounds 5
"""

import subprocess
import sys

from common import arguments, ask, build, environment, instance, keys, loads, logins, masked, measured, python_with, rounds, sample, server_cpu

RIVAL = """
import collections, json, sys
import opensearchpy
from opensearchpy import helpers
url, path, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = opensearchpy.OpenSearch(url, maxsize=threads)
rows = (json.loads(line) for line in open(path))
actions = ({"_index": "bench", "_id": row["id"], "_source": row} for row in rows)
if threads == 1:
    helpers.bulk(client, actions)
else:
    collections.deque(helpers.parallel_bulk(client, actions, thread_count=threads), maxlen=0)
"""


def main():
    options = arguments(__doc__, rows=200_000)
    cloakroom, python = build(options.binary), python_with(options.folder, "opensearch-py")
    environ = environment(options.folder)
    keys(cloakroom, environ)
    data = sample(cloakroom, "logins", options.rows, options.folder)
    server = instance("opensearch", "start")
    try:
        compare(options, cloakroom, python, environ, data, server["url"], server["pid"])
    finally:
        instance("opensearch", "stop")


def compare(options, cloakroom, python, environ, data, url, pid):
    folder = options.folder
    rows, rival = masked(cloakroom, environ, data, folder, with_id=True), folder / "rival.py"
    rival.write_text(RIVAL)
    files = {}
    for concurrency in (1, 4):
        files[concurrency] = folder / f"search-{concurrency}.yaml"
        sink = f'{{ elasticsearch: {{ url: "{url}", index: bench, id: id, shards: 1, replicas: 0, concurrency: {concurrency} }} }}'
        files[concurrency].write_text(logins("bench", data, sink, with_id=True))

    def forget():
        for index in ("bench", "cloakroom_ledger"):
            ask("DELETE", f"{url}/{index}", ok=[404])

    # The index as our sink makes it, for all; the server is warm by then.
    subprocess.run([cloakroom, "run", files[4]], env=environ, check=True, stdout=subprocess.DEVNULL)
    mappings = ask("GET", f"{url}/bench/_mapping")["bench"]["mappings"]
    version = ask("GET", url)["version"]["number"]

    def contender(command):
        def run():
            forget()
            settings = {"number_of_shards": 1, "number_of_replicas": 0}
            ask("PUT", f"{url}/bench", {"settings": settings, "mappings": mappings})
            before = server_cpu(pid)
            result = measured(command, env=environ, stdout=subprocess.DEVNULL)
            result["server_cpu_s"] = server_cpu(pid) - before
            ask("POST", f"{url}/bench/_refresh")
            if (there := ask("GET", f"{url}/bench/_count")["count"]) != options.rows:
                sys.exit(f"{command[0]}: {there} documents where {options.rows} were to arrive")
            return result
        return run

    results = rounds(options.rounds, {
        "cloakroom: file, policy, 4 requests at once": contender([cloakroom, "run", files[4]]),
        "cloakroom: file, policy, 1 request at once": contender([cloakroom, "run", files[1]]),
        "opensearch-py bulk, masked before": contender([python, rival, url, rows, "1"]),
        "opensearch-py parallel_bulk, masked before, 4 threads": contender([python, rival, url, rows, "4"]),
    })
    loads(options, results, "documents", f"OpenSearch {version}", data)


if __name__ == "__main__":
    main()
