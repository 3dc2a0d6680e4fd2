// The commands of a busybox image in a netns Pod: a directory of links, one for each applet of the machine's own BusyBox, that stands
// first in the PATH of such a container. What BusyBox has no applet for is found among the machine's programs (Deviation: a real
// image has nothing else); where the machine has no BusyBox, everything is.
import { execFileSync } from 'node:child_process';
import { accessSync, constants, mkdirSync, symlinkSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where a Pod finds them. */
export const APPLETS_IN_POD = '/.podwire/busybox';

/** Fills `directory`; false when the machine has no BusyBox. */
export function linkApplets(directory: string): boolean {
  const busybox = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((at) => join(at, 'busybox'))
    .find(isProgram);
  if (!busybox) return false;
  mkdirSync(directory, { recursive: true });
  const applets = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n');
  for (const applet of new Set([...applets, 'busybox'])) symlinkSync(busybox, join(directory, applet));
  return true;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
