# SPDX-License-Identifier: GPL-2.0
#
# Every job by name; `make help` lists them. What is built goes to build/.

.DEFAULT_GOAL := help

MAKEFLAGS += --no-print-directory

setup: ## install what is missing from the distribution, by name
	@selftests/setup

check: ## all tests; the last line is `N passed, N failed, N skipped`
	@selftests/setup build vm
	@$(MAKE) -s -C selftests all
	@selftests/check

clean: ## remove what was built
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / \
		{ printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup check clean help
