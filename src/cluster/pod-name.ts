// How users name a Pod: NAMESPACE/NAME, or NAME alone for one in Namespace default.

/** Throws Error with a message for the user. */
export function podName(text: string | null): [namespace: string, name: string] {
  const [first = '', second, more] = (text ?? '').split('/');
  if (first === '' || second === '' || more !== undefined)
    throw new Error(`pod "${text ?? ''}": expected NAMESPACE/NAME, or NAME of a Pod in default`);
  return second === undefined ? ['default', first] : [first, second];
}
