import t from 'tap';
import type { Endpoint, EndpointPort, EndpointSlice } from '../../../src/api/discovery-v1.ts';
import type { Stored } from '../../../src/api/meta.ts';
import { newSlice, type PortGroup, portKey } from '../../../src/controller/endpointslice/desired.ts';
import { planSlices, type SlicePlan } from '../../../src/controller/endpointslice/packing.ts';
import { service } from '../../support/control-plane.ts';
import { fc } from '../../support/property.ts';

const PORTS: EndpointPort[] = [{ name: '', port: 80, protocol: 'TCP' }];
const SERVICE = service();
SERVICE.metadata.uid = 'svc';

function endpoint(i: number, ready = true): Endpoint {
  return {
    addresses: [`10.0.${i >> 8}.${i & 255}`],
    conditions: { ready, serving: ready, terminating: false },
    targetRef: { kind: 'Pod', namespace: 'default', name: `p${i}`, uid: `u${i}` },
  };
}

const range = (from: number, to: number): Endpoint[] => Array.from({ length: to - from }, (_, i) => endpoint(from + i));
const group = (endpoints: Endpoint[], ports = PORTS) =>
  new Map<string, PortGroup>([[portKey(ports), { ports, endpoints }]]);

let serial = 0;
function stored(slice: EndpointSlice): Stored<EndpointSlice> {
  const name = slice.metadata.name ?? `web-${++serial}`;
  return {
    ...slice,
    metadata: { uid: name, creationTimestamp: '', ...slice.metadata, name, resourceVersion: String(++serial) },
  };
}

const slice = (endpoints: Endpoint[], ports = PORTS) => stored(newSlice(SERVICE, 'IPv4', ports, endpoints));

function apply(existing: readonly Stored<EndpointSlice>[], plan: SlicePlan): Stored<EndpointSlice>[] {
  const changed = new Map(plan.update.map((s) => [s.metadata.name, s]));
  const gone = new Set(plan.remove.map((s) => s.metadata.name));
  return [
    ...existing.filter((s) => !gone.has(s.metadata.name)).map((s) => changed.get(s.metadata.name) ?? s),
    ...plan.create.map(stored),
  ];
}

const writes = (p: SlicePlan) => [p.create.length, p.update.length, p.remove.length];
const sizes = (slices: readonly EndpointSlice[]) => slices.map((s) => s.endpoints.length).sort((a, b) => a - b);

t.test('250 endpoints take three slices of at most 100', async (t) => {
  const plan = planSlices(SERVICE, [], group(range(0, 250)), 'IPv4', 100);
  t.same(sizes(plan.create), [50, 100, 100]);
  t.match(plan.create[0]!.metadata, {
    generateName: 'web-',
    labels: {
      'kubernetes.io/service-name': 'web',
      'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
    },
    ownerReferences: [{ kind: 'Service', name: 'web', uid: 'svc', controller: true, blockOwnerDeletion: true }],
  });
});

t.test('nothing changed, nothing is written', async (t) => {
  const existing = [slice(range(0, 100)), slice(range(100, 130))];
  t.same(writes(planSlices(SERVICE, existing, group(range(0, 130)), 'IPv4', 100)), [0, 0, 0]);
});

t.test('a changed condition rewrites only its own slice', async (t) => {
  const existing = [slice(range(0, 100)), slice(range(100, 130))];
  const now = range(0, 130);
  now[7] = endpoint(7, false);
  const plan = planSlices(SERVICE, existing, group(now), 'IPv4', 100);
  t.same(
    plan.update.map((s) => s.metadata.name),
    [existing[0]!.metadata.name],
  );
  t.equal(plan.update[0]!.endpoints[7]!.conditions!.ready, false);
});

t.test('new endpoints go into a slice that must be written anyway', async (t) => {
  const existing = [slice(range(0, 60)), slice(range(100, 120))];
  const plan = planSlices(
    SERVICE,
    existing,
    group([...range(1, 60), ...range(100, 120), ...range(200, 210)]),
    'IPv4',
    100,
  );
  t.same(writes(plan), [0, 1, 0]);
  t.equal(plan.update[0]!.metadata.name, existing[0]!.metadata.name);
  t.equal(plan.update[0]!.endpoints.length, 69);
});

