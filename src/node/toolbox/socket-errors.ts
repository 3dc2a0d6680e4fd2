// strerror(3) of what connecting and reading can end in, by the code of a Node-shaped socket's error.

const MESSAGES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'Address already in use',
  ECONNREFUSED: 'Connection refused',
  ECONNRESET: 'Connection reset by peer',
  EHOSTUNREACH: 'No route to host',
  ENETUNREACH: 'Network is unreachable',
  EPIPE: 'Broken pipe',
  ETIMEDOUT: 'Connection timed out',
};

export function strerror({ code, message }: NodeJS.ErrnoException): string {
  return MESSAGES[code ?? ''] ?? message;
}
