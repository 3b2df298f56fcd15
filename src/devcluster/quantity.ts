import { formatQuantity, readQuantity } from "../kube/quantity.ts";

/** The quantity in billionths; undefined for what is none. */
export function quantityNano(text: string): bigint | undefined {
  return readQuantity(text)?.nano;
}

/** The form in which the API server gives a quantity back: `0.5` is `500m`, `1.5Gi` is `1536Mi`. Not a quantity: as it is. */
export function canonicalQuantity(text: string): string {
  const quantity = readQuantity(text);
  return quantity ? formatQuantity(quantity) : text;
}
