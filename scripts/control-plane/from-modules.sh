#!/usr/bin/env bash
# from-modules.sh VERSION WORK: builds Kubernetes from its Go modules into WORK/out. Called by get.sh.
# Go >= 1.24 is taken from PATH; any other (Debian's 1.19 will do) first fetches a newer toolchain, which is a Go module too.
# etcd is built with it, of the version that Kubernetes' own tests use: with Debian's 3.4 it starts, but watches of a quiet kind fail
# with "Too large resource version", as that etcd tells no progress.
set -euo pipefail
version=$1 work=$2
toolchain=go1.24.10
. "$(dirname "${BASH_SOURCE[0]}")/debian.sh"
export GO111MODULE=on CGO_ENABLED=0 GOFLAGS=-mod=mod GOWORK=off GOTOOLCHAIN=local

if ! command -v go >/dev/null; then
  debian_lists
  debian_unpack "$work/root" golang-1.19-go golang-1.19-src
  PATH=$work/root/usr/lib/go-1.19/bin:$PATH
fi

is_new_enough() { [[ $(go env GOVERSION) =~ ^go1\.([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge 24 ]; }
if ! is_new_enough; then
  platform=$(go env GOOS)-$(go env GOARCH)
  mkdir "$work/toolchain"
  (cd "$work/toolchain" && GOFLAGS= go mod download -json "golang.org/toolchain@v0.0.1-$toolchain.$platform" >download.json) || {
    cat "$work/toolchain/download.json"
    echo "Kubernetes $version needs Go 1.24 or newer, and neither PATH nor the Go module proxy has it" >&2
    exit 3
  }
  # A module's files have lost their executable bits, and the cache is read-only.
  cp -r "$(sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p' "$work/toolchain/download.json")" "$work/toolchain/go"
  chmod -R u+w "$work/toolchain/go"
  chmod -R u+x "$work/toolchain/go/bin" "$work/toolchain/go/pkg/tool"
  export GOROOT=$work/toolchain/go
  PATH=$GOROOT/bin:$PATH
  go version
fi

# A module of our own with Kubernetes' own requirements and checksums; what its repository holds in staging/ is released
# as modules with the matching v0 version.
mkdir "$work/module"
cd "$work/module"
kubernetes=$(GOFLAGS= go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')
sed -E -e "s#^module .*#module hostlet.test/kubernetes#" \
  -e "s#=> \./staging/src/(k8s\.io/[a-z0-9-]+)#=> \1 v0.${version#1.}#" "$kubernetes/go.mod" >go.mod
cp "$kubernetes/go.sum" go.sum
chmod u+w go.sum
go mod edit -require "k8s.io/kubernetes@v$version"

IFS=. read -r major minor _ <<<"$version"
flags=(-s -w)
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  flags+=(-X "$package.gitVersion=v$version" -X "$package.gitMajor=$major" -X "$package.gitMinor=$minor")
done
go build -p 2 -ldflags "${flags[*]}" -o "$work/out/" \
  k8s.io/kubernetes/cmd/kube-{apiserver,scheduler,controller-manager} k8s.io/kubernetes/cmd/kubectl
go build -p 2 -ldflags "-s -w" -o "$work/out/etcd" go.etcd.io/etcd/server/v3
