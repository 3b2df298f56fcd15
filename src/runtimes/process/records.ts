/**
 * The shim's records (shim/README.md): one `key=value` per line. Readers skip what they don't know, so that an older
 * agent can read what a newer shim wrote, and the other way round.
 */
export type RecordFields = Readonly<Record<string, string>>;

export function parseRecord(text: string): RecordFields {
  const fields: Record<string, string> = Object.create(null);
  for (const line of text.split("\n")) {
    const equals = line.indexOf("=");
    if (equals > 0) fields[line.slice(0, equals)] = line.slice(equals + 1);
  }
  return fields;
}

/** Undefined fields are left out; line breaks in values become spaces, since a value is one line. */
export function formatRecord(fields: Readonly<Record<string, string | number | undefined>>): string {
  let text = "";
  for (const [key, value] of Object.entries(fields)) {
    if (value !== undefined) text += `${key}=${String(value).replace(/[\r\n]+/g, " ")}\n`;
  }
  return text;
}

/** A whole number without sign, or undefined. */
export function wholeNumber(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

/** Nanoseconds since the epoch, as the shim writes them, to whole milliseconds (cut off, not rounded). */
export function nanosToMs(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{7,22}$/.test(value) ? Number(value.slice(0, -6)) : undefined;
}

export function msToNanos(ms: number): string {
  return `${Math.floor(ms)}000000`;
}
