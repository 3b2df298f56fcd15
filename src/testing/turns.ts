/** Lets everything happen that waits for nothing but its turn of the event loop. */
export async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Resolves as soon as `condition` holds; a test in which it never does ends by its own time limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turns(1);
}
