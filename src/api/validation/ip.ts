// Which texts are addresses. After k8s.io/apimachinery/pkg/util/validation/ip.go and ValidateNonSpecialIP in kubernetes core
// validation.
import ipaddr from 'ipaddr.js';

const MUST_BE_IP = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';

export function isIPv4(text: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(text) && text.split('.').every((octet) => Number(octet) <= 255);
}

export function isIP(text: string): boolean {
  return isIPv4(text) || (text.includes(':') && !text.includes('%') && ipaddr.IPv6.isValid(text));
}

export function ipErrors(text: string = ''): string[] {
  return isIP(text) ? [] : [MUST_BE_IP];
}

export function ipv4Errors(text: string): string[] {
  return isIPv4(text) ? [] : ['must be a valid IPv4 address'];
}

export function cidrErrors(text: string): string[] {
  const [address = '', bits = ''] = text.split('/');
  const max = isIPv4(address) ? 32 : 128;
  const good = text.split('/').length === 2 && isIP(address) && /^\d{1,3}$/.test(bits) && Number(bits) <= max;
  return good ? [] : ['must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'];
}

/** Why an address cannot be an endpoint or an external IP; [] for what is no address at all. */
export function specialIpErrors(text: string): string[] {
  if (!isIP(text)) return [];
  const parsed = isIPv4(text) ? ipaddr.IPv4.parse(text.split('.').map(Number).join('.')) : ipaddr.parse(text);
  switch (parsed.range()) {
    case 'unspecified':
      return text === '0.0.0.0' || parsed.kind() === 'ipv6' ? ['may not be unspecified (0.0.0.0 or ::)'] : [];
    case 'loopback':
      return ['may not be in the loopback range (127.0.0.0/8, ::1/128)'];
    case 'linkLocal':
      return ['may not be in the link-local range (169.254.0.0/16, fe80::/10)'];
    case 'multicast':
      return text.startsWith('224.0.0.') || text.toLowerCase().startsWith('ff02')
        ? ['may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)']
        : [];
    default:
      return [];
  }
}
