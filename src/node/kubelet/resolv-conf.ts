// A Pod's /etc/resolv.conf and /etc/hosts, after pkg/kubelet/network/dns/dns.go and pkg/kubelet/kubelet_pods.go.
// The order of the file's lines is that of the seeds (nameserver, search, options).
import type { Pod } from '../../api/core-v1.ts';

export interface DnsSettings {
  /** ClusterIP of kube-dns. */
  readonly clusterDNS: string;
  readonly clusterDomain: string;
  /** The host's own resolver configuration: what dnsPolicy Default gives. */
  readonly host: ResolvConf;
}

export interface ResolvConf {
  readonly nameservers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

// validation.MaxDNSNameservers, MaxDNSSearchPaths, MaxDNSSearchListChars
const MAX_NAMESERVERS = 3;
const MAX_SEARCHES = 32;
const MAX_SEARCH_CHARACTERS = 2048;
const MAX_DOMAIN_CHARACTERS = 253;

/** What the Pod's dnsPolicy and dnsConfig make of the cluster's and the host's settings; `omitted` says what was too much. */
export function podResolvConf(pod: Pod, settings: DnsSettings): ResolvConf & { readonly omitted: readonly string[] } {
  const { dnsPolicy = 'ClusterFirst', hostNetwork = false, dnsConfig } = pod.spec;
  const clusterFirst = dnsPolicy === 'ClusterFirstWithHostNet' || (dnsPolicy === 'ClusterFirst' && !hostNetwork);
  let base: ResolvConf = settings.host;
  if (dnsPolicy === 'None') base = { nameservers: [], searches: [], options: [] };
  if (clusterFirst) {
    const domain = settings.clusterDomain;
    const own = [`${pod.metadata.namespace}.svc.${domain}`, `svc.${domain}`, domain];
    base = { nameservers: [settings.clusterDNS], searches: [...own, ...settings.host.searches], options: ['ndots:5'] };
  }
  const options = new Map<string, string>();
  for (const option of base.options) options.set(option.split(':')[0]!, option);
  for (const { name, value } of dnsConfig?.options ?? [])
    options.set(name, value === undefined ? name : `${name}:${value}`);
  const nameservers = unique([...base.nameservers, ...(dnsConfig?.nameservers ?? [])]);
  const searches = unique([...base.searches, ...(dnsConfig?.searches ?? [])]);
  const kept = { nameservers: nameservers.slice(0, MAX_NAMESERVERS), searches: fitting(searches) };
  const omitted = [
    ...(kept.searches.length < searches.length ? [omittedText('Search Line', 'search paths', kept.searches)] : []),
    ...(kept.nameservers.length < nameservers.length
      ? [omittedText('Nameserver', 'nameservers', kept.nameservers)]
      : []),
  ];
  return { ...kept, options: [...options.values()], omitted };
}

/** As the event DNSConfigForming words it. */
function omittedText(limits: string, what: string, kept: readonly string[]): string {
  const line = limits === 'Search Line' ? 'search' : 'nameserver';
  return `${limits} limits were exceeded, some ${what} have been omitted, the applied ${line} line is: ${kept.join(' ')}`;
}

export function formatResolvConf(conf: ResolvConf): string {
  const lines = conf.nameservers.map((n) => `nameserver ${n}`);
  if (conf.searches.length > 0) lines.push(`search ${conf.searches.join(' ')}`);
  if (conf.options.length > 0) lines.push(`options ${conf.options.join(' ')}`);
  return lines.map((l) => `${l}\n`).join('');
}

/** Reads resolv.conf(5); unknown lines and comments are skipped. */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = [];
  const options: string[] = [];
  let searches: string[] = [];
  for (const line of text.split('\n')) {
    const [key, ...values] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/);
    if (key === 'nameserver' && values[0]) nameservers.push(values[0]);
    else if (key === 'search' || key === 'domain') searches = values;
    else if (key === 'options') options.push(...values);
  }
  return { nameservers, searches, options };
}

/** The hosts file the kubelet manages for a Pod with its own network. */
export function podHosts(pod: Pod, podIP: string, hostname: string, clusterDomain: string): string {
  const { subdomain, hostAliases = [] } = pod.spec;
  const fqdn = subdomain ? `${hostname}.${subdomain}.${pod.metadata.namespace}.svc.${clusterDomain}\t` : '';
  const lines = [
    '# Kubernetes-managed hosts file.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters',
    `${podIP}\t${fqdn}${hostname}`,
  ];
  if (hostAliases.length > 0) lines.push('', '# Entries added by HostAliases.');
  for (const alias of hostAliases) lines.push(`${alias.ip}\t${(alias.hostnames ?? []).join('\t')}`);
  return lines.map((l) => `${l}\n`).join('');
}

function unique(list: readonly string[]): string[] {
  return [...new Set(list)];
}

function fitting(searches: readonly string[]): string[] {
  const kept = searches.slice(0, MAX_SEARCHES).filter((search) => search.length <= MAX_DOMAIN_CHARACTERS);
  while (kept.join(' ').length > MAX_SEARCH_CHARACTERS) kept.pop();
  return kept;
}
