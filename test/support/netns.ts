// What tests need of the machine, and network namespaces for those that meet the real kernel: unique names, deleted with the test. Without
// root or tools they skip loudly, and fail instead where process.env.CI is set, so that no CI passes by skipping.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Test } from 'tap';
import { findProgram } from '../../src/cli/requirements.ts';
import { loadNative, nativeMissing } from '../../src/link/native.ts';

let made = 0;

/** True when this test can open TAPs and has the tools; otherwise the test is skipped, or failed on CI. */
export function canUseNetns(t: Test, ...tools: string[]): boolean {
  const lacks = missing(['ip', ...tools]);
  if (process.getuid?.() !== 0) lacks.push('root');
  if (!existsSync('/dev/net/tun')) lacks.push('/dev/net/tun');
  if (!loadNative()) lacks.push(nativeMissing()!);
  return isComplete(t, lacks);
}

/** The same for a test that needs programs only. */
export function canRun(t: Test, ...tools: string[]): boolean {
  return isComplete(t, missing(tools));
}

function missing(tools: readonly string[]): string[] {
  return tools.filter((tool) => !findProgram(tool));
}

function isComplete(t: Test, lacks: readonly string[]): boolean {
  if (lacks.length === 0) return true;
  if (process.env.CI) t.fail(`needs ${lacks.join(', ')}`);
  else t.plan(0, `needs ${lacks.join(', ')}`);
  return false;
}

/** Makes a namespace without IPv6 chatter, deleted when `t` ends. Returns its name. */
export function addNetns(t: Test): string {
  const name = `pwtest${process.pid}n${made++}`;
  sh(`ip netns add ${name}`);
  t.teardown(() => {
    if (existsSync(netnsPath(name))) sh(`ip netns del ${name}`);
  });
  sh(`ip netns exec ${name} sh -c 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6'`);
  sh(`ip -n ${name} link set lo up`);
  return name;
}

export function netnsPath(name: string): string {
  return `/run/netns/${name}`;
}

/** Runs a shell command and returns what it printed; throws when it fails. */
export function sh(command: string): string {
  return execFileSync('sh', ['-c', command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
