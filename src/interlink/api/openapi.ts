/** What an operation takes and gives; enough for a client, and checked against the handlers by a test. */
interface Operation {
  method: "get" | "post" | "delete";
  summary: string;
  request?: string;
  /** Schema of a 200's JSON, or `text`. */
  answer: string;
  /** Beside 200. */
  errors: Record<string, string>;
}

const bad = { "400": "the body is no JSON, or not what is due here" };
const far = {
  "502": "the plugin can't be reached, or makes no sense",
  "504": "the plugin's own word: it takes longer",
};

const operations: Record<string, Operation> = {
  "/create": {
    method: "post",
    summary: "Gives a pod to the plugin.",
    request: "PodCreateRequests",
    answer: "CreateStruct",
    errors: { ...bad, "409": "the pod is being deleted", ...far },
  },
  "/delete": {
    method: "delete",
    summary: "Ends a pod. Answers when nothing is left of it.",
    request: "Pod",
    answer: "text",
    errors: { ...bad, ...far },
  },
  "/status": {
    method: "get",
    summary: "What the containers of some pods do; of none: all that is known.",
    request: "PodList",
    answer: "PodStatusList",
    errors: { ...bad, ...far },
  },
  "/getLogs": {
    method: "get",
    summary: "A container's log, as it comes.",
    request: "LogStruct",
    answer: "text",
    errors: { ...bad, "404": "no such pod or container", ...far },
  },
  "/pinglink": {
    method: "post",
    summary: "Whether API server and plugin are there, and what the plugin has for pods.",
    answer: "PingResponse",
    errors: { "503": "the plugin is not there" },
  },
  "/updateCache": { method: "post", summary: "Nothing; for the sake of older nodes.", answer: "text", errors: {} },
};

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const any = { type: "object", additionalProperties: true };
const listOf = (items: object) => ({ type: "array", items, nullable: true });
const string = { type: "string" };
const integer = { type: "integer" };
const boolean = { type: "boolean" };
const object = (properties: Record<string, object>, required: string[] = []) => ({
  type: "object",
  properties,
  ...(required.length > 0 && { required }),
});

const pod = object(
  {
    metadata: object({ name: string, namespace: string, uid: string }, ["name", "namespace", "uid"]),
    spec: any,
    status: any,
  },
  ["metadata", "spec"],
);
const options = {
  Tail: integer,
  Bytes: integer,
  Timestamps: boolean,
  Follow: boolean,
  Previous: boolean,
  SinceSeconds: integer,
  SinceTime: string,
};
const accelerator = object({ resourceType: string, available: integer }, ["resourceType", "available"]);

export const schemas: Record<string, object> = {
  Pod: pod,
  PodList: { type: "array", items: ref("Pod") },
  PodCreateRequests: object(
    {
      pod: ref("Pod"),
      configmaps: listOf(any),
      secrets: listOf(any),
      projectedvolumesmaps: listOf(any),
      jobscriptURL: string,
    },
    ["pod"],
  ),
  CreateStruct: object({ PodUID: string, PodJID: string }, ["PodUID", "PodJID"]),
  PodStatus: object(
    { name: string, UID: string, namespace: string, JID: string, containers: listOf(any), initContainers: listOf(any) },
    ["name", "UID", "namespace", "JID", "containers", "initContainers"],
  ),
  PodStatusList: { type: "array", items: ref("PodStatus") },
  LogStruct: object(
    { Namespace: string, PodUID: string, PodName: string, ContainerName: string, Opts: object(options) },
    ["Namespace", "PodUID", "Opts"],
  ),
  PingResponse: object({
    status: string,
    resources: object({ cpu: string, memory: string, pods: string, accelerators: listOf(accelerator) }),
    taints: listOf(any),
  }),
};

/** The OpenAPI document of the API server. Any method is taken; it names the one that a client should use. */
export function apiDocument(): object {
  return document("interLink API server", operations);
}

/** That of a plugin. */
export function pluginDocument(): object {
  const { "/create": create, "/delete": remove, ...others } = operations;
  const retrieved = { ...create!, request: "RetrievedPodData" };
  return document(
    "interLink plugin",
    { "/create": retrieved, "/delete": { ...remove!, method: "post" }, ...others },
    {
      RetrievedPodData: object({ pod: ref("Pod"), container: listOf(any), jobConfig: any, jobScript: string }, ["pod"]),
    },
  );
}

function document(title: string, all: Record<string, Operation>, more: Record<string, object> = {}): object {
  const paths = Object.entries(all).map(([path, { method, summary, request, answer, errors }]) => {
    const content =
      answer === "text" ? { "text/plain": { schema: string } } : { "application/json": { schema: ref(answer) } };
    const failures = Object.entries(errors).map(([code, description]) => [code, { description }]);
    const operation = {
      summary,
      ...(request !== undefined && {
        requestBody: { required: true, content: { "application/json": { schema: ref(request) } } },
      }),
      responses: { "200": { description: "OK", content }, ...Object.fromEntries(failures) },
    };
    return [path, { [method]: operation }];
  });
  return {
    openapi: "3.0.3",
    info: { title: `${title} (hostlet)`, version: "1" },
    paths: Object.fromEntries(paths),
    components: { schemas: { ...schemas, ...more } },
  };
}
