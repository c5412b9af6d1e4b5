# Skein's commands. `make` lists them.

GO          ?= go
BIN         := bin/skein
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 20s
BENCHTIME   ?= 1s
# The race detector needs cgo; everything else is built without.
BUILD       := CGO_ENABLED=0 $(GO) build -trimpath

.DEFAULT_GOAL := help
.PHONY: help setup build run test lint race arm64 bench gobench bench-engine cross fuzz ptx clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install oneDNN, OpenBLAS and g++ where apt and root are there, else say what would help
	@scripts/setup

build: ## build bin/skein
	@mkdir -p bin
	$(BUILD) -o $(BIN) .

run: setup build ## train the small model of configs/tiny.yaml; again: resume it, or start anew if it is finished
	$(BIN) run configs/tiny.yaml $(if $(wildcard runs/tiny/summary.json),--fresh,$(if $(wildcard runs/tiny/run.yaml),--resume))

test: lint race arm64 ## check the sources, test with the race detector, build for linux/arm64
	@command -v g++ >/dev/null || echo "NOT TESTED: the CUDA engine, whose emulated GPU needs g++ (make setup)"
	@command -v clang-19 >/dev/null || echo "NOT CHECKED: that the kernels' PTX is what clang makes of them (scripts/setup ptx)"

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "not formatted: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	@trainer/engine/cuda/kernels/make-ptx --check

race:
	@if CGO_ENABLED=1 $(GO) test -race -run '^$$' ./shards >/dev/null 2>&1; then race=-race; \
	elif [ -n "$$SKEIN_TEST_INSIST" ]; then echo "no C compiler for the race detector" >&2; exit 1; \
	else race=; echo "no C compiler: testing without the race detector (make setup)"; fi; \
	set -x; CGO_ENABLED=$${race:+1} $(GO) test $$race -timeout 10m ./...

arm64:
	GOOS=linux GOARCH=arm64 $(BUILD) -o /dev/null ./...

bench: build ## compare methods on a small model (configs/bench/quick.yaml): a table, and a report in runs/bench/quick; again: what is missing
	$(BIN) bench configs/bench/quick.yaml

gobench: ## run the Go benchmarks
	$(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) -benchmem ./...

bench-engine: build ## time the inner loop, op by op, against the machine's measured peak; picture in bin/roofline.svg
	$(BIN) bench engine --plot bin/roofline.svg

cross: ## build for macOS, Windows and linux/arm64 into bin/
	@mkdir -p bin
	GOOS=linux GOARCH=arm64 $(BUILD) -o $(BIN)-linux-arm64 .
	GOOS=darwin GOARCH=arm64 $(BUILD) -o $(BIN)-darwin-arm64 .
	GOOS=windows GOARCH=amd64 $(BUILD) -o $(BIN)-windows-amd64.exe .

fuzz: ## run every fuzz target for FUZZTIME=20s
	@set -e; for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "== $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$pkg; \
		done; \
	done

ptx: ## compile the CUDA engine's kernels to PTX with clang 19 (scripts/setup ptx)
	trainer/engine/cuda/kernels/make-ptx

clean: ## remove what was built; runs stay
	rm -rf bin
