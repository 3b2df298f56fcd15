import { badRequest } from "../status.ts";

interface Requirement {
  key: string;
  operator: "=" | "!=" | "in" | "notin" | "exists" | "!exists" | "gt" | "lt";
  values: string[];
}

export type LabelSelector = readonly Requirement[];

/** Splits at commas that aren't inside parentheses. */
function clauses(text: string): string[] {
  return text.split(/,(?![^(]*\))/).map((clause) => clause.trim());
}

const labelKey = "[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?";
const setClause = new RegExp(`^(${labelKey})\\s+(in|notin)\\s*\\(([^()]*)\\)$`);
const equalClause = new RegExp(`^(${labelKey})\\s*(==|=|!=|>|<)\\s*([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`);
const existsClause = new RegExp(`^(!?)\\s*(${labelKey})$`);

/** Reads `a=b,c!=d,e in (f,g),!h,i`. @throws {StatusError} 400 */
export function parseLabelSelector(text: string): LabelSelector {
  if (text.trim() === "") return [];
  return clauses(text).map((clause) => {
    const inSet = setClause.exec(clause);
    if (inSet) {
      const values = (inSet[4] ?? "").split(",").map((value) => value.trim());
      return { key: inSet[1] ?? "", operator: inSet[3] as "in" | "notin", values };
    }
    const equal = equalClause.exec(clause);
    if (equal) {
      const operators = { "==": "=", "=": "=", "!=": "!=", ">": "gt", "<": "lt" } as const;
      const operator = operators[equal[3] as keyof typeof operators];
      return { key: equal[1] ?? "", operator, values: [equal[4] ?? ""] };
    }
    const exists = existsClause.exec(clause);
    if (!exists) throw badRequest(`unable to parse requirement: ${JSON.stringify(clause)} is not a label selector`);
    return { key: exists[2] ?? "", operator: exists[1] === "!" ? "!exists" : "exists", values: [] };
  });
}

export function matchesLabels(selector: LabelSelector, labels: Readonly<Record<string, string>> | undefined): boolean {
  return selector.every(({ key, operator, values }) => {
    const value = labels?.[key];
    switch (operator) {
      case "exists":
        return value !== undefined;
      case "!exists":
        return value === undefined;
      case "!=":
      case "notin":
        return value === undefined || !values.includes(value);
      case "gt":
        return value !== undefined && Number(value) > Number(values[0]);
      case "lt":
        return value !== undefined && Number(value) < Number(values[0]);
      default:
        return value !== undefined && values.includes(value);
    }
  });
}

export interface FieldTerm {
  field: string;
  negated: boolean;
  value: string;
}

/** Reads `spec.nodeName=n,status.phase!=Failed`. @throws {StatusError} 400, also for a field that the kind can't be selected by */
export function parseFieldSelector(text: string, fields: Readonly<Record<string, unknown>>): FieldTerm[] {
  if (text.trim() === "") return [];
  return text.split(/(?<!\\),/).map((clause) => {
    const parts = /^([^=!]+?)\s*(==|=|!=)\s*(.*)$/.exec(clause.trim());
    if (!parts) throw badRequest(`invalid selector: '${clause}'; can't understand '${clause}'`);
    const field = parts[1] ?? "";
    if (!Object.hasOwn(fields, field)) throw badRequest(`field label not supported: ${field}`);
    const value = (parts[3] ?? "").replaceAll(/\\(.)/g, "$1");
    return { field, negated: parts[2] === "!=", value };
  });
}
