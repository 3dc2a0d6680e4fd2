// Starting a cluster from the command line: settings from options, the run directory, manifests, progress, and an end that
// leaves nothing, whichever way it comes.
import type { Pod } from '../api/core-v1.ts';
import { ManifestError, type ManifestObject, parseManifests } from '../api/manifest.ts';
import type { Stored } from '../api/meta.ts';
import { isPodReady, isPodTerminal } from '../api/pod.ts';
import { EVENTS, PODS } from '../api/resources.ts';
import { decodeObject } from '../apiserver/registry/decode.ts';
import type { Store } from '../apiserver/storage/store.ts';
import { Cluster } from '../cluster/cluster.ts';
import { ControlServer } from '../cluster/control-server.ts';
import { Pki, PkiError } from '../cluster/pki.ts';
import { claim, type RunDir, release, runDir } from '../cluster/run-dir.ts';
import { defaultSettings, nodeSettings, type RuntimeHandler } from '../cluster/settings.ts';
import { RealClock } from '../lib/clock.ts';
import { unseededRng } from '../lib/rng.ts';
import { type Image, parseCatalog } from '../node/images.ts';
import { parseResolvConf } from '../node/kubelet/resolv-conf.ts';
import type { ProxyMode } from '../proxy/config.ts';
import { asCliError, CliError } from './cli-error.ts';
import { missingForNetns } from './requirements.ts';
import { manifestFiles, readText } from './watched-files.ts';

export interface LaunchOptions {
  readonly nodes: number;
  /** Left out, these are what the store has; without one ipvs and rr. */
  readonly proxyMode?: ProxyMode;
  readonly ipvsScheduler?: string;
  readonly runtime: 'auto' | RuntimeHandler;
  readonly offload: boolean;
  /** `memory` (when left out), or the directory of a store that survives. */
  readonly store?: string;
  readonly images?: string;
  readonly resolvConf?: string;
}

export interface Running {
  readonly cluster: Cluster;
  readonly dir: RunDir;
  /** Ends everything; resolves when nothing is left. Idempotent. */
  stop(): Promise<void>;
}

/** Starts a cluster of this process. `say` gets lines for the user. */
export async function launch(options: LaunchOptions, say: (line: string) => void): Promise<Running> {
  const dir = runDir();
  const runtime = chooseRuntime(options.runtime, say);
  const settings = defaultSettings({
    nodes: asCliError(() => nodeSettings(options.nodes)),
    ...(options.proxyMode ? { proxyMode: options.proxyMode } : {}),
    ...(options.ipvsScheduler ? { ipvsScheduler: options.ipvsScheduler } : {}),
    askedOfProxy: { mode: options.proxyMode, scheduler: options.ipvsScheduler },
    defaultRuntime: runtime,
    offload: options.offload,
    images: options.images ? imagesOf(options.images) : [],
    ...(options.resolvConf ? { hostResolvConf: asCliError(() => parseResolvConf(readText(options.resolvConf!))) } : {}),
    stateDir: dir.path,
    netnsPrefix: dir.netnsPrefix,
  });
  for (const line of asCliError(() => claim(dir))) say(`removed what an earlier cluster left: ${line}`);
  let stopping: Promise<void> | null = null;
  let control: ControlServer | null = null;
  try {
    const directory = options.store === 'memory' ? undefined : options.store;
    const store = directory ? await openStore(directory) : undefined;
    const cluster = await Cluster.start({
      ...(store ? { store } : {}),
      pki: asCliError(() => new Pki(directory)),
      clock: new RealClock(),
      rng: unseededRng(),
      settings,
      onError: (error, what) => {
        if (!stopping)
          process.stderr.write(`podwire: ${what}: ${error instanceof Error ? error.message : String(error)}\n`);
      },
      onDeath: (error) => {
        process.stderr.write(`podwire: ${error.message}\n`);
        process.exitCode = 1;
        void stop().then(() => process.exit(1));
      },
    });
    const stop = (): Promise<void> => {
      stopping ??= (async () => {
        await cluster.close();
        control?.close();
        release(dir);
      })();
      return stopping;
    };
    control = new ControlServer(cluster, async () => {
      await cluster.close();
      setTimeout(() => void stop().then(() => process.exit(0)), 50); // after the answer is on its way
    });
    await control.listen(dir.controlSocket);
    return { cluster, dir, stop };
  } catch (error) {
    release(dir);
    throw error instanceof PkiError ? new CliError(error.message, { cause: error }) : error;
  }
}

