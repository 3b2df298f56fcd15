import { type FieldError, invalid, required } from "../status.ts";

const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const qualifiedPart = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

const labelHelp =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const subdomainHelp =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const qualifiedHelp =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const labelValueHelp =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

const longerThan = (limit: number) => `must be no more than ${limit} bytes`;

/** What is wrong with a DNS label (63), none if nothing. */
export function dnsLabel(text: string): string[] {
  return [...(text.length > 63 ? [longerThan(63)] : []), ...(label.test(text) ? [] : [labelHelp])];
}

/** What is wrong with a DNS subdomain (253). */
export function dnsSubdomain(text: string): string[] {
  return [...(text.length > 253 ? [longerThan(253)] : []), ...(subdomain.test(text) ? [] : [subdomainHelp])];
}

/** What is wrong with `prefix/name`, as label and annotation keys are. */
export function qualifiedName(text: string): string[] {
  const parts = text.split("/");
  const name = parts.at(-1) ?? "";
  const problems: string[] = [];
  if (parts.length > 2)
    return [
      `a qualified name ${qualifiedHelp} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ];
  if (parts.length === 2) {
    if (parts[0] === "") problems.push("prefix part must be non-empty");
    else problems.push(...dnsSubdomain(parts[0] ?? "").map((text) => `prefix part ${text}`));
  }
  if (name === "") problems.push("name part must be non-empty");
  else if (name.length > 63) problems.push(`name part ${longerThan(63)}`);
  if (!qualifiedPart.test(name)) problems.push(qualifiedHelp);
  return problems;
}

export function labelValue(text: string): string[] {
  if (text.length > 63) return [longerThan(63)];
  return text === "" || qualifiedPart.test(text) ? [] : [labelValueHelp];
}

/** What is wrong with a name that need only fit into a path (Events). */
function pathSegment(text: string): string[] {
  if (text === "." || text === "..") return [`may not be '${text}'`];
  return ["/", "%"].filter((mark) => text.includes(mark)).map((mark) => `may not contain '${mark}'`);
}

const formats = { label: dnsLabel, subdomain: dnsSubdomain, path: pathSegment };

export function validateName(field: string, name: string, format: keyof typeof formats): FieldError[] {
  if (name === "") return [required(field, "name or generateName is required")];
  return formats[format](name).map((problem) => invalid(field, name, problem));
}

export function validateLabels(field: string, labels: Readonly<Record<string, string>> | undefined): FieldError[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) => [
    ...qualifiedName(key).map((problem) => invalid(field, key, problem)),
    ...labelValue(value).map((problem) => invalid(field, value, problem)),
  ]);
}

const annotationLimit = 256 * 1024;

export function validateAnnotations(
  field: string,
  annotations: Readonly<Record<string, string>> | undefined,
): FieldError[] {
  const entries = Object.entries(annotations ?? {});
  const size = entries.reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0);
  const errors = entries.flatMap(([key]) =>
    qualifiedName(key.toLowerCase()).map((problem) => invalid(field, key, problem)),
  );
  if (size <= annotationLimit) return errors;
  return [
    ...errors,
    { field, reason: "FieldValueTooLong", message: `Too long: may not be more than ${annotationLimit} bytes` },
  ];
}
