// Situations that are written in IPv4, in IPv6.

/** The same situation in IPv6: every IPv4 address of the text embedded below fd00:4::/96, 127.0.0.1 as ::1. */
export function inIPv6(text: string): string {
  const mapped = text.replace(/\b(\d+)\.(\d+)\.(\d+)\.(\d+)(\/\d+)?(:\d+)?/g, (_all, a, b, c, d, length, port) => {
    const bytes = [a, b, c, d].map(Number);
    const [high, low] = [(bytes[0]! << 8) | bytes[1]!, (bytes[2]! << 8) | bytes[3]!];
    const addr = bytes[0] === 127 ? '::1' : `fd00:4::${high.toString(16)}:${low.toString(16)}`;
    const prefix = length === undefined ? '' : `/${bytes[0] === 127 ? 128 : Number(length.slice(1)) + 96}`;
    return port === undefined ? `${addr}${prefix}` : `[${addr}]${port}`;
  });
  return mapped.replaceAll('"IPv4"', '"IPv6"');
}
