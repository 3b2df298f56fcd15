import { readQuantity } from "../kube/quantity.ts";

const billion = 1_000_000_000n;

/** Whether it is a Kubernetes quantity that isn't negative. */
export function isAmount(text: string): boolean {
  const quantity = readQuantity(text);
  return quantity !== undefined && quantity.nano >= 0n;
}

/** Whole bytes of a quantity such as `10Mi` or `1G`, or of a number; undefined for what is neither, negative or a fraction. */
export function parseBytes(text: string | number): number | undefined {
  const quantity = readQuantity(text);
  return quantity && quantity.nano >= 0n && quantity.nano % billion === 0n
    ? Number(quantity.nano / billion)
    : undefined;
}

const milliseconds: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds of a Go duration such as `1m30s`, or of a number of milliseconds; undefined for what is neither. */
export function parseDuration(text: string | number): number | undefined {
  if (typeof text === "number") return text >= 0 ? text : undefined;
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return undefined;
  let sum = 0;
  for (const [, value, unit] of text.matchAll(/([\d.]+)(ms|s|m|h)/g)) sum += Number(value) * milliseconds[unit!]!;
  return sum;
}
