#!/usr/bin/env bash
# from-debian.sh 1.20.2 WORK: builds Kubernetes from Debian 12's source package, which holds all that it depends on,
# with Debian's Go 1.19 (not a newer one), into WORK/out. Called by get.sh.
set -euo pipefail
version=$1 work=$2
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/debian.sh"
. "$here/debian-tree.sh"

debian_tree etcd-server
cp "$work/root/usr/bin/etcd" "$work/out/etcd"
cd "$source_dir"

# The one generated file that the package lacks: without it /openapi/v2 is empty, and kubectl apply refuses.
"$go" build -p 2 -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
mapfile -t inputs < <(
  grep -rl --include='*.go' '+k8s:openapi-gen=' pkg staging/src/k8s.io cmd |
    grep -vE '/zz_gen|sample-apiserver|code-generator|testdata' |
    xargs -n 1 dirname | sort -u |
    sed -e 's#^staging/src/#vendor/#' -e 's#^#k8s.io/kubernetes/#'
)
"$work/openapi-gen" --logtostderr -h hack/boilerplate/boilerplate.generatego.txt -O zz_generated.openapi \
  -p k8s.io/kubernetes/pkg/generated/openapi -r /dev/null "${inputs[@]/#/--input-dirs=}"

IFS=. read -r major minor _ <<<"$version"
flags=(-s -w)
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  for path in "$package" "k8s.io/kubernetes/vendor/$package"; do
    flags+=(-X "$path.gitVersion=v$version" -X "$path.gitMajor=$major" -X "$path.gitMinor=$minor")
  done
done
"$go" build -p 2 -ldflags "${flags[*]}" -o "$work/out/" \
  ./cmd/kube-apiserver ./cmd/kube-scheduler ./cmd/kube-controller-manager ./cmd/kubectl
