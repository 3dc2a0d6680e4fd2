// What a Node serves over HTTP, without a network: requests are put to the listeners as they are.
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { ListenAddress } from '../../src/proxy/config.ts';

interface Answer {
  readonly code: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** Ports that are listened on, and what they answer. */
export class HttpPorts {
  /** By `host:port`. */
  readonly open = new Map<string, RequestListener>();

  readonly listen = ({ host, port }: ListenAddress, answer: RequestListener): { close(): void } => {
    const key = `${host}:${port}`;
    this.open.set(key, answer);
    return { close: () => void this.open.delete(key) };
  };

  /** `host` is where it was listened on. */
  get(port: number, url = '/', host = '0.0.0.0'): Answer {
    const headers: Record<string, string> = {};
    let body = '';
    const response = {
      statusCode: 200,
      setHeader: (name: string, value: string) => {
        headers[name] = value;
      },
      end: (text: string) => {
        body = text;
      },
    };
    this.open.get(`${host}:${port}`)!(
      { url } as IncomingMessage,
      response as unknown as ServerResponse & { req: IncomingMessage },
    );
    return { code: response.statusCode, headers, body };
  }
}
