#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Brings a machine to the point where the other targets work: npm packages when the lockfile changed, Debian packages
# that are missing (more in $apt_extra). With the word `go` it also wants Go, which judges from outside need (h2spec,
# client-go). Says what to install where it may not do so itself.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p .cache/setup
stamp=.cache/setup/lockfile
# A linked node_modules belongs to another checkout, which keeps it up to date.
if [ ! -L node_modules ] && { ! cmp -s package-lock.json "$stamp" || [ ! -d node_modules ]; }; then
  echo "setup: npm ci"
  npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json "$stamp"
fi

if [ "${1:-}" = go ] && ! go version 2>/dev/null | grep -qE 'go1\.(2[4-9]|[3-9][0-9])'; then
  echo "setup: the end-to-end tests build h2spec and a client-go program: install Go 1.24 or later and put it on PATH" >&2
  exit 1
fi

# program:package, by the program that proves the package is there; one word where both have one name
needed=(nft:nftables ip:iproute2 tcpdump:tcpdump unshare:util-linux curl:curl unzip:unzip setpriv:util-linux sysctl:procps /usr/lib/cni/bridge:containernetworking-plugins)
for entry in ${apt_extra:-}; do needed+=("${entry%%:*}:${entry##*:}"); done
missing=()
for entry in "${needed[@]}"; do
  command -v "${entry%%:*}" >/dev/null || missing+=("${entry##*:}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "setup: apt-get install ${missing[*]}"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >.cache/setup/apt.log 2>&1 ||
    { tail -20 .cache/setup/apt.log; echo "setup: apt-get failed; install by hand: ${missing[*]}" >&2; exit 1; }
else
  echo "setup: install these first (as root: apt-get install ${missing[*]})" >&2
  exit 1
fi
