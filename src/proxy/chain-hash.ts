// What stands for a name in the names of chains, which must be short: the first characters of base32(sha256(name)), after
// portProtoHash() of pkg/proxy/iptables/proxier.go and hashAndTruncate() of pkg/proxy/nftables/proxier.go, v1.34.
import { createHash } from 'node:crypto';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'; // RFC 4648
const HASH_LENGTH = 16;

export function chainHash(text: string): string {
  const digest = createHash('sha256').update(text).digest();
  let out = '';
  for (let bit = 0; out.length < HASH_LENGTH; bit += 5) {
    const pair = (digest[bit >> 3]! << 8) | digest[(bit >> 3) + 1]!;
    out += ALPHABET[(pair >> (11 - (bit & 7))) & 31];
  }
  return out;
}
