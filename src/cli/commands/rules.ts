// podwire rules: what runs in a Node's kernel, as the real tools print it; with -f of a Node that manifests describe.
import type { RulesFormat } from '../../cluster/node-handle.ts';
import { OfflineNode } from '../../cluster/offline/offline-node.ts';
import { RULES_FORMATS } from '../../cluster/rules-text.ts';
import type { ProxyMode } from '../../proxy/config.ts';
import { asCliError, CliError } from '../cli-error.ts';
import { ask } from '../control-client.ts';
import { offlineObjects } from '../offline-objects.ts';

export interface RulesOptions {
  readonly filename: readonly string[];
  readonly proxyMode?: ProxyMode;
  readonly node?: string;
  readonly output?: RulesFormat;
}

export async function rules(options: RulesOptions): Promise<void> {
  if (options.filename.length > 0) return offline(options);
  if (options.proxyMode)
    throw new CliError('--proxy-mode needs the objects as files: give them with -f', { exitCode: 2 });
  const query = new URLSearchParams({
    ...(options.output ? { format: options.output } : {}),
    ...(options.node ? { node: options.node } : {}),
  });
  process.stdout.write((await ask(`/rules?${query}`)) as string);
}

function offline({ filename, proxyMode, output }: RulesOptions): void {
  const objects = offlineObjects(filename);
  const node = asCliError(() => new OfflineNode(objects, proxyMode));
  process.stdout.write(node.rules(output ?? RULES_FORMATS[node.config.mode]));
  node.close();
}
