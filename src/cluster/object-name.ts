// How users name a Pod or a Service: NAMESPACE/NAME, or NAME alone for one in Namespace default.

/** Throws Error with a message for the user. */
export function podName(text: string | null): [namespace: string, name: string] {
  return objectName('pod', text ?? '');
}

/** `what` is the kind, for the message. Throws Error with a message for the user. */
export function objectName(what: string, text: string): [namespace: string, name: string] {
  const [first = '', second, more] = text.split('/');
  if (first === '' || second === '' || more !== undefined)
    throw new Error(`${what} "${text}": expected NAMESPACE/NAME, or NAME of a ${what} in default`);
  return second === undefined ? ['default', first] : [first, second];
}
