import { HostletError } from "../errors.ts";

export type QuantityFormat = "DecimalSI" | "BinarySI" | "DecimalExponent";

/** resource.Quantity: an exact number of billionths, and how it was written. */
export interface Quantity {
  nano: bigint;
  format: QuantityFormat;
}

const billion = 1_000_000_000n;
/** Nothing is larger than an int64 (apimachinery's maxAllowed). */
const maxNano = (2n ** 63n - 1n) * billion;
/** No quantity of use is longer; keeps the arithmetic small. */
const longest = 256;
/** Beyond it everything but 0 is above the largest or below the smallest quantity, however many digits it has. */
const farthestExponent = 2 * longest;

const decimalSuffixes = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
const binarySuffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const pattern = /^([+-]?)(\d+\.?\d*|\.\d+)(?:([KMGTPE]i)|([numkMGTPE]?)|[eE]([+-]?\d+))$/;

/**
 * Reads `100m`, `1.5Gi`, `12e6`, or a plain number as YAML gives it. As in Kubernetes what is finer than a billionth is
 * rounded away from zero, and what is larger than 2^63-1 becomes that.
 * @throws {HostletError} ManifestInvalid
 */
export function parseQuantity(text: string | number): Quantity {
  const quantity = readQuantity(text);
  if (quantity) return quantity;
  const message = `"${String(text).slice(0, 40)}" is no quantity: write a number with a suffix of n u m k M G T P E, Ki Mi Gi Ti Pi Ei, or an exponent`;
  throw new HostletError("ManifestInvalid", message);
}

/** As `parseQuantity`; undefined for what is no quantity. */
export function readQuantity(text: string | number): Quantity | undefined {
  const written = String(text);
  const match = written.length <= longest ? pattern.exec(written) : null;
  if (!match) return undefined;
  const [, sign, digits = "", binary, decimal = "", exponent] = match;
  const [whole = "", fraction = ""] = digits.split(".");
  const mantissa = BigInt(whole + fraction);
  const power = clamp(exponent === undefined ? 3 * (decimalSuffixes.indexOf(decimal) - 3) : Number(exponent));
  const multiplier = binary === undefined ? 1n : 1024n ** BigInt(binarySuffixes.indexOf(binary));
  const size = shift(mantissa * multiplier, (binary === undefined ? power : 0) + 9 - fraction.length);
  const capped = size > maxNano ? maxNano : size;
  return { nano: sign === "-" ? -capped : capped, format: formatOf(binary, exponent) };
}

function formatOf(binary: string | undefined, exponent: string | undefined): QuantityFormat {
  if (binary !== undefined) return "BinarySI";
  return exponent === undefined ? "DecimalSI" : "DecimalExponent";
}

function clamp(exponent: number): number {
  return Math.max(-farthestExponent, Math.min(farthestExponent, exponent));
}

/** value * 10^power, rounded up. */
function shift(value: bigint, power: number): bigint {
  return power >= 0 ? value * 10n ** BigInt(power) : divideUp(value, 10n ** BigInt(-power));
}

/** Rounded away from zero. */
export function divideUp(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor;
  if (quotient * divisor === value) return quotient;
  return value < 0n ? quotient - 1n : quotient + 1n;
}

/** A quantity of whole units: bytes, CPUs, pods. */
export function quantityOf(units: number | bigint, format: QuantityFormat = "DecimalSI"): Quantity {
  return { nano: BigInt(units) * billion, format };
}

/** A quantity of thousandths: CPU time. */
export function milliQuantityOf(thousandths: number | bigint): Quantity {
  return { nano: BigInt(thousandths) * 1_000_000n, format: "DecimalSI" };
}

/** As near as a double can be; exact up to 2^53 where there is no fraction. */
export function toNumber({ nano }: Quantity): number {
  return Number(nano / billion) + Number(nano % billion) / 1e9;
}

/** Whole units, rounded away from zero (Quantity.Value). */
export function toInteger({ nano }: Quantity): bigint {
  return divideUp(nano, billion);
}

/** Thousandths, rounded away from zero (Quantity.MilliValue). */
export function toMilli({ nano }: Quantity): bigint {
  return divideUp(nano, 1_000_000n);
}

/** The canonical form: no fraction, and the largest suffix that loses nothing. */
export function formatQuantity({ nano, format }: Quantity): string {
  if (nano === 0n) return "0";
  const units = nano / billion;
  // less than 1024 and fractions have no binary form
  if (format === "BinarySI" && nano % billion === 0n && (units >= 1024n || units <= -1024n)) return formatBinary(units);
  return formatDecimal(nano, format === "DecimalExponent");
}

function formatBinary(units: bigint): string {
  let mantissa = units;
  let step = 0;
  while (step < binarySuffixes.length - 1 && mantissa % 1024n === 0n) {
    mantissa /= 1024n;
    step++;
  }
  return `${mantissa}${binarySuffixes[step]}`;
}

function formatDecimal(nano: bigint, asExponent: boolean): string {
  let mantissa = nano;
  let step = 0;
  while (step < decimalSuffixes.length - 1 && mantissa % 1000n === 0n) {
    mantissa /= 1000n;
    step++;
  }
  if (!asExponent) return `${mantissa}${decimalSuffixes[step]}`;
  return step === 3 ? `${mantissa}` : `${mantissa}e${3 * (step - 3)}`;
}
