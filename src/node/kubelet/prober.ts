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
  readonly onUnhealthy: () => void;
  readonly event: (type: 'Warning', reason: string, message: string) => void;
}

type Kind = 'Startup' | 'Readiness' | 'Liveness';

/** Starts the probes of a container that has just started; close() ends them. */
export class Prober {
  readonly #env: ProberEnv;
  readonly #timers = new Map<Kind, Timer>();
  #closed = false;

  constructor(env: ProberEnv) {
    this.#env = env;
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

  /** The first probe comes after the initial delay; readiness is then looked at more often until it first succeeds. */
  #schedule(kind: Kind, probe: Probe, good: number, bad: number): void {
    const periodMs = (probe.periodSeconds ?? 10) * 1000;
    const first = good === 0 && bad === 0;
    const eager = kind !== 'Liveness' && good === 0;
    const delayMs = first
      ? (probe.initialDelaySeconds ?? 0) * 1000
      : eager
        ? Math.min(periodMs, EAGER_PERIOD_MS)
        : periodMs;
    this.#timers.set(
      kind,
      this.#env.clock.after(delayMs * 1000, () => void this.#attempt(kind, probe, good, bad)),
    );
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
      good = 0;
      bad++;
      this.#env.event('Warning', 'Unhealthy', `${kind} probe failed: ${why}`);
      if (bad >= (probe.failureThreshold ?? 3)) {
        if (kind === 'Readiness') this.#env.onReady(false);
        else return this.#env.onUnhealthy();
      }
    }
    this.#schedule(kind, probe, good, bad);
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

/** Deviation: a Pod that is not ready yet is probed every 100 ms rather than every period, so that a cluster is up at once. */
const EAGER_PERIOD_MS = 100;

function portNumber(container: Container, port: number | string): number {
  if (typeof port === 'number') return port;
  return container.ports?.find((p) => p.name === port)?.containerPort ?? Number(port);
}
