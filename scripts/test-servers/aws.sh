# shellcheck shell=bash
# Servers of Amazon's services: ElasticMQ, DynamoDB Local and LocalStack. Sourced by test-servers.sh.

ELASTICMQ=org.elasticmq:elasticmq-server_2.13:1.7.1
DYNAMODB=com.amazonaws:DynamoDBLocal:2.6.1
# It does not load without the three behind it; of some there is no wheel. Later versions ask for an account.
PYPI_LOCALSTACK=('localstack-core[runtime]==4.14.0' 'cbor2<5.9' 'pyopenssl<26' service-identity --only-binary=:none:)

# --- ElasticMQ: SQS ---------------------------------------------------------------------------------------------------
# In memory; tests make their queues. Its account is 000000000000.

elasticmq_bring() { maven_bring elasticmq '' "$ELASTICMQ"; }

elasticmq_command() {
    local run
    run=$(run_dir elasticmq "$1")
    # The queues' URLs begin with node-address.
    cat >"$run/elasticmq.conf" <<CONF
include classpath("application.conf")
node-address { protocol = http, host = "127.0.0.1", port = $2, context-path = "" }
rest-sqs { enabled = true, bind-hostname = "127.0.0.1", bind-port = $2, sqs-limits = strict }
rest-stats { enabled = false }
CONF
    java_command elasticmq "$1" org.elasticmq.server.Main "-Dconfig.file=$run/elasticmq.conf"
}

elasticmq_start() { instance_start elasticmq main; }
elasticmq_stop_all() { instance_stop_all elasticmq; }
elasticmq_status() { instance_status elasticmq; }
elasticmq_env() { instance_env elasticmq CLOAKROOM_TEST_SQS_URL; }

# --- DynamoDB ---------------------------------------------------------------------------------------------------------
# Amazon's own. The main instance is in memory, the others on disk.

dynamodb_bring() { maven_bring dynamodb DynamoDb.java "$DYNAMODB"; }

dynamodb_command() {
    local run
    run=$(run_dir dynamodb "$1")
    java_command dynamodb "$1" DynamoDb "-Dsqlite4java.library.path=$STATE/dynamodb/lib"
    COMMAND+=(-port "$2" -disableTelemetry -sharedDb)
    if [[ $1 == main ]]; then
        COMMAND+=(-inMemory)
    else
        mkdir -p "$run/data"
        COMMAND+=(-dbPath "$run/data")
    fi
}

dynamodb_start() { instance_start dynamodb main; }
dynamodb_stop_all() { instance_stop_all dynamodb; }
dynamodb_status() { instance_status dynamodb; }
dynamodb_env() { instance_env dynamodb CLOAKROOM_TEST_DYNAMODB_URL; }

# --- LocalStack: S3 with notifications, Kinesis and more ---------------------------------------------------------------
# Needs Python 3.13 or later, and npm for Kinesis. Without them it is left out; the tests that need it say so.

# With an older Python it starts, says that all is well and answers every call with 500.
localstack_python() {
    local python pyenv=''
    if have pyenv; then pyenv=$(pyenv root); fi
    for python in python3.13 python3.14 python3 "$pyenv"/versions/3.1[3-9]*/bin/python; do
        if have "$python" && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 13))' >/dev/null 2>&1; then
            command -v "$python"
            return 0
        fi
    done
    return 1
}

localstack_bring() {
    local python mark
    python=$(localstack_python) || return 0
    mark="$("$python" --version) ${PYPI_LOCALSTACK[*]}"
    if [[ -s $STATE/localstack/ready && $(cat "$STATE/localstack/ready") == "$mark" ]]; then return 0; fi
    say "localstack: 500 MB; this takes a minute or two"
    # In a subshell: it is a guest that no other service waits for.
    (pip_bring localstack "$python" "${PYPI_LOCALSTACK[@]}") || return 0
    printf '%s\n' "$mark" >"$STATE/localstack/ready"
}

localstack_command() {
    # What it downloads stays; the state of Kinesis does not.
    COMMAND=(env -u AWS_CA_BUNDLE "PYTHONPATH=$STATE/localstack/packages" OVERRIDE_IN_DOCKER=0
        "FILESYSTEM_ROOT=$STATE/localstack/files" KINESIS_PERSISTENCE=0 KINESIS_SHARD_LIMIT=10000
        "GATEWAY_LISTEN=127.0.0.1:$2" "LOCALSTACK_HOST=127.0.0.1:$2"
        SQS_ENDPOINT_STRATEGY=off DISABLE_EVENTS=1 SKIP_SSL_CERT_DOWNLOAD=1 "NODE_OPTIONS=--require=$ROOT/scripts/test-servers/loopback.js"
        "$(localstack_python)" -X "instance=$(run_dir localstack "$1")" "$ROOT/scripts/test-servers/loopback.py")
}

# localstack_call URL SERVICE TARGET SECONDS: one call, without arguments.
localstack_call() {
    "$(localstack_python)" - "$@" >/dev/null 2>&1 <<'PYTHON'
import sys, urllib.request
url, service, target, seconds = sys.argv[1:]
headers = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": target,
    "Authorization": f"AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0",
}
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
opener.open(urllib.request.Request(url, b"{}", headers), timeout=float(seconds)).read()
PYTHON
}

# The health check says that all is well even where every call fails.
localstack_answers() { localstack_call "$1" sqs AmazonSQS.ListQueues 10; }

localstack_start() {
    if ! localstack_python >/dev/null; then
        say "localstack: left out; it needs Python 3.13 or later (Debian: python3, or pyenv install 3.13)"
        return 0
    fi
    if [[ ! -s $STATE/localstack/ready ]]; then
        say "localstack: left out; it could not be brought"
        return 0
    fi
    instance_start localstack main
    # The first call of all fetches its server with npm.
    localstack_call "$(instance_url localstack main)" kinesis Kinesis_20131202.ListStreams 120 ||
        say "localstack: Kinesis does not answer; it needs npm (see $(run_dir localstack main)/server.log)"
}

localstack_stop_all() { instance_stop_all localstack; }
localstack_status() { instance_status localstack; }
localstack_env() { instance_env localstack CLOAKROOM_TEST_LOCALSTACK_URL; }
