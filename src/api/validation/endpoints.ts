// Rules for Endpoints and EndpointSlices. After kubernetes/pkg/apis/core/validation (ValidateEndpoints) and
// pkg/apis/discovery/validation.
import type { Endpoints } from '../core-v1.ts';
import type { Endpoint, EndpointSlice } from '../discovery-v1.ts';
import { at, type FieldErrors } from '../field-errors.ts';
import { dns1123LabelErrors, dns1123SubdomainErrors } from '../names.ts';
import { portNumberErrors } from './container.ts';
import { ipErrors, ipv4Errors, isIP, specialIpErrors } from './ip.ts';
import { immutable } from './meta.ts';

const PROTOCOLS = ['SCTP', 'TCP', 'UDP'];
const ADDRESS_TYPES = ['FQDN', 'IPv4', 'IPv6'];
const MAX_ADDRESSES = 100;
const MAX_ENDPOINTS = 1000;
const MAX_PORTS = 20_000;

export function validateEndpoints({ subsets = [] }: Endpoints, errors: FieldErrors): void {
  for (const [i, { addresses = [], notReadyAddresses = [], ports = [] }] of subsets.entries()) {
    const path = at('subsets', i);
    if (addresses.length === 0 && notReadyAddresses.length === 0) {
      errors.required(path, 'must specify `addresses` or `notReadyAddresses`');
    }
    const lists = { addresses, notReadyAddresses };
    for (const [name, list] of Object.entries(lists)) {
      for (const [a, { ip, hostname }] of list.entries()) {
        const p = at(`${path}.${name}`, a);
        const bad = ipErrors(ip ?? '');
        errors.invalidAll(`${p}.ip`, ip ?? '', bad.length > 0 ? bad : specialIpErrors(ip));
        if (hostname) errors.invalidAll(`${p}.hostname`, hostname, dns1123LabelErrors(hostname));
      }
    }
    for (const [n, port] of ports.entries()) {
      const p = at(`${path}.ports`, n);
      if (ports.length > 1 && !port.name) errors.required(`${p}.name`);
      else if (port.name) errors.invalidAll(`${p}.name`, port.name, dns1123LabelErrors(port.name));
      errors.invalidAll(`${p}.port`, port.port ?? 0, portNumberErrors(port.port ?? 0));
      if (!PROTOCOLS.includes(port.protocol ?? ''))
        errors.notSupported(`${p}.protocol`, port.protocol ?? '', PROTOCOLS);
    }
  }
}

export function validateEndpointSlice(slice: EndpointSlice, errors: FieldErrors): void {
  const { addressType, endpoints = [], ports = [] } = slice;
  if (!addressType) errors.required('addressType');
  else if (!ADDRESS_TYPES.includes(addressType)) errors.notSupported('addressType', addressType, ADDRESS_TYPES);
  if (endpoints.length > MAX_ENDPOINTS) errors.tooMany('endpoints', endpoints.length, MAX_ENDPOINTS);
  else
    for (const [i, endpoint] of endpoints.entries())
      validateEndpoint(endpoint, addressType, at('endpoints', i), errors);
  if (ports.length > MAX_PORTS) errors.tooMany('ports', ports.length, MAX_PORTS);
  const names = new Set<string>();
  for (const [i, { name = '', protocol, port }] of ports.entries()) {
    const p = at('ports', i);
    if (name !== '') errors.invalidAll(`${p}.name`, name, dns1123LabelErrors(name));
    if (names.has(name)) errors.duplicate(`${p}.name`, name);
    names.add(name);
    if (!PROTOCOLS.includes(protocol ?? '')) errors.notSupported(`${p}.protocol`, protocol ?? '', PROTOCOLS);
    if (port !== undefined && port !== null) errors.invalidAll(`${p}.port`, port, portNumberErrors(port));
  }
}

export function validateEndpointSliceUpdate(slice: EndpointSlice, old: EndpointSlice, errors: FieldErrors): void {
  immutable('addressType', slice.addressType, old.addressType, errors);
}

function validateEndpoint(endpoint: Endpoint, type: string, path: string, errors: FieldErrors): void {
  const { addresses = [], hostname } = endpoint;
  if (addresses.length === 0) errors.required(`${path}.addresses`, 'must contain at least 1 address');
  else if (addresses.length > MAX_ADDRESSES) errors.tooMany(`${path}.addresses`, addresses.length, MAX_ADDRESSES);
  for (const [i, address] of addresses.entries()) {
    const p = at(`${path}.addresses`, i);
    if (type === 'FQDN') errors.invalidAll(p, address, dns1123SubdomainErrors(address));
    else if (type === 'IPv4' && ipv4Errors(address).length > 0) errors.invalidAll(p, address, ipv4Errors(address));
    else if (type === 'IPv6' && !(isIP(address) && address.includes(':'))) {
      errors.invalid(p, address, 'must be a valid IPv6 address');
    } else errors.invalidAll(p, address, specialIpErrors(address));
  }
  if (hostname) errors.invalidAll(`${path}.hostname`, hostname, dns1123LabelErrors(hostname));
}
