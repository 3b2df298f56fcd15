import type { ConfigMap, Container, Secret } from "../../kube/types.ts";
import { retrievedContainer } from "../../providers/interlink/wire/decode.ts";
import type { PodCreateRequests, RetrievedPodData } from "../../providers/interlink/wire/types.ts";

/** Go prints every field of this, set or not: plugins index into it without looking. */
const emptyJobConfig = {
  SingularityHubProxy: { server: "", master_token: "", cache_validity_seconds: 0 },
  ApptainerOptions: {
    executable: "",
    fakeroot: false,
    containall: false,
    fuseMode: "",
    noInit: false,
    noHome: false,
    noPrivs: false,
    nvidiaSupport: false,
    cleanenv: false,
    unsquash: false,
  },
  Volumes: {
    scratch_area: "",
    apptainer_cachedir: "",
    image_dir: "",
    additional_directories_in_path: null,
    fuse_sleep_seconds: 0,
  },
};

/** What the plugin gets: of each container, init containers first, the objects that its mounts name. Pure. */
export function retrieve(
  request: PodCreateRequests,
  buildConfig: Record<string, unknown> | undefined,
): RetrievedPodData {
  const { initContainers = [], containers = [] } = request.pod.spec ?? {};
  return {
    pod: request.pod,
    container: [...initContainers, ...containers].map((container) => objectsOf(container, request)),
    jobConfig: jobConfig(buildConfig),
  };
}

function objectsOf(container: Container, { pod, configmaps, secrets, projectedvolumesmaps }: PodCreateRequests) {
  const found = { configMaps: [] as ConfigMap[], secrets: [] as Secret[], projectedvolumemaps: [] as ConfigMap[] };
  const named = <T extends ConfigMap | Secret>(objects: T[], name: string | undefined) =>
    objects.filter(({ metadata }) => metadata?.name === name).slice(0, 1);
  const mounted = new Set((container.volumeMounts ?? []).map(({ name }) => name));
  // Of volumes that nobody mounts, too, the first container brings the objects: pods here see them by their directories.
  const everything = pod.spec?.initContainers?.[0] ?? pod.spec?.containers?.[0];
  const claimed = new Set(
    [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])].flatMap((one) =>
      (one.volumeMounts ?? []).map(({ name }) => name),
    ),
  );
  for (const volume of pod.spec?.volumes ?? []) {
    if (!mounted.has(volume.name) && !(container === everything && !claimed.has(volume.name))) continue;
    if (volume.configMap) found.configMaps.push(...named(configmaps, volume.configMap.name));
    else if (volume.secret) found.secrets.push(...named(secrets, volume.secret.secretName));
    else if (volume.projected) found.projectedvolumemaps.push(...named(projectedvolumesmaps, volume.name));
  }
  return retrievedContainer(container.name, found);
}

/** The configuration's names (YAML) are not those of the wire (JSON). */
function jobConfig(build: Record<string, unknown> | undefined): object {
  const section = (name: string) => (build?.[name] ?? {}) as Record<string, unknown>;
  const options = section("apptainer_options");
  const { fuse_mode, no_init, no_home, no_privs, nvidia_support, ...rest } = options;
  const renamed = {
    fuseMode: fuse_mode,
    noInit: no_init,
    noHome: no_home,
    noPrivs: no_privs,
    nvidiaSupport: nvidia_support,
  };
  const given = (values: object) =>
    Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
  return {
    SingularityHubProxy: { ...emptyJobConfig.SingularityHubProxy, ...section("singularity_hub") },
    ApptainerOptions: { ...emptyJobConfig.ApptainerOptions, ...given(rest), ...given(renamed) },
    Volumes: { ...emptyJobConfig.Volumes, ...section("volumes_options") },
  };
}
