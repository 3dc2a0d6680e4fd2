// Answers never hold an address that the objects no longer have: whatever changes in whatever order, with kubeadm's cache for the
// cluster's zone switched off, as it ships, and with a cache at most as long as the cache may keep it.
import t from 'tap';
import type { Endpoint } from '../../../src/api/discovery-v1.ts';
import { rdataText } from '../../../src/dns/message.ts';
import { fc } from '../../support/property.ts';
import { type Dns, startDns } from '../harness.ts';
import { namespace, service, slice } from '../support-objects.ts';

const NAMES = ['a', 'b'] as const;
const SLICES = ['s1', 's2'] as const;
const ADDRESSES = ['10.244.0.1', '10.244.0.2', '10.244.0.3', '10.244.0.4'] as const;
const CLUSTER_IPS = ['None', '10.96.0.1', '10.96.0.2'] as const;

type Change =
  | { readonly kind: 'service'; readonly name: string; readonly clusterIP: string | undefined }
  | {
      readonly kind: 'slice';
      readonly name: string;
      readonly slice: string;
      readonly of: string;
      readonly ready: readonly string[];
      readonly unready: readonly string[];
    }
  | { readonly kind: 'no slice'; readonly name: string; readonly slice: string }
  | { readonly kind: 'ask'; readonly name: string }
  | { readonly kind: 'wait'; readonly seconds: number };

const name = fc.constantFrom(...NAMES);
const some = fc.uniqueArray(fc.constantFrom(...ADDRESSES), { maxLength: 3 });
const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('service' as const),
      name,
      clusterIP: fc.option(fc.constantFrom(...CLUSTER_IPS), { nil: undefined }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('slice' as const),
      name,
      slice: fc.constantFrom(...SLICES),
      of: name,
      ready: some,
      unready: some,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('no slice' as const), name, slice: fc.constantFrom(...SLICES) }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('ask' as const), name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: 20 }) }) },
);

/** What the API has. */
class Model {
  readonly clusterIPs = new Map<string, string>();
  readonly slices = new Map<string, { readonly of: string; readonly ready: readonly string[] }>();

  /** The addresses the name has now. */
  addresses(name: string): string[] {
    const clusterIP = this.clusterIPs.get(name);
    if (clusterIP === undefined) return [];
    if (clusterIP !== 'None') return [clusterIP];
    const ready = [...this.slices.values()].filter(({ of }) => of === name).flatMap((one) => one.ready);
    return [...new Set(ready)].sort();
  }
}

function apply(dns: Dns, model: Model, change: Change): void {
  if (change.kind === 'service') {
    const { clusterIP } = change;
    if (clusterIP === undefined) {
      model.clusterIPs.delete(change.name);
      dns.objects.delete(service(change.name, 'None'));
    } else {
      model.clusterIPs.set(change.name, clusterIP);
      dns.objects.set(service(change.name, clusterIP));
    }
  } else if (change.kind === 'slice') {
    const key = `${change.name}-${change.slice}`;
    model.slices.set(key, change);
    const endpoint =
      (ready: boolean) =>
      (ip: string): Endpoint => ({ addresses: [ip], conditions: { ready } });
    const object = slice(
      change.name,
      [...change.ready.map(endpoint(true)), ...change.unready.map(endpoint(false))],
      change.slice,
    );
    object.metadata.labels = { 'kubernetes.io/service-name': change.of };
    dns.objects.set(object);
  } else if (change.kind === 'no slice') {
    model.slices.delete(`${change.name}-${change.slice}`);
    dns.objects.delete(slice(change.name, [], change.slice));
  }
}

async function ask(dns: Dns, name: string): Promise<string[]> {
  const { answer } = await dns.ask(`${name}.default.svc.cluster.local.`, 'A');
  return answer.map(rdataText).sort();
}

t.test('without a cache for the zone an answer is what the objects have, at once', async (t) => {
  const corefile = `.:53 {
  prometheus :9153
  kubernetes cluster.local {
   ttl 30
  }
  cache 30 {
   disable success cluster.local
   disable denial cluster.local
  }
  loadbalance
}
`;
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 40 }), async (changes) => {
      const dns = await startDns({ corefile, objects: [namespace('default')] });
      const model = new Model();
      for (const one of changes) {
        if (one.kind === 'wait') await dns.clock.run(one.seconds * 1e6);
        else apply(dns, model, one);
        // Twice: the second answer may come from the replies kept ready.
        for (const name of one.kind === 'ask' ? [one.name, one.name] : NAMES)
          if (JSON.stringify(await ask(dns, name)) !== JSON.stringify(model.addresses(name)))
            throw new Error(`${name} has ${model.addresses(name).join()} and not ${(await ask(dns, name)).join()}`);
      }
      await dns.stop();
    }),
    { numRuns: 60 },
  );
  t.pass('60 sequences');
});

t.test('with a cache an address is given for at most as long as it may be kept', async (t) => {
  const corefile = '.:53 {\n kubernetes cluster.local {\n  ttl 30\n }\n cache 30\n loadbalance\n}\n';
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 40 }), async (changes) => {
      const dns = await startDns({ corefile, objects: [namespace('default')] });
      const model = new Model();
      /** When an address was last one of the name's. */
      const lastS = new Map<string, number>();
      const nowS = (): number => dns.clock.nowUs() / 1e6;
      const note = (): void => {
        for (const name of NAMES) for (const address of model.addresses(name)) lastS.set(`${name} ${address}`, nowS());
      };
      for (const one of changes) {
        note();
        if (one.kind === 'wait') await dns.clock.run(one.seconds * 1e6);
        note();
        apply(dns, model, one);
        note();
        for (const name of NAMES) {
          for (const address of await ask(dns, name)) {
            const ageS = nowS() - (lastS.get(`${name} ${address}`) ?? Number.NEGATIVE_INFINITY);
            if (ageS > 30) throw new Error(`${address} of ${name} is given ${ageS} s after it went`);
          }
        }
      }
      await dns.stop();
    }),
    { numRuns: 60 },
  );
  t.pass('60 sequences');
});
