# shellcheck shell=bash
# OpenSearch 2 and 3, Elasticsearch 7: nodes from the libraries on Maven, a distribution is in no registry. Sourced by
# test-servers.sh.

OPENSEARCH_VERSION=2.19.6
OPENSEARCH3_VERSION=3.6.0
ELASTICSEARCH_VERSION=7.17.29
# Both log through it and name none.
LOG4J=org.apache.logging.log4j:log4j-core:2.25.4

opensearch_bring() {
    maven_bring opensearch SearchNode.java "$LOG4J" "org.opensearch:opensearch:$OPENSEARCH_VERSION" \
        "org.opensearch.plugin:transport-netty4-client:$OPENSEARCH_VERSION" \
        "org.opensearch.plugin:analysis-common:$OPENSEARCH_VERSION" \
        "org.opensearch.plugin:mapper-extras-client:$OPENSEARCH_VERSION"
}

# The java of a JDK of version 21 or later, which OpenSearch 3 needs: the one on the path, or another beside it.
java_21() {
    local java version
    have java || return 1
    java=$(readlink -f "$(command -v java)")
    for java in "${JAVA_HOME:+$JAVA_HOME/bin/java}" "$java" "${java%/bin/java}"/../*/bin/java; do
        have "$java" && have "${java%/*}/javac" || continue
        version=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
        if [[ $version =~ ^[0-9]+$ ]] && ((version >= 21)); then
            readlink -f "$java"
            return 0
        fi
    done
    return 1
}

opensearch3_bring() {
    local java
    java=$(java_21) || return 0
    # An older javac does not read its libraries.
    JAVAC=${java%/*}/javac maven_bring opensearch3 SearchNode.java "$LOG4J" "org.opensearch:opensearch:$OPENSEARCH3_VERSION" \
        "org.opensearch.plugin:transport-netty4-client:$OPENSEARCH3_VERSION" \
        "org.opensearch.plugin:analysis-common:$OPENSEARCH3_VERSION" \
        "org.opensearch.plugin:mapper-extras-client:$OPENSEARCH3_VERSION"
}

elasticsearch_bring() {
    maven_bring elasticsearch SearchNode.java "$LOG4J" "org.elasticsearch:elasticsearch:$ELASTICSEARCH_VERSION" \
        "org.elasticsearch.plugin:transport-netty4-client:$ELASTICSEARCH_VERSION" \
        "org.elasticsearch.plugin:mapper-extras-client:$ELASTICSEARCH_VERSION" \
        'org\.opensearch=org.elasticsearch'
}

# search_command KIND PLUGINS NAME PORT [SETTING…]
search_command() {
    local kind=$1 plugins=$2 name=$3 port=$4
    shift 4
    java_command "$kind" "$name" SearchNode -Xms256m -Dlog4j2.disable.jmx=true
    COMMAND+=("plugins=$plugins" "path.home=$(run_dir "$kind" "$name")" "http.port=$port" "transport.port=$(free_port)" "$@")
}

opensearch_command() {
    search_command opensearch transport.Netty4Plugin,analysis.common.CommonAnalysisPlugin,index.mapper.MapperExtrasPlugin "$@"
}

opensearch3_command() {
    local java
    java=$(java_21) || die "opensearch3: needs a JDK of version 21 or later (Debian: openjdk-21-jdk-headless)"
    search_command opensearch3 transport.Netty4ModulePlugin,analysis.common.CommonAnalysisModulePlugin,index.mapper.MapperExtrasModulePlugin "$@"
    COMMAND[0]=$java
}

elasticsearch_command() {
    local run
    run=$(run_dir elasticsearch "$1")
    # With the distribution's own logging, answers to requests that version 8 no longer knows have a `Warning`.
    cat >"$run/log4j2.properties" <<'CONF'
status = error
packages = org.elasticsearch.common.logging
appender.console.type = Console
appender.console.name = console
appender.warning.type = HeaderWarningAppender
appender.warning.name = warning
rootLogger.level = error
rootLogger.appenderRef.console.ref = console
logger.deprecation.name = org.elasticsearch.deprecation
logger.deprecation.level = warn
logger.deprecation.appenderRef.warning.ref = warning
CONF
    search_command elasticsearch transport.Netty4Plugin,index.mapper.MapperExtrasPlugin "$@"
    COMMAND=("${COMMAND[0]}" "-Dlog4j2.configurationFile=$run/log4j2.properties" "${COMMAND[@]:1}")
}

opensearch_start() { instance_start opensearch main; }
opensearch_stop_all() { instance_stop_all opensearch; }
opensearch_status() { instance_status opensearch; }
opensearch_env() { instance_env opensearch CLOAKROOM_TEST_OPENSEARCH_URL; }

opensearch3_start() {
    if ! java_21 >/dev/null; then
        say "opensearch3: left out; it needs a JDK of version 21 or later (Debian: openjdk-21-jdk-headless)"
        return 0
    fi
    instance_start opensearch3 main
}
opensearch3_stop_all() { instance_stop_all opensearch3; }
opensearch3_status() { instance_status opensearch3; }
opensearch3_env() { instance_env opensearch3 CLOAKROOM_TEST_OPENSEARCH3_URL; }

elasticsearch_start() { instance_start elasticsearch main; }
elasticsearch_stop_all() { instance_stop_all elasticsearch; }
elasticsearch_status() { instance_status elasticsearch; }
elasticsearch_env() { instance_env elasticsearch CLOAKROOM_TEST_ELASTICSEARCH_URL; }
