# Everything a developer or a CI does. `make demo` and `make test` need nothing but Debian, root, Go, Rust
# and Node: what else they need they install.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Node 24 of node_modules before the system's: the OpenTelemetry packages need 22.15 or newer.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

PROBE := native/target/release/runtime-evidence-probe
COLLECTOR := build/otelcol
LOKI := build/loki
BPF_SOURCES := $(wildcard bpf/*.c bpf/*.h)
TRIGGER_C_SOURCES := $(wildcard test/triggers/*.c test/triggers/*.cc)
TRIGGER_SOURCES := $(TRIGGER_C_SOURCES) $(wildcard test/triggers/*.rs test/triggers/*.go)
TS_SOURCES := $(shell find src -name '*.ts' 2>/dev/null)

.PHONY: help demo test test-long check format build bench fuzz generate clean

help: ## this text
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build ## capture live for a few seconds, send over OTLP, rebuild v1, print a summary
	@node examples/demo.ts

test: build $(COLLECTOR) $(LOKI) build/.triggers ## all tests; ends with "N passed, N failed, N skipped"
	@node test/run.ts

test-long: build $(COLLECTOR) $(LOKI) build/.triggers ## the tests that take longer, too
	@RUNTIME_EVIDENCE_TEST_LONG=1 node test/run.ts

check: build ## format, lint, types, generated files, tidy test
	biome check .
	tsc -p tsconfig.json
	cd native && cargo fmt --check && cargo clippy --release --all-targets --quiet -- -D warnings
	clang-format --dry-run -Werror $(BPF_SOURCES) $(TRIGGER_C_SOURCES)
	node semconv/generate.ts --check
	mocha 'test/tidy/**/*.test.ts' test/frames/layout-drift.test.ts

format: node_modules ## rewrite sources in the project's format
	biome check --write .
	cd native && cargo fmt
	clang-format -i $(BPF_SOURCES) $(TRIGGER_C_SOURCES)

build: $(PROBE) dist/.built ## the probe and the exporter

bench: build build/.triggers ## benchmarks beside a rival in the same run; writes docs/benchmarks.md
	node bench/run.ts

fuzz: build/.tools ## feeds the readers of executables with hostile input for a minute
	native/fuzz/run

generate: build/.tools node_modules ## what is generated from bpf/frame.h and semconv/
	node semconv/generate.ts
	@mkdir -p build/bpf
	clang -g -O2 -target bpf -c bpf/layout.bpf.c -o build/bpf/layout.bpf.o
	node bpf/generate-layout.ts build/bpf/layout.bpf.o

clean: ## remove what was built
	rm -rf build dist native/target

build/.tools:
	@.ci/install-tools
	@mkdir -p build && touch $@

node_modules: package.json package-lock.json
	npm ci --no-fund --no-audit --loglevel=error
	@touch $@

$(PROBE): build/.tools native/Cargo.toml native/Cargo.lock native/build.rs $(wildcard native/src/*.rs) $(BPF_SOURCES)
	cargo build --release --locked --manifest-path native/Cargo.toml
	@touch $@

dist/.built: node_modules package.json tsconfig.json tsconfig.build.json $(TS_SOURCES)
	rm -rf dist
	tsc -p tsconfig.build.json
	chmod +x dist/cli/main.js
	@touch $@

$(COLLECTOR): $(wildcard test/backends/collector/*)
	cd test/backends/collector && go build -trimpath -ldflags='-s -w' -o $(CURDIR)/$@ .

$(LOKI): $(wildcard test/backends/loki/*)
	cd test/backends/loki && go build -trimpath -ldflags='-s -w' -o $(CURDIR)/$@ github.com/grafana/loki/v3/cmd/loki

build/.triggers: build/.tools test/triggers/Makefile $(TRIGGER_SOURCES)
	$(MAKE) --no-print-directory -C test/triggers
	@touch $@
