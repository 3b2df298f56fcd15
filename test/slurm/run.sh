#!/usr/bin/env bash
# The tests on a real Slurm, always as an ordinary user: as root they run as nobody, in a copy that nobody may read.
# run.sh [arguments of vitest]. Exits with 3 where Slurm is not installed and can't be.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)

needed=(munged slurmctld slurmd sbatch squeue scancel srun sshd ssh)
missing() { for program in "${needed[@]}"; do PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null || echo "$program"; done; }

if [ -n "$(missing)" ]; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed: $(missing | tr '\n' ' ')(Debian: slurm-wlm slurm-wlm-basic-plugins munge openssh-server openssh-client)"
    exit 3
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get -q -o DPkg::Lock::Timeout=300 update
  apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends slurm-wlm slurm-wlm-basic-plugins munge openssh-server openssh-client \
    slurmdbd slurm-wlm-mysql-plugin mariadb-server
fi

# Files of the distribution, not somebody's stub.
for program in "${needed[@]}"; do
  path=$(PATH="$PATH:/usr/sbin:/sbin" command -v "$program")
  case $(head -c 4 "$path" | od -An -c | tr -d ' ') in
    177ELF) ;;
    *) echo "$path is no program of Slurm"; exit 1 ;;
  esac
done

if [ "$(id -u)" -ne 0 ]; then
  cd "$root"
  exec npx --no-install vitest run --project slurm "$@"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/hostlet-slurm-tests.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir "$work/home" "$work/tmp" "$work/node"
cp "$(readlink -f "$(command -v node)")" "$work/node/node"
# 1: a file changed meanwhile, such as a cache of another tool
{ tar -C "$root" --exclude=./.git --exclude=./.bench -cf - . || [ $? -eq 1 ]; } | tar -C "$work" -xf - --one-top-level=hostlet
chown -R nobody "$work"
cd "$work/hostlet"
setpriv --reuid nobody --regid nogroup --clear-groups env -i PATH="$work/node:/usr/local/bin:/usr/bin:/bin" HOME="$work/home" TMPDIR="$work/tmp" \
  USER=nobody LOGNAME=nobody CI="${CI:-}" NO_COLOR=1 "$work/node/node" node_modules/vitest/vitest.mjs run --project slurm "$@"
