# To be sourced: Debian's packages without root, unpacked and not installed. Its lists and cache are in $work/apt, so
# that it works where the system's lists are missing, and source packages can be had without a change to /etc.
# Needs: work (a directory).

debian_lists() {
  command -v apt-get >/dev/null || { echo "no apt-get here: this needs Debian, or Go on PATH" >&2; return 3; }
  mkdir -p "$work"/apt/{etc/sources.list.d,lists/partial,cache/archives/partial}
  local file
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -e "$file" ] || continue
    { cat "$file"; sed -n 's/^deb /deb-src /p' "$file"; } >"$work/apt/etc/sources.list.d/$(basename "$file" .list).list"
  done
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -e "$file" ] || continue
    sed 's/^Types: *deb *$/Types: deb deb-src/' "$file" >"$work/apt/etc/sources.list.d/$(basename "$file")"
  done
  cat >"$work/apt/apt.conf" <<END
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "$work/apt/etc/sources.list.d";
Dir::State::Lists "$work/apt/lists";
Dir::Cache "$work/apt/cache";
APT::Sandbox::User "";
END
  APT_CONFIG=$work/apt/apt.conf apt-get update -q
}

# debian_unpack INTO PACKAGE...
debian_unpack() {
  local into=$1 package
  shift
  mkdir -p "$work/apt/debs"
  (cd "$work/apt/debs" && APT_CONFIG=$work/apt/apt.conf apt-get download -q "$@")
  for package in "$@"; do dpkg-deb -x "$work/apt/debs/${package}"_*.deb "$into"; done
}

debian_source() { # PACKAGE: its archives, in $work/apt/source
  mkdir -p "$work/apt/source"
  (cd "$work/apt/source" && APT_CONFIG=$work/apt/apt.conf apt-get source -q --download-only "$1")
}