/** Runs `stop` once on SIGINT, SIGTERM or SIGHUP, then exits 128 + signal; a second signal exits at once. */
export function stopOnSignals(stop: () => Promise<void>): void {
  let signalled = false;
  for (const [name, number] of [
    ['SIGHUP', 1],
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const) {
    process.on(name, () => {
      if (signalled) process.exit(128 + number);
      signalled = true;
      const end = (): void => process.exit(128 + number);
      void stop().then(end, end);
    });
  }
}

/** The objects of all the files, or a CliError that says where one is wrong. */
export function readManifests(files: readonly string[]): ManifestObject[] {
  return asCliError(() => manifestFiles(files).flatMap((file) => parseManifests(readText(file), file).map(strict)));
}

/** Told how many Pods are ready, and, when nothing has changed for a while, what one of the others waits for. */
export type Progress = (ready: number, of: number, waiting?: string) => void;

/** Without a change for this long, whoever waits wants to know what for. */
const STUCK_MS = 5_000;
/** Pods that a store brought back are waited for this long: one that crashes again and again must not keep a cluster down. */
const STORED_LIMIT_MS = 10_000;

/**
 * Resolves when every Pod is ready or has finished; rejects after `limitMs` with what is still missing. `stored`: UIDs of Pods that
 * were there before.
 */
export async function podsReady(
  cluster: Cluster,
  limitMs: number,
  progress: Progress,
  stored: ReadonlySet<string> = new Set(),
): Promise<void> {
  const start = Date.now();
  const end = start + limitMs;
  let changed = { of: '', atMs: start };
  for (;;) {
    const pods = (await cluster.client.list(PODS)).items;
    const mayLack = (p: Stored<Pod>) => Date.now() - start > STORED_LIMIT_MS && stored.has(p.metadata.uid);
    const waiting = pods.filter((p) => !isPodTerminal(p) && !mayLack(p) && !isPodReady(p));
    const ready = pods.length - waiting.length;
    progress(ready, pods.length);
    if (waiting.length === 0 && pods.length > 0) return;
    if (Date.now() > end)
      throw new CliError(
        `${waiting.length} of ${pods.length} Pods are not ready after ${Math.round(limitMs / 1000)} s` +
          (waiting[0] ? `; ${await whyNotReady(cluster, waiting[0])}` : ''),
      );
    const of = `${ready} of ${pods.length}`;
    if (of !== changed.of) changed = { of, atMs: Date.now() };
    else if (waiting[0] && Date.now() - changed.atMs > STUCK_MS) {
      progress(ready, pods.length, await whyNotReady(cluster, waiting[0]));
      changed.atMs = Date.now();
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** NAMESPACE/NAME: as its container says, or its last warning; else its phase. */
async function whyNotReady(cluster: Cluster, pod: Stored<Pod>): Promise<string> {
  const { namespace, name, uid } = pod.metadata;
  const waiting = pod.status?.containerStatuses?.find((c) => c.state?.waiting)?.state?.waiting;
  const events = waiting?.message ? [] : (await cluster.client.list(EVENTS, { namespace: namespace! })).items;
  const warning = events.filter((e) => e.type === 'Warning' && e.involvedObject.uid === uid).at(-1);
  return `${namespace}/${name}: ${waiting?.message ?? warning?.message ?? waiting?.reason ?? pod.status?.phase ?? 'Pending'}`;
}

function chooseRuntime(wanted: LaunchOptions['runtime'], say: (line: string) => void): RuntimeHandler {
  if (wanted === 'userspace') return 'userspace';
  const missing = missingForNetns();
  if (missing.length === 0) return 'netns';
  if (wanted === 'netns')
    throw new CliError(
      `the netns runtime is not available: ${missing.map((m) => m.what).join('; ')}. \`podwire doctor\` says more.`,
    );
  say(`runtime: userspace (no netns Pods here: ${missing[0]!.what}; \`podwire doctor\` says more)`);
  return 'userspace';
}

async function openStore(directory: string): Promise<Store> {
  const { LmdbStore } = await import('../apiserver/storage/lmdb.ts');
  return asCliError(() => new LmdbStore(directory));
}

function imagesOf(file: string): Image[] {
  return asCliError(() => parseCatalog(readText(file), file));
}

/** Without the fields that its kind does not have it would be another object: refused here as by kubectl, which asks for Strict. */
function strict(manifest: ManifestObject): ManifestObject {
  try {
    decodeObject(manifest.type, manifest.object, { fieldValidation: 'Strict' });
    return manifest;
  } catch (error) {
    throw new ManifestError(manifest.file, manifest.line, 1, (error as Error).message);
  }
}
