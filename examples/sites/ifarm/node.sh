#!/usr/bin/env bash
# One node for the pods of vk-cmd's form, named JOBNAME (vk-...), with the host pipe beside it. CONTROL_PLANE is user@host.
set -euo pipefail
: "${JOBNAME:?such as vk-ifarm}"
ssh -o BatchMode=yes -o ExitOnForwardFailure=yes -NfL 6443:localhost:6443 "${CONTROL_PLANE:?}"
npx hostlet hostpipe fifo ~/hostpipe/vk-cmd --parallel 4 --quiet &
trap 'kill %1' EXIT
npx hostlet node --compat --kubeconfig "${KUBECONFIG:-$HOME/kubeconfig}" --self-signed --site ifarm \
  --tunnel "ssh://$CONTROL_PLANE" --walltime "${WALLTIME:-24h}"
