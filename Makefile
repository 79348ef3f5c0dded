# SPDX-License-Identifier: Apache-2.0
# Every target does its own set-up: `make demo` or `make test` is the only command a fresh machine needs.
SHELL := /bin/bash
export PATH := $(CURDIR)/node_modules/.bin:/usr/sbin:/sbin:$(PATH)
RUN := NODE_OPTIONS=--disable-warning=ExperimentalWarning npm run --silent

.PHONY: demo test check bench bench-l7 bench-istiod interop conformance soak soak-l7 fuzz gen clean setup

demo: setup
	@$(RUN) demo

test: setup
	@tools/setup.sh go
	@$(RUN) test && $(RUN) test:net && $(RUN) e2e

check: setup
	@$(RUN) gen && git diff --exit-code --stat -- lib/proto/gen manifests/crds docs/guide && $(RUN) check

bench: setup
	@apt_extra="haproxy iperf3 wrk" tools/setup.sh
	@$(RUN) bench

bench-l7: setup
	@apt_extra="haproxy wrk nginx:nginx-light h2load:nghttp2-client" tools/setup.sh
	@$(RUN) bench:l7

interop: setup
	@$(RUN) interop

bench-istiod: setup
	@$(RUN) bench:istiod

# Gateway API's own suite. Words for it in ARGS, as in ARGS=-run-test=MeshBasic
conformance: setup
	@tools/setup.sh go
	@$(RUN) conformance -- $(ARGS)

soak: setup
	@$(RUN) soak

soak-l7: setup
	@$(RUN) soak:l7

# Ten minutes on two cores, and at least a million inputs for each target.
fuzz: setup
	@FUZZ_EXECUTIONS=$${FUZZ_EXECUTIONS:-1000000} FUZZ_SECONDS=$${FUZZ_SECONDS:-50} $(RUN) fuzz

gen: setup
	@$(RUN) gen

clean:
	rm -rf node_modules .cache coverage

setup:
	@tools/setup.sh
