#!/usr/bin/env bash
# build.sh 1.20.2 WORK: builds e2e.test, agnhost and nnp into WORK/out. Called by get.sh.
set -euo pipefail
version=$1 work=$2
control_plane=$(dirname "${BASH_SOURCE[0]}")/../control-plane
. "$control_plane/debian.sh"
. "$control_plane/debian-tree.sh"
debian_tree netcat-openbsd libbsd0 libmd0
mkdir "$work/out/nc" # busybox has none that speaks UDP
cp "$work/root/bin/nc.openbsd" "$work/out/nc/nc"
cp -L "$work"/root/usr/lib/*/lib{bsd,md}.so.0 "$work/out/nc/"
cd "$source_dir"

# The files that the tests carry with them; hack/generate-bindata.sh has the same arguments.
"$go" build -p 2 -o "$work/go-bindata" ./vendor/github.com/go-bindata/go-bindata/go-bindata
"$work/go-bindata" -nometadata -o test/e2e/generated/bindata.go -pkg generated \
  -ignore .jpg -ignore .png -ignore .md -ignore 'BUILD(\.bazel)?' \
  test/conformance/testdata/... test/e2e/testing-manifests/... test/e2e_node/testing-manifests/... test/images/... test/fixtures/...

flags="-s -w -X k8s.io/component-base/version.gitVersion=v$version"
"$go" build -p 2 -ldflags "$flags" -o "$work/out/agnhost" ./test/images/agnhost
cp test/images/agnhost/porter/localhost.{crt,key} "$work/out/"
"$go" build -p 2 -ldflags "$flags" -o "$work/out/nnp" ./test/images/nonewprivs
"$go" test -c -p 2 -ldflags "$flags" -o "$work/out/e2e.test" ./test/e2e
