# `make` lists what there is to do; the recipes are short on purpose: each can be typed by hand.

CARGO ?= cargo
# One feature set for everything: nothing is built twice. The kill points are for the tests; a release lacks them.
TEST_FLAGS = --features crash-points
DENY_VERSION = 0.20.2
TOOLS = target/tools
DENY = $(TOOLS)/bin/cargo-deny

.DEFAULT_GOAL = help
.PHONY: help run test crash check fmt lint doc deny units bench

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## the whole thing on this machine, with nothing installed: samples through queue, worker and store
	$(CARGO) run --release -- dev --once

test: ## every test, against a throwaway PostgreSQL and an SQS server of its own
	tests/support/with-services $(CARGO) test $(TEST_FLAGS)

crash: ## only the tests that kill the worker at named and at random moments
	tests/support/with-services $(CARGO) test $(TEST_FLAGS) --test it crash

check: fmt lint doc deny units ## format, lints, rustdoc, dependencies, systemd units

fmt:
	$(CARGO) fmt --check

lint:
	$(CARGO) clippy --locked --all-targets $(TEST_FLAGS) -- -D warnings

doc:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items $(TEST_FLAGS)

deny: $(DENY)
	$(DENY) check bans licenses sources

# Unoptimised: it is built in about a minute and checks in seconds.
$(DENY):
	$(CARGO) install --locked --debug --no-default-features --root $(TOOLS) --target-dir $(TOOLS)/build \
		--version $(DENY_VERSION) cargo-deny
	rm -rf $(TOOLS)/build

units:
	tests/support/check-units systemd

bench: ## the load generators, against servers that they start themselves
	$(CARGO) bench
