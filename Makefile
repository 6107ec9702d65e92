# awoooi-reporter. `make help` lists the targets.

TOOLS   ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/awoooi-reporter/tools
export AWOOOI_TOOLS := $(TOOLS)
export PATH := $(TOOLS)/bin:$(PATH)
# The Go release that everything is built with: an older one's standard library has known holes. `make GOTOOLCHAIN=local`
# takes the one that is there.
GOTOOLCHAIN := $(shell sed -n 's/^toolchain //p' go.mod)
export GOTOOLCHAIN

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
REVISION := $(shell git rev-parse HEAD 2>/dev/null)
BRANCH  := $(shell git rev-parse --abbrev-ref HEAD 2>/dev/null)
PKG     := github.com/prometheus/common/version
LDFLAGS := -s -w -X $(PKG).Version=$(VERSION) -X $(PKG).Revision=$(REVISION) -X $(PKG).Branch=$(BRANCH) \
	-X $(PKG).BuildDate=$(shell TZ=UTC git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u +%Y-%m-%dT%H:%M:%SZ)

.DEFAULT_GOAL := help
.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/awoooi-reporter.
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/awoooi-reporter ./cmd/awoooi-reporter

.PHONY: run
run: build ## Run with nothing but Go: embedded databases, sample webhooks, terminal and web page.
	AWOOOI_REPORTER_STATE_PATH=./.run/data ./bin/awoooi-reporter run --sample

.PHONY: demo
demo: build tools ## Run the whole chain on a real PostgreSQL, Prometheus and Alertmanager, and a fake Telegram.
	go run ./internal/demo -binary ./bin/awoooi-reporter

.PHONY: tools
tools: ## Find or install what the tests need.
	@.ci/tools '$(TOOLS)'

# The race detector watches all code but that of libraries which work on data of their own: SQLite (C translated to Go), drawing,
# compression, parsers. Under it they take ten times as long. `make race` watches them, too. A package that uses sync/atomic,
# sync.Map or sync.Pool must not be here: without the detector its atomics no longer order memory, and false races follow.
# Nor are these libraries checked for wrong conversions of unsafe pointers, and what SQLite is built on neither, which takes a sixth
# of the time of tests that use it.
UNWATCHED := modernc.org/sqlite/lib github.com/golang/freetype/... golang.org/x/image/font/... golang.org/x/image/math/... \
	image/... compress/... hash/adler32 golang.org/x/net/html/... golang.org/x/crypto/blowfish go.yaml.in/yaml/v3
UNCHECKED := modernc.org/libc/... modernc.org/memory
RACE := -race $(foreach p,$(UNCHECKED),-gcflags=$(p)=-d=checkptr=0) $(foreach p,$(UNWATCHED),-gcflags='$(p)=-race=false -d=checkptr=0')

.PHONY: test
test: tools ## Run all tests on real servers, with the race detector.
	go vet ./...
	@# Some tests build the program themselves, which the cache of results does not know. Many wait for servers: more than one
	@# for each processor may run at a time.
	@# Programs of tests have no tables for debuggers, which are a third of the time that linking takes.
	@# Files of tests are in memory where that is large enough, since databases sync them thousands of times.
	@tmp=$$(.ci/tmp) && trap 'rm -rf "$$tmp"' EXIT && TMPDIR="$$tmp" \
		go test -vet=off -p 4 -parallel 4 $(RACE) -ldflags=-w -count 1 -timeout 30m $(TESTFLAGS) ./...

.PHONY: race
race: tools ## Run all tests three times in random order, to find races.
	go test -race -count 3 -shuffle on -timeout 30m ./...

.PHONY: test-busy
test-busy: tools ## Run all tests three times in a row next to four busy processes: no test may depend on the time it takes.
	@.ci/busy 4 $(MAKE) test
	@.ci/busy 4 $(MAKE) test
	@.ci/busy 4 $(MAKE) test

.PHONY: faults
faults: tools ## Kill processes and databases a thousand times, and count what is lost and doubled; about 20 minutes.
	go test -v -count 1 ./reporter/outbox -run 'TestTopicsOfAGroupShareItsLimit|TestReplicasShareTheLimitOfAGroup' -outbox.messages 300
	go test -count 1 ./reporter/incident -run 'TestJournalIsAsTheModel|TestOrderDoesNotMatter' -incident.timelines 1000
	go test -count 1 ./reporter/webhook -run TestWorstBodiesAreBounded -webhook.body 10485760
	go test -count 1 ./internal/app -run TestReportEqualsPlainSQLOnRandomDataSets -app.data-sets 100
	go test -v -count 1 -timeout 60m ./internal/app -run 'TestSimulatedDay$$' -day.clusters 12 -day.groups 12 -day.seed 0
	go test -v -count 1 ./internal/app -run 'TestTeams$$' -teams.alerts 10000
	go test -v -count 1 ./internal/app -run 'TestFleet$$' -fleet.clusters 200 -fleet.alerts 1000
	go test -v -count 1 -timeout 60m ./internal/faults -faults.kills 1000 -faults.replica-kills 100 -faults.taps 500 -faults.replica-taps 20

# Package and target of each fuzz test; TestEveryFuzzTargetRunsInCI keeps the list whole.
FUZZ := internal/config.FuzzLoad internal/markup.FuzzMarkup internal/markup.FuzzSplit internal/promexpr.FuzzCheck \
	internal/safetext.FuzzLine internal/sqltext.FuzzParse reporter/chat.FuzzPieces reporter/render.FuzzMarkup \
	reporter/telegram.FuzzSplit reporter/telegram.FuzzUpdates reporter/webhook.FuzzWebhook

.PHONY: fuzz
fuzz: ## Fuzz everything that takes untrusted input, FUZZTIME (10s) each.
	@for f in $(FUZZ); do echo "== $$f"; \
		go test ./$${f%.*} -run '^$$' -fuzz "^$${f##*.}\$$" -fuzztime $(or $(FUZZTIME),10s) -fuzzminimizetime 5s || exit 1; done

.PHONY: bench
bench: tools ## Run the benchmarks, or BENCH=regexp, COUNT times; docs/benchmarks.md tells how to compare two runs.
	@echo "# commit $(VERSION), $$(go version | cut -d ' ' -f 3), $$(psql --version 2>/dev/null), $$(uname -sr)," \
		"$$(getconf _NPROCESSORS_ONLN) processors, load $$(cut -d ' ' -f 1-3 /proc/loadavg 2>/dev/null)"
	@go test -run '^$$' -bench '$(or $(BENCH),.)' -count $(or $(COUNT),1) -timeout 10h \
		$$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -n 1 dirname | sort -u)

.PHONY: dashboards
dashboards: tools ## Regenerate the committed dashboards and rules from the code.
	go test ./dashboards -run TestCommittedFilesAreWhatTheCodeMakes -count 1 -update

.PHONY: release
release: ## Build archives, Debian packages, checksums and an SBOM into dist.
	deploy/release dist

.PHONY: lint
lint: ## Check format, modules, and lint.
	@LINT=1 .ci/tools '$(TOOLS)'
	golangci-lint run ./...
	golangci-lint fmt --diff
	go mod tidy -diff
	cd deploy/validate && go vet ./... && go mod tidy -diff

.PHONY: vuln
vuln: ## Look for known vulnerabilities in what the program calls.
	@VULN=1 .ci/tools '$(TOOLS)'
	@.ci/vulndb '$(TOOLS)/vulndb'
	govulncheck -db 'file://$(TOOLS)/vulndb/db' ./...

.PHONY: check
check: lint test ## What every commit passes.
