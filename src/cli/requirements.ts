// What this machine must have for netns Pods, and what the tests and demo use beside it. Each check looks at the thing itself.
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { loadNative, nativeFile, nativeMissing } from '../link/native.ts';

export interface Missing {
  readonly what: string;
  /** What to do about it. */
  readonly remedy: string;
}

/** Everything that stands between this process and netns Pods; empty when they can be had. */
export function missingForNetns(): Missing[] {
  const missing: Missing[] = [];
  if (!hasCapability(CAP_SYS_ADMIN) || !hasCapability(CAP_NET_ADMIN)) {
    missing.push({
      what: 'not root',
      remedy: 'run podwire as root (it makes network namespaces and TAP devices), e.g. with sudo',
    });
  }
  if (!existsSync('/dev/net/tun')) {
    missing.push({
      what: 'no /dev/net/tun',
      remedy: 'modprobe tun; in a container start it with --device /dev/net/tun',
    });
  }
  if (!existsSync('/proc/self/ns/net'))
    missing.push({ what: 'no network namespaces', remedy: 'use a kernel with CONFIG_NET_NS' });
  if (!/\boverlay\b/.test(readIf('/proc/filesystems')))
    missing.push({ what: 'no overlay file system', remedy: 'modprobe overlay' });
  if (!findProgram('ip')) missing.push({ what: 'no `ip` command', remedy: 'apt-get install iproute2' });
  if (!loadNative()) {
    const remedy =
      findProgram('cc') && findProgram('make')
        ? 'node scripts/build-addon.mjs'
        : 'apt-get install build-essential python3, then node scripts/build-addon.mjs';
    missing.push({ what: nativeMissing() ?? 'the TAP addon does not load', remedy });
  } else if (!nativeFile('pod-init')) {
    missing.push({ what: 'pod-init is not built', remedy: 'node scripts/build-addon.mjs' });
  }
  return missing;
}

/** Path of a program, looked for as a shell does. */
export function findProgram(name: string): string | undefined {
  for (const directory of (process.env['PATH'] ?? '').split(delimiter)) {
    const file = join(directory, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // not here
    }
  }
  return undefined;
}

const CAP_NET_ADMIN = 12n;
const CAP_SYS_ADMIN = 21n;

function hasCapability(bit: bigint): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readIf('/proc/self/status'))?.[1];
  return effective !== undefined && ((BigInt(`0x${effective}`) >> bit) & 1n) === 1n;
}

function readIf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
