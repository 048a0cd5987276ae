# Everyday commands. Each recipe that checks something is also a step of .ci/run.
# More arguments for a program or for cargo: make test ARGS='-p cloakroom-core'

SHELL = /bin/bash
SERVERS = scripts/test-servers.sh
CARGO_DENY = target/tools/bin/cargo-deny
CARGO_DENY_VERSION = 0.20.2
ARGS =

.PHONY: help demo fmt lint deny advisories install-deny servers servers-stop test schema bench bench-detect bench-dynamodb bench-search

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: ## sample data through three policies into SQLite, with a summary
	cargo run -p cloakroom-cli -- demo $(ARGS)

fmt: ## format all Rust code
	cargo fmt --all

lint: ## formatting, clippy and documentation; a warning is an error
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo check -p cloakroom-cli --no-default-features
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps
	@if command -v shellcheck >/dev/null; then shellcheck -x $(SERVERS) .ci/run; else echo 'shellcheck is not here: scripts not checked'; fi

deny: install-deny ## licences, bans and sources of all dependencies
	$(CARGO_DENY) --all-features check licenses bans sources

advisories: install-deny ## known vulnerabilities; downloads the RustSec database
	$(CARGO_DENY) --all-features check advisories

install-deny:
	@[ "$$($(CARGO_DENY) --version 2>/dev/null)" = 'cargo-deny $(CARGO_DENY_VERSION)' ] || \
		cargo install --locked --root target/tools --version $(CARGO_DENY_VERSION) cargo-deny

servers: ## start the servers the tests use; then: source target/test-servers/env
	$(SERVERS) start

servers-stop: ## stop them and remove their data
	$(SERVERS) stop

test: ## all tests, with real servers that are started before and stopped after
	@trap '$(SERVERS) stop' EXIT; trap 'exit 130' INT TERM; \
	$(SERVERS) start && source target/test-servers/env && cargo test --workspace $(ARGS)

schema: ## write schemas/pipeline.schema.json from the types of the pipeline file
	@mkdir -p schemas target
	cargo run -q -p cloakroom-cli -- schema > target/pipeline.schema.json
	mv target/pipeline.schema.json schemas/pipeline.schema.json

bench: ## measure protect, the PostgreSQL load, a queue, keys of people and `eax-scrypt` documents, beside their limits
	bench/protect.py $(ARGS)
	bench/postgres.py $(ARGS)
	bench/sqs.py $(ARGS)
	bench/keys.py $(ARGS)
	bench/eax_scrypt.py $(ARGS)

bench-dynamodb: ## measure the load into DynamoDB beside boto3, which is brought with pip
	bench/dynamodb.py $(ARGS)

bench-search: ## measure the load into OpenSearch beside opensearch-py, which is brought with pip
	bench/search.py $(ARGS)

bench-detect: ## measure detection: speed and accuracy beside other engines
	bench/detect/run.py $(ARGS)
