# Everything that is done with this repository, by name: "make demo" shows Onsale, "make test" tests it, "make help"
# lists the rest. The work itself is in scripts under deploy/, which say what they do and can be run alone.
#
# ARGS is passed on to the program: make demo ARGS="--port 9000 --storm 5000".

.DEFAULT_GOAL := help
.SUFFIXES:

ARGS    ?=
# A clone names its commit; a tarball has none. (Not "git describe" alone: the tarball may lie in someone's repository.)
VERSION ?= $(or $(if $(wildcard .git),$(shell git describe --tags --always --dirty 2>/dev/null)),source)

# Two test binaries at a time: each starts servers of its own. The time-out is for one package.
TEST_FLAGS  ?= -race -p 2 -timeout 15m
# What speaks Kafka, one package after the other: they share one broker.
KAFKA_PACKAGES := ./internal/kafka/... ./persist/... ./checkout/... ./engine ./cmd/...
KAFKA_FLAGS ?= -race -p 1 -count 1 -timeout 15m

##@ Use

.PHONY: demo
demo: ## show a whole sale on this machine (ARGS="--port N --data DIR --storm N --exit")
	@deploy/install redis postgres || { deploy/install postgres && echo "make demo: going on without redis-server"; }
	@$(MAKE) --no-print-directory build
	@exec build/onsale demo $(ARGS)

.PHONY: build
build: ## build build/onsale: one static binary
	@mkdir -p build
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o build/onsale ./cmd/onsale

.PHONY: bench
bench: build ## a short form of every bench, in under 5 minutes; build/bench/all.json, and all.html to look at (ARGS="--only engine,rush")
	@deploy/install redis postgres
	build/onsale bench all --json build/bench/all.json --html build/bench/all.html $(ARGS)

.PHONY: bench-rush
bench-rush: build ## a storm of 2,000 buyers; build/bench/rush.json, and rush.html to look at (ARGS="--target URL …" for a running Onsale)
	@deploy/install redis postgres
	build/onsale bench rush --users 2000 --over 5s --json build/bench/rush.json --html build/bench/rush.html $(or $(ARGS),--embedded)

.PHONY: bench-150k
bench-150k: build ## two storms of 150,000 users who watch before the doors open, ramp and spike; under 10 minutes and 12 GB; build/bench/150k.json, and 150k.html to look at
	@deploy/install redis postgres
	build/onsale bench storms --json build/bench/150k.json --html build/bench/150k.html $(ARGS)

.PHONY: bench-engine
bench-engine: build ## what a hold costs Redis alone, batched and single; the report is build/bench/engine.json
	@deploy/install redis
	build/onsale bench engine --json build/bench/engine.json $(ARGS)

.PHONY: bench-holds
bench-holds: build ## holds and refusals a second over HTTP, against a no-op and row locks; build/bench/holds.json
	@deploy/install redis postgres
	build/onsale bench holds --json build/bench/holds.json $(ARGS)

.PHONY: bench-peers
bench-peers: build ## Onsale beside five ways in which others sell tickets, in turns; about 5 minutes; build/bench/peers.json
	@deploy/install redis postgres
	build/onsale bench peers --json build/bench/peers.json $(ARGS)

.PHONY: bench-faults
bench-faults: build ## a few short storms while processes are killed, paused and cut off; about 3 minutes; build/bench/faults*.json
	@deploy/install redis postgres
	build/onsale bench faults --runs 2 --duration 20s --json build/bench/faults.json $(ARGS)
	@deploy/kafka/fetch >/dev/null
	build/onsale bench faults --runs 1 --duration 20s --kafka apache --json build/bench/faults-kafka.json $(ARGS)

.PHONY: faults
faults: build ## the same for two hours: 40 storms, 10 more on Apache Kafka, and their sum (ARGS="--seed N" for others)
	@deploy/install redis postgres
	@deploy/kafka/fetch >/dev/null
	build/onsale bench faults --runs 40 --apache-runs 10 --hits 5 --json build/bench/faults-long.json $(ARGS)

