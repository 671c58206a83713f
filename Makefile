# Needs Go and make. "make test" as root on Debian installs the rest.

# Modules are those of go.mod, as users get them.
export GOWORK = off

FUZZTIME = 1m
SOAK     = 10m

.PHONY: help build test lint generate fuzz bench soak demo clean

help:
	@echo 'make build      bin/tcpvet, static'
	@echo 'make test       everything: packages, generated files, format, vet, staticcheck, builds,'
	@echo '                tests, race detector, fuzzing, leftovers; with its own totals'
	@echo 'make lint       format, vet, staticcheck'
	@echo 'make generate   rewrite generated files'
	@echo 'make fuzz       each fuzz target for FUZZTIME ($(FUZZTIME))'
	@echo 'make bench      the figures of docs/benchmarks.md, measured here (root)'
	@echo 'make soak       tests named TestSoak..., SOAK each ($(SOAK))'
	@echo 'make demo       stages a leak in a private network namespace and explains it'
	@echo 'make clean      removes bin/'

build:
	CGO_ENABLED=0 go build -trimpath -o bin/tcpvet ./cmd/tcpvet

test:
	go -C tools run ./testrun -root ..

lint:
	go -C tools run ./testrun -root .. format vet staticcheck

generate:
	go generate ./...

fuzz:
	go -C tools run ./testrun -root .. -fuzztime $(FUZZTIME) fuzz

bench: build
	go run ./bench

# A soak test asks kerneltest.Soak how long to run and is skipped without the
# variable.
soak:
	TCPVET_SOAK=$(SOAK) go test -tags soak -count=1 -timeout 0 -v -run '^TestSoak' ./...

demo: build
	bin/tcpvet demo

clean:
	rm -rf bin
