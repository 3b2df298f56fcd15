#!/usr/bin/env bash
# Four CPU nodes of Perlmutter for two hours, kept alive. ACCOUNT and CONTROL_PLANE (user@host) are yours.
set -euo pipefail
exec npx hostlet pilot submit perlmutter --nodes "${NODES:-4}" --time "${TIME:-2:00:00}" --keep \
  --account "${ACCOUNT:?}" --qos "${QOS:-regular}" --constraint cpu \
  --site perlmutter --node-type cpu --kubeconfig "${KUBECONFIG:-$HOME/kubeconfig}" \
  --tunnel "ssh://${CONTROL_PLANE:?}" --node-flags "--self-signed --walltime-margin 2m"
