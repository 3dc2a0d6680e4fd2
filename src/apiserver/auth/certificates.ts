// X.509 for the API server: a certificate authority, server and client certificates, all ECDSA P-256, as PEM. The only file that
// knows @peculiar/x509.
import 'reflect-metadata';
import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const CA_DAYS = 3650; // as kubeadm's
const LEAF_DAYS = 365;
const DAY_MS = 86_400_000;
/** Certificates begin a little earlier: clocks differ. */
const SKEW_MS = 300_000;

export class CertificateAuthority {
  readonly certificate: string;
  readonly #name: string;
  readonly #signingKey: webcrypto.CryptoKey;
  readonly #nowMs: number;

  private constructor(name: string, certificate: string, signingKey: webcrypto.CryptoKey, nowMs: number) {
    this.#name = name;
    this.certificate = certificate;
    this.#signingKey = signingKey;
    this.#nowMs = nowMs;
  }

  static async create(commonName: string, nowMs: number): Promise<CertificateAuthority> {
    const keys = await newKeys();
    const name = `CN=${commonName}`;
    const certificate = await X509CertificateGenerator.createSelfSigned({
      serialNumber: serial(),
      name,
      ...validity(nowMs, CA_DAYS),
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [
        new BasicConstraintsExtension(true, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.digitalSignature, true),
      ],
    });
    return new CertificateAuthority(name, certificate.toString('pem'), keys.privateKey, nowMs);
  }

  /** From what `certificate` and `privateKey` gave. Throws when they are not a CA and its key. */
  static async load(certificate: string, privateKey: string, nowMs: number): Promise<CertificateAuthority> {
    const x509 = new X509Certificate(certificate);
    const pkcs8 = createPrivateKey(privateKey).export({ type: 'pkcs8', format: 'der' });
    const signingKey = await webcrypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, true, ['sign']);
    const authority = new CertificateAuthority(x509.subject, x509.toString('pem'), signingKey, nowMs);
    const { certificate: probe } = await authority.client('probe', []);
    if (!(await new X509Certificate(probe).verify({ publicKey: await x509.publicKey.export(), signatureOnly: true }))) {
      throw new Error('the key is not the one of the certificate');
    }
    return authority;
  }

  /** PEM, PKCS #8. */
  privateKey(): Promise<string> {
    return pemOf(this.#signingKey);
  }

  /** `hosts`: names and addresses that clients may use. */
  server(commonName: string, hosts: readonly string[]): Promise<KeyPair> {
    const names = hosts.map((value) => ({ type: isIP(value) ? ('ip' as const) : ('dns' as const), value }));
    return this.#issue([{ CN: [commonName] }], ExtendedKeyUsage.serverAuth, [
      new SubjectAlternativeNameExtension(names),
    ]);
  }

  /** The user is the common name, the groups are the organizations. */
  client(user: string, groups: readonly string[]): Promise<KeyPair> {
    return this.#issue([...groups.map((group) => ({ O: [group] })), { CN: [user] }], ExtendedKeyUsage.clientAuth, []);
  }

  /** A client's certificate from a request in base64 of PEM; likewise returned. Rejects when its signature is not its key's. */
  async signClient(request: string, seconds: number, nowMs: number): Promise<string> {
    const csr = new Pkcs10CertificateRequest(Buffer.from(request, 'base64').toString());
    if (!(await csr.verify())) throw new Error('the signature of the request is not by its key');
    const certificate = await X509CertificateGenerator.create({
      serialNumber: serial(),
      subject: csr.subjectName,
      issuer: this.#name,
      notBefore: new Date(nowMs - SKEW_MS),
      notAfter: new Date(nowMs + seconds * 1000),
      signingAlgorithm: ALGORITHM,
      signingKey: this.#signingKey,
      publicKey: csr.publicKey,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
      ],
    });
    return Buffer.from(`${certificate.toString('pem')}\n`).toString('base64');
  }

  async #issue(
    subject: { [attribute: string]: string[] }[],
    usage: string,
    extensions: readonly Extension[],
  ): Promise<KeyPair> {
    const keys = await newKeys();
    const certificate = await X509CertificateGenerator.create({
      serialNumber: serial(),
      subject,
      issuer: this.#name,
      ...validity(this.#nowMs, LEAF_DAYS),
      signingAlgorithm: ALGORITHM,
      signingKey: this.#signingKey,
      publicKey: keys.publicKey,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([usage]),
        ...extensions,
      ],
    });
    return { certificate: certificate.toString('pem'), key: await pemOf(keys.privateKey) };
  }
}

/** What a PKCS #10 request in base64 of PEM asks to be, or what is wrong with it. */
export function parseRequest(request: string): { organizations: readonly string[]; problem: string | undefined } {
  const text = Buffer.from(request, 'base64').toString();
  if (!/-----BEGIN (NEW )?CERTIFICATE REQUEST-----/.test(text)) {
    return { organizations: [], problem: 'PEM block type must be CERTIFICATE REQUEST' };
  }
  try {
    const { subjectName } = new Pkcs10CertificateRequest(text);
    return { organizations: subjectName.getField('O'), problem: undefined };
  } catch (error) {
    return { organizations: [], problem: (error as Error).message };
  }
}

async function pemOf(privateKey: webcrypto.CryptoKey): Promise<string> {
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', privateKey)).toString('base64');
  const lines = key.match(/.{1,64}/g)!.join('\n');
  return `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`;
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

/** Positive and without a leading zero byte, as DER wants it. */
function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes.toString('hex');
}

function validity(nowMs: number, days: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(nowMs - SKEW_MS), notAfter: new Date(nowMs + days * DAY_MS) };
}
