import type { DeleteOptions } from "../../kube/types.ts";
import type { User } from "../auth.ts";
import type { Exchange } from "../http/exchange.ts";
import { isObject, keyOf } from "../objects.ts";
import { badRequest, methodNotAllowed, notFound } from "../status.ts";
import { createToken } from "../tokens/tokenRequest.ts";
import type { Api, WriteOptions } from "./api.ts";
import { mediaType, readBody, readOptionalBody } from "./body.ts";
import { isConnect, proxyToKubelet } from "./connect.ts";
import { create } from "./create.ts";
import { remove } from "./delete.ts";
import { list } from "./list.ts";
import { streamLogs } from "./logs.ts";
import { answerFormat, sendEntry, sendPage } from "./output.ts";
import { selection } from "./selection.ts";
import { createBinding, evict, success } from "./subresources.ts";
import type { Target } from "./target.ts";
import { patch, patchTypes, update } from "./update.ts";
import { watch } from "./watch.ts";

/** Subresources that are read and written like the object that they are a part of. */
const partsOfObjects = ["status", "finalize", "ephemeralcontainers"];

/** Answers a request for resources. @throws {StatusError} */
export async function dispatch(api: Api, target: Target, exchange: Exchange, user: User): Promise<void> {
  const { resource, namespace, name, subresource } = target;
  const { method } = exchange;
  api.log.trace({ method, path: exchange.path, user: user.username }, "request");
  if (subresource && !partsOfObjects.includes(subresource)) return dispatchSubresource(api, target, exchange);
  if (method === "POST") {
    if (name !== undefined || (resource.namespaced && namespace === undefined)) throw methodNotAllowed();
    const options = writeOptions(exchange);
    const entry = create(api, resource, namespace, await readBody(exchange), options);
    return sendEntry(api, resource, entry, exchange, 201);
  }
  if (method === "GET" || method === "HEAD") return dispatchRead(api, target, exchange);
  if (name === undefined) {
    if (method !== "DELETE") throw methodNotAllowed();
    return deleteCollection(api, target, exchange);
  }
  switch (method) {
    case "PUT":
      return sendEntry(api, resource, update(api, target, await readBody(exchange), writeOptions(exchange)), exchange);
    case "PATCH": {
      const body = await readBody(exchange, Object.keys(patchTypes));
      const type = mediaType(exchange) as keyof typeof patchTypes;
      return sendEntry(api, resource, patch(api, target, body, type, writeOptions(exchange)), exchange);
    }
    case "DELETE": {
      const options = await deleteOptions(exchange);
      const { entry, gone } = remove(api, resource, namespace, name, options, isDryRun(exchange, options));
      if (!gone || resource.returnsDeleted) return sendEntry(api, resource, entry, exchange);
      const details = { name, ...(resource.group ? { group: resource.group } : {}), kind: resource.plural };
      const body = success({ ...details, uid: entry.object.metadata.uid });
      return exchange.send(200, JSON.stringify(body));
    }
    default:
      throw methodNotAllowed();
  }
}

function dispatchRead(api: Api, target: Target, exchange: Exchange): void {
  const { resource, namespace, name } = target;
  const { query } = exchange;
  const watching = ["true", "1"].includes(query.get("watch") ?? "");
  if (name !== undefined && !watching) {
    const entry = api.store.get(resource, keyOf(namespace, name));
    if (!entry) throw notFound(resource, name);
    sendEntry(api, resource, entry, exchange);
    return;
  }
  const select = selection(resource, namespace, name, query);
  if (watching) {
    watch(api, resource, select, exchange, answerFormat(api, resource, exchange).framing());
    return;
  }
  sendPage(api, resource, list(api, resource, select, query), exchange);
}

async function dispatchSubresource(api: Api, target: Target, exchange: Exchange): Promise<void> {
  const { namespace = "", name = "", subresource = "" } = target;
  if (isConnect(target)) return proxyToKubelet(api, target, exchange);
  if (subresource === "log") {
    if (exchange.method !== "GET") throw methodNotAllowed();
    return streamLogs(api, namespace, name, exchange);
  }
  if (exchange.method !== "POST") throw methodNotAllowed();
  const body = await readBody(exchange);
  if (subresource === "token") {
    exchange.send(201, JSON.stringify(createToken(api, namespace, name, body)));
    return;
  }
  if (subresource === "binding") createBinding(api, namespace, name, body);
  else evict(api, namespace, name, body, isDryRun(exchange, {}));
  exchange.send(201, JSON.stringify(success()));
}

async function deleteCollection(api: Api, target: Target, exchange: Exchange): Promise<void> {
  const { resource, namespace } = target;
  if (resource.namespaced && namespace === undefined) throw methodNotAllowed();
  const options = await deleteOptions(exchange);
  const page = list(api, resource, selection(resource, namespace, undefined, exchange.query), exchange.query);
  for (const { object } of page.entries) {
    remove(api, resource, namespace, object.metadata.name, options, isDryRun(exchange, options));
  }
  sendPage(api, resource, page, exchange);
}

async function deleteOptions(exchange: Exchange): Promise<DeleteOptions> {
  const body = await readOptionalBody(exchange);
  if (!isObject(body)) throw badRequest("DeleteOptions are an object");
  const options: DeleteOptions = { ...body };
  const grace = exchange.query.get("gracePeriodSeconds");
  if (grace !== null) options.gracePeriodSeconds = Number(grace);
  const seconds = options.gracePeriodSeconds ?? 0;
  if (!Number.isInteger(seconds)) throw badRequest("gracePeriodSeconds must be a number of seconds");
  return options;
}

function isDryRun(exchange: Exchange, options: DeleteOptions): boolean {
  const values = [...exchange.query.getAll("dryRun"), ...(options.dryRun ?? [])].filter((value) => value !== "");
  if (values.some((value) => value !== "All")) {
    throw badRequest(`dryRun: Unsupported value: ${JSON.stringify(values[0])}: supported values: "All"`);
  }
  return values.length > 0;
}

function writeOptions(exchange: Exchange): WriteOptions {
  const fieldValidation = exchange.query.get("fieldValidation") || "Warn";
  if (fieldValidation !== "Strict" && fieldValidation !== "Warn" && fieldValidation !== "Ignore") {
    throw badRequest(
      `fieldValidation: Unsupported value: ${JSON.stringify(fieldValidation)}: supported values: "Ignore", "Strict", "Warn"`,
    );
  }
  return { dryRun: isDryRun(exchange, {}), fieldValidation, warn: (text) => exchange.warn(text) };
}
