// A running configuration: the server blocks of one Corefile with their plugins set up, and the servers they answer through
// (coredns/caddy caddy.go Start and Restart, core/dnsserver/register.go and config.go).
//
// Life: make (everything is parsed and set up, nothing started) -> start (plugins' start functions in order, then ports that are
// not yet open, then the zones are put into the servers) -> either stop for good, or hand its servers to the instance that
// replaces it. When the replacement fails to start, the old one has not noticed anything.
import { createHash } from 'node:crypto';
import { RCODE } from './constants.ts';
import { configurationText, type Environment, parseCorefile, type ServerBlock } from './corefile/parser.ts';
import { DIRECTIVES } from './plugin/directives.ts';
import { type BlockConfig, Controller, type Host, setupPlugin } from './plugin/plugin.ts';
import { type Handler, Request, type RequestServer } from './request.ts';
import { normalizeZone } from './reverse.ts';
import { Server, type ServerEnv, type ZoneConfig } from './server.ts';

export const DEFAULT_PORT = 53;

export interface InstanceOptions {
  /** Name of the Corefile, for errors. */
  readonly filename: string;
  readonly corefile: string;
  /** What `{$NAME}` in the Corefile stands for. */
  readonly env: Environment;
  /** For blocks whose address has no port. */
  readonly defaultPort: number;
  /** Where blocks at port 53 answer instead. */
  readonly dnsPort: number;
}

interface Block {
  readonly config: BlockConfig;
  readonly port: number;
  chain: Handler | undefined;
}

export class Instance {
  /** The hash CoreDNS shows for the same Corefile. */
  readonly sha512: string;
  readonly #host: Host;
  readonly #env: ServerEnv;
  readonly #blocks: Block[] = [];
  /** By address and port as configured: `:53`, `10.0.0.1:53`. */
  #servers = new Map<string, Server>();

  /** Throws CorefileError. */
  constructor(options: InstanceOptions, host: Host, onPanic: (error: unknown) => void) {
    this.#host = host;
    this.#env = { sockets: host.sockets, clock: host.clock, onPanic };
    const known = DIRECTIVES.map((plugin) => plugin.name);
    const parsed = parseCorefile(options.filename, options.corefile, known, options.env);
    this.sha512 = createHash('sha512').update(configurationText(parsed)).digest('hex');
    const taken = new Set<string>();
    for (const block of parsed) this.#addBlock(block, options, taken);
  }

