// npm's install step, also run by hand: builds the native TUN/TAP addon where that is possible, and never fails the
// install. Nothing happens when what is built is newer than its sources. Without the addon the userspace runtime works;
// `podwire doctor` says what is missing.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

function newest(dir) {
  let mtimeMs = 0;
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (entry.isFile()) mtimeMs = Math.max(mtimeMs, statSync(join(dir, entry.name)).mtimeMs);
  }
  return mtimeMs;
}

function isFresh() {
  const products = ['podwire.node', 'pod-init'];
  const sources = Math.max(newest(join(root, 'native')), statSync(join(root, 'binding.gyp')).mtimeMs);
  return products.every((name) => {
    const file = join(root, 'build/Release', name);
    return existsSync(file) && statSync(file).mtimeMs > sources;
  });
}

/** Path of a node-gyp.js to run by this node: npm says which in a lifecycle script; else the one inside npm. */
function findNodeGyp() {
  const candidates = [];
  if (process.env.npm_config_node_gyp) candidates.push(process.env.npm_config_node_gyp);
  const dirs = [dirname(process.execPath), ...(process.env.PATH ?? '').split(delimiter)];
  for (const dir of dirs) {
    const npm = join(dir, 'npm');
    if (existsSync(npm)) candidates.push(join(dirname(realpathSync(npm)), '../node_modules/node-gyp/bin/node-gyp.js'));
  }
  for (const prefix of [dirname(dirname(process.execPath)), '/usr', '/usr/local']) {
    candidates.push(join(prefix, 'lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js'));
    candidates.push(join(prefix, 'share/nodejs/node-gyp/bin/node-gyp.js'));
  }
  candidates.push(join(root, 'node_modules/node-gyp/bin/node-gyp.js'));
  return candidates.find((file) => existsSync(file));
}

/** Headers installed with this node, so that none are downloaded; undefined when they are of another version. */
function findHeaders() {
  const [major, minor, patch] = process.versions.node.split('.');
  for (const prefix of new Set([dirname(dirname(realpathSync(process.execPath))), '/usr', '/usr/local'])) {
    const file = join(prefix, 'include/node/node_version.h');
    if (!existsSync(file)) continue;
    const text = readFileSync(file, 'utf8');
    const is = (name, value) => new RegExp(`#define NODE_${name}_VERSION ${value}\\b`).test(text);
    if (is('MAJOR', major) && is('MINOR', minor) && is('PATCH', patch)) return prefix;
  }
  return undefined;
}

function build() {
  if (process.platform !== 'linux') return `TAP needs Linux, this is ${process.platform}`;
  if (!existsSync(join(root, 'binding.gyp'))) return 'binding.gyp is missing';
  if (isFresh()) return undefined;
  const headers = findHeaders();
  const args = ['rebuild', ...(headers ? [`--nodedir=${headers}`] : [])];
  const nodeGyp = findNodeGyp();
  const env = { ...process.env, MAKEFLAGS: 'k' }; // when one of the two programs does not build, the other still does
  const options = { cwd: root, encoding: 'utf8', timeout: 300_000, env };
  const built = nodeGyp ? spawnSync(process.execPath, [nodeGyp, ...args], options) : spawnSync('node-gyp', args, options);
  if (built.status === 0) return undefined;
  if (built.error) return built.error.code === 'ENOENT' ? 'node-gyp was not found; it comes with npm' : built.error.message;
  const lines = `${built.stdout}\n${built.stderr}`.split('\n');
  const telling = lines.find((l) => /\berror:|: not found|not found: |Could not find any Python|ERR! stack/.test(l));
  return (telling ?? lines.filter((l) => l.trim()).at(-1) ?? `node-gyp ended with ${built.status}`).trim();
}

let reason;
try {
  reason = build();
} catch (error) {
  reason = error.message;
}
if (reason) {
  console.warn(`podwire: the TAP addon was not built (${reason}).`);
  console.warn('podwire: Pods will run on the userspace TCP/IP stack; `podwire doctor` says how to get the netns runtime.');
}
