# Needs Go, git and make. `make help` lists the targets.
# The tools are built from source at the versions in internal/tools/go.mod.

FUZZTIME   ?= 10s
BENCH      ?= .
BENCHCOUNT ?= 6
SCALE      ?= .
T          ?= 30m

BIN     := $(CURDIR)/.bin
MODULES := $(patsubst %/go.mod,%,$(wildcard ./go.mod ./*/go.mod ./integration/*/go.mod))

.DEFAULT_GOAL := help
.PHONY: help test fuzz bench bench-scale soak mutants cover lint fmt tools

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

test: ## run all tests of all modules under the race detector, then the mutants
	@go run ./internal/testrun

fuzz: ## run each fuzz target for FUZZTIME (10s)
	@go run ./internal/testrun -fuzz $(FUZZTIME)

bench: ## run the benchmarks BENCH (all) BENCHCOUNT (6) times; compare two outputs with .bin/benchstat
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(BENCHCOUNT) ./...

bench-scale: ## measure large stores and many users on the doubles, all or SCALE (Import/AWS), and write docs/scale.md: half an hour
	GOGC=50 go test -count 1 -timeout 3h -v -run 'TestScale$(SCALE)' ./internal/scale -full; \
	measured=$$?; go test -count 1 -run TestTheDocumentsShowWhatWasMeasured ./internal/scale -update && exit $$measured

soak: ## kill, pause and cut off workers and servers for T (30m), in containers where there is Docker
	cd integration/containers && go test -count 1 -timeout 0 -parallel 4 -v -run 'TestWorkers' . -soak $(T)

mutants: ## switch each safety rule off and see the tests fail
	go run ./internal/mutants

cover: ## measure which lines the tests of all packages reach
	go test -coverpkg ./... -coverprofile cover.out ./...
	go tool cover -func cover.out | tail -n 1

lint: tools ## check format, go.mod files, vet and .golangci.yml in every module
	@set -e; for m in $(MODULES); do echo "== lint $$m"; \
		( cd $$m; go mod verify; go mod tidy -diff; go vet ./...; $(BIN)/golangci-lint run ./... ); \
	done
	cd internal/tools && go mod tidy -diff

fmt: tools ## format all Go files
	@set -e; for m in $(MODULES); do ( cd $$m; $(BIN)/golangci-lint fmt ./... ); done

# The go command compares build ids and links again only what changed.
tools: ## build the linter, govulncheck and benchstat into .bin
	@echo "== tools (the first build takes some minutes)"
	@GOWORK=off go build -C internal/tools -o $(BIN)/ tool
