import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { withPodDefaults } from "../../devcluster/defaults/pod.ts";
import type { Stored } from "../../devcluster/objects.ts";
import { validatePod } from "../../devcluster/validation/pod.ts";
import type { KubeObject, Pod } from "../../kube/types.ts";
import { referencedObjects } from "../../kubelet/references.ts";
import { parseManifests } from "../../manifest/read.ts";

export interface StaticManifests {
  /** By UID, which is made from the file's content: another content is another pod. */
  pods: Map<string, Pod>;
  /** A sentence for each file that is none. */
  problems: string[];
}

/**
 * The pods of a manifest file, or of a directory's files. Names that begin with a dot are left out, as editors and ConfigMap
 * volumes leave such. What is missing is an empty directory.
 */
export function readStaticManifests(path: string, nodeName: string): StaticManifests {
  const pods = new Map<string, Pod>();
  const problems: string[] = [];
  const names = new Set<string>();
  for (const file of filesOf(path)) {
    try {
      for (const { object, where } of parseManifests(readFileSync(file, "utf8"), file)) {
        const pod = staticPod(object, file, nodeName);
        const { namespace, name, uid = "" } = pod.metadata ?? {};
        if (names.has(`${namespace}/${name}`))
          throw new Error(`${where}: pod ${namespace}/${name} is in another file, too`);
        names.add(`${namespace}/${name}`);
        pods.set(uid, pod);
      }
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
  }
  return { pods, problems };
}

function filesOf(path: string): string[] {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return [];
  if (!found.isDirectory()) return [path];
  const names = readdirSync(path).filter((name) => !name.startsWith("."));
  return names
    .sort()
    .map((name) => join(path, name))
    .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile());
}

/** @throws where it is no pod that can be run without an API server */
function staticPod(object: KubeObject, file: string, nodeName: string): Pod {
  if (object.kind !== "Pod" || object.apiVersion !== "v1") throw new Error(`${file}: is a ${object.kind}, not a Pod`);
  const given = object as Pod;
  const hash = createHash("sha256")
    .update(JSON.stringify([nodeName, file, object]))
    .digest("hex")
    .slice(0, 32);
  const { name = "", namespace = "default", labels, annotations } = given.metadata ?? {};
  if (name === "") throw new Error(`${file}: metadata.name: Required value`);
  const pod = withPodDefaults({
    ...given,
    metadata: {
      name: `${name}-${nodeName}`,
      namespace,
      uid: hash,
      ...(labels && { labels }),
      annotations: {
        ...annotations,
        "kubernetes.io/config.hash": hash,
        "kubernetes.io/config.source": "file",
        "kubernetes.io/config.seen": new Date(statSync(file).mtimeMs).toISOString(),
      },
    },
    spec: {
      ...given.spec,
      nodeName,
      tolerations: [...(given.spec?.tolerations ?? []), { operator: "Exists", effect: "NoExecute" }],
    },
  } as unknown as Stored) as Pod;
  // What the API server fills in for pods of its own: tokens are nothing that a file can ask for.
  delete pod.spec?.serviceAccountName;
  delete pod.spec?.serviceAccount;
  const [invalid] = validatePod(pod as unknown as Stored);
  if (invalid) throw new Error(`${file}: ${JSON.stringify(invalid)}`);
  const [reference] = referencedObjects(pod);
  // It has to start without an API server, and a node's identity could make no mirror of it.
  const account = given.spec?.serviceAccountName ?? given.spec?.serviceAccount;
  if (reference || account) {
    const what = reference ? `${reference.kind} ${reference.name}` : `service account ${account}`;
    throw new Error(`${file}: a static pod may not reference ${what}`);
  }
  return pod;
}
