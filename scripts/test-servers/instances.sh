# shellcheck shell=bash
# Servers that are one process and answer on one port. Sourced by test-servers.sh.
#
# A kind of server, KIND, tells two things:
#
#   KIND_bring                           brings what it needs into target/test-servers/, once
#   KIND_command NAME PORT [SETTING…]    puts the command line into the array COMMAND; it runs in the instance's folder
#
# and may tell KIND_answers URL, which is true when it is ready (else it is ready when the port is open). The command
# line must hold `instance=` and the instance's folder, so that a process that got the same number later is not taken
# for it. What an instance keeps stands in its folder: port, pid, settings, server.log and its data.

run_dir() {
    [[ $2 =~ ^[A-Za-z0-9_-]+$ ]] || die "'$2' is no name for an instance: letters, digits, '-' and '_'"
    printf '%s\n' "$STATE/run/$1/$2"
}

# instance_get KIND NAME KEY: one value of the instance's state, or false.
instance_get() {
    local file
    file=$(run_dir "$1" "$2")/$3
    [[ -s $file ]] && cat "$file"
}

instance_running() {
    local pid
    pid=$(instance_get "$1" "$2" pid) && runs_with "$pid" "instance=$(run_dir "$1" "$2")"
}

instance_url() { printf 'http://127.0.0.1:%s\n' "$(instance_get "$1" "$2" port)"; }

# instance_start KIND NAME [SETTING=VALUE…]; after a kill: the same data, port and settings. `port=…` is the port to take.
instance_start() {
    local kind=$1 name=$2 run port pid setting settings=() until=$((SECONDS + 120))
    shift 2
    if instance_running "$kind" "$name"; then
        say "$kind $name: runs already"
        return 0
    fi
    "${kind}_bring"
    run=$(run_dir "$kind" "$name")
    mkdir -p "$run"
    if (($# > 0)) || [[ ! -e $run/settings ]]; then printf '%s\n' "$@" >"$run/settings"; fi
    while read -r setting; do
        case $setting in
            '') ;;
            port=*) printf '%s\n' "${setting#port=}" >"$run/port" ;;
            *) settings+=("$setting") ;;
        esac
    done <"$run/settings"
    port=$(instance_get "$kind" "$name" port) || port=$(free_port)
    printf '%s\n' "$port" >"$run/port"
    if answers "$port"; then die "$kind $name: something else answers on port $port"; fi
    "${kind}_command" "$name" "$port" ${settings[@]+"${settings[@]}"}
    (cd "$run" && exec "${COMMAND[@]}" </dev/null >>"$run/server.log" 2>&1) &
    pid=$!
    printf '%s\n' "$pid" >"$run/pid"
    while ((SECONDS < until)); do
        if answers "$port" && instance_ready "$kind" "$name"; then
            say "$kind $name: runs on port $port, process $pid, log $run/server.log"
            return 0
        fi
        alive "$pid" || break
        sleep 0.1
    done
    if alive "$pid"; then kill "$pid"; fi
    tail -n 20 "$run/server.log" >&2
    die "$kind $name: does not start"
}

instance_ready() {
    if ! declare -F "$1_answers" >/dev/null; then return 0; fi
    "$1_answers" "$(instance_url "$1" "$2")"
}

instance_kill() {
    local pid
    instance_running "$1" "$2" || return 0
    pid=$(instance_get "$1" "$2" pid)
    kill -KILL "$pid"
    wait_gone 10 "$pid" || die "$1 $2: is left after SIGKILL: $pid"
    say "$1 $2: killed; its data stays"
}

instance_stop() {
    local run pid
    run=$(run_dir "$1" "$2")
    if instance_running "$1" "$2"; then
        pid=$(instance_get "$1" "$2" pid)
        kill -TERM "$pid" 2>/dev/null || true
        wait_gone 20 "$pid" || kill -KILL "$pid" 2>/dev/null || true
        say "$1 $2: stopped"
    fi
    rm -rf "$run"
}

instance_names() {
    local run
    for run in "$STATE/run/$1"/*/; do
        if [[ -d $run ]]; then basename "$run"; fi
    done
}

instance_stop_all() {
    local name pid
    # Ask all of them first, so that they shut down side by side.
    for name in $(instance_names "$1"); do
        if instance_running "$1" "$name" && pid=$(instance_get "$1" "$name" pid); then kill -TERM "$pid" 2>/dev/null || true; fi
    done
    for name in $(instance_names "$1"); do instance_stop "$1" "$name"; done
}

instance_status() {
    local name
    if [[ -z $(instance_names "$1") ]]; then echo "$1: none"; fi
    for name in $(instance_names "$1"); do
        if instance_running "$1" "$name"; then
            echo "$1 $name: runs, $(instance_url "$1" "$name"), process $(instance_get "$1" "$name" pid)"
        else
            echo "$1 $name: does not run, its data is kept"
        fi
    done
}

# instance_env KIND VARIABLE: the line for the main instance, when it runs.
instance_env() {
    if ! instance_running "$1" main; then return 0; fi
    printf 'export %s=%q\n' "$2" "$(instance_url "$1" main)"
}
