// The keys of a cluster, made once for each data directory: the CA, by which clients and server know each other, and the key of
// service accounts' tokens. Files as kubeadm's in /etc/kubernetes/pki (ca.crt, ca.key, sa.key), their owner's only; so kubeconfigs
// and tokens outlive a restart. Without a directory they live as long as the process.
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CertificateAuthority } from '../apiserver/auth/certificates.ts';
import { newSigningKey, ServiceAccountTokens } from '../apiserver/auth/tokens.ts';
import { makeDirectory } from '../lib/make-directory.ts';

export class PkiError extends Error {
  override readonly name = 'PkiError';
}

export class Pki {
  readonly #directory: string | undefined;
  #authority: Promise<CertificateAuthority> | undefined;

  /** `dataDirectory`: that of the store. */
  constructor(dataDirectory?: string) {
    this.#directory = dataDirectory && join(dataDirectory, 'pki');
    if (this.#directory) makeDirectory(this.#directory, 0o700);
  }

  /** Throws PkiError for a file that is no key. */
  tokens(): ServiceAccountTokens {
    const key = this.#read('sa.key') ?? this.#write('sa.key', newSigningKey());
    try {
      return new ServiceAccountTokens(key);
    } catch (cause) {
      throw this.#unusable('sa.key', cause);
    }
  }

  /** The same each time. Rejects with PkiError for files that are no CA. */
  authority(nowMs: number): Promise<CertificateAuthority> {
    this.#authority ??= this.#loadAuthority(nowMs);
    return this.#authority;
  }

  async #loadAuthority(nowMs: number): Promise<CertificateAuthority> {
    const certificate = this.#read('ca.crt');
    if (certificate === undefined) {
      const made = await CertificateAuthority.create('kubernetes', nowMs);
      // The key first: a certificate that is there has its key.
      this.#write('ca.key', await made.privateKey());
      this.#write('ca.crt', made.certificate);
      return made;
    }
    const key = this.#read('ca.key');
    if (key === undefined) {
      throw new PkiError(
        `${this.#path('ca.key')} is missing; put it back, or remove ${this.#path('ca.crt')} for a new CA`,
      );
    }
    try {
      return await CertificateAuthority.load(certificate, key, nowMs);
    } catch (cause) {
      throw this.#unusable('ca.crt, ca.key', cause);
    }
  }

  #path(name: string): string {
    return join(this.#directory ?? '', name);
  }

  #read(name: string): string | undefined {
    const path = this.#path(name);
    return this.#directory && existsSync(path) ? readFileSync(path, 'utf8') : undefined;
  }

  /** All of it, or nothing. */
  #write(name: string, text: string): string {
    if (!this.#directory) return text;
    const path = this.#path(name);
    writeFileSync(`${path}.new`, text, { mode: 0o600, flush: true });
    chmodSync(`${path}.new`, 0o600); // the file may have been there
    renameSync(`${path}.new`, path);
    return text;
  }

  #unusable(name: string, cause: unknown): PkiError {
    const why = cause instanceof Error ? cause.message : String(cause);
    return new PkiError(`${this.#path(name)}: ${why}; put the file back, or remove it for new keys`, { cause });
  }
}
