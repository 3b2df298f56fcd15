#!/usr/bin/env bash
# get.sh VERSION: Kubernetes' own end-to-end tests and what their images consist of. Prints the directory that holds e2e.test, agnhost,
# nnp and nc for that version (1.20.2), and builds them where they are not there yet: about ten minutes, once. Needs no root.
#
# The cache: ${XDG_CACHE_HOME:-$HOME/.cache}/hostlet/conformance/VERSION.
# Exit codes: 0; 1 failed; 2 wrong usage; 3 this machine lacks what the build needs (the message says what).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=${1:-}
if [ "$version" != 1.20.2 ]; then
  echo "usage: get.sh VERSION; this script can build 1.20.2 (Debian 12's source package)" >&2
  exit 2
fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}/hostlet/conformance
dir=$cache/$version
complete() { [ -x "$1/e2e.test" ] && [ -x "$1/agnhost" ] && [ -x "$1/nnp" ] && [ -x "$1/nc/nc" ]; }

mkdir -p "$cache"
exec 9>"$cache/.lock-$version"
flock 9 # who comes second waits, and finds it done
if ! complete "$dir"; then
  work=$(mktemp -d "$cache/.build-$version.XXXXXX")
  trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
  mkdir "$work/out"
  begin=$SECONDS
  echo "building the end-to-end tests of Kubernetes $version: this takes minutes, once" >&2
  "$here/build.sh" "$version" "$work" >&2 9>&-
  complete "$work/out"
  rm -rf "$dir"
  mv "$work/out" "$dir"
  echo "built them in $((SECONDS - begin)) s" >&2
fi
echo "$dir"
