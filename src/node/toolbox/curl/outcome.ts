// What one URL came to: what -w tells about, and the error that curl ends with.

/** Ends a transfer with one of curl's exit codes. */
export class CurlError extends Error {
  readonly code: number;
  /** A line of the tool itself, before the library's. */
  readonly preface: string | undefined;
  /** What the tool adds below. */
  readonly epilogue: string;

  constructor(code: number, message: string, preface?: string, epilogue = '') {
    super(message);
    this.code = code;
    this.preface = preface;
    this.epilogue = epilogue;
  }
}

// Exit codes of libcurl that we can end in.
export const UNSUPPORTED_PROTOCOL = 1;
export const URL_MALFORMED = 3;
export const COULDNT_RESOLVE_HOST = 6;
export const COULDNT_CONNECT = 7;
export const PARTIAL_FILE = 18;
export const HTTP_RETURNED_ERROR = 22;
export const WRITE_ERROR = 23;
export const OPERATION_TIMEDOUT = 28;
export const SSL_CONNECT_ERROR = 35;
export const TOO_MANY_REDIRECTS = 47;
export const GOT_NOTHING = 52;
export const RECV_ERROR = 56;
export const SSL_CERTPROBLEM = 58;
export const PEER_FAILED_VERIFICATION = 60;
export const SSL_CACERT_BADFILE = 77;

/** Since the start of the transfer. */
export interface Times {
  lookupUs: number;
  connectUs: number;
  /** TLS is up; 0 without. */
  appConnectUs: number;
  pretransferUs: number;
  startUs: number;
  redirectUs: number;
  totalUs: number;
}

export interface Outcome {
  /** As typed. */
  readonly url: string;
  effectiveUrl: string;
  method: string;
  status: number;
  httpVersion: string;
  /** Of the last response, names in lower case. */
  headers: ReadonlyMap<string, string>;
  headerCount: number;
  headerBytes: number;
  requestBytes: number;
  downloaded: number;
  uploaded: number;
  localIP: string;
  localPort: number;
  remoteIP: string;
  remotePort: number;
  connects: number;
  redirects: number;
  /** Where a redirect would have led that was not followed. */
  redirectUrl: string;
  file: string | undefined;
  readonly times: Times;
  error: CurlError | undefined;
}

export function newOutcome(url: string): Outcome {
  return {
    url,
    effectiveUrl: url,
    method: 'GET',
    status: 0,
    httpVersion: '0',
    headers: new Map(),
    headerCount: 0,
    headerBytes: 0,
    requestBytes: 0,
    downloaded: 0,
    uploaded: 0,
    localIP: '',
    localPort: 0,
    remoteIP: '',
    remotePort: 0,
    connects: 0,
    redirects: 0,
    redirectUrl: '',
    file: undefined,
    times: { lookupUs: 0, connectUs: 0, appConnectUs: 0, pretransferUs: 0, startUs: 0, redirectUs: 0, totalUs: 0 },
    error: undefined,
  };
}
