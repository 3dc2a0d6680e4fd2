// -w: a format with %{variable}, %header{name} and \n \r \t.
import type { Outcome } from './outcome.ts';

export interface WriteOut {
  readonly stdout: string;
  readonly stderr: string;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

/** What `format` makes of a transfer, failed or not. Unknown variables are complained about, as curl does. */
export function expandWriteOut(format: string, outcome: Outcome): WriteOut {
  const values = variables(outcome);
  const out = { stdout: '', stderr: '' };
  let complaints = '';
  let stream: keyof typeof out = 'stdout';
  for (const [token, name, header, escaped] of format.matchAll(
    /%\{(\w+)\}|%header\{([^}]+)\}|\\([nrt])|%%|[^%\\]+|[%\\]/g,
  )) {
    if (name === 'stdout' || name === 'stderr') stream = name;
    else if (name !== undefined) {
      if (!(name in values)) complaints += `curl: unknown --write-out variable: '${name}'\n`;
      out[stream] += values[name] ?? '';
    } else if (header !== undefined) out[stream] += outcome.headers.get(header.toLowerCase()) ?? '';
    else if (escaped !== undefined) out[stream] += ESCAPES[escaped];
    else out[stream] += token === '%%' ? '%' : token;
  }
  return { stdout: out.stdout, stderr: complaints + out.stderr };
}

function variables(o: Outcome): Record<string, string> {
  const status = String(o.status).padStart(3, '0');
  const seconds = (us: number): string => (us / 1e6).toFixed(6);
  const { times } = o;
  return {
    content_type: o.headers.get('content-type') ?? '',
    errormsg: o.error?.message ?? '',
    exitcode: String(o.error?.code ?? 0),
    filename_effective: o.file ?? '',
    http_code: status,
    http_connect: '000',
    http_version: o.httpVersion,
    local_ip: o.localIP,
    local_port: String(o.localPort),
    method: o.method,
    num_connects: String(o.connects),
    num_headers: String(o.headerCount),
    num_redirects: String(o.redirects),
    redirect_url: o.redirectUrl,
    remote_ip: o.remoteIP,
    remote_port: String(o.remotePort),
    response_code: status,
    scheme: /^https:/i.test(o.effectiveUrl) ? 'HTTPS' : 'HTTP',
    size_download: String(o.downloaded),
    size_header: String(o.headerBytes),
    size_request: String(o.requestBytes),
    size_upload: String(o.uploaded),
    speed_download: String(times.totalUs > 0 ? Math.floor((o.downloaded * 1e6) / times.totalUs) : 0),
    ssl_verify_result: '0',
    time_appconnect: seconds(times.appConnectUs),
    time_connect: seconds(times.connectUs),
    time_namelookup: seconds(times.lookupUs),
    time_pretransfer: seconds(times.pretransferUs),
    time_redirect: seconds(times.redirectUs),
    time_starttransfer: seconds(times.startUs),
    time_total: seconds(times.totalUs),
    url: o.url,
    url_effective: o.effectiveUrl,
  };
}
