# Herald. `make` alone lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

NODES ?= 3
export NODES KEEP

.PHONY: help build check test test-faults unit demo bench-failover bench-allocate bench-changes crds control-plane metallb packages clean-labs

help: ## This list
	@echo "Herald: LoadBalancer addresses for bare-metal Kubernetes. Verbs:"
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: packages control-plane ## The main job, shown on this machine (NODES=3, KEEP=1 leaves the cluster up); needs root
	@cargo build --workspace --bins
	@cargo run --quiet -p herald-tests --bin demo

test: packages control-plane metallb ## Every test, from unit to end to end on a real control plane; needs root
	@cargo build --workspace --bins
	@cargo test --workspace

test-faults: packages control-plane ## The fault matrix, row by row, with a table at the end (about 10 minutes); needs root
	@tests/faults

unit: ## The tests that need neither root nor a cluster
	@cargo test --workspace --exclude herald-tests

check: ## Format, lints, walls between crates, generated files
	@tests/check

bench-failover: packages control-plane ## Outages beside Keepalived's, 10 of each fault (RUNS=10); needs root
	@cargo build --release --workspace --bins
	@cargo bench -p herald-tests --bench failover

bench-allocate: packages control-plane metallb ## Addresses for 1,000 and 5,000 Services beside MetalLB and a writer that decides nothing (SIZES=1000,5000); needs root
	@cargo build --release --workspace --bins
	@cargo bench -p herald-tests --bench allocate
	@cargo bench -p herald-allocator --bench claims

bench-changes: ## What one changed Service costs a speaker on top of 1,000 and 50,000 (SERVICES=1000,50000)
	@cargo bench -p herald-desire --bench changes

build: ## Optimised binaries, in target/release
	@cargo build --release -p herald-controller -p herald-speaker

crds: ## Writes config/crd from the Rust types
	@cargo run --quiet -p herald-crds --bin crdgen -- config/crd

metallb: ## Builds the MetalLB that the migration test takes over from, once (about 2 minutes), cached outside the clone
	@tests/metallb/build >/dev/null

control-plane: ## Builds the Kubernetes that tests run against, once (about 12 minutes on 2 cores), cached outside the clone
	@tests/controlplane/build >/dev/null

packages: ## Installs the system packages that tests need, and says which before
	@tests/packages

clean-labs: ## Removes test clusters that were left up
	@cargo run --quiet -p herald-tests --bin clean-labs
