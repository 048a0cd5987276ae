# shellcheck shell=bash
# Brings programs into target/test-servers/ with pip and Maven. Sourced by test-servers.sh.

# maven_bring SERVICE MAIN GROUP:ARTIFACT:VERSION…: the libraries with all they need go to SERVICE/lib, and MAIN, a Java
# file of scripts/test-servers/ ('' for none), is compiled against them into SERVICE/classes, by $JAVAC if that is set. With a PACKAGE=OTHER at the
# end, the one package's name in it is replaced by the other.
maven_bring() {
    local service=$1 main=$2 home=$STATE/$1 work mark replace='' library group artifact version
    shift 2
    if [[ ${*: -1} == *=* ]]; then
        replace=${*: -1}
        set -- "${@:1:$#-1}"
    fi
    mark="$* $replace $(if [[ -n $main ]]; then cksum <"$ROOT/scripts/test-servers/$main"; fi)"
    if [[ -s $home/ready && $(cat "$home/ready") == "$mark" ]]; then return 0; fi
    { have mvn && have javac; } || die "$service: needs Maven and a JDK of version 17 or later (Debian: maven, openjdk-17-jdk-headless)"
    mkdir -p "$STATE"
    work=$(mktemp -d "$STATE/bring.XXXXXX")
    say "$service: bringing its libraries with Maven"
    {
        echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        echo '<groupId>tests</groupId><artifactId>node</artifactId><version>1</version><packaging>pom</packaging><dependencies>'
        for library in "$@"; do
            IFS=: read -r group artifact version <<<"$library"
            echo "<dependency><groupId>$group</groupId><artifactId>$artifact</artifactId><version>$version</version></dependency>"
        done
        echo '</dependencies></project>'
    } >"$work/pom.xml"
    (cd "$work" && mvn -q -B -Dstyle.color=never dependency:copy-dependencies -DoutputDirectory=lib -DincludeScope=runtime) >&2 ||
        { rm -rf "$work" && die "$service: Maven could not bring it"; }
    if [[ -n $main ]]; then
        mkdir "$work/source"
        sed "${replace:+s/${replace%%=*}/${replace#*=}/}" "$ROOT/scripts/test-servers/$main" >"$work/source/$main"
        "${JAVAC:-javac}" -nowarn -cp "$work/lib/*" -d "$work/classes" "$work/source/$main" >&2 || die "$service: javac failed"
    fi
    printf '%s\n' "$mark" >"$work/ready"
    chmod 755 "$work"
    rm -rf "$home"
    mv "$work" "$home"
}

# java_command KIND NAME MAIN [OPTION…]: how a Java program of maven_bring begins.
java_command() {
    local kind=$1 name=$2 main=$3
    shift 3
    COMMAND=(java -Xms64m -Xmx512m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "-Dinstance=$(run_dir "$kind" "$name")" "$@"
        -cp "$STATE/$kind/classes:$STATE/$kind/lib/*" "$main")
}

# pip_bring SERVICE PYTHON PACKAGE…: brings packages into target/test-servers/SERVICE/packages, in the place of what is there.
pip_bring() {
    local service=$1 python=$2 work pip
    shift 2
    have "$python" || die "$service: no $python here; install one (Debian: python3)"
    mkdir -p "$STATE"
    work=$(mktemp -d "$STATE/bring.XXXXXX")
    pip=("$python" -m pip)
    if ! "${pip[@]}" --version >/dev/null 2>&1; then
        say "$service: $python has no pip, making a virtual environment for it"
        "$python" -m venv "$work/venv" >&2 || die "$service: no pip and no venv"
        pip=("$work/venv/bin/python" -m pip)
    fi
    say "$service: bringing $* with pip"
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
        "${pip[@]}" install -q --only-binary=:all: --target "$work/packages" "$@" >&2 ||
        { rm -rf "$work" && die "$service: pip could not bring $*"; }
    rm -rf "${STATE:?}/$service" "$work/venv"
    mv "$work" "$STATE/$service"
    chmod 755 "$STATE/$service"
}
