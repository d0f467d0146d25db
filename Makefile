# `make` lists what there is to do; the recipes are short on purpose: each can be typed by hand.

CARGO ?= cargo
# One feature set for lints, docs and tests, so that nothing is built twice. A release has no kill points.
FLAGS = --locked --features crash-points
SERVICES = tests/support/with-services
DENY_VERSION = 0.20.2
DENY = target/tools/cargo-deny-$(DENY_VERSION)/bin/cargo-deny

.DEFAULT_GOAL = help
.PHONY: help run test test-money test-live-model crash check fmt lint doc deny units bench

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## the whole thing on this machine, with nothing installed: samples through queue, worker and store
	$(CARGO) run --release -- dev --once

test: ## every test, against a throwaway PostgreSQL and an SQS server of its own
	$(CARGO) test $(FLAGS) --no-run
	$(CARGO) test $(FLAGS) --doc
	$(SERVICES) $(CARGO) test $(FLAGS) --lib --bins --tests --no-fail-fast

crash: ## only the tests that kill the worker at named and at random moments
	$(SERVICES) $(CARGO) test $(FLAGS) --test it crash

test-money: ## what was paid against the bill of who was asked, kills in the middle of calls, minutes of limits: about 24 minutes
	$(SERVICES) $(CARGO) test $(FLAGS) --test money -- --nocapture --test-threads 1

test-live-model: ## prompts against a real tiny model on this machine; the first run fetches 0.33 GB
	$(CARGO) test $(FLAGS) --test live_model --no-run
	tests/support/tiny-model $(CARGO) test $(FLAGS) --test live_model -- --nocapture

bench: ## the load generators, with the same servers beside them
	$(SERVICES) $(CARGO) bench --locked

check: fmt lint doc deny units ## format, lints, rustdoc, dependencies, systemd units

fmt:
	$(CARGO) fmt --check

lint:
	$(CARGO) clippy $(FLAGS) --all-targets --test money --test live_model -- -D warnings

doc:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(FLAGS) --no-deps --document-private-items

deny: $(DENY)
	$(DENY) check bans licenses sources

# Unoptimised: built in about a minute, and it checks in seconds.
$(DENY):
	$(CARGO) install --locked --debug --no-default-features --root $(patsubst %/bin/cargo-deny,%,$@) --target-dir target/tools/build \
		--version $(DENY_VERSION) cargo-deny
	rm -rf target/tools/build

units:
	tests/support/check-units systemd
