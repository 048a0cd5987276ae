# shellcheck shell=bash
# OpenSearch and Elasticsearch: nodes from the libraries on Maven, a distribution is in no registry. Sourced by
# test-servers.sh.

OPENSEARCH_VERSION=2.19.6
ELASTICSEARCH_VERSION=7.17.29
# Both log through it and name none.
LOG4J=org.apache.logging.log4j:log4j-core:2.25.4

opensearch_bring() {
    maven_bring opensearch SearchNode.java "$LOG4J" "org.opensearch:opensearch:$OPENSEARCH_VERSION" \
        "org.opensearch.plugin:transport-netty4-client:$OPENSEARCH_VERSION" \
        "org.opensearch.plugin:analysis-common:$OPENSEARCH_VERSION" \
        "org.opensearch.plugin:mapper-extras-client:$OPENSEARCH_VERSION"
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

elasticsearch_command() {
    search_command elasticsearch transport.Netty4Plugin,index.mapper.MapperExtrasPlugin "$@"
}

opensearch_start() { instance_start opensearch main; }
opensearch_stop_all() { instance_stop_all opensearch; }
opensearch_status() { instance_status opensearch; }
opensearch_env() { instance_env opensearch CLOAKROOM_TEST_OPENSEARCH_URL; }

elasticsearch_start() { instance_start elasticsearch main; }
elasticsearch_stop_all() { instance_stop_all elasticsearch; }
elasticsearch_status() { instance_status elasticsearch; }
elasticsearch_env() { instance_env elasticsearch CLOAKROOM_TEST_ELASTICSEARCH_URL; }
