#!/usr/bin/env bash
# get.sh VERSION: a real Kubernetes control plane for tests. Prints the directory that holds etcd, kube-apiserver,
# kube-scheduler, kube-controller-manager and kubectl of that version (1.34.2, 1.20.2), and builds them where they are
# not there yet: minutes, once. Needs no root, and changes nothing outside the cache and Go's own.
#
# KUBEBUILDER_ASSETS: a directory with the four programs (kubectl is optional); used where it holds VERSION.
# The cache: ${XDG_CACHE_HOME:-$HOME/.cache}/hostlet/kubernetes/VERSION.
# Exit codes: 0; 1 failed; 2 wrong usage; 3 this machine lacks what the build needs (the message says what).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
programs=(etcd kube-apiserver kube-scheduler kube-controller-manager)
version=${1:-}
case $version in
  1.34.*) builder=from-modules.sh ;;
  1.20.2) builder=from-debian.sh ;;
  *)
    echo "usage: get.sh VERSION; this script can build 1.34.x (Go modules) and 1.20.2 (Debian 12's source package)" >&2
    exit 2
    ;;
esac

complete() { # DIR
  local program
  for program in "${programs[@]}"; do [ -x "$1/$program" ] || return 1; done
}

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  if complete "$KUBEBUILDER_ASSETS" && [ "$("$KUBEBUILDER_ASSETS/kube-apiserver" --version)" = "Kubernetes v$version" ]; then
    echo "$KUBEBUILDER_ASSETS"
    exit
  fi
  echo "KUBEBUILDER_ASSETS does not hold ${programs[*]} of v$version: not used" >&2
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/hostlet/kubernetes
dir=$cache/$version
mkdir -p "$cache"
exec 9>"$cache/.lock-$version"
flock 9 # who comes second waits, and finds it done
if ! complete "$dir"; then
  work=$(mktemp -d "$cache/.build-$version.XXXXXX")
  trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
  mkdir "$work/out"
  begin=$SECONDS
  echo "building Kubernetes $version: this takes minutes, once" >&2
  # Status 3 passes through. The lock is not the children's: a daemon of theirs would hold it.
  "$here/$builder" "$version" "$work" >&2 9>&-
  complete "$work/out"
  rm -rf "$dir"
  mv "$work/out" "$dir"
  echo "built Kubernetes $version in $((SECONDS - begin)) s" >&2
fi
echo "$dir"
