// npm's install step: builds the native TUN/TAP addon where that is possible, and never fails the install.
// Without it the userspace runtime works; `podwire doctor` says what is missing.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

if (process.platform !== 'linux' || !existsSync('binding.gyp')) process.exit(0);
const built = spawnSync('node-gyp', ['rebuild'], { encoding: 'utf8' });
if (built.status !== 0) {
  const reason = built.error?.message ?? (built.stderr ?? '').split('\n').find((l) => /ERR! stack|not found/.test(l)) ?? 'see above';
  console.warn(`podwire: the TAP addon was not built (${reason.trim()}).`);
  console.warn('podwire: Pods will run on the userspace TCP/IP stack; `podwire doctor` says how to get the netns runtime.');
}
