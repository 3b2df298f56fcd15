#!/usr/bin/env bash
# get.sh: a real metrics-server for tests. Prints the path of the program, and builds it from its Go module where it is
# not there yet: minutes, once. Needs no root, and changes nothing outside the cache and Go's own.
#
# The cache: ${XDG_CACHE_HOME:-$HOME/.cache}/hostlet/metrics-server/VERSION.
# Exit codes: 0; 1 failed; 3 this machine has no Go that can build it.
set -euo pipefail
version=0.8.0
cache=${XDG_CACHE_HOME:-$HOME/.cache}/hostlet/metrics-server
program=$cache/$version/metrics-server

mkdir -p "$cache/$version"
exec 9>"$cache/.lock-$version"
flock 9 # who comes second waits, and finds it done
if ! [ -x "$program" ]; then
  if ! command -v go >/dev/null || ! [[ $(go env GOVERSION) =~ ^go1\.([0-9]+) ]] || [ "${BASH_REMATCH[1]}" -lt 24 ]; then
    echo "metrics-server $version needs Go 1.24 or newer on PATH" >&2
    exit 3
  fi
  work=$(mktemp -d "$cache/.build-$version.XXXXXX")
  trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
  export GO111MODULE=on CGO_ENABLED=0 GOFLAGS=-mod=mod GOWORK=off GOTOOLCHAIN=local
  begin=$SECONDS
  echo "building metrics-server $version: this takes minutes, once" >&2
  mkdir "$work/module"
  cd "$work/module"
  # A module of our own with its requirements and checksums.
  source=$(GOFLAGS= go mod download -json "sigs.k8s.io/metrics-server@v$version" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')
  sed 's#^module .*#module hostlet.test/metrics-server#' "$source/go.mod" >go.mod
  cp "$source/go.sum" go.sum
  chmod u+w go.mod go.sum
  go mod edit -require "sigs.k8s.io/metrics-server@v$version"
  go build -p 2 -ldflags "-s -w -X k8s.io/client-go/pkg/version.gitVersion=v$version" -o "$work/" \
    sigs.k8s.io/metrics-server/cmd/metrics-server >&2 9>&-
  mv "$work/metrics-server" "$program"
  echo "built metrics-server $version in $((SECONDS - begin)) s" >&2
fi
echo "$program"
