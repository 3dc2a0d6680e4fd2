// Names: which are allowed, and how the cluster makes new ones. Rules and wording of k8s.io/apimachinery
// pkg/util/validation; alphabet and generation of pkg/util/rand and apiserver pkg/storage/names; the template hash of
// kubernetes pkg/controller/controller_utils.go (ComputeHash). Each `...Errors` function returns [] for a good name.
import type { Rng } from '../lib/rng.ts';
import { stableJson } from '../lib/tree.ts';

/** No vowels and no 0, 1, 3: random words stay harmless. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';
const MAX_GENERATED_NAME = 63;
const RANDOM_LENGTH = 5;

export function randomSuffix(rng: Rng, length: number = RANDOM_LENGTH): string {
  let out = '';
  for (let i = 0; i < length; i++) out += ALPHABET[rng.below(ALPHABET.length)];
  return out;
}

/** metadata.generateName: the base, cut to 58 characters, and five random ones. */
export function generateName(base: string, rng: Rng): string {
  return base.slice(0, MAX_GENERATED_NAME - RANDOM_LENGTH) + randomSuffix(rng);
}

/** Spells any text in the alphabet, as SafeEncodeString: ten digits become `4 5 6 7 8 9 b c d f`. */
export function safeEncode(text: string): string {
  let out = '';
  for (let i = 0; i < text.length; i++) out += ALPHABET[text.charCodeAt(i) % ALPHABET.length];
  return out;
}

export function fnv1a32(bytes: Uint8Array, hash: number = 0x811c9dc5): number {
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return hash >>> 0;
}

/**
 * The label pod-template-hash of a Pod template (without that label), 1 to 10 characters.
 * Deviation: the real hash is taken over a dump of Go structs; ours over sorted JSON. Same alphabet and shape, other values.
 */
export function podTemplateHash(template: unknown, collisionCount?: number): string {
  const encoder = new TextEncoder();
  let hash = fnv1a32(encoder.encode(stableJson(template)));
  if (collisionCount !== undefined) {
    const le = new Uint8Array(8);
    new DataView(le.buffer).setUint32(0, collisionCount, true);
    hash = fnv1a32(le, hash);
  }
  return safeEncode(String(hash));
}

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const DNS1123_LABEL = new RegExp(`^${LABEL}$`);
const DNS1123_SUBDOMAIN = new RegExp(`^${LABEL}(\\.${LABEL})*$`);
const DNS1035_LABEL = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const QUALIFIED = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

function tooLong(max: number): string {
  return `must be no more than ${max} characters`;
}

function bytesIn(text: string): number {
  return Buffer.byteLength(text);
}

function check(value: string, max: number, pattern: RegExp, what: string): string[] {
  const errors: string[] = [];
  if (bytesIn(value) > max) errors.push(tooLong(max));
  if (!pattern.test(value)) errors.push(what);
  return errors;
}

/** One DNS label: Namespaces, container names. */
export function dns1123LabelErrors(value: string): string[] {
  return check(
    value,
    63,
    DNS1123_LABEL,
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
  );
}

/** Dotted DNS labels: the names of most objects. */
export function dns1123SubdomainErrors(value: string): string[] {
  return check(
    value,
    253,
    DNS1123_SUBDOMAIN,
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
  );
}

/** A DNS label that starts with a letter: Services. */
export function dns1035LabelErrors(value: string): string[] {
  return check(
    value,
    63,
    DNS1035_LABEL,
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
  );
}

/** The name of a container or Service port that a Service can point at: an IANA service name. */
export function portNameErrors(value: string): string[] {
  const errors: string[] = [];
  if (value.length > 15) errors.push('must be no more than 15 characters');
  if (!/^[a-z0-9-]*$/.test(value))
    errors.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  if (!/[a-z]/.test(value)) errors.push('must contain at least one letter (a-z)');
  if (value.includes('--')) errors.push('must not contain consecutive hyphens');
  if (value.startsWith('-') || value.endsWith('-')) errors.push('must not begin or end with a hyphen');
  return errors;
}

/** Keys of labels and annotations: an optional DNS prefix, a slash, and a name. */
export function qualifiedNameErrors(value: string): string[] {
  const parts = value.split('/');
  const form =
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
  const errors: string[] = [];
  let name = value;
  if (parts.length === 2) {
    name = parts[1]!;
    if (parts[0] === '') errors.push('prefix part must be non-empty');
    else errors.push(...dns1123SubdomainErrors(parts[0]!).map((e) => `prefix part ${e}`));
  } else if (parts.length > 2) {
    return [
      "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
    ];
  }
  if (name === '') errors.push('name part must be non-empty');
  else if (bytesIn(name) > 63) errors.push(`name part ${tooLong(63)}`);
  if (!QUALIFIED.test(name)) errors.push(form);
  return errors;
}

/** What can stand in a path: the names of roles. k8s.io/apimachinery/pkg/api/validation/path. */
export function pathSegmentErrors(value: string): string[] {
  if (value === '.' || value === '..') return [`may not be '${value}'`];
  return ['/', '%'].filter((bad) => value.includes(bad)).map((bad) => `may not contain '${bad}'`);
}

export function labelValueErrors(value: string): string[] {
  const errors: string[] = [];
  if (bytesIn(value) > 63) errors.push(tooLong(63));
  if (value !== '' && !QUALIFIED.test(value)) {
    errors.push(
      "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    );
  }
  return errors;
}
