#!/usr/bin/env bash
# Builds shim/bin/hostlet-{shim,sandbox}-{x64,arm64} from shim/{shim,sandbox}.c: static, and the same bytes on every machine.
# With --check it builds elsewhere and compares with what is checked in: exit 1 where they differ.
# Needs python3 with venv; the compiler (zig cc, pinned, from PyPI) is kept under ${XDG_CACHE_HOME:-~/.cache}/hostlet.
set -euo pipefail

ziglang=0.15.2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/hostlet
venv=$cache/ziglang-$ziglang
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! "$venv/bin/python" -c 'import ziglang' 2>/dev/null; then
  mkdir -p "$cache"
  python3 -m venv --clear "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "ziglang==$ziglang"
fi

build() { # program, zig's name of the architecture, ours
  # The working directory and relative names, so that no path of this machine gets into the binary.
  (cd "$root/shim" && "$venv/bin/python" -m ziglang cc -target "$2-linux-musl" -mcpu=baseline -std=c11 -O2 -static -s \
    -Wall -Wextra -Werror -fno-sanitize=undefined -fno-ident -ffile-prefix-map="$PWD=." -Wl,--build-id=none \
    -o "$work/hostlet-$1-$3" "$1.c")
}
for program in shim sandbox; do
  build "$program" x86_64 x64
  build "$program" aarch64 arm64
done
(cd "$work" && sha256sum hostlet-* >SHA256SUMS)

if [[ ${1:-} == --check ]]; then
  for file in hostlet-{shim,sandbox}-{x64,arm64} SHA256SUMS; do
    if ! cmp -s "$work/$file" "$root/shim/bin/$file"; then
      echo "shim/bin/$file is not what its source builds to: run scripts/build-shim.sh and commit shim/bin" >&2
      exit 1
    fi
  done
  echo "shim/bin is what its sources build to"
else
  mkdir -p "$root/shim/bin"
  install -m 0755 "$work"/hostlet-* "$root/shim/bin/"
  install -m 0644 "$work/SHA256SUMS" "$root/shim/bin/"
  (cd "$root/shim/bin" && ls -l hostlet-*)
fi
