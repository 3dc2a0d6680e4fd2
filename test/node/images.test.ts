import t from 'tap';
import { ImageCatalog, parseCatalog } from '../../src/node/images.ts';

const catalog = new ImageCatalog();

t.test('an image is found by every usual spelling of its reference', async (t) => {
  for (const reference of [
    'nginx',
    'nginx:1.27',
    'docker.io/library/nginx:1.27',
    'library/nginx',
    'nginx@sha256:0123',
    'nginx:1.27@sha256:0123',
  ]) {
    t.ok(catalog.find(reference), reference);
  }
  t.ok(catalog.find('gcr.io/kubernetes-e2e-test-images/dnsutils:1.3'));
  t.equal(catalog.find('localhost:5000/nginx'), undefined, 'another registry is another image');
  t.equal(catalog.find('nginx-unprivileged'), undefined);
});

t.test('an image known by tag is not found by another tag', async (t) => {
  t.match(catalog.find('nigelpoulton/k8sbook:text-dev')!.entrypoint.join(' '), 'DEV');
  t.match(catalog.find('nigelpoulton/k8sbook:text-prod')!.entrypoint.join(' '), 'PROD');
  t.equal(catalog.find('nigelpoulton/k8sbook:latest'), undefined);
});

t.test('command and args win over the image as in Kubernetes', async (t) => {
  const image = { names: ['x'], entrypoint: ['entry', 'point'], cmd: ['cmd'] };
  t.same(catalog.argvOf(image, undefined, undefined), ['entry', 'point', 'cmd']);
  t.same(catalog.argvOf(image, undefined, ['a']), ['entry', 'point', 'a'], 'args replace the cmd');
  t.same(catalog.argvOf(image, ['c'], undefined), ['c'], 'command replaces both');
  t.same(catalog.argvOf(image, ['c'], ['a']), ['c', 'a']);
});

t.test('agnhost is started as the tutorials start it', async (t) => {
  const image = catalog.find('registry.k8s.io/e2e-test-images/agnhost:2.39')!;
  const netexec = ['web', '--port', '80', '--server', 'netexec', '--netexec'];
  t.same(catalog.argvOf(image, undefined, ['netexec', '--http-port=80']), netexec);
  t.same(catalog.argvOf(image, ['/agnhost', 'netexec', '--http-port', '80'], undefined), netexec);
  t.same(catalog.argvOf(image, ['/agnhost'], ['netexec']).slice(1, 3), ['--port', '8080']);
  t.same(catalog.argvOf(image, undefined, ['serve-hostname', '--port=1']).slice(0, 3), ['web', '--port', '1']);
  t.same(catalog.argvOf(image, undefined, undefined), ['sleep', 'infinity'], 'it pauses by itself');
  t.same(catalog.argvOf(image, ['sh', '-c', 'x'], undefined), ['sh', '-c', 'x'], 'other programs are as given');
  t.equal(
    catalog.argvOf(image, undefined, ['netexec', '--udp-port=1']).at(-1),
    '--udp-port=1',
    'what the workload lacks is left to it to refuse',
  );
  t.same(catalog.argvOf(image, undefined, ['porter']), ['/agnhost', 'porter'], 'no such program is there');
  t.same(catalog.argvOf(catalog.find('netexec')!, undefined, undefined).slice(1, 3), ['--port', '8080']);
});

t.test("nginx's index page has the size the seed shows", async (t) => {
  const argv = catalog.find('nginx')!.entrypoint;
  t.equal(Buffer.byteLength(argv[argv.indexOf('--body') + 1]!), 615);
});

t.test('a user catalog is read, and comes before the built-in one', async (t) => {
  const images = parseCatalog('images:\n- names: [nginx]\n  entrypoint: [my-server]\n  env: {A: b}\n', 'my.yml');
  t.same(new ImageCatalog(images).find('nginx:2')!.entrypoint, ['my-server']);
  t.same(images[0]!.env, { A: 'b' });
});

t.test('a malformed catalog says where and what was expected', async (t) => {
  t.throws(() => parseCatalog('[]', 'my.yml'), { message: /^my\.yml: expected a list under the key "images"/ });
  t.throws(() => parseCatalog('images:\n- entrypoint: [x]', 'my.yml'), {
    message: /images\[0\]\.names: expected at least one name/,
  });
  t.throws(() => parseCatalog('images:\n- names: [x]', 'my.yml'), {
    message: /images\[0\]: expected an entrypoint or a cmd/,
  });
  t.throws(() => parseCatalog('images:\n- names: x', 'my.yml'), { message: /expected a list of strings/ });
});
