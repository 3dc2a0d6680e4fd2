// Rules for ConfigMaps, Secrets, Events and RuntimeClasses. After kubernetes/pkg/apis/core/validation and pkg/apis/node.
import { equal } from '../../lib/tree.ts';
import type { ConfigMap, Event, Secret } from '../core-v1.ts';
import type { RuntimeClass } from '../discovery-v1.ts';
import type { FieldErrors } from '../field-errors.ts';
import { dns1123LabelErrors } from '../names.ts';
import { immutable } from './meta.ts';

const MAX_BYTES = 1024 * 1024;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

export function validateConfigMap({ data = {}, binaryData = {} }: ConfigMap, errors: FieldErrors): void {
  let bytes = 0;
  for (const [key, value] of Object.entries(data)) {
    validateKey(key, 'data', errors);
    if (Object.hasOwn(binaryData, key)) errors.invalid(`data[${key}]`, key, 'duplicate of key present in binaryData');
    bytes += Buffer.byteLength(value);
  }
  for (const [key, value] of Object.entries(binaryData)) {
    validateKey(key, 'binaryData', errors);
    bytes += Math.floor((value.length * 3) / 4);
  }
  if (bytes > MAX_BYTES) errors.tooLong('', MAX_BYTES);
}

export function validateConfigMapUpdate(now: ConfigMap, old: ConfigMap, errors: FieldErrors): void {
  const why = 'field is immutable when `immutable` is set';
  if (!old.immutable) return;
  if (!now.immutable) errors.forbidden('immutable', why);
  if (!equal(now.data ?? {}, old.data ?? {})) errors.forbidden('data', why);
  if (!equal(now.binaryData ?? {}, old.binaryData ?? {})) errors.forbidden('binaryData', why);
}

export function validateSecret(secret: Secret, errors: FieldErrors): void {
  let bytes = 0;
  for (const [key, value] of Object.entries(secret.data ?? {})) {
    validateKey(key, 'data', errors);
    if (!BASE64.test(value)) errors.invalid(`data[${key}]`, '<value omitted>', 'must be base64 text');
    bytes += Math.floor((value.length * 3) / 4);
  }
  if (bytes > MAX_BYTES) errors.tooLong('data', MAX_BYTES);
  const need = (key: string): void => {
    if (secret.data?.[key] === undefined) errors.required(`data[${key}]`);
  };
  if (secret.type === 'kubernetes.io/tls') {
    need('tls.crt');
    need('tls.key');
  }
  if (secret.type === 'kubernetes.io/dockerconfigjson') need('.dockerconfigjson');
  if (secret.type === 'kubernetes.io/service-account-token') {
    const annotation = 'kubernetes.io/service-account.name';
    if (!secret.metadata.annotations?.[annotation]) errors.required(`metadata.annotations[${annotation}]`);
  }
}

export function validateSecretUpdate(now: Secret, old: Secret, errors: FieldErrors): void {
  immutable('type', now.type, old.type, errors);
  const why = 'field is immutable when `immutable` is set';
  if (!old.immutable) return;
  if (!now.immutable) errors.forbidden('immutable', why);
  if (!equal(now.data ?? {}, old.data ?? {})) errors.forbidden('data', why);
}

export function validateEvent(event: Event, errors: FieldErrors): void {
  const wanted = event.involvedObject?.namespace || 'default';
  if (event.metadata.namespace !== wanted) {
    errors.invalid('involvedObject.namespace', event.involvedObject?.namespace ?? '', 'does not match event.namespace');
  }
}

export function validateRuntimeClass({ handler }: RuntimeClass, errors: FieldErrors): void {
  errors.invalidAll('handler', handler ?? '', dns1123LabelErrors(handler ?? ''));
}

function validateKey(key: string, path: string, errors: FieldErrors): void {
  const field = `${path}[${key}]`;
  if (key.length > 253) errors.invalid(field, key, 'must be no more than 253 characters');
  if (!/^[-._a-zA-Z0-9]+$/.test(key)) {
    errors.invalid(
      field,
      key,
      "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
    );
  } else if (key === '.' || key === '..') errors.invalid(field, key, `must not be '${key}'`);
  else if (key.startsWith('..')) errors.invalid(field, key, "must not start with '..'");
}
