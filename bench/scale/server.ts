// The control plane that bench/scale measures, in a process of its own: API server over HTTPS, controllers and scheduler, in memory, without
// Nodes. Tells its parent where it listens; answers `usage` with what it has used so far; ends with the parent.
import { NAMESPACES } from '../../src/api/resources.ts';
import { ApiServer } from '../../src/apiserver/apiserver.ts';
import { CertificateAuthority } from '../../src/apiserver/auth/certificates.ts';
import { bootstrapRoles } from '../../src/apiserver/auth/rbac/bootstrap.ts';
import { HttpsServer } from '../../src/apiserver/http/https-server.ts';
import type { PodBackend } from '../../src/apiserver/streaming/pod-backend.ts';

import { startControllers } from '../../src/controller/controllers.ts';
import { RealClock } from '../../src/lib/clock.ts';
import { unseededRng } from '../../src/lib/rng.ts';

export interface Started {
  readonly port: number;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface Usage {
  readonly rssBytes: number;
  readonly cpuMs: number;
}

const none = (): never => {
  throw new Error('no Nodes here');
};
const NO_NODES: PodBackend = {
  exec: none,
  attach: none,
  portForward: none,
  connect: none,
  logs: none,
  followLogs: none,
};

const clock = new RealClock();
const rng = unseededRng();
const api = new ApiServer({ clock, rng });
const client = api.client();
await bootstrapRoles(client);
for (const name of ['default', 'kube-system']) {
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
}
startControllers({ client, clock, rng, apiserverAddress: '192.168.49.2', onError: (error) => console.error(error) });
const authority = await CertificateAuthority.create('kubernetes', clock.unixMs());
const serving = await authority.server('kube-apiserver', ['127.0.0.1']);
const admin = await authority.client('admin', ['system:masters']);
const server = new HttpsServer({ api, clock, rng, backend: NO_NODES, serving, clientAuthority: authority.certificate });
const port = await server.listen('127.0.0.1', 0);
const started: Started = { port, ca: authority.certificate, cert: admin.certificate, key: admin.key };
process.send!(started);
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  const usage: Usage = { rssBytes: process.memoryUsage.rss(), cpuMs: (user + system) / 1000 };
  process.send!(usage);
});
process.on('disconnect', () => process.exit(0));
