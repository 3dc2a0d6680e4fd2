// TLS for curl: node:tls over a connection of the Pod's own TCP, with curl's options, messages and exit codes.
// Deviation: HTTP/2 is not offered; -v shows what was agreed, not the handshake message by message. Without --cacert the
// certificates that Node.js carries are trusted.
import { checkServerIdentity, connect, rootCertificates, type TLSSocket } from 'node:tls';
import type { TcpSocket } from '../../../tcpip-ts/socket/tcp-socket.ts';
import type { ProcessContext } from '../../workloads/program.ts';
import { Interrupted } from '../dns/client.ts';
import { absolutePath } from '../paths.ts';
import * as outcomes from './outcome.ts';
import { CurlError } from './outcome.ts';

export interface TlsOptions {
  /** -k */
  readonly insecure: boolean;
  /** --cacert, -E and --key: files of PEM. */
  readonly authority: string | undefined;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
}

export interface TlsPeer {
  readonly host: string;
  readonly port: number;
}

const MORE = `More details here: https://curl.se/docs/sslcerts.html

curl failed to verify the legitimacy of the server and therefore could not
establish a secure connection to it. To learn more about this situation and
how to fix it, please visit the web page mentioned above.
`;

/** OpenSSL's words (crypto/x509/x509_txt.c), by Node's codes. */
const PROBLEMS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'certificate has expired',
  CERT_NOT_YET_VALID: 'certificate is not yet valid',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'self-signed certificate',
  SELF_SIGNED_CERT_IN_CHAIN: 'self-signed certificate in certificate chain',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'unable to get local issuer certificate',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'unable to get local issuer certificate',
};

const TRANSPORTS = new WeakMap<object, TcpSocket>();

/** The TCP connection below a socket that `startTls` made; any other is one itself. */
export function transportOf(socket: object): TcpSocket {
  return TRANSPORTS.get(socket) ?? (socket as TcpSocket);
}

/** Resolves once the server is known. Rejects with CurlError or Interrupted; the connection is then gone. */
export async function startTls(
  ctx: ProcessContext,
  tcp: TcpSocket,
  peer: TlsPeer,
  options: TlsOptions,
  limitMs: number,
  tell: (line: string) => void,
): Promise<TLSSocket> {
  const { host, port } = peer;
  try {
    const credentials = readCredentials(ctx, options);
    tell('ALPN: offers http/1.1');
    const socket = connect({
      socket: tcp,
      ...(/^[\d.]+$/.test(host) ? {} : { servername: host }),
      ...credentials,
      ALPNProtocols: ['http/1.1'],
      // Judged below, in curl's words.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    await secured(ctx, socket, peer, limitMs);
    tell(`SSL connection using ${socket.getProtocol()} / ${socket.getCipher().standardName}`);
    if (socket.alpnProtocol) tell(`ALPN: server accepted ${socket.alpnProtocol}`);
    judge(socket, host, options.insecure, tell);
    TRANSPORTS.set(socket, tcp);
    return socket;
  } catch (error) {
    tcp.destroy();
    if (error instanceof CurlError || error instanceof Interrupted) throw error;
    throw new CurlError(outcomes.SSL_CONNECT_ERROR, handshakeProblem(error as NodeJS.ErrnoException, host, port));
  }
}

function readCredentials(ctx: ProcessContext, { authority, certificate, key }: TlsOptions) {
  const read = (path: string): string | undefined => ctx.files.read(absolutePath(ctx.cwd, path));
  const ca = authority === undefined ? rootCertificates.join('\n') : read(authority);
  if (!ca?.includes('BEGIN CERTIFICATE')) {
    throw new CurlError(outcomes.SSL_CACERT_BADFILE, `error setting certificate file: ${authority}`);
  }
  if (certificate === undefined) return { ca };
  const problem = `could not load PEM client certificate from ${certificate}, OpenSSL error error:80000002:system library::No such file or directory, (no key found, wrong pass phrase, or wrong file format?)`;
  const cert = read(certificate);
  if (cert === undefined) throw new CurlError(outcomes.SSL_CERTPROBLEM, problem);
  const secret = key === undefined ? cert : read(key);
  if (secret === undefined) {
    throw new CurlError(outcomes.SSL_CERTPROBLEM, `unable to set private key file: '${key}' type PEM`);
  }
  return { ca, cert, key: secret };
}

function secured(ctx: ProcessContext, socket: TLSSocket, { host, port }: TlsPeer, limitMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const interrupt = (): void => reject(new Interrupted('interrupted'));
    const timer = Number.isFinite(limitMs)
      ? ctx.clock.after(limitMs * 1000, () => {
          reject(new CurlError(outcomes.OPERATION_TIMEDOUT, 'SSL connection timeout'));
        })
      : undefined;
    const done = (finish: () => void): void => {
      timer?.cancel();
      ctx.signal.removeEventListener('abort', interrupt);
      finish();
    };
    ctx.signal.addEventListener('abort', interrupt);
    socket.once('secureConnect', () => done(resolve));
    socket.once('error', (error) => done(() => reject(error)));
    socket.once('close', () => done(() => reject(new Error(`closed by ${host}:${port}`))));
  });
}

function judge(socket: TLSSocket, host: string, insecure: boolean, tell: (line: string) => void): void {
  const certificate = socket.getPeerCertificate();
  const name = (subject: object | undefined): string =>
    Object.entries(subject ?? {})
      .map(([key, value]) => `${key}=${value}`)
      .join('; ');
  tell('Server certificate:');
  tell(` subject: ${name(certificate.subject)}`);
  tell(` start date: ${certificate.valid_from}`);
  tell(` expire date: ${certificate.valid_to}`);
  tell(` issuer: ${name(certificate.issuer)}`);
  // What Node says is the code, whatever its type.
  const code = socket.authorizationError as unknown as string | undefined;
  const problem = code ? (PROBLEMS[code] ?? code) : undefined;
  if (insecure) {
    if (problem) tell(` SSL certificate verify result: ${problem}, continuing anyway.`);
    return;
  }
  if (problem) {
    throw new CurlError(outcomes.PEER_FAILED_VERIFICATION, `SSL certificate problem: ${problem}`, undefined, MORE);
  }
  if (checkServerIdentity(host, certificate)) {
    const why = `SSL: no alternative certificate subject name matches target host name '${host}'`;
    throw new CurlError(outcomes.PEER_FAILED_VERIFICATION, why, undefined, MORE);
  }
  tell(' SSL certificate verify ok.');
}

function handshakeProblem({ message, code }: NodeJS.ErrnoException, host: string, port: number): string {
  const [, number, reason] = /error:([0-9A-F]{8}):SSL routines:[^:]*:([^:]+)/.exec(message) ?? [];
  if (number) return `error:${number}:SSL routines::${reason}`;
  const what = code === 'ECONNRESET' && /read/.test(message) ? 'Connection reset by peer' : 'SSL_ERROR_SYSCALL';
  return `OpenSSL SSL_connect: ${what} in connection to ${host}:${port} `;
}