  #addBlock(block: ServerBlock, options: InstanceOptions, taken: Set<string>): void {
    const places = block.keys.flatMap((key) => parseKey(key, options));
    for (const { zone, port } of places) {
      const place = `${zone}:${port}`;
      if (taken.has(place)) throw new Error(`cannot serve dns://${place} - it is already defined`);
      taken.add(place);
    }
    // A block may stand at several ports; its plugins are the same at all of them.
    const byPort = new Map<number, string[]>();
    for (const { zone, port } of places) byPort.set(port, [...(byPort.get(port) ?? []), zone]);
    for (const [port, zones] of byPort) {
      // The address, too, where there is one.
      const label = (bound: readonly string[]): string => {
        const address = bound.length === 1 && !this.#host.boundElsewhere ? bound[0]! : '';
        return `dns://${address.includes(':') ? `[${address}]` : address}:${port}`;
      };
      const server = (): RequestServer => this.#servers.get(placesOf(made, this.#host)[0]!.key)!;
      const made: Block = { config: makeConfig(zones, label, server, () => made.chain), port, chain: undefined };
      for (const plugin of DIRECTIVES) {
        const tokens = block.directives.get(plugin.name);
        if (tokens !== undefined)
          setupPlugin(plugin, new Controller(options.filename, tokens, this.#host, made.config));
      }
      const { handlers } = made.config;
      for (let i = handlers.length - 1; i >= 0; i--) made.chain = handlers[i]!.middleware(made.chain);
      this.#blocks.push(made);
    }
  }

  /** Starts in place of `previous`, whose ports are taken over. Rejects, with nothing left behind, when that fails. */
  async start(previous?: Instance): Promise<void> {
    const opened: Server[] = [];
    const servers = new Map<string, Server>();
    const before = previous === undefined ? new Map<string, Server>() : previous.#servers;
    try {
      for (const { config } of this.#blocks) for (const start of config.startups) await start();
      for (const { address, port, key } of this.#blocks.flatMap((block) => placesOf(block, this.#host))) {
        if (servers.has(key)) continue;
        let server = before.get(key);
        if (server === undefined) {
          server = new Server(address, port, this.#env);
          await server.listen();
          opened.push(server);
        }
        servers.set(key, server);
      }
    } catch (error) {
      for (const server of opened) server.close();
      await this.#shutdown();
      throw error;
    }
    this.#servers = servers;
    for (const [key, server] of servers) server.setZones(this.#zonesAt(key), this.#droppedAt(key));
    for (const [key, server] of before) if (!servers.has(key)) server.close();
    for (const { config } of this.#blocks) for (const started of config.started) started();
    if (previous !== undefined) await previous.#shutdown();
  }

  /** The lines CoreDNS prints when its servers are up: `.:53`. */
  get banner(): string[] {
    const lines: string[] = [];
    for (const [key, server] of this.#servers) {
      const on = server.address === '' ? '' : ` on ${server.address}`;
      for (const zone of [...this.#zonesAt(key).keys()].sort()) lines.push(`${zone}:${server.port}${on}`);
    }
    return lines;
  }

  /** The ports that are open. */
  get ports(): number[] {
    return [...this.#servers.values()].map((server) => server.port);
  }

  /** Plugins may take their time to say goodbye (lameduck) while questions are still answered; then all ports close. */
  async stop(): Promise<void> {
    for (const { config } of this.#blocks) for (const final of config.finalShutdowns) await final();
    for (const server of this.#servers.values()) server.close();
    await this.#shutdown();
  }

  async #shutdown(): Promise<void> {
    for (const { config } of this.#blocks) for (const shutdown of config.shutdowns) await shutdown();
  }

  #droppedAt(key: string): Handler | undefined {
    return this.#blocksAt(key).find(({ config }) => config.links.dropped !== undefined)?.config.links.dropped;
  }

  #blocksAt(key: string): Block[] {
    return this.#blocks.filter((block) => placesOf(block, this.#host).some((place) => place.key === key));
  }

  #zonesAt(key: string): ReadonlyMap<string, ZoneConfig> {
    const zones = new Map<string, ZoneConfig>();
    for (const block of this.#blocksAt(key)) {
      const anyClass = block.config.handlers.some(({ name }) => name === 'chaos' || name === 'forward');
      for (const zone of block.config.zones) zones.set(zone, { chain: block.chain, anyClass });
    }
    return zones;
  }
}

/** Where a block's servers listen. */
function placesOf({ config, port }: Block, host: Host): { address: string; port: number; key: string }[] {
  const addresses = config.bound.length === 0 || host.boundElsewhere ? [''] : config.bound;
  return addresses.map((address) => ({ address, port, key: `${address}:${port}` }));
}

function makeConfig(
  zones: readonly string[],
  label: (bound: readonly string[]) => string,
  server: () => RequestServer,
  chain: () => Handler | undefined,
): BlockConfig {
  return {
    zones,
    get serverLabel() {
      return label(this.bound);
    },
    handlers: [],
    startups: [],
    started: [],
    shutdowns: [],
    finalShutdowns: [],
    readiness: [],
    bound: [],
    links: {},
    transferers: [],
    hasUpstream: false,
    serve: (request, writer) => chain()?.(request, writer) ?? RCODE.REFUSED,
    selfRequest(name, type) {
      const question = { name, type, class: 1 };
      const query = { id: 0, opcode: 0, flags: 0x0100, question, edns: undefined };
      return new Request(query, { proto: 'udp', address: '127.0.0.1', port: 0 }, server(), 0);
    },
  };
}

/** `cluster.local:1053`, `dns://.`, `10.0.0.0/24`: the zones and the port. */
function parseKey(key: string, { defaultPort, dnsPort }: InstanceOptions): { zone: string; port: number }[] {
  const scheme = /^([a-z]+):\/\//.exec(key)?.[1];
  if (scheme !== undefined && scheme !== 'dns')
    throw new Error(`transport ${scheme} of "${key}" is not supported by this server`);
  const text = key.replace(/^dns:\/\//, '');
  const match = /^(.*?)(?::(\d{1,5}))?$/.exec(text)!;
  const written = match[2] === undefined ? defaultPort : Number(match[2]);
  const port = written === DEFAULT_PORT ? dnsPort : written;
  const zones = normalizeZone(match[1] === '' ? '.' : match[1]!);
  if (zones === undefined || port > 65535) throw new Error(`"${key}" is no server address`);
  return zones.map((zone) => ({ zone, port }));
}
