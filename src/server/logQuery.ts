import { HostletError } from "../errors.ts";
import type { LogOptions } from "../kube/logOptions.ts";

/**
 * PodLogOptions from the query of /containerLogs, checked as the kubelet checks them.
 * @throws {HostletError} ConfigInvalid, in words for the one who asked
 */
export function parseLogQuery(query: URLSearchParams): LogOptions {
  const integer = (name: string, minimum: number): number | undefined => {
    const text = query.get(name);
    if (text === null || text === "") return undefined;
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < minimum) {
      throw new HostletError(
        "ConfigInvalid",
        `${name}: Invalid value: "${text}": must be an integer of at least ${minimum}`,
      );
    }
    return value;
  };
  const boolean = (name: string): boolean => {
    const text = query.get(name);
    return text !== null && text !== "false" && text !== "0";
  };
  const tailLines = integer("tailLines", 0);
  const limitBytes = integer("limitBytes", 1);
  const sinceSeconds = integer("sinceSeconds", 1);
  const sinceTime = query.get("sinceTime") ?? undefined;
  if (sinceTime !== undefined && Number.isNaN(Date.parse(sinceTime))) {
    throw new HostletError("ConfigInvalid", `sinceTime: Invalid value: "${sinceTime}": must be a time in RFC 3339`);
  }
  if (sinceSeconds !== undefined && sinceTime !== undefined) {
    throw new HostletError("ConfigInvalid", "at most one of `sinceTime` or `sinceSeconds` may be specified");
  }
  const stream = query.get("stream") ?? "All";
  if (stream !== "All" && stream !== "Stdout" && stream !== "Stderr") {
    throw new HostletError(
      "ConfigInvalid",
      `stream: Unsupported value: "${stream}": supported values: "All", "Stderr", "Stdout"`,
    );
  }
  return {
    follow: boolean("follow"),
    previous: boolean("previous"),
    timestamps: boolean("timestamps"),
    stream,
    ...(tailLines !== undefined && { tailLines }),
    ...(limitBytes !== undefined && { limitBytes }),
    ...(sinceSeconds !== undefined && { sinceSeconds }),
    ...(sinceTime !== undefined && { sinceTime }),
  };
}