.PHONY: bench-settle
bench-settle: build ## orders a second from Kafka to tickets, in batches and singly; the report is build/bench/settle.json
	@deploy/install redis postgres
	build/onsale bench settle --json build/bench/settle.json $(ARGS)

.PHONY: bench-feed
bench-feed: build ## 150,000 browsers on one machine: memory, fan-out, herds, churn; about 10 minutes and 6 GB; build/bench/feed.json
	@deploy/install redis postgres
	build/onsale bench feed --json build/bench/feed.json $(or $(ARGS),--conns 150000 --churn 5m)

.PHONY: bench-tiers
bench-tiers: build ## one storm through one process of each tier and through several, with Redis Cluster; build/bench/tiers.json
	@deploy/install redis postgres
	build/onsale bench tiers --json build/bench/tiers.json $(ARGS)

# The short forms; a longer run's report in build/bench is as good: "onsale bench scaling" takes any.
.PHONY: scaling
scaling: build ## measure what bench/SCALING.md reckons with, in a short form, and write its tables anew; about 8 minutes
	@deploy/install redis postgres
	build/onsale bench engine --json build/bench/engine.json
	build/onsale bench holds --rounds 3 --json build/bench/holds.json
	build/onsale bench settle --rounds 3 --orders 20000 --json build/bench/settle.json
	build/onsale bench feed --conns 4000 --json build/bench/feed.json
	build/onsale bench tiers --json build/bench/tiers.json
	build/onsale bench scaling --write bench/SCALING.md $(addprefix build/bench/,engine.json holds.json settle.json feed.json tiers.json)

##@ Prove

.PHONY: test
test: ## run every test under the race detector, on real servers
	@deploy/install gcc redis postgres pgbouncer chromium
	CGO_ENABLED=1 go test $(TEST_FLAGS) ./...

.PHONY: test-kafka
test-kafka: ## run the pipeline's tests on Apache Kafka instead of the embedded broker
	@deploy/install gcc redis postgres pgbouncer
	CGO_ENABLED=1 deploy/kafka/with go test $(KAFKA_FLAGS) $(KAFKA_PACKAGES)

.PHONY: mutants
mutants: ## break the purchase pipeline on purpose, one mistake at a time: a test must notice each (ARGS="-run RE" for some)
	@deploy/install redis postgres
	go run ./internal/mutants $(ARGS)

.PHONY: check
check: check-format check-vet lint check-mutants check-sizes check-tree check-modules check-api check-compose check-shell ## check everything that is not a test
	@echo "make check: all is well"

.PHONY: lint
lint: ## lint the Go code, and hold it to the import table of DESIGN.md
	@deploy/check/lint

.PHONY: check-format check-vet check-mutants check-sizes check-tree check-modules check-api check-compose check-shell
check-format:
	@gofmt -l $$(git ls-files -co --exclude-standard -- '*.go') | { ! grep . || { echo "make check: run gofmt -w on these" >&2; exit 1; }; }
check-vet:
	@go vet ./...
check-mutants: # that each mistake can still be made: "make mutants" makes them
	@go run ./internal/mutants -check
check-sizes:
	@deploy/check/sizes
check-tree:
	@deploy/check/tree
check-modules:
	@go mod tidy -diff
check-api: # the routes against engine/openapi.yaml; a run that finds no such test has checked nothing
	@deploy/install redis postgres
	@go test -list OpenAPI ./engine | grep -q '^Test' || { echo "make check: ./engine has no OpenAPI test" >&2; exit 1; }
	@go test -count 1 -run OpenAPI ./engine
check-compose:
	@deploy/check/compose
check-shell:
	@deploy/check/shell

##@ Tidy

.PHONY: clean
clean: ## remove everything that was built or fetched here
	rm -rf build

.PHONY: help
help: ## list what can be made
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
