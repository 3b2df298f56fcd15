#!/usr/bin/env bash
# Runs a command on a host that was booted with systemd, as far as the command can see: systemd is PID 1 of namespaces of its own, with a
# /run, cgroups and a D-Bus of its own, over this machine's files. None of this machine's units are loaded. Root only.
#   scripts/with-systemd.sh COMMAND [ARG...]
set -euo pipefail

[ "$(id -u)" -eq 0 ] || { echo "only root can do that" >&2; exit 77; }
for need in /lib/systemd/systemd /usr/bin/dbus-daemon /usr/bin/unshare /usr/bin/nsenter; do
  [ -x "$need" ] || { echo "not installed: $need" >&2; exit 77; }
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/hostlet-systemd.XXXXXX")
name=hostlet-${dir##*.}
mkdir "$dir/run" "$dir/units"

unit() { cat >"$dir/units/$1"; }
unit hostlet-test.target <<<$'[Unit]\nRequires=dbus.socket\nAfter=dbus.socket\nDefaultDependencies=no'
for target in sysinit basic shutdown umount; do unit $target.target <<<$'[Unit]\nDefaultDependencies=no'; done
unit dbus.socket <<<$'[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/dbus/system_bus_socket'
unit dbus.service <<'UNIT'
[Unit]
Requires=dbus.socket
DefaultDependencies=no
[Service]
Type=notify
NotifyAccess=main
ExecStart=/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation
UNIT

# A group of its own in every hierarchy, which then is the root of what systemd sees.
groups=()
for hierarchy in /sys/fs/cgroup/*/; do
  [ -e "$hierarchy/cgroup.procs" ] || continue
  group=$hierarchy$name
  mkdir "$group" 2>/dev/null || continue
  if [ -e "$group/cpuset.cpus" ]; then
    cat "$hierarchy/cpuset.cpus" >"$group/cpuset.cpus"
    cat "$hierarchy/cpuset.mems" >"$group/cpuset.mems"
  fi
  groups+=("$group")
done
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mkdir "/sys/fs/cgroup/$name"
  groups+=("/sys/fs/cgroup/$name")
fi

finish() {
  local status=$?
  if [ -n "${leader:-}" ]; then
    kill -KILL "$leader" 2>/dev/null || true
    wait "$outer" 2>/dev/null || true
  fi
  for group in "${groups[@]}"; do
    for _ in $(seq 50); do
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
      sleep 0.1
    done
  done
  rm -rf "$dir"
  exit "$status"
}
trap finish EXIT

boot='set -e
mount --make-rprivate /
mount --bind "$0/run" /run
mkdir -p /run/systemd/system /run/lock
mount -t proc proc /proc
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
  hierarchies=$(cd /sys/fs/cgroup && ls -d */ | tr -d /)
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  for hierarchy in $hierarchies; do
    mkdir "/sys/fs/cgroup/$hierarchy"
    case $hierarchy in
      systemd) mount -t cgroup -o none,name=systemd cgroup "/sys/fs/cgroup/$hierarchy" ;;
      unified) mount -t cgroup2 cgroup2 "/sys/fs/cgroup/$hierarchy" ;;
      *) mount -t cgroup -o "$hierarchy" cgroup "/sys/fs/cgroup/$hierarchy" 2>/dev/null || rmdir "/sys/fs/cgroup/$hierarchy" ;;
    esac
  done
fi
export container=hostlet SYSTEMD_UNIT_PATH="/run/systemd/transient:$0/units"
exec /lib/systemd/systemd --system --unit=hostlet-test.target --log-target=console --log-level=warning'

(
  for group in "${groups[@]}"; do echo "$BASHPID" >"$group/cgroup.procs" 2>/dev/null || true; done
  exec unshare --cgroup --pid --fork --ipc --uts --mount --kill-child /bin/bash -c "$boot" "$dir"
) >"$dir/console" 2>&1 &
outer=$!
leader=""
for _ in $(seq 300); do
  leader=$(pgrep -P "$outer" | head -n 1 || true)
  [ -n "$leader" ] && [ -S "$dir/run/dbus/system_bus_socket" ] && break
  kill -0 "$outer" 2>/dev/null || { cat "$dir/console" >&2; echo "systemd did not start" >&2; exit 1; }
  sleep 0.1
done
[ -S "$dir/run/dbus/system_bus_socket" ] || { cat "$dir/console" >&2; echo "systemd did not come up" >&2; exit 1; }

enter=(nsenter --target "$leader" --mount --uts --ipc --pid --cgroup --wd="$PWD" --)
# Not as a child of this shell's cgroups: what runs must stand outside the units that it looks at.
"${enter[@]}" env -u DBUS_SESSION_BUS_ADDRESS -u XDG_RUNTIME_DIR HOSTLET_TEST_SYSTEMD=system "$@"
