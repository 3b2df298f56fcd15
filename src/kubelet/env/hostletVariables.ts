/**
 * The variables by which a container finds its pod and its files. A volume `job-data` is HOSTLET_VOLUME_JOB_DATA.
 * @param options.volumes absolute paths of the volumes that the container mounts, by name
 */
export function hostletVariables(options: {
  podDir: string;
  containerDir: string;
  namespace: string;
  podName: string;
  podUID: string;
  container: string;
  volumes: ReadonlyMap<string, string>;
}): Record<string, string> {
  const variables: Record<string, string> = {
    HOSTLET_POD_DIR: options.podDir,
    HOSTLET_CONTAINER_DIR: options.containerDir,
    HOSTLET_POD_NAME: options.podName,
    HOSTLET_POD_NAMESPACE: options.namespace,
    HOSTLET_POD_UID: options.podUID,
    HOSTLET_CONTAINER_NAME: options.container,
  };
  for (const [volume, path] of options.volumes) {
    variables[`HOSTLET_VOLUME_${volume.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}`] = path;
  }
  return variables;
}
