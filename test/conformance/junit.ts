export type Outcome = "passed" | "failed";

export interface SpecResult {
  name: string;
  outcome: Outcome;
  seconds: number;
  /** Of one that failed. */
  message?: string;
}

const entities: Record<string, string> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

function unescapeXml(text: string): string {
  return text.replaceAll(/&(?:#(\d+)|#x([0-9a-fA-F]+)|(\w+));/g, (all, decimal, hex, name) => {
    if (decimal || hex) return String.fromCodePoint(Number.parseInt(decimal ?? hex, decimal ? 10 : 16));
    return entities[name] ?? all;
  });
}

/** The specs that were run, of the report that the tests write: those that were not chosen are in it as skipped. */
export function parseReport(xml: string): SpecResult[] {
  const cases = xml.matchAll(/<testcase name="([^"]*)"[^>]*? time="([\d.]*)"[^>]*?(?:\/>|>([\s\S]*?)<\/testcase>)/g);
  return [...cases].flatMap(([, name = "", time = "0", body = ""]): SpecResult[] => {
    if (body.includes("<skipped")) return [];
    const failure = /<failure[^>]*>([\s\S]*?)<\/failure>/.exec(body)?.[1];
    const result = { name: unescapeXml(name), outcome: "passed" as const, seconds: Number(time) };
    return failure === undefined
      ? [result]
      : [{ ...result, outcome: "failed" as const, message: unescapeXml(failure) }];
  });
}
