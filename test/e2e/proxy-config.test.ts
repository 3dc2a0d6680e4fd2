// A running cluster's proxy mode, switched by editing ConfigMap kube-proxy with the real kubectl, under a live connection; and what
// kube-proxy answers about health.
import type { ChildProcess } from 'node:child_process';
import t from 'tap';
import { Kubectl, needsKubectl } from '../support/kubectl.ts';
import { collect, eventually, Podwire } from '../support/podwire.ts';

t.setTimeout(0); // a loaded machine takes long over it; the runner has its own limit

const FIRST_LINE: Readonly<Record<string, RegExp>> = {
  ipvs: /^-A -t/,
  iptables: /^# Generated/,
  nftables: /^table ip/,
};

if (needsKubectl(t)) {
  t.test('kubectl switches the proxy mode, and back; what netfilter translated lives on', async (t) => {
    const podwire = new Podwire(t);
    await podwire.up(
      t,
      ...[
        '--runtime',
        'userspace',
        '--proxy-mode',
        'iptables',
        '--listen',
        '127.0.0.1:0',
        '-f',
        'examples/tiny-web.yml',
      ],
    );
    const kubectl = new Kubectl(podwire);
    const config = async (): Promise<string> => {
      const { stdout } = await kubectl.run('-n kube-system get configmap kube-proxy -o json');
      return (JSON.parse(stdout) as { data: { 'config.conf': string } }).data['config.conf'];
    };
    const patch = (text: string): Promise<unknown> =>
      kubectl.args([
        ...['-n', 'kube-system', 'patch', 'configmap', 'kube-proxy', '--type=merge', '-p'],
        JSON.stringify({ data: { 'config.conf': text } }),
      ]);
    const switchTo = async (mode: string): Promise<void> => {
      await patch((await config()).replace(/^mode: .*$/m, `mode: ${mode}`));
      await eventually(`rules of ${mode}`, async () => FIRST_LINE[mode]!.test((await podwire.run('rules')).stdout));
    };
    const events = async (): Promise<string> =>
      (await kubectl.run('-n kube-system get events -o jsonpath={range.items[*]}{.reason}:{.message};{end}')).stdout;
    const get = async (): Promise<string> =>
      (await podwire.exec('default/test-pod', 'wget', '-qO-', 'tiny-web')).stdout;

    t.match(await config(), /^kind: KubeProxyConfiguration$/m);
    await eventually('the web server answers', async () => (await get()).includes('<html>'));
    const live = new HalfRequest(podwire.spawn('exec', '-i', 'default/test-pod', '--', 'nc', 'tiny-web', '80'));
    await eventually('it is connected', async () => (await podwire.run('status')).code === 0 && live.begin());
    await switchTo('nftables');
    t.match(await get(), '<html>', 'new connections in nftables mode');
    t.match(await live.finish(), 'HTTP/1.1 200', 'the old connection went on');
    await switchTo('ipvs');
    t.match(await get(), '<html>', 'new connections in IPVS mode');
    t.match((await podwire.run('status')).stdout, /^NODE +PROXY-MODE .*\nnode-1 +ipvs /m);
    await eventually('the change is told', async () => /proxy mode nftables -> ipvs/.test(await events()));

    const flow = ['--pod', 'default/test-pod', '--to', 'tiny-web:80', '-o', 'json'];
    const follower = podwire.spawn('trace', '--live', ...flow);
    const followed = collect(follower);
    let seen = '';
    follower.stdout!.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
    });
    await eventually(
      'real packets are followed',
      async () => (await get()).includes('<html>') && seen.includes('rr; -a'),
    );
    follower.kill('SIGINT');
    const { code, stdout } = await followed;
    t.equal(code, 0, 'Ctrl-C ends it well');
    const hops = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { node: string; stage: string });
    t.match(hops[0], { node: 'node-1', stage: 'RECEIVE', before: /:80 tcp$/ });

    const service = {
      spec: {
        type: 'LoadBalancer',
        externalTrafficPolicy: 'Local',
        ports: [{ port: 80 }],
      },
    };
    await kubectl.args(['patch', 'service', 'tiny-web', '-p', JSON.stringify(service)]);
    const port = (await kubectl.run('get service tiny-web -o jsonpath={.spec.healthCheckNodePort}')).stdout;
    const health = async (): Promise<string> =>
      (await podwire.exec('default/test-pod', 'curl', '-si', `192.168.49.2:${port}`)).stdout;
    await eventually('the health check answers', async () => (await health()).includes('"localEndpoints": 1'));
    t.match(await health(), /^HTTP\/1\.1 200 OK\r\nX-Load-Balancing-Endpoint-Weight: 1\r\n/);
    t.match(
      (await podwire.exec('default/test-pod', 'curl', '-s', '192.168.49.2:10256/healthz')).stdout,
      '"nodeEligible": true',
    );

    const about = async (path: string): Promise<string> =>
      (await podwire.exec('default/test-pod', 'curl', '-s', '--max-time', '2', `192.168.49.2:10249/${path}`)).stdout;
    t.equal(await about('proxyMode'), '', 'metrics are for the Node alone');
    const onNode = async (path: string): Promise<string> =>
      (await kubectl.args(['get', '--raw', `/api/v1/nodes/node-1:${path}`])).stdout;
    t.equal(await onNode('10249/proxy/proxyMode'), 'ipvs', 'which the API server asks');
    t.match(await onNode('10249/proxy/metrics'), /^kubeproxy_sync_proxy_rules_last_timestamp_seconds/m);
    t.match(await onNode('10256/proxy/healthz'), '"nodeEligible": true');
    t.match(JSON.parse(await onNode('10249/proxy/configz')), { 'kubeproxy.config.k8s.io': { Mode: 'ipvs' } });
    await patch(`${await config()}metricsBindAddress: 0.0.0.0\n`);
    await eventually('metrics are for everybody', async () => (await about('proxyMode')) === 'ipvs');
    const syncs = /^kubeproxy_sync_proxy_rules_duration_seconds_count\{ip_family="IPv4"\} [1-9]/m;
    t.match(await about('metrics'), syncs);

    await patch('kind: KubeProxyConfiguration\nmode: quantum\n');
    await eventually('nonsense is refused', async () => /ProxyConfigRefused:.*not quantum/.test(await events()));
    t.match(await get(), '<html>', 'and what was before stays');
  });
}

/** An HTTP request of which the end is held back, over a connection that is open meanwhile. */
class HalfRequest {
  readonly #child: ChildProcess;
  #begun = false;
  #output = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout!.on('data', (chunk: Buffer) => {
      this.#output += chunk.toString();
    });
  }

  begin(): boolean {
    if (!this.#begun) this.#child.stdin!.write('GET / HTTP/1.1\r\nHost: tiny-web\r\n');
    this.#begun = true;
    return true;
  }

  async finish(): Promise<string> {
    this.#child.stdin!.write('Connection: close\r\n\r\n');
    await eventually('the answer', () => this.#output.includes('</html>'));
    this.#child.stdin!.end();
    return this.#output;
  }
}
