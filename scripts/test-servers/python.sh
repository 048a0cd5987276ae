# shellcheck shell=bash
# Python packages for tests that hold our documents against a second implementation, and moto. Sourced by test-servers.sh.

# What the second implementation of `eax-scrypt` documents needs.
PYPI_EAX_SCRYPT=(pycryptodome==4.4.0 scrypt==0.9.4)

# AWS as others wrote it down, in memory (https://docs.getmoto.org); its account is 000000000000.
MOTO_VERSION=5.2.1

# --- Python: no server, packages below target/ ------------------------------------------------------------------------

python_packages() { printf '%s\n' "$STATE/python/packages"; }

python_ready() { have python3 && PYTHONPATH=$(python_packages) python3 -c 'import scrypt, Crypto.Cipher.AES' >/dev/null 2>&1; }

python_bring() {
    if python_ready; then return 0; fi
    pip_bring python python3 "${PYPI_EAX_SCRYPT[@]}"
    python_ready || die "python: the packages do not load"
}

python_start() { python_bring; }

# Nothing runs; what was brought is kept like the programs of a server.
python_stop_all() { :; }

python_status() { if python_ready; then echo "python: $(python_packages)"; else echo "python: none"; fi; }

python_env() {
    if ! python_ready; then return 0; fi
    printf 'export CLOAKROOM_TEST_PYTHON=%q\n' "$(command -v python3)"
    printf 'export CLOAKROOM_TEST_PYTHONPATH=%q\n' "$(python_packages)"
}

# --- moto: KMS --------------------------------------------------------------------------------------------------------

moto_loads() {
    have python3 && PYTHONPATH=$STATE/moto/packages python3 -c \
        "import moto.server, flask; assert moto.__version__ == '$MOTO_VERSION'" >/dev/null 2>&1
}

moto_bring() {
    if moto_loads; then return 0; fi
    pip_bring moto python3 "moto[server]==$MOTO_VERSION"
    moto_loads || die "moto: the packages do not load"
}

moto_command() {
    COMMAND=(env "PYTHONPATH=$STATE/moto/packages" MOTO_ACCOUNT_ID=000000000000 python3 -X "instance=$(run_dir moto "$1")"
        -m moto.server -H 127.0.0.1 -p "$2")
}

moto_start() { instance_start moto main; }
moto_stop_all() { instance_stop_all moto; }
moto_status() { instance_status moto; }
moto_env() { instance_env moto CLOAKROOM_TEST_AWS_URL; }
