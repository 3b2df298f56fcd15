import type { ConfigMap, ContainerStatus, Pod, PodStatus, Secret, Taint } from "../../../kube/types.ts";
import type { Ability, ProviderCapabilities } from "../../contract.ts";

/**
 * interLink's JSON, to the field name. What its programs may leave out or send as null is never absent here: the decoders
 * of decode.ts fill it in.
 */

/** `/create`, from the node to the API server. */
export interface PodCreateRequests {
  pod: Pod;
  configmaps: ConfigMap[];
  secrets: Secret[];
  /** One for each projected volume: metadata.name is the *volume's* name, data holds its files. */
  projectedvolumesmaps: ConfigMap[];
  jobscriptURL: string;
}

export interface RetrievedContainer {
  name: string;
  configMaps: ConfigMap[] | null;
  projectedvolumemaps: ConfigMap[] | null;
  secrets: Secret[] | null;
  emptyDirs: string[] | null;
}

/** `/create`, from the API server to the plugin. */
export interface RetrievedPodData {
  pod: Pod;
  /** Singular, though it is a list: init containers first. */
  container: RetrievedContainer[];
  jobConfig: object;
  jobScript?: string;
}

export interface CreateStruct {
  PodUID: string;
  PodJID: string;
}

/** One element of the answer to `/status`. */
export interface WirePodStatus {
  name: string;
  UID: string;
  namespace: string;
  JID: string;
  containers: ContainerStatus[];
  initContainers: ContainerStatus[];
  /** Only between two hops of ours; see extension.ts. */
  hostlet?: PodExtension;
}

export interface LogStruct {
  Namespace: string;
  PodUID: string;
  PodName: string;
  ContainerName: string;
  Opts: {
    /** 0: all */
    Tail: number;
    Bytes: number;
    Timestamps: boolean;
    Follow: boolean;
    Previous: boolean;
    SinceSeconds: number;
    /** Go's zero time where there is none. */
    SinceTime: string;
  };
}

export interface Accelerator {
  resourceType: string;
  available: number;
}

/** The answer to a ping, where it is JSON at all. What is absent stays as it was. */
export interface PingResponse {
  status?: string;
  resources?: { cpu?: string; memory?: string; pods?: string; accelerators?: Accelerator[] };
  taints?: Taint[];
  /** Only between two hops of ours; see extension.ts. */
  hostlet?: HopExtension;
}

/** What the protocol can't say of a pod. */
export interface PodExtension {
  /** The whole status, as the far end's kubelet core has it. */
  status?: PodStatus;
  /** Nothing of the pod is left there. */
  gone?: boolean;
  /** The far end does not know the pod, and would. */
  unknown?: boolean;
}

/** What the far end of the chain can. */
export interface HopExtension {
  capabilities: Record<keyof ProviderCapabilities, Ability>;
  /** This hop is ours, and one behind it is not. */
  foreign?: boolean;
}
