# make build   bin/ebofs (static) with its links mkfs.ebofs and fsck.ebofs
# make demo    the main job: a cluster, stock clients, a kill, flipped bytes, a check
# make test    everything CI checks; `make check` is the same
# make deb     Debian packages for amd64 and arm64 in bin/deb; ARCH=amd64 for one of them
# make bench   the figures of docs/performance.md, on a scratch loop device or image
# make picture  docs/throughput.svg: throughput against write size, fresh and aged
# make versus  our OSD against Debian's ceph-osd, with stock clients, taking turns
# make peers   the engine beside raw device, ext4, XFS, bbolt, Pebble and Badger; ROUNDS=n, ARGS='--values 4K'
# make scale   mounts and memory with 10^4 to 10^7 objects, as a table; OBJECTS=1e4,1e6 BUDGETS=256 IMAGE=file to choose
# make pgo     a new profile for make build PGO=packaging/ebofs.pgo (docs/decisions/pgo.md)
# make soak STAGE=crash T=10m   a long run; its counts go to docs/soak.csv
#
# Needs Debian 12 and Go; what else is missing is installed and named.

SHELL := /bin/bash
.DEFAULT_GOAL := build
.PHONY: build demo deb test check bench pgo picture versus peers scale soak setup clean fmt

# Go is often unpacked to /usr/local/go without being in PATH.
ifeq ($(shell command -v go 2>/dev/null),)
export PATH := /usr/local/go/bin:$(PATH)
endif

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# A profile to optimise by, or off.
PGO ?= off

build:
	@.ci/setup build
	CGO_ENABLED=0 go build -trimpath -pgo $(PGO) -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ebofs ./tools/ebofs
	@ln -sf ebofs bin/mkfs.ebofs
	@ln -sf ebofs bin/fsck.ebofs

demo: build
	@.ci/setup demo
	bin/ebofs demo --tour

ARCH ?= amd64 arm64
deb:
	@.ci/setup build
	@for arch in $(ARCH); do packaging/deb/build $$arch bin/deb || exit; done

test: build
	@.ci/test

check: test

bench: build
	@.ci/bench

picture: build
	@.ci/bench age --svg docs/throughput.svg

versus: build
	@.ci/versus $(ROUNDS)

# A module of its own: what it compares with is not linked into the programs. Pebble
# compresses nothing here and needs no zstd in C.
peers:
	@.ci/setup peers
	cd tools/peers && go build -trimpath -tags pebblegozstd -o ../../bin/peers .
	@set -o pipefail; bin/peers --dir bin --rounds $(or $(ROUNDS),3) --json bin/peers.json $(ARGS) | tee bin/peers.md

OBJECTS ?= 1e4,1e5,1e6,1e7
BUDGETS ?= 256,2048
scale:
	go test -run xxx -bench Scale -benchtime 1x -timeout 6h ./fuzz/scale -objects $(OBJECTS) -budgets $(BUDGETS) $(if $(IMAGE),-image $(IMAGE))

soak: build
	@.ci/soak "$(STAGE)" "$(T)"

pgo:
	@.ci/pgo

fmt:
	gofmt -w $$(git ls-files '*.go')

clean:
	rm -rf bin
