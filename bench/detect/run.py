#!/usr/bin/env python3
"""Measures detection: speed beside other engines, accuracy beside other products, on a corpus with known truth.

    bench/detect/run.py             everything, 64 MB
    bench/detect/run.py --quick     everything, 8 MB and few rounds
    bench/detect/run.py corpus      only the corpus; also `accuracy`, `speed`
    bench/detect/run.py --install   first fetches the rivals into target/bench/detect/rivals

README.md says what is measured and how to read it.
"""

import argparse
import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent))
sys.dont_write_bytecode = True  # no __pycache__ beside the sources

from common import measured, save, table  # noqa: E402

CARGO_TARGET = ROOT / "target" / "bench" / "cargo"
# From which confidence a finding counts: Cloakroom's default. Presidio gets 0.4, since without a model many of its scores stay below 0.5.
THRESHOLD = 0.5
# Right as well: a name that says less or says the same.
ALSO_RIGHT = {
    "TR_PHONE_NUMBER": {"PHONE_NUMBER"},
    "PH_MOBILE_NUMBER": {"PHONE_NUMBER"},
    "DATE_OF_BIRTH": {"DATE_TIME"},
    "EE_ISIKUKOOD": {"LT_ASMENS_KODAS"},
    "LT_ASMENS_KODAS": {"EE_ISIKUKOOD"},
}
# Opt-in in Cloakroom, so not held against Presidio either.
NOT_COUNTED = {"URL", "DATE_TIME"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=["all", "corpus", "accuracy", "speed"], default="all")
    parser.add_argument("--quick", action="store_true", help="8 MB, few rounds")
    parser.add_argument("--megabytes", type=int, help="size of the corpus")
    parser.add_argument("--seed", type=int, help="another corpus of the same kind")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="CPU seconds of one run of one engine")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "target" / "bench" / "detect")
    parser.add_argument("--install", action="store_true", help="fetch Presidio, gitleaks and Vectorscan first")
    parser.add_argument("--json", help="where to write the figures")
    options = parser.parse_args()
    options.megabytes = options.megabytes or (8 if options.quick else 64)
    options.rounds = options.rounds or (2 if options.quick else 7)
    options.seconds = options.seconds or (0.3 if options.quick else 1.5)
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.install:
        install(options.folder / "rivals")
    program = build()
    corpus(program, options)
    results = {}
    if options.part in ("all", "accuracy"):
        results["accuracy"] = accuracy(program, options)
    if options.part in ("all", "speed"):
        results["speed"] = speed(program, options)
    save(options.json, results)


def build():
    environ = dict(os.environ, CARGO_TARGET_DIR=str(CARGO_TARGET))
    subprocess.run(["cargo", "build", "--release"], cwd=HERE, env=environ, check=True)
    return CARGO_TARGET / "release" / "bench-detect"


def corpus(program, options):
    """Makes the corpus anew when its size, its seed or the generator changed."""
    sources = [HERE / "src" / "rng.rs", *sorted((HERE / "src" / "make").glob("*")), *sorted((HERE / "src" / "corpus").glob("*"))]
    made_of = [options.megabytes, options.seed, [source.stat().st_mtime_ns for source in sources]]
    stamp = options.folder / "corpus.stamp"
    if not (stamp.exists() and json.loads(stamp.read_text()) == made_of):
        command = [program, "corpus", options.folder, options.megabytes] + ([options.seed] if options.seed else [])
        subprocess.run([str(part) for part in command], check=True)
        stamp.write_text(json.dumps(made_of))


# Rivals


def install(rivals):
    """Fetches the rivals through their ordinary clients; what cannot be fetched is left out of the tables."""
    rivals.mkdir(parents=True, exist_ok=True)

    def attempt(name, *commands):
        for command, environ in commands:
            try:
                subprocess.run(command, cwd=rivals, env=dict(os.environ, **environ), check=True, stdout=subprocess.DEVNULL)
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
                return

    if not (rivals / "presidio").exists():
        attempt(
            "Presidio",
            ([sys.executable, "-m", "venv", "presidio"], {}),
            (["presidio/bin/pip", "install", "-q", "presidio-analyzer"], {}),
        )
    if not (rivals / "bin" / "gitleaks").exists():
        attempt("gitleaks", (["go", "install", "github.com/zricethezav/gitleaks/v8@latest"], {"GOBIN": str(rivals / "bin")}))
    if not vectorscan(rivals):
        attempt("Vectorscan", (["apt-get", "download", "libvectorscan5"], {}))
        for package in rivals.glob("libvectorscan5_*.deb"):
            attempt("Vectorscan", (["dpkg", "-x", package.name, "vectorscan"], {}))


