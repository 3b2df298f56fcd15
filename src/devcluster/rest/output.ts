import type { Exchange } from "../http/exchange.ts";
import type { ResourceType } from "../resources.ts";
import { StatusError } from "../status.ts";
import type { Change, ChangeType, Entry } from "../store/entry.ts";
import { tableOf } from "../tables/table.ts";
import type { Api } from "./api.ts";
import type { Page } from "./list.ts";
import { apiVersion } from "./read.ts";
import { type Framing, jsonFraming } from "./watch.ts";

interface AnswerFormat {
  table: boolean;
  framing(): Framing;
}

/** JSON, or the Table that kubectl prints, as the `Accept` header asks. @throws {StatusError} 406 */
export function answerFormat(api: Api, resource: ResourceType, exchange: Exchange): AnswerFormat {
  const accepted = (exchange.headers.accept ?? "application/json").split(",").map((type) => type.trim());
  for (const type of accepted) {
    const [media, ...parameters] = type.split(";").map((part) => part.trim());
    if (media !== "application/json" && media !== "*/*" && media !== "application/*") continue;
    const as = parameters.find((parameter) => parameter.startsWith("as="));
    if (as === undefined) return { table: false, framing: () => jsonFraming };
    if (as === "as=Table" && parameters.includes("v=v1")) {
      return { table: true, framing: () => tableFraming(api, resource, exchange) };
    }
  }
  const message =
    "only the following media types are accepted: application/json, application/json;as=Table;v=v1;g=meta.k8s.io";
  throw new StatusError(406, "NotAcceptable", message);
}

function table(api: Api, resource: ResourceType, exchange: Exchange, entries: Entry[], revision: number, first = true) {
  const include = exchange.query.get("includeObject") ?? "Metadata";
  return tableOf(resource, entries, { now: api.clock.now(), include, revision, columns: first });
}

export function sendEntry(api: Api, resource: ResourceType, entry: Entry, exchange: Exchange, code = 200): void {
  if (!answerFormat(api, resource, exchange).table) {
    exchange.send(code, entry.json);
    return;
  }
  exchange.send(code, JSON.stringify(table(api, resource, exchange, [entry], entry.revision)));
}

export function sendPage(api: Api, resource: ResourceType, page: Page, exchange: Exchange): void {
  const metadata = {
    resourceVersion: String(page.revision),
    ...(page.continue === undefined ? {} : { continue: page.continue }),
    ...(page.remaining === undefined ? {} : { remainingItemCount: page.remaining }),
  };
  if (answerFormat(api, resource, exchange).table) {
    const body = table(api, resource, exchange, page.entries, page.revision);
    exchange.send(200, JSON.stringify({ ...body, metadata }));
    return;
  }
  const head = JSON.stringify({ kind: `${resource.kind}List`, apiVersion: apiVersion(resource), metadata });
  exchange.send(200, `${head.slice(0, -1)},"items":[${page.entries.map((entry) => entry.json).join(",")}]}`);
}

/** Only the first event of a watch tells the columns. */
function tableFraming(api: Api, resource: ResourceType, exchange: Exchange): Framing {
  let first = true;
  const frame = (type: ChangeType, entry: Entry): Buffer => {
    const object = table(api, resource, exchange, [entry], entry.revision, first);
    first = false;
    return Buffer.from(`${JSON.stringify({ type, object })}\n`);
  };
  return {
    contentType: "application/json",
    change: (type, change: Change) => frame(type, change.entry),
    initial: (entry) => frame("ADDED", entry),
  };
}
