import t from 'tap';
import { VirtualClock } from '../../src/lib/clock.ts';
import { HealthChecks } from '../../src/proxy/health-check.ts';
import { HttpPorts } from '../support/http-ports.ts';

const EVERYWHERE = ['0.0.0.0'];
const OWN = { host: '0.0.0.0', port: 10256 };

t.test('a Service is healthy on this Node while it has ready endpoints here', async (t) => {
  const ports = new HttpPorts();
  const health = new HealthChecks(ports.listen, new VirtualClock());
  health.synced([{ service: 'ns/web', port: 31000, localEndpoints: 2 }], EVERYWHERE, 30e6);
  t.same(ports.get(31000), {
    code: 200,
    headers: {
      'X-Load-Balancing-Endpoint-Weight': '2',
      'Content-Type': 'application/json',
      'X-Content-Type-Options': 'nosniff',
    },
    body: `{
	"service": {
		"namespace": "ns",
		"name": "web"
	},
	"localEndpoints": 2,
	"serviceProxyHealthy": true
}`,
  });
  health.synced([{ service: 'ns/web', port: 31000, localEndpoints: 0 }], EVERYWHERE, 30e6);
  t.match(ports.get(31000), { code: 503, headers: { 'X-Load-Balancing-Endpoint-Weight': '0' } });
  health.synced([{ service: 'ns/web', port: 31001, localEndpoints: 1 }], EVERYWHERE, 30e6);
  t.same([...ports.open.keys()], ['0.0.0.0:31001'], 'another port: the old one is closed');
  health.synced([{ service: 'ns/web', port: 31001, localEndpoints: 1 }], ['127.0.0.1', '192.168.49.2'], 30e6);
  t.same([...ports.open.keys()], ['127.0.0.1:31001', '192.168.49.2:31001'], 'other addresses');
  t.equal(ports.get(31001, '/', '192.168.49.2').code, 200);
  health.close();
  t.same([...ports.open.keys()], []);
});

t.test('a change that waits too long for its sync makes all of it unhealthy', async (t) => {
  const ports = new HttpPorts();
  const clock = new VirtualClock();
  const health = new HealthChecks(ports.listen, clock);
  ports.listen(OWN, health.answerOwn);
  const services = [{ service: 'ns/web', port: 31000, localEndpoints: 1 }];
  health.synced(services, EVERYWHERE, 30e6);
  health.queued();
  clock.advance(59e6);
  t.equal(ports.get(31000).code, 200);
  clock.advance(2e6);
  t.match(ports.get(31000), { code: 503, body: /"serviceProxyHealthy": false/ });
  t.equal(ports.get(10256, '/healthz').code, 503);
  health.synced(services, EVERYWHERE, 30e6);
  t.equal(ports.get(31000).code, 200);
  t.equal(ports.get(10256, '/healthz').code, 200);
  health.close();
});

t.test('a Node that is going away is no longer healthy, but alive', async (t) => {
  const ports = new HttpPorts();
  const health = new HealthChecks(ports.listen, new VirtualClock());
  ports.listen(OWN, health.answerOwn);
  health.nodeEligible = false;
  t.match(ports.get(10256, '/healthz?x=1'), { code: 503, body: /"nodeEligible": false/ });
  t.equal(ports.get(10256, '/livez').code, 200);
  t.equal(ports.get(10256, '/').code, 404);
  health.close();
});