def vectorscan(rivals):
    """Its library, without installing anything on the machine."""
    return next(iter(sorted(rivals.glob("vectorscan/usr/lib/*/libhs.so.5"))), None)


# Accuracy


def accuracy(program, options):
    folder, rivals = options.folder, options.folder / "rivals"
    truth = {}
    for row in json_lines(folder / "truth.jsonl"):
        truth[row["line"]] = row
    with open(folder / "corpus.txt", encoding="utf-8") as file:
        lines = file.read().split("\n")[:-1]
    subprocess.run([str(program), "find", str(folder)], check=True)
    scores = {"cloakroom": Score(truth, json_lines(folder / "findings-cloakroom.jsonl"), range(1, len(lines) + 1))}
    if (rivals / "presidio" / "bin" / "python").exists():
        scores["Presidio"] = presidio(rivals, truth, lines, options)
    else:
        print("Presidio is not here (--install): left out")
    if (rivals / "bin" / "gitleaks").exists():
        scores["gitleaks"] = gitleaks(rivals, truth, lines)
    else:
        print("gitleaks is not here (--install): left out")
    # What Cloakroom finds on the lines that each rival was given.
    findings = list(json_lines(folder / "findings-cloakroom.jsonl"))
    beside = {name: Score(truth, findings, score.given, by_span=score.by_span) for name, score in scores.items()}
    print_accuracy(scores, beside)
    write_details(folder, scores["cloakroom"], lines)
    return {name: score.figures() for name, score in scores.items()}


class Score:
    """What a product found, held against the truth, on the lines that it was given."""

    def __init__(self, truth, findings, given, entities=None, by_span=False, note=""):
        self.entities, self.note, self.given, self.by_span = entities, note, given, by_span
        self.recall = collections.defaultdict(lambda: {True: [0, 0], False: [0, 0]})  # entity -> context -> found, planted
        self.at_span = 0  # at the right place, whatever they are called
        self.alarms = collections.defaultdict(lambda: [0, 0])  # kind of hard negative -> reported, lines
        self.misses, self.false, self.plain_lines, self.plain_findings = [], [], 0, 0
        by_line = collections.defaultdict(list)
        for found in findings:
            by_line[found["line"]].append(found)
        for number in given:
            found, mark = by_line.get(number, []), truth.get(number)
            counted = [one for one in found if one["score"] >= THRESHOLD or entities is not None]
            if mark is None:
                self.plain_lines += 1
                plain = [one for one in counted if one["entity"] not in NOT_COUNTED]
                self.plain_findings += len(plain)
                self.false += [("plain", one) for one in plain]
                continue
            near = [one for one in counted if one["start"] < mark["end"] and mark["start"] < one["end"]]
            self.false += [("beside", one) for one in counted if one not in near and one["entity"] not in NOT_COUNTED]
            if mark["kind"] == "negative":
                near = [one for one in near if one["entity"] not in NOT_COUNTED]
                self.alarms[mark["name"]][0] += bool(near)
                self.alarms[mark["name"]][1] += 1
                self.false += [(mark["name"], one) for one in near]
                continue
            spans = [[mark["start"], mark["end"]], *mark["also"]]
            exact = [one for one in near if [one["start"], one["end"]] in spans]
            names = {mark["name"], *ALSO_RIGHT.get(mark["name"], ())}
            right = exact if by_span else [one for one in exact if one["entity"] in names]
            self.at_span += bool(exact)
            cell = self.recall[mark["name"]][mark["context"]]
            cell[0] += bool(right)
            cell[1] += 1
            if not right:
                self.misses.append((mark, near))

    def supports(self, entity):
        return self.entities is None or bool({entity, *ALSO_RIGHT.get(entity, ())} & self.entities)

    def cell(self, entity, context=None):
        if not self.supports(entity):
            return "-"
        found, planted = self.sum([entity], context)
        return f"{found}/{planted}" if planted else ""

    def sum(self, entities, context=None):
        cells = [self.recall[entity][which] for entity in entities for which in (True, False) if context in (None, which)]
        return sum(cell[0] for cell in cells), sum(cell[1] for cell in cells)

    def figures(self):
        return {
            "recall": {entity: {"with_context": cells[True], "without": cells[False]} for entity, cells in self.recall.items()},
            "false_alarms": dict(self.alarms),
            "plain_lines": self.plain_lines,
            "plain_findings": self.plain_findings,
            "note": self.note,
        }


