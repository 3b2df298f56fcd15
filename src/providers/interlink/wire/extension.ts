/**
 * What hostlet's own ends say to each other beyond interLink's protocol. It is agreed on each hop by itself: a request
 * carries the header, and only where the answer has it too is the other side of *this* hop ours. An API server of ours hands on
 * what lies behind it as far as that is ours; interLink's own one answers without the header, and so ends the extension there.
 */
export const hopHeader = "hostlet-hop";
export const hopVersion = "1";

/** The protocol that a connection is upgraded to for exec and attach (framed) and for port-forward (bare). */
export const streamProtocol = "hostlet-streams";

export const extensionPaths = {
  exec: "/hostlet/v1/exec",
  attach: "/hostlet/v1/attach",
  portForward: "/hostlet/v1/port-forward",
  stats: "/hostlet/v1/stats",
  evict: "/hostlet/v1/evict",
  update: "/hostlet/v1/update",
} as const;

/**
 * Annotation of a pod whose variables are already replaced in every `env` value: the far end must not do it a second time.
 * interLink's own programs carry it along and know nothing of it.
 */
export const resolvedAnnotation = "hostlet.dev/env";
export const resolvedValue = "resolved";

/** Where interLink keeps the plugin's name of the pod. */
export const jobAnnotation = "JobID";
