/**
 * The object with the named fields filled in where they are absent or, as Go's zero value, empty. The same reference
 * where nothing is missing, so that filling in again costs nothing.
 */
export function fill<T extends object>(object: T, defaults: Partial<T>): T {
  let result = object;
  for (const key of Object.keys(defaults) as (keyof T)[]) {
    const value = object[key];
    if (value !== undefined && value !== "") continue;
    if (result === object) result = { ...object };
    result[key] = defaults[key] as T[keyof T];
  }
  return result;
}

/** One field changed by a function, which isn't called where the field is absent. */
export function alter<T extends object, K extends keyof T>(
  object: T,
  key: K,
  change: (value: NonNullable<T[K]>) => NonNullable<T[K]>,
): T {
  const value = object[key];
  if (value === undefined || value === null) return object;
  const changed = change(value);
  return changed === value ? object : { ...object, [key]: changed };
}

/** Each item changed by a function; the same list where none did. */
export function alterEach<T>(list: T[], change: (item: T) => T): T[] {
  let result = list;
  for (const [i, item] of list.entries()) {
    const changed = change(item);
    if (changed === item) continue;
    if (result === list) result = [...list];
    result[i] = changed;
  }
  return result;
}