t.test('with none to write they go into the one slice they fit best', async (t) => {
  const existing = [slice(range(0, 60)), slice(range(100, 180)), slice(range(200, 295))];
  const plan = planSlices(
    SERVICE,
    existing,
    group([...range(0, 60), ...range(100, 180), ...range(200, 295), ...range(300, 310)]),
    'IPv4',
    100,
  );
  t.same(writes(plan), [0, 1, 0]);
  t.equal(plan.update[0]!.metadata.name, existing[1]!.metadata.name, '80 + 10 is nearest to full');
});

t.test('endpoints that fit nowhere whole get a slice of their own', async (t) => {
  const existing = [slice(range(0, 95)), slice(range(100, 195))];
  const plan = planSlices(
    SERVICE,
    existing,
    group([...range(0, 95), ...range(100, 195), ...range(300, 308)]),
    'IPv4',
    100,
  );
  t.same(writes(plan), [1, 0, 0]);
});

t.test('an emptied slice goes; a slice to make takes the place of one to go', async (t) => {
  const existing = [slice(range(0, 3)), slice(range(10, 20))];
  t.same(writes(planSlices(SERVICE, existing, group(range(10, 20)), 'IPv4', 100)), [0, 0, 1]);
  const other: EndpointPort[] = [{ name: '', port: 8080, protocol: 'TCP' }];
  const moved = planSlices(SERVICE, [existing[0]!], group(range(0, 3), other), 'IPv4', 100);
  t.same(writes(moved), [0, 1, 0], 'another port: the slice is rewritten in place');
  t.same(moved.update[0]!.ports, other);
});

t.test('without endpoints there is one empty slice, made once', async (t) => {
  const plan = planSlices(SERVICE, [], new Map(), 'IPv4', 100);
  t.same(writes(plan), [1, 0, 0]);
  t.same([plan.create[0]!.endpoints, plan.create[0]!.ports], [[], []]);
  const placeholder = stored(plan.create[0]!);
  t.same(writes(planSlices(SERVICE, [placeholder], new Map(), 'IPv4', 100)), [0, 0, 0]);
  t.same(
    writes(planSlices(SERVICE, [slice(range(0, 5))], new Map(), 'IPv4', 100)),
    [0, 1, 0],
    'the last slice becomes it',
  );
  t.same(writes(planSlices(SERVICE, [placeholder], group(range(0, 5)), 'IPv4', 100)), [0, 1, 0], 'and is filled again');
});

t.test('labels follow the Service', async (t) => {
  const labelled = service();
  labelled.metadata.uid = 'svc';
  labelled.metadata.labels = { team: 'a' };
  const plan = planSlices(labelled, [slice(range(0, 5))], group(range(0, 5)), 'IPv4', 100);
  t.same(writes(plan), [0, 1, 0]);
  t.equal(plan.update[0]!.metadata.labels!['team'], 'a');
});

t.test('any history of endpoints ends in slices that hold exactly the last, each once', async () => {
  const step = fc.uniqueArray(fc.integer({ min: 0, max: 40 }), { maxLength: 30 });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 7 }), (history, max) => {
      let slices: Stored<EndpointSlice>[] = [];
      for (const ids of history) {
        const wanted = group(ids.map((i) => endpoint(i)));
        slices = apply(slices, planSlices(SERVICE, slices, ids.length > 0 ? wanted : new Map(), 'IPv4', max));
        const held = slices.flatMap((s) => s.endpoints.map((e) => e.addresses[0]!)).sort();
        const asked = ids.map((i) => endpoint(i).addresses[0]!).sort();
        if (held.join() !== asked.join()) return false;
        if (slices.length === 0 || slices.some((s) => s.endpoints.length > max)) return false;
        if (slices.length > 1 && slices.some((s) => s.endpoints.length === 0)) return false;
      }
      return true;
    }),
  );
});
