// Readiness, liveness and startup probes of one container, after pkg/kubelet/prober. Probes go out from the Node's own stack,
// through the emulated kernel, as a kubelet's do; exec probes run in the Pod.
import type { Container, Probe } from '../../api/core-v1.ts';
import type { Clock, Timer } from '../../lib/clock.ts';

export interface ProbeActions {
  /** Resolves when a request to the Pod is answered with 200 to 399; rejects with the reason otherwise. */
  http(port: number, path: string, timeoutMs: number): Promise<void>;
  /** Resolves when a connection is accepted. */
  tcp(port: number, timeoutMs: number): Promise<void>;
  /** Resolves on exit code 0. */
  exec(command: readonly string[], timeoutMs: number): Promise<void>;
}

export interface ProberEnv {
  readonly container: Container;
  readonly clock: Clock;
  readonly actions: ProbeActions;
  /** Readiness, or that startup has succeeded. */
  readonly onReady: (ready: boolean) => void;
  readonly onStarted: () => void;
  /** A liveness or startup probe failed for good: kill the container. */
  readonly onUnhealthy: (probe: Probe, kind: 'liveness' | 'startup') => void;
  readonly event: (type: 'Warning', reason: string, message: string) => void;
}

type Kind = 'Startup' | 'Readiness' | 'Liveness';

/** Starts the probes of a container that has just started; close() ends them. */
export class Prober {
  readonly #env: ProberEnv;
  readonly #timers = new Map<Kind, Timer>();
  readonly #startMs: number;
  #closed = false;

  constructor(env: ProberEnv) {
    this.#env = env;
    this.#startMs = env.clock.unixMs();
    const { startupProbe } = env.container;
    if (startupProbe) this.#schedule('Startup', startupProbe, 0, 0);
    else this.#afterStartup();
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers.values()) timer.cancel();
  }

  #afterStartup(): void {
    const { readinessProbe, livenessProbe } = this.#env.container;
    this.#env.onStarted();
    if (readinessProbe) this.#schedule('Readiness', readinessProbe, 0, 0);
    else this.#env.onReady(true);
    if (livenessProbe) this.#schedule('Liveness', livenessProbe, 0, 0);
  }

  /** The first probe comes after the initial delay, the others a period apart. */
  #schedule(kind: Kind, probe: Probe, good: number, bad: number, first: boolean = true): void {
    const delayMs = 1000 * (first ? (probe.initialDelaySeconds ?? 0) : (probe.periodSeconds ?? 10));
    this.#after(delayMs, kind, probe, good, bad);
  }

  #after(delayMs: number, kind: Kind, probe: Probe, good: number, bad: number): void {
    const timer = this.#env.clock.after(delayMs * 1000, () => void this.#attempt(kind, probe, good, bad));
    this.#timers.set(kind, timer);
  }

  async #attempt(kind: Kind, probe: Probe, good: number, bad: number): Promise<void> {
    let why: string | undefined;
    try {
      await this.#probe(probe);
    } catch (error) {
      why = (error as Error).message;
    }
    if (this.#closed) return;
    if (why === undefined) {
      good++;
      bad = 0;
      if (good >= (probe.successThreshold ?? 1)) {
        if (kind === 'Startup') return this.#afterStartup();
        if (kind === 'Readiness') this.#env.onReady(true);
      }
    } else {
      if (kind !== 'Liveness' && this.#env.clock.unixMs() - this.#startMs < STARTING_MS) {
        return this.#after(STARTING_PERIOD_MS, kind, probe, 0, bad);
      }
      good = 0;
      bad++;
      this.#env.event('Warning', 'Unhealthy', `${kind} probe failed: ${why}`);
      if (bad >= (probe.failureThreshold ?? 3)) {
        if (kind === 'Readiness') this.#env.onReady(false);
        else return this.#env.onUnhealthy(probe, kind === 'Startup' ? 'startup' : 'liveness');
      }
    }
    this.#schedule(kind, probe, good, bad, false);
  }

  #probe(probe: Probe): Promise<void> {
    const { actions, container } = this.#env;
    const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
    if (probe.httpGet)
      return actions.http(portNumber(container, probe.httpGet.port), probe.httpGet.path ?? '/', timeoutMs);
    if (probe.tcpSocket) return actions.tcp(portNumber(container, probe.tcpSocket.port), timeoutMs);
    return actions.exec(probe.exec?.command ?? [], timeoutMs);
  }
}

/**
 * Deviation: in the first second of a container a readiness or startup probe that fails counts for nothing and is tried again at
 * once, so that a server which takes milliseconds to listen does not wait a whole period, and a cluster is up at once.
 */
const STARTING_MS = 1000;
const STARTING_PERIOD_MS = 100;

/** A port by number, or by the name the container gives it. */
export function portNumber(container: Container, port: number | string): number {
  if (typeof port === 'number') return port;
  return container.ports?.find((p) => p.name === port)?.containerPort ?? Number(port);
}
