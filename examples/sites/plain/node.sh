#!/usr/bin/env bash
# A node of a cluster on any Linux host, for TIME; it empties itself before, and removes its Node.
set -euo pipefail
exec npx hostlet node --kubeconfig "${KUBECONFIG:-$HOME/kubeconfig}" --node-name "${NODENAME:-$(hostname)}" \
  --site "${SITE:-plain}" --walltime "${TIME:-2h}" --self-signed --kubelet-port 0 --drain-on-exit --on-exit delete-node
