/**
 * When to ask for the next certificate: at 70 to 90 % of this one's life, each node at its own time, as kubelets do, so that
 * those that were made together are not all renewed together.
 * @param random 0 to 1
 */
export function rotationTime({ notBefore, notAfter }: { notBefore: number; notAfter: number }, random: number): number {
  return notBefore + (notAfter - notBefore) * (0.7 + 0.2 * random);
}
