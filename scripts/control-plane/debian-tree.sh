# To be sourced after debian.sh: Kubernetes 1.20.2's source tree from Debian 12's source package, with Debian's Go 1.19 (not a newer
# one), ready to be built. Needs: work (a directory), version. Gives: source_dir, go, and the environment that they need.

debian_tree() { # PACKAGE...: further binary packages, unpacked into $work/root
  if ! grep -qs '^VERSION_CODENAME=bookworm$' /etc/os-release; then
    echo "Kubernetes $version is built from Debian 12's source package, and this is another system" >&2
    return 3
  fi
  debian_lists
  debian_unpack "$work/root" golang-1.19-go golang-1.19-src golang-github-modern-go-reflect2-dev "$@"
  debian_source kubernetes
  source_dir=$work/gopath/src/k8s.io/kubernetes
  mkdir -p "$source_dir"
  tar -xf "$work"/apt/source/kubernetes_*"$version".orig.tar.* -C "$source_dir" --strip-components=1
  # With Go 1.18 and later reflect2 1.0.1 crashes kube-apiserver on the pretty-printed answers that curl asks for.
  rm -rf "$source_dir/vendor/github.com/modern-go/reflect2"
  cp -rL "$work/root/usr/share/gocode/src/github.com/modern-go/reflect2" "$source_dir/vendor/github.com/modern-go/reflect2"
  # In module mode it refuses to build.
  export GO111MODULE=off CGO_ENABLED=0 GOFLAGS= GOTOOLCHAIN=local
  export GOPATH="$work/gopath" GOCACHE="$work/gocache" GOROOT="$work/root/usr/lib/go-1.19"
  go=$GOROOT/bin/go
}
