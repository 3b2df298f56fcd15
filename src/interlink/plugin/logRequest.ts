import type { LogOptions } from "../../kube/logOptions.ts";
import type { LogStruct } from "../../providers/interlink/wire/types.ts";
import { HttpError } from "../http/exchange.ts";

const label = /^(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** interLink's own checks, in its own words, so that whoever reads them finds them. @throws {HttpError} 400 */
export function checkLogRequest({ Namespace, PodUID, ContainerName, Opts }: LogStruct): void {
  if (!label.test(Namespace)) throw new HttpError(400, "invalid namespace: must be a valid DNS label");
  if (!uuid.test(PodUID)) throw new HttpError(400, "invalid pod UID: must be a valid UUID");
  if (ContainerName !== "" && !label.test(ContainerName)) {
    throw new HttpError(400, "invalid container name: must be a valid DNS label");
  }
  if (Opts.Tail !== 0 && Opts.Bytes !== 0)
    throw new HttpError(400, "Both Tail and LimitBytes set. Set only one of them");
  if (Opts.SinceSeconds !== 0 && sinceTime(Opts.SinceTime) !== undefined) {
    throw new HttpError(400, "Both SinceSeconds and SinceTime set. Set only one of them");
  }
}

/** The protocol's zero means that nothing was asked for. @throws {HttpError} 400 */
export function logOptions({ Opts }: LogStruct): LogOptions {
  for (const name of ["Tail", "Bytes", "SinceSeconds"] as const) {
    if (!Number.isSafeInteger(Opts[name]) || Opts[name] < 0)
      throw new HttpError(400, `invalid ${name}: must be a whole number`);
  }
  const since = sinceTime(Opts.SinceTime);
  if (since !== undefined && Number.isNaN(Date.parse(since))) {
    throw new HttpError(400, "invalid SinceTime: must be a time in RFC 3339");
  }
  return {
    follow: Opts.Follow,
    previous: Opts.Previous,
    timestamps: Opts.Timestamps,
    ...(Opts.Tail > 0 && { tailLines: Opts.Tail }),
    ...(Opts.Bytes > 0 && { limitBytes: Opts.Bytes }),
    ...(Opts.SinceSeconds > 0 && { sinceSeconds: Opts.SinceSeconds }),
    ...(since !== undefined && { sinceTime: since }),
  };
}

function sinceTime(text: string): string | undefined {
  return text === "" || text.startsWith("0001-01-01") ? undefined : text;
}