def presidio(rivals, truth, lines, options):
    """A sample of lines: it does about 0.03 MB in a second."""
    marked = 500 if options.quick else 4000
    given = sorted(list(truth)[:marked] + [number for number in range(1, 2 * marked) if number not in truth][: marked // 2])
    sample, found, stats = (rivals / name for name in ("presidio-lines.jsonl", "presidio-findings.jsonl", "presidio-stats.json"))
    with open(sample, "w", encoding="utf-8") as out:
        for number in given:
            out.write(json.dumps({"line": number, "text": lines[number - 1]}) + "\n")
    subprocess.run([str(part) for part in (rivals / "presidio/bin/python", HERE / "presidio.py", sample, found, stats)], check=True)
    stats = json.loads(stats.read_text())
    rate = stats["bytes"] / 1e6 / stats["cpu_s"]
    note = f"{stats['recognisers']} pattern recognisers, {len(given)} lines, score >= 0.4, {rate:.3f} MB/s"
    return Score(truth, json_lines(found), given, set(stats["entities"]), note=note)


# Secrets that gitleaks has rules for, by formats where an entity has many.
GITLEAKS_LACKS = {"AZURE_KEY", "BASIC_AUTH_URL", "BASIC_AUTH", "PASSWORD", "AWS_SECRET_KEY"}
SECRETS = {
    "AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AZURE_KEY", "GOOGLE_API_KEY", "GITHUB_TOKEN", "GITLAB_TOKEN", "SLACK_TOKEN", "SLACK_WEBHOOK",
    "DISCORD_TOKEN", "TELEGRAM_TOKEN", "STRIPE_KEY", "SQUARE_TOKEN", "SHOPIFY_TOKEN", "TWILIO_KEY", "SENDGRID_KEY", "MAILCHIMP_KEY",
    "OPENAI_KEY", "ANTHROPIC_KEY", "HUGGINGFACE_TOKEN", "NPM_TOKEN", "PYPI_TOKEN", "DIGITALOCEAN_TOKEN", "DATABRICKS_TOKEN", "HEROKU_KEY",
    "JWT", "PRIVATE_KEY", "BASIC_AUTH", "BASIC_AUTH_URL", "PASSWORD", "GENERIC_SECRET", "VENDOR_TOKEN",
}


def gitleaks(rivals, truth, lines):
    """It reports the secret and its line; its rules have names of their own, so only places are compared."""
    given = lines[: 50_000]
    sample, report = rivals / "gitleaks" / "lines.txt", rivals / "gitleaks.json"
    shutil.rmtree(sample.parent, ignore_errors=True)
    sample.parent.mkdir()
    sample.write_text("\n".join(given) + "\n", encoding="utf-8")
    command = [rivals / "bin" / "gitleaks", "dir", sample.parent, "--no-banner", "--log-level", "error", "--exit-code", "0",
               "--report-format", "json", "--report-path", report]
    cost = measured(command)
    findings = []
    for row in json.loads(report.read_text()):
        secret, number = row["Secret"].split("\n")[0], row["StartLine"]
        if not 1 <= number <= len(given):
            continue
        line = given[number - 1]
        # Columns count differently from version to version; the nearest place of the secret is meant.
        places = [at for at in range(len(line)) if line.startswith(secret, at)]
        if places:
            at = min(places, key=lambda at: abs(at - row["StartColumn"]))
            start = len(line[:at].encode())
            findings.append({"line": number, "start": start, "end": start + len(secret.encode()), "entity": row["RuleID"], "score": 1.0})
    rate = sample.stat().st_size / 1e6 / cost["cpu_s"]
    note = f"{len(given)} lines, places only, {rate:.2f} MB per CPU second"
    return Score(truth, findings, range(1, len(given) + 1), SECRETS - GITLEAKS_LACKS, by_span=True, note=note)


def percent(pair):
    return f"{100 * pair[0] / pair[1]:.1f} %" if pair[1] else "-"


def print_accuracy(scores, beside):
    ours = scores["cloakroom"]
    rivals = {name: score for name, score in scores.items() if name != "cloakroom"}
    print("\nRecall: values found with exactly their span and their entity\n")
    entities = sorted(ours.recall)
    rows = [
        [entity, ours.sum([entity])[1], percent(ours.sum([entity])), ours.cell(entity, True), ours.cell(entity, False)]
        + [rival.cell(entity) for rival in rivals.values()]
        for entity in entities
    ]
    table(["entity", "planted", "cloakroom", "with word", "without", *rivals], rows)
    print()
    rows = [["all entities", percent(ours.sum(entities)), f"{ours.sum(entities)[0]}/{ours.sum(entities)[1]}"]]
    rows.append(["  with a word that says what it is", percent(ours.sum(entities, True)), ""])
    rows.append(["  without", percent(ours.sum(entities, False)), ""])
    rows.append(["  right place, whatever it is called", percent((ours.at_span, ours.sum(entities)[1])), ""])
    for name, rival in rivals.items():
        theirs = [entity for entity in entities if rival.supports(entity)]
        same = beside[name].sum(theirs)
        rows.append([f"{len(theirs)} entities of {name}: cloakroom", percent(same), "{}/{}".format(*same)])
        rows.append([f"{len(theirs)} entities of {name}: {name}", percent(rival.sum(theirs)), "{}/{}".format(*rival.sum(theirs))])
    table(["recall", "", ""], rows)
    print("\nFalse alarms: lines with a hard negative that was reported, of all of its kind\n")
    header = ["hard negative", *scores]
    rows = [[kind] + ["{}/{}".format(*score.alarms[kind]) if kind in score.alarms else "" for score in scores.values()] for kind in sorted(ours.alarms)]
    rows.append(["findings in 1,000 plain lines"] + [f"{1000 * score.plain_findings / max(score.plain_lines, 1):.2f}" for score in scores.values()])
    table(header, rows)
    print()
    for name, score in rivals.items():
        print(f"{name}: {score.note}")
    by_rule = collections.Counter((one.get("rule", one["entity"]), kind) for kind, one in ours.false)
    if by_rule:
        print("\nCloakroom's most frequent false alarms\n")
        table(["rule", "where", "findings"], [[rule, kind, count] for (rule, kind), count in by_rule.most_common(20)])


def write_details(folder, score, lines):
    """What to look at: each miss and each false alarm with its line. The values are made up."""
    with open(folder / "misses.jsonl", "w", encoding="utf-8") as out:
        for mark, near in score.misses:
            instead = [{key: one[key] for key in ("entity", "rule", "start", "end", "score")} for one in near]
            keys = ("line", "name", "format", "form", "context", "start", "end", "value")
            row = {key: mark[key] for key in keys} | {"instead": instead, "text": lines[mark["line"] - 1]}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    with open(folder / "false_alarms.jsonl", "w", encoding="utf-8") as out:
        for kind, one in score.false:
            line = lines[one["line"] - 1]
            value = line.encode()[one["start"]:one["end"]].decode(errors="replace")
            out.write(json.dumps({"where": kind, **one, "value": value, "text": line}, ensure_ascii=False) + "\n")
    print(f"\n{len(score.misses)} misses and {len(score.false)} false alarms: {folder}/misses.jsonl, false_alarms.jsonl")


def json_lines(path):
    with open(path, encoding="utf-8") as file:
        yield from map(json.loads, file)


# Speed


def speed(program, options):
    libhs = vectorscan(options.folder / "rivals")
    command = [program, "speed", options.folder, options.seconds, options.rounds] + ([libhs] if libhs else [])
    out = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE).stdout
    results = json.loads(out)
    print_speed(results)
    return results


def print_speed(results):
    for name, contest in results["sets"].items():
        title = "personal-data rules" if name == "fifty" else "rules, the whole default catalogue"
        print(f"\nSpeed, {contest['rules']} {title}: MB (10^6 bytes) in a second of CPU time, one thread\n")
        loop = contest["engines"].get("regex loop")
        rows = []
        for engine, modes in contest["engines"].items():
            block, line = modes["block"], modes["line"]
            times = [f"{mode['mb_s'] / loop[which]['mb_s']:.1f}x" if loop else "" for which, mode in modes.items()]
            rows.append([engine, rate(block), times[0], rate(line), times[1], f"{line['messages_s']:,.0f}", f"{block['bytes'] / 1e6:.1f}", f"{block['found'] / block['bytes'] * 1e6:.0f}"])
        table(["", "64 KB blocks", "vs loop", "lines", "vs loop", "messages/s", "MB measured", "hits per MB"], rows)
        for engine, reason in contest["left_out"].items():
            print(f"{engine} is left out: {reason}")
    print("\nCloakroom by kind of text, whole default catalogue: MB/s\n")
    table(["", "64 KB blocks", "lines", "messages/s"],
          [[text, rate(modes["block"]), rate(modes["line"]), f"{modes['line']['messages_s']:,.0f}"] for text, modes in results["texts"].items()])
    print("\nPathological texts, as one text: MB/s\n")
    table(["16 MB of", "MB/s", "at 64 KB", "size reached"],
          [[text, rate(row), f"{row['mb_s_64k']:.3g}", f"{row['bytes'] / 2**20:.3g} MB"] for text, row in results["pathological"].items()])
    cold = results["cold_start"]
    print(f"\nCold start: Detector::new {cold['new_ms']:.1f} ms (again {cold['new_again_ms']:.1f} ms), first search {cold['first_find_ms']:.2f} ms")


def rate(result):
    return f"{result['mb_s']:.3g}" if result["mb_s"] < 100 else f"{result['mb_s']:.0f}"


if __name__ == "__main__":
    main()
