import { isObject, type Json, type Stored } from "../objects.ts";
import type { ResourceType } from "../resources.ts";
import { DecodeError, decode } from "../schema/decode.ts";
import { badRequest } from "../status.ts";
import type { Api, WriteOptions } from "./api.ts";

/**
 * What came off the wire as an object of the kind: fields checked against the schema, defaults filled in.
 * @param known the object that it was made from: what is the same reference is not looked at again
 * @throws {StatusError} 400
 */
export function readObject(
  api: Api,
  resource: ResourceType,
  body: unknown,
  options: WriteOptions,
  known?: Stored,
): Stored {
  if (!isObject(body)) throw badRequest(`couldn't get version/kind; json parse error: the body is not an object`);
  checkKind(resource, body);
  const unknown: string[] = [];
  let object: Json;
  try {
    object = decode(api.schemas.node(resource.definition), body, (path) => unknown.push(path), known);
  } catch (error) {
    if (error instanceof DecodeError) throw handled(resource, error.message);
    throw error;
  }
  const problems = unknown.map((path) => `unknown field ${JSON.stringify(path)}`);
  if (problems.length > 0 && options.fieldValidation === "Strict") {
    throw handled(resource, `strict decoding error: ${problems.join(", ")}`);
  }
  if (options.fieldValidation === "Warn") problems.forEach(options.warn);
  const complete: Json = { ...object, apiVersion: apiVersion(resource), kind: resource.kind };
  if (!isObject(complete.metadata)) complete.metadata = {};
  return resource.defaults ? resource.defaults(complete as Stored) : (complete as Stored);
}

export function apiVersion(resource: ResourceType): string {
  return resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
}

function handled(resource: ResourceType, problem: string) {
  const { kind } = resource;
  return badRequest(
    `${kind} in version ${JSON.stringify(resource.version)} cannot be handled as a ${kind}: ${problem}`,
  );
}

function checkKind(resource: ResourceType, body: Json): void {
  if (body.kind !== undefined && body.kind !== resource.kind) {
    throw badRequest(`the kind in the data (${String(body.kind)}) does not match the expected kind (${resource.kind})`);
  }
  if (body.apiVersion !== undefined && body.apiVersion !== apiVersion(resource)) {
    throw badRequest(
      `the API version in the data (${String(body.apiVersion)}) does not match the expected API version (${apiVersion(resource)})`,
    );
  }
}
