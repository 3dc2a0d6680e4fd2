// Where the API listens, as `--listen` gives it.
import { isIP } from 'node:net';
import { CliError } from './cli-error.ts';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** `127.0.0.1:6443`, `[::1]:6443`; port 0: any free one. Throws CliError. */
export function listenAddress(text: string): ListenAddress {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (!host || isIP(host) === 0 || port > 65_535) {
    throw new CliError(`--listen ${text}: expected ADDRESS:PORT, as 127.0.0.1:6443`);
  }
  return { host, port };
}

/** Without `--listen`: the usual port, or any other while another program has it. */
export const USUAL_ADDRESSES: readonly ListenAddress[] = [
  { host: '127.0.0.1', port: 6443 },
  { host: '127.0.0.1', port: 0 },
];
