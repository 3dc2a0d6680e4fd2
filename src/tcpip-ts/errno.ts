// Linux errno numbers that a socket can meet, and the errors Node makes of them: the same code, errno, syscall, address,
// port and message, so that programs which test `err.code` cannot tell this stack from node:net.
// Layers below the sockets return a negative errno and make no Error.

export const EBADF = 9;
export const EAGAIN = 11;
export const EACCES = 13;
export const EINVAL = 22;
export const EPIPE = 32;
export const EPROTO = 71;
export const EMSGSIZE = 90;
export const EDESTADDRREQ = 89;
export const ENOPROTOOPT = 92;
export const EADDRINUSE = 98;
export const EADDRNOTAVAIL = 99;
export const ENETDOWN = 100;
export const ENETUNREACH = 101;
export const ECONNABORTED = 103;
export const ECONNRESET = 104;
export const ENOBUFS = 105;
export const EISCONN = 106;
export const ENOTCONN = 107;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;
export const EHOSTUNREACH = 113;

const NAMES: Readonly<Record<number, string>> = {
  [EBADF]: 'EBADF',
  [EAGAIN]: 'EAGAIN',
  [EACCES]: 'EACCES',
  [EINVAL]: 'EINVAL',
  [EPIPE]: 'EPIPE',
  [EPROTO]: 'EPROTO',
  [EMSGSIZE]: 'EMSGSIZE',
  [EDESTADDRREQ]: 'EDESTADDRREQ',
  [ENOPROTOOPT]: 'ENOPROTOOPT',
  [EADDRINUSE]: 'EADDRINUSE',
  [EADDRNOTAVAIL]: 'EADDRNOTAVAIL',
  [ENETDOWN]: 'ENETDOWN',
  [ENETUNREACH]: 'ENETUNREACH',
  [ECONNABORTED]: 'ECONNABORTED',
  [ECONNRESET]: 'ECONNRESET',
  [ENOBUFS]: 'ENOBUFS',
  [EISCONN]: 'EISCONN',
  [ENOTCONN]: 'ENOTCONN',
  [ETIMEDOUT]: 'ETIMEDOUT',
  [ECONNREFUSED]: 'ECONNREFUSED',
  [EHOSTUNREACH]: 'EHOSTUNREACH',
};

/** `ECONNREFUSED` for 111; `errno 999` for a number not in the table. Sign does not matter. */
export function errnoName(errno: number): string {
  return NAMES[Math.abs(errno)] ?? `errno ${Math.abs(errno)}`;
}

export interface SocketError extends Error {
  code: string;
  errno: number;
  syscall: string;
  address?: string;
  port?: number;
}

/** As Node words it: `connect ECONNREFUSED 10.0.0.1:80`, `bind EADDRINUSE 0.0.0.0:53`, `read ECONNRESET`. */
export function socketError(errno: number, syscall: string, address?: string, port?: number): SocketError {
  const code = errnoName(errno);
  const where = address === undefined ? '' : port === undefined ? ` ${address}` : ` ${address}:${port}`;
  const error = new Error(`${syscall} ${code}${where}`) as SocketError;
  error.errno = -Math.abs(errno);
  error.code = code;
  error.syscall = syscall;
  if (address !== undefined) error.address = address;
  if (port !== undefined) error.port = port;
  return error;
}
