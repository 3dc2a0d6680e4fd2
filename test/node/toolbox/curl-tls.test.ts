// curl and TLS: a server on the far stack with a certificate of its own CA, as the API server has.
import { createSecureContext, TLSSocket } from 'node:tls';
import t from 'tap';
import { CertificateAuthority } from '../../../src/apiserver/auth/certificates.ts';
import { PodWorld } from '../../support/pod-world.ts';

const authority = await CertificateAuthority.create('kubernetes', Date.now());
const other = await CertificateAuthority.create('other', Date.now());
const serving = await authority.server('kube-apiserver', ['ent', 'ent.dev.svc.cluster.local', '10.0.0.2']);
const client = await authority.client('ann', ['devs']);
const secureContext = createSecureContext({
  key: serving.key,
  cert: serving.certificate,
  ca: authority.certificate,
});

const world = new PodWorld();
t.teardown(() => world.close());
world.serve(9443, (tcp) => {
  const socket = new TLSSocket(tcp, { isServer: true, requestCert: true, rejectUnauthorized: false, secureContext });
  socket.on('error', () => {}); // a client that does not trust us goes away
  socket.on('data', (chunk: Buffer) => {
    const who = socket.getPeerCertificate()?.subject?.CN ?? 'nobody';
    const body = `${/^GET (\S+)/.exec(chunk.toString())?.[1]} for ${who}\n`;
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  });
});
world.serve(9444, (tcp) => tcp.once('data', () => tcp.end()));
world.replyWith(9445, 'HTTP/1.1 400 Bad Request\r\n\r\n');
for (const [name, text] of Object.entries({
  '/ca.crt': authority.certificate,
  '/other.crt': other.certificate,
  '/ann.pem': `${client.certificate}\n${client.key}`,
  '/ann.crt': client.certificate,
  '/ann.key': client.key,
  '/nonsense': 'nonsense',
})) {
  world.files.write(name, text);
}

const MORE = `More details here: https://curl.se/docs/sslcerts.html

curl failed to verify the legitimacy of the server and therefore could not
establish a secure connection to it. To learn more about this situation and
how to fix it, please visit the web page mentioned above.
`;

t.test('who is trusted is asked', async (t) => {
  for (const [args, stdout] of [
    ['--cacert /ca.crt https://ent:9443/a', '/a for nobody\n'],
    ['--cacert ca.crt https://10.0.0.2:9443/', '/ for nobody\n'],
    ['-k https://ent:9443/a', '/a for nobody\n'],
    ['-sk https://ent:9443/a https://ent:9443/b', '/a for nobody\n/b for nobody\n'],
    ['--cacert /ca.crt --cert /ann.pem https://ent:9443/', '/ for ann\n'],
    ['--cacert /ca.crt -E /ann.crt --key /ann.key https://ent:9443/', '/ for ann\n'],
    ['--cacert /ca.crt -o /dev/null -w %{scheme}:%{local_ip}:%{remote_port} https://ent:9443', 'HTTPS:10.0.0.1:9443'],
  ] as const) {
    t.match(await world.run(`curl ${args}`), { code: 0, stdout, stderr: '' }, args);
  }
});

t.test('who is not is refused with curl`s words', async (t) => {
  for (const [args, code, stderr] of [
    [
      'https://ent:9443',
      60,
      `curl: (60) SSL certificate problem: self-signed certificate in certificate chain\n${MORE}`,
    ],
    [
      '--cacert /other.crt https://ent:9443',
      60,
      `curl: (60) SSL certificate problem: self-signed certificate in certificate chain\n${MORE}`,
    ],
    [
      '--cacert /ca.crt --resolve db:9443:10.0.0.2 https://db:9443',
      60,
      `curl: (60) SSL: no alternative certificate subject name matches target host name 'db'\n${MORE}`,
    ],
    ['--cacert /none https://ent:9443', 77, 'curl: (77) error setting certificate file: /none\n'],
    ['--cacert /nonsense https://ent:9443', 77, 'curl: (77) error setting certificate file: /nonsense\n'],
    ['-k --cert /none https://ent:9443', 58, /^curl: \(58\) could not load PEM client certificate from \/none/],
    ['-k https://ent:9444', 35, 'curl: (35) OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection to ent:9444 \n'],
    ['-k https://ent:9445', 35, 'curl: (35) error:0A00010B:SSL routines::wrong version number\n'],
  ] as const) {
    t.match(await world.run(`curl ${args}`), { code, stdout: '', stderr }, args);
  }
});
