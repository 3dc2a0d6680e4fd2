// podwire up: a cluster in the foreground, or with --detach in a process of its own.
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { PODS } from '../../api/resources.ts';
import { parseTokenFile } from '../../apiserver/auth/static-tokens.ts';
import { proxyModeOf } from '../../cluster/proxy-config.ts';
import { type RunDir, runDir, runningPid } from '../../cluster/run-dir.ts';
import { makeDirectory } from '../../lib/make-directory.ts';
import { captureToFile, openCapture } from '../capture-file.ts';
import { asCliError, CliError } from '../cli-error.ts';
import { ask } from '../control-client.ts';
import {
  type LaunchOptions,
  launch,
  type Progress,
  podsReady,
  type Running,
  readManifests,
  stopOnSignals,
} from '../launch.ts';
import { listenAddress, USUAL_ADDRESSES } from '../listen-address.ts';
import { readText } from '../watched-files.ts';

export interface UpOptions extends LaunchOptions {
  readonly filename: readonly string[];
  readonly capture?: string;
  readonly detach?: boolean;
  readonly listen?: string;
  readonly kubeconfig?: string;
  readonly tokenAuthFile?: string;
}

const READY_LIMIT_MS = 120_000;
const DETACHED_LIMIT_MS = 150_000;

export async function up(options: UpOptions): Promise<void> {
  const manifests = readManifests(options.filename); // before anything is started
  const addresses = options.listen ? [listenAddress(options.listen)] : USUAL_ADDRESSES;
  const staticTokens = options.tokenAuthFile ? readTokens(options.tokenAuthFile) : undefined;
  if (options.detach) return detach();
  const captureFd = options.capture ? openCapture(options.capture) : undefined;
  const startedMs = performance.now();
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  let starting: Promise<Running> | undefined;
  let stopCapture = async (): Promise<void> => {};
  stopOnSignals(async () => {
    say('stopping');
    await stopCapture();
    await (await starting)?.stop();
  });
  starting = launch(options, say);
  const running = await starting;
  try {
    const { cluster } = running;
    if (captureFd !== undefined) stopCapture = await captureToFile(cluster, captureFd);
    const kubeconfig = resolve(options.kubeconfig ?? join(running.dir.path, 'kubeconfig'));
    const url = await cluster.serveHttps({ addresses, kubeconfig, ...(staticTokens ? { staticTokens } : {}) });
    const keeps = options.store !== undefined && options.store !== 'memory';
    const { items: stored } = keeps ? await cluster.client.list(PODS) : { items: [] };
    await cluster.apply(manifests, say);
    await podsReady(cluster, READY_LIMIT_MS, progressLine(), new Set(stored.map((pod) => pod.metadata.uid)));
    const { nodes, defaultRuntime } = cluster.settings;
    const exportLine = `export KUBECONFIG=${kubeconfig}`;
    say(
      `cluster is up after ${((performance.now() - startedMs) / 1000).toFixed(2)} s: ${nodes.length} Node${nodes.length > 1 ? 's' : ''}, ` +
        `proxy mode ${await proxyModeOf(cluster.client, cluster.settings)}, Pods run in ${defaultRuntime}, API at ${url}\n${exportLine}`,
    );
    say(
      'try: podwire status; podwire exec NAMESPACE/POD -- curl SERVICE:PORT; podwire trace --pod NAMESPACE/POD --to SERVICE:PORT',
    );
    say('Ctrl-C or `podwire down` ends it and leaves nothing behind');
  } catch (error) {
    await stopCapture();
    await running.stop();
    throw error instanceof Error ? new CliError(error.message, { cause: error }) : error;
  }
}

function readTokens(file: string): ReturnType<typeof parseTokenFile> {
  return asCliError(() => parseTokenFile(readText(file), file));
}

/** A line that is written over on a terminal, and only its last state elsewhere; and what a Pod waits for, once. */
export function progressLine(): Progress {
  let last = '';
  let told = '';
  return (ready, of, waiting) => {
    const text = `Pods ready: ${ready} of ${of}`;
    if (waiting !== undefined && waiting !== told) {
      told = waiting;
      process.stderr.write(`${process.stdout.isTTY ? '\n' : ''}${text}; waiting for ${waiting}\n`);
    }
    if (text === last) return;
    last = text;
    if (process.stdout.isTTY) process.stdout.write(`\r${text}${ready === of ? '\n' : ''}`);
    else if (ready === of) process.stdout.write(`${text}\n`);
  };
}

/** Where a detached cluster writes: beside its run directory, which the new process makes anew. */
export function detachedLog(dir: RunDir): string {
  return `${dir.path}.log`;
}

/** Starts the same command without --detach in a session of its own, its output in the run directory, and waits until it is up. */
async function detach(): Promise<void> {
  const dir = runDir();
  const pid = runningPid(dir);
  if (pid !== undefined)
    throw new CliError(`a cluster is already running (process ${pid}); end it with \`podwire down\``);
  const logFile = detachedLog(dir);
  makeDirectory(dirname(logFile), 0o755);
  const log = openSync(logFile, 'w');
  const args = process.argv.slice(2).filter((a) => a !== '--detach');
  const child = spawn(process.execPath, [process.argv[1]!, ...args], { detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  const ended = new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
  let code: number | undefined;
  void ended.then((c) => {
    code = c;
  });
  const end = Date.now() + DETACHED_LIMIT_MS;
  while (!readFileSync(logFile, 'utf8').includes('cluster is up')) {
    if (code !== undefined) {
      const output = readFileSync(logFile, 'utf8').trimEnd();
      rmSync(logFile);
      throw new CliError(`the cluster did not start:\n${output}`);
    }
    if (Date.now() > end) throw new CliError(`the cluster is not up yet; its output is in ${logFile}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  process.stdout.write(readFileSync(logFile, 'utf8').replace(/^Ctrl-C or /m, ''));
  child.unref();
  await ask('/status');
}
