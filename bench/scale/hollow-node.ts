// A Node without anything on it, as kubemark's: its kubelet watches the Pods bound to it and reports each Running, over HTTPS.
import { type ApiLoad, lines } from './api-client.ts';

export async function startHollowNode(api: ApiLoad, index: number): Promise<void> {
  const name = `hollow-${index}`;
  const status = {
    addresses: [{ type: 'InternalIP', address: `192.168.50.${index + 1}` }],
    capacity: { pods: '5000', cpu: '1000', memory: '1Ti' },
    allocatable: { pods: '5000', cpu: '1000', memory: '1Ti' },
    conditions: [
      { type: 'Ready', status: 'True', reason: 'KubeletReady', lastTransitionTime: new Date(0).toISOString() },
    ],
  };
  await api.request('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } });
  await api.request('PATCH', `/api/v1/nodes/${name}/status`, { status }, 'application/merge-patch+json');
  let address = 1;
  const seen = new Set<string>();
  const onPod = lines((line) => {
    const { object } = JSON.parse(line) as { object: { metadata: { name: string; namespace: string } } };
    const { metadata } = object;
    if (seen.has(metadata.name)) return;
    seen.add(metadata.name);
    address++;
    const podIP = `10.${index + 1}.${address >> 8}.${address & 255}`;
    const now = new Date().toISOString();
    const patch = {
      status: {
        phase: 'Running',
        podIP,
        podIPs: [{ ip: podIP }],
        startTime: now,
        conditions: ['Initialized', 'Ready', 'ContainersReady'].map((type) => ({
          type,
          status: 'True',
          lastTransitionTime: now,
        })),
        containerStatuses: [
          {
            name: 'c',
            image: 'nginx',
            imageID: '',
            ready: true,
            started: true,
            restartCount: 0,
            state: { running: { startedAt: now } },
          },
        ],
      },
    };
    const path = `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}/status`;
    api
      .request('PATCH', path, patch, 'application/strategic-merge-patch+json')
      .catch((error: unknown) => console.error(error));
  });
  await api.watch(`/api/v1/pods?watch=true&fieldSelector=spec.nodeName%3D${name}`, onPod);
}
